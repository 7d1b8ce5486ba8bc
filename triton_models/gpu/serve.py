"""Runs Triton in a container, and loads models once it is up: the entrypoint of scripts/launch.sh.

    python3 serve.py --http 127.0.0.1:8000 --load llama-3.1-8b@1 -- tritonserver --model-control-mode=explicit ...

A front loads its engine itself, which Triton allows only after its start; so nothing is loaded by --load-model, and
a restarted container loads the same models again. It ends when Triton ends, with its code, and hands signals on.
"""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import REMAINDER, ArgumentParser
from collections.abc import Sequence
from types import FrameType

PAUSE_S = 0.5  # between two looks whether Triton lives
LOAD_S = 1800.0  # for one model: engines of many gigabytes come from slow disks


def main() -> int:
    """Returns Triton's exit code, or 1 when a model can't be loaded."""
    options = _parser().parse_args()
    server = subprocess.Popen(options.command[1:])  # noqa: S603 the operator's own command
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: _hand_on(server, number, _frame))
    try:
        load(options.http, options.load, server)
    except LoadFailed as failure:
        print(f"serve: {failure}", file=sys.stderr, flush=True)
        server.terminate()
        server.wait()
        return 1
    return server.wait()


class LoadFailed(RuntimeError):
    """A model is not there, or Triton is not; the message has Triton's reason."""


def load(http: str, models: Sequence[str], server: subprocess.Popen[bytes]) -> None:
    """Waits until Triton lives, then loads each model, one after the other. Raises LoadFailed."""
    while not _lives(http):
        if server.poll() is not None:
            raise LoadFailed(f"Triton ended with code {server.returncode} before it was up")
        time.sleep(PAUSE_S)
    for model in models:
        began = time.monotonic()
        # The name as it is: Triton takes an @, and does not understand %40.
        _post(f"http://{http}/v2/repository/models/{model}/load", model)
        print(f"serve: {model} loaded in {time.monotonic() - began:.0f} s", flush=True)


def _lives(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{http}/v2/health/live", timeout=5):
            return True
    except OSError:
        return False


def _post(url: str, model: str) -> None:
    request = urllib.request.Request(url, data=b"{}", method="POST")  # noqa: S310 our own server
    try:
        with urllib.request.urlopen(request, timeout=LOAD_S):  # noqa: S310 our own server
            return
    except urllib.error.HTTPError as error:
        raise LoadFailed(f"{model} can't be loaded: {error.read().decode('utf-8', 'replace')}") from None
    except OSError as error:
        raise LoadFailed(f"{model} can't be loaded: {error}") from None


def _hand_on(server: subprocess.Popen[bytes], number: int, _frame: FrameType | None) -> None:
    if server.poll() is None:
        server.send_signal(number)


def _parser() -> ArgumentParser:
    command = ArgumentParser(description="Runs Triton, and loads models once it is up.")
    command.add_argument("--http", default="127.0.0.1:8000", help="where Triton's HTTP endpoint will be")
    command.add_argument(
        "--load", action="append", default=[], help="a model to load, NAME@VERSION; may be repeated"
    )
    command.add_argument("command", nargs=REMAINDER, help="-- and Triton's command")
    return command


if __name__ == "__main__":
    sys.exit(main())
