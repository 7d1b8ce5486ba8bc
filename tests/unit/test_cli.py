"""The command line without a mesh: what it reads, what it says, what it prints for scripts."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from ragmesh import cli
from ragmesh.cli.adding import files_below
from ragmesh.cli.commands import PLACES, load
from ragmesh.cli.evaluate import Case, Outcome, read_cases, summarised
from ragmesh.cli.printing import show_json
from ragmesh.cli.questions import print_streaming, told
from ragmesh.cli.serve import read_replicas
from ragmesh.client import Answer
from ragmesh.errors import InvalidArgument
from ragmesh.v1 import (
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

    assert code == 5
    assert said.startswith(f"error: no mesh runs on {tmp_path}: start it with `ragmesh up`, or name another")


def test_a_script_hears_of_trouble_in_json(monkeypatch, capsys, tmp_path):
    code, said = run_main(monkeypatch, capsys, "ls", "--json", "--data-dir", str(tmp_path))
    error = json.loads(said)["error"]

    assert (code, error["code"]) == (5, "UNAVAILABLE")
    assert "no mesh runs" in error["message"]

    code, said = run_main(monkeypatch, capsys, "ask", "--json")
    error = json.loads(said)["error"]

    assert (code, error["code"]) == (2, "INVALID_ARGUMENT")
    assert "question" in error["message"]


@pytest.mark.parametrize("name", PLACES)
def test_the_list_of_commands_says_what_each_says_of_itself(name):
    assert load(name).help.splitlines()[0] == PLACES[name].help


def test_help_is_shown_without_what_commands_need():
    code = (
        "import sys; from typer.testing import CliRunner; from ragmesh.cli import app;"
        "assert 'search' in CliRunner().invoke(app, ['--help']).output;"
        "sys.exit(bool({'grpc', 'pydantic', 'aiohttp', 'numpy', 'ragmesh.client'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_mistyped_command_is_met_with_what_may_be_meant(monkeypatch, capsys):
    code, said = run_main(monkeypatch, capsys, "serch", "x")

    assert code == 2
    assert "'search'" in said


def test_a_command_that_needs_more_says_which_extra_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    for name in [
        name for name in sys.modules if name.startswith(("tritonclient.", "ragmesh.inference", "ragmesh.cli.serve"))
    ]:
        monkeypatch.delitem(sys.modules, name)

    code, said = run_main(monkeypatch, capsys, "up")

    assert code == 1
    assert "pip install 'ragmesh[local]'" in said


def test_a_mesh_is_named_once(monkeypatch, capsys, tmp_path):
    code, said = run_main(monkeypatch, capsys, "ls", "--data-dir", str(tmp_path), "--mesh", "prod")

    assert code == 2
    assert "give one of them" in said


@pytest.mark.parametrize("folder", ["file", "/proc/nowhere"])
def test_a_folder_that_cannot_hold_data_is_refused_with_a_reason(monkeypatch, capsys, tmp_path, folder):
    (tmp_path / "file").touch()

    code, said = run_main(monkeypatch, capsys, "up", "--data-dir", str(tmp_path / folder))

    assert code == 1
    assert "choose a folder that you may write to" in said


def test_what_does_not_exist_is_named_as_it_is(monkeypatch, capsys, tmp_path):
    code, said = run_main(monkeypatch, capsys, "add", "[no] such", "--data-dir", str(tmp_path))

    assert (code, said) == (3, "error: [no] such does not exist\n")


def test_bad_settings_are_told_by_their_names(monkeypatch, capsys):
    monkeypatch.setenv("RAGMESH_CHUNK_TOKENS", "many")

    code, said = run_main(monkeypatch, capsys, "config")

    assert code == 2
    assert "RAGMESH_CHUNK_TOKENS" in said


def test_config_tells_where_a_setting_came_from_and_no_secret(monkeypatch):
    monkeypatch.setenv("RAGMESH_MILVUS_TOKEN", "root:hunter2")

    lines = CliRunner().invoke(cli.app, ["config", "--local"]).output.splitlines()

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
    show_json(told(await Answer.of(events(*DONE))))

    printed = json.loads(capsys.readouterr().out)
    assert (printed["answer"], printed["finish_reason"]) == ("At six o'clock [1]", "STOP")
    assert printed["usage"] == {"prompt_tokens": 7, "completion_tokens": 5}
    assert printed["citations"][0]["chunk"]["document_name"] == "hand[book].pdf"


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
    with pytest.raises(InvalidArgument, match="as query=2,worker=3"):
        read_replicas(text)


def test_replicas_of_one_service_are_given_once():
    with pytest.raises(InvalidArgument, match="query is named twice"):
        read_replicas("query=2,svc_query=3")


@pytest.fixture
def config_home(monkeypatch, tmp_path):
    """A person without profiles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("RAGMESH_MESH", "RAGMESH_DISCOVERY_URL"):
        monkeypatch.delenv(name, raising=False)


def invoke(*arguments: str, **options: str):
    return CliRunner().invoke(cli.app, arguments, **options)


@pytest.mark.usefixtures("config_home")
def test_profiles_are_added_used_listed_and_removed():
    added = invoke("profile", "add", "prod", "--url", "consul://prod:8500", "--api-key-stdin", input="rm_secret\n")
    invoke("profile", "use", "prod")
    listed = json.loads(invoke("profile", "list", "--json").output)
    shown = invoke("profile", "list").output
    invoke("profile", "remove", "prod")

    assert added.exit_code == 0
    assert listed[1] == {"name": "prod", "url": "consul://prod:8500", "has_api_key": True, "in_use": True}
    assert "rm_secret" not in added.output + shown
    assert [each["name"] for each in json.loads(invoke("profile", "list", "--json").output)] == ["local"]


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        ("add prod --url nonsense", "consul://", 2),
        ("add local --url consul://x:1", "can't be called", 2),
        ("add prod --url consul://x:1 --api-key-stdin", "no API key", 2),
        ("use nowhere", "only local", 3),
        ("remove nowhere", "only local", 3),
    ],
)
@pytest.mark.usefixtures("config_home")
def test_a_profile_that_makes_no_sense_is_refused(monkeypatch, capsys, arguments, says, code):
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    assert run_main(monkeypatch, capsys, "profile", *arguments.split())[0] == code
    assert says in run_main(monkeypatch, capsys, "profile", *arguments.split())[1]


def complete(*words: str) -> list[str]:
    """What a shell is told."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from ragmesh.cli import main; sys.argv = ['ragmesh']; main()"],
        env={
            **os.environ,
            "_RAGMESH_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["ragmesh", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.usefixtures("config_home")
def test_a_shell_completes_commands_and_names_of_meshes():
    invoke("profile", "add", "prod", "--url", "consul://prod:8500")

    assert complete("s") == ["search", "suggest", "status", "set"]
    assert complete("profile", "use", "p") == ["prod"]
    assert complete("ask", "--mesh", "l") == ["local"]


def test_what_is_expected_is_found_by_document_or_by_text():
    other, there = Chunk(chunk_id="a", document_id="1", document_name="a.md", text="Nothing."), PASSAGE

    def rank(**expected: str) -> int | None:
        return Case(question="When?", **expected).rank_in([other, other, there])

    assert rank(document="hand[book].pdf") == 2, "documents are counted once"
    assert rank(text="LEAVES  at six") == 2
    assert rank(document="a.md", text="leaves at six") is None
    assert rank(document="1") == 1


def test_questions_are_read_and_a_bad_line_is_named(tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "When?", "text": "six"}\n\n{"question": "Where?"}\n')

    with pytest.raises(InvalidArgument, match=r"line 3:\n.*give what is expected"):
        read_cases(file)

    file.write_text('{"question": "When?", "text": "six"}\n')
    assert read_cases(file) == [Case(question="When?", text="six")]


def test_measures_are_means_over_all_questions():
    outcomes = [Outcome("a", 1, 1.0), Outcome("b", 2, 0.5), Outcome("c"), Outcome("d", failure="it is away")]

    assert summarised(outcomes, 10) == {
        "questions": 4, "failed": 1, "recall@1": 0.25, "recall@5": 0.5, "recall@10": 0.5, "mrr@10": 0.375,
        "answered": 2, "groundedness": 0.75,
    }  # fmt: skip
