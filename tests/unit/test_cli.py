"""The command line without a mesh: what it reads, what it says, what it prints for scripts."""

import json
import sys
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from ragmesh import cli
from ragmesh.cli.adding import files_below
from ragmesh.cli.printing import show_json
from ragmesh.cli.questions import print_streaming, print_whole
from ragmesh.cli.serve import read_replicas
from ragmesh.cli.session import Trouble
from ragmesh.v1 import (
    AnswerError,
    AnswerEvent,
    Chunk,
    Citation,
    Document,
    DocumentState,
    Done,
    FinishReason,
    Token,
    Usage,
)

PASSAGE = Chunk(document_name="hand[book].pdf", page=3, text="The ferry leaves\nat six.")
CITED = Citation(marker="[1]", chunk=PASSAGE, score=1.0)


async def events(*last: AnswerEvent):
    for text in ("At six", " o'clock [1]"):
        yield AnswerEvent(token=Token(text=text))
    for event in last:
        yield event


DONE = (
    AnswerEvent(usage=Usage(prompt_tokens=7, completion_tokens=5)),
    AnswerEvent(done=Done(finish_reason=FinishReason.STOP, citations=[CITED])),
)


def run_main(monkeypatch, capsys, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of the whole program."""
    monkeypatch.setattr(sys, "argv", ["ragmesh", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().err


def test_help_teaches_the_first_steps():
    output = CliRunner().invoke(cli.app, ["--help"]).output

    for taught in ("ragmesh up", "ragmesh add handbook.pdf", "ragmesh ask", "ragmesh config"):
        assert taught in output


@pytest.mark.parametrize(
    "command", ["ls", "status", "collections", "search x", "ask x", "suggest", "rm x", "models list"]
)
def test_without_a_mesh_a_command_says_how_to_start_one(monkeypatch, capsys, tmp_path, command):
    code, said = run_main(monkeypatch, capsys, *command.split(), "--data-dir", str(tmp_path))

    assert code == 1
    assert said == f"error: no mesh runs on {tmp_path}: start it with `ragmesh up`, in another terminal\n"


def test_what_does_not_exist_is_named_as_it_is(monkeypatch, capsys, tmp_path):
    code, said = run_main(monkeypatch, capsys, "add", "[no] such", "--data-dir", str(tmp_path))

    assert (code, said) == (1, "error: [no] such does not exist\n")


def test_bad_settings_are_told_by_their_names(monkeypatch, capsys):
    monkeypatch.setenv("RAGMESH_CHUNK_TOKENS", "many")

    code, said = run_main(monkeypatch, capsys, "config")

    assert code == 1
    assert "RAGMESH_CHUNK_TOKENS" in said


def test_config_tells_where_a_setting_came_from_and_no_secret(monkeypatch):
    monkeypatch.setenv("RAGMESH_MILVUS_TOKEN", "root:hunter2")

    lines = CliRunner().invoke(cli.app, ["config"]).output.splitlines()

    (token,) = (line.split() for line in lines if "RAGMESH_MILVUS_TOKEN" in line)
    assert token[1:3] == ["********", "environment"]
    (port,) = (line.split() for line in lines if "RAGMESH_PORT" in line)
    assert port[1:3] == ["8080", "default"]


def test_folders_are_read_to_the_bottom_without_what_is_hidden(tmp_path):
    for name in ("b.txt", "deep/er/a.md", ".hidden", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert [str(file.relative_to(tmp_path)) for file in files_below([tmp_path])] == ["b.txt", "deep/er/a.md"]
    assert list(files_below([tmp_path / ".hidden"])) == [tmp_path / ".hidden"], "named by hand, it is meant"


async def test_an_answer_is_printed_with_file_and_page_of_what_it_rests_on(capsys):
    await print_streaming(events(*DONE))

    assert capsys.readouterr().out == (
        "At six o'clock [1]\n\n  [1] hand[book].pdf, page 3: The ferry leaves at six.\n"
    )


async def test_an_answer_for_scripts_is_named_as_in_the_http_api(capsys):
    await print_whole(events(*DONE))

    printed = json.loads(capsys.readouterr().out)
    assert (printed["answer"], printed["finish_reason"]) == ("At six o'clock [1]", "STOP")
    assert printed["usage"] == {"prompt_tokens": 7, "completion_tokens": 5}
    assert printed["citations"][0]["chunk"]["document_name"] == "hand[book].pdf"


async def test_an_answer_that_breaks_off_is_trouble():
    broken = AnswerEvent(error=AnswerError(code="UNAVAILABLE", message="the model is away", retriable=True))

    with pytest.raises(Trouble, match="the model is away"):
        await print_streaming(events(broken))


def test_documents_for_scripts_have_plain_states_and_times(capsys):
    when = datetime(2026, 1, 5, 12, tzinfo=UTC)
    show_json([Document(id="a", size_bytes=12, state=DocumentState.READY, created_at=when)])

    (document,) = json.loads(capsys.readouterr().out)
    assert (document["state"], document["size_bytes"], document["created_at"], document["error"]) == (
        "READY", 12, "2026-01-05T12:00:00+00:00", None,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["query=2,worker=3", "svc_query=2, worker=3", "query=2,worker=3,"])
def test_replicas_are_read_by_the_names_of_services_or_of_their_folders(text):
    assert read_replicas(text) == {"query": 2, "worker": 3}


@pytest.mark.parametrize("text", ["query", "query=two", "query=-1", "=", "query:2"])
def test_replicas_that_make_no_sense_are_refused_with_an_example(text):
    with pytest.raises(Trouble, match="as query=2,worker=3"):
        read_replicas(text)
