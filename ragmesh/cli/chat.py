"""`ragmesh chat`."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from importlib import import_module

import typer

from ragmesh.cli.printing import console, show_json
from ragmesh.cli.questions import MODES, Mode, TopK, show_citations, show_text, told
from ragmesh.cli.session import AsJson, Collection, DataDir, MeshName, reached
from ragmesh.cli.trouble import tell
from ragmesh.client import Answer, SyncChat, SyncClient
from ragmesh.errors import MeshError
from ragmesh.v1 import AnswerEvent, Citation

app = typer.Typer()

PROMPT = "> "
HELP = """  /sources           the passages that the last answer was written from
  /collection NAME   ask another collection from now on
  /new               forget what was said
  /help              this
  Ctrl-C stops an answer, Ctrl-D ends the conversation"""


@app.command()
def chat(
    collection: Collection = "default",
    top_k: TopK = None,
    mode: Mode = None,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Talks with the documents: each question is read in the light of those before it.

    Ctrl-C stops an answer, Ctrl-D ends the conversation, /help lists what else there is. Questions may be piped in,
    a line each; with --json each answer is a line of JSON.
    """
    with SyncClient(reached(data_dir, mesh)) as client:
        talk = Talk(client, collection, lambda: client.chat(top_k=top_k, mode=MODES[mode]), as_json=json_)
        talk.hold()


class Talk:
    """A conversation at the terminal, or one that is piped in."""

    def __init__(
        self,
        client: SyncClient,
        collection: str,
        begin: Callable[[], AbstractContextManager[SyncChat]],
        *,
        as_json: bool,
    ) -> None:
        self._client = client
        self._collection = collection
        self._begin = begin
        self._as_json = as_json
        self._is_alive = sys.stdin.isatty()  # somebody is there who can ask again
        self._sources: Sequence[Citation] = ()
        self._is_over = False

    def hold(self) -> None:
        """Takes questions until there are no more. Raises MeshError where nobody is there to be told."""
        if self._is_alive:
            import_module("readline")  # gives `input` its line editing and history

            console().print(f"asking {self._collection}; /help for help", highlight=False, markup=False)
        while not self._is_over:
            with self._begin() as conversation:
                self._hold_one(conversation)

    def _hold_one(self, conversation: SyncChat) -> None:
        """One conversation, until it is over or to be forgotten."""
        while (line := self._read()) is not None:
            if line == "/new":
                return
            try:
                self._take(line, conversation)
            except MeshError as error:
                if not self._is_alive:
                    raise
                tell(error, ())
        self._is_over = True

    def _read(self) -> str | None:
        """The next line; None when there are no more."""
        try:
            return input(PROMPT if self._is_alive else "").strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            console().print()
            return ""

    def _take(self, line: str, conversation: SyncChat) -> None:
        word, _, rest = line.partition(" ")
        if not line.startswith("/"):
            if line:
                self._ask(line, conversation)
        elif word == "/sources":
            show_citations(self._sources)
        elif word == "/collection" and rest:
            self._collection = self._client.collection(rest.strip()).name
        else:
            console().print(HELP, highlight=False, markup=False)

    def _ask(self, question: str, conversation: SyncChat) -> None:
        events: list[AnswerEvent] = []
        try:
            with closing(conversation.ask(question, collection=self._collection)) as answering:
                for event in answering:
                    events.append(event)
                    if event.token and not self._as_json:
                        show_text(event.token.text)
        except KeyboardInterrupt:
            if not self._is_alive:
                raise
            console().print("\n(stopped)", highlight=False, markup=False)
            return
        self._show(question, Answer.of_events(events))

    def _show(self, question: str, answer: Answer) -> None:
        self._sources = answer.sources
        if self._as_json:
            show_json({"question": question, **told(answer)})
            return
        console().print("\n")
        show_citations(answer.citations)
