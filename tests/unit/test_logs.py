"""What a log line has, and what it never has."""

import json
import logging

import pytest
import structlog

from ragmesh.access import Identity
from ragmesh.rpc import context
from ragmesh.settings import Settings
from ragmesh.telemetry import logs


@pytest.fixture
def log(monkeypatch):
    """A logger of a configured process; what was configured before is so again after the test."""
    root = logging.getLogger()
    before, handlers, level = structlog.get_config(), root.handlers[:], root.level
    yield lambda **settings: logs.configure(Settings(**settings)) or structlog.get_logger()
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_our_lines_and_those_of_libraries_look_alike(log, capsys):
    log(log_format="json").info("document.indexed", chunks=12)
    logging.getLogger("library").warning("it is %s", "late")

    ours, theirs = lines(capsys)

    assert (ours["event"], ours["chunks"], ours["level"]) == ("document.indexed", 12, "info")
    assert (theirs["event"], theirs["level"]) == ("it is late", "warning")
    assert ours.keys() - {"chunks"} == theirs.keys()


def test_the_level_may_change_while_the_process_runs(log, capsys):
    logger = log(log_format="json")

    logs.set_level("ERROR")
    logger.info("hidden")
    logs.set_level("INFO")
    logger.info("seen")

    assert [line["event"] for line in lines(capsys)] == ["seen"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_tells_where_and_nothing_of_what_was_held(log, capsys, log_format):
    logger = log(log_format=log_format)

    def fail(document_text):
        raise LookupError("not there")

    try:
        fail("for your eyes " + "only")
    except LookupError:
        logger.exception("rpc.failed")

    told = capsys.readouterr().err
    assert "not there" in told
    assert "eyes only" not in told


def test_a_line_tells_whose_call_it_belongs_to_and_outside_of_calls_nothing(log, capsys):
    logger = log(log_format="json")

    with context.bound(request_id="r-1"), context.acting(Identity("acme", frozenset(), "key-7")):
        logger.info("inside")
    logger.info("outside")

    inside, outside = lines(capsys)
    assert (inside["request_id"], inside["tenant"], inside["subject"]) == ("r-1", "acme", "key-7")
    assert outside.keys().isdisjoint({"request_id", "tenant", "subject"})
