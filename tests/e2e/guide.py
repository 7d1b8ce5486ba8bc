"""Examples out of a guide, and whether what they print is what the guide shows.

An example is a fenced block in `sh`, `python` or `js`. A block in `json` or `text` after it is what it prints.
There `…` stands for anything: in JSON for a value, a part of a string, the further items of a list or the further
fields of an object; in text for any characters. All else must be equal.
"""

import asyncio
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = ("sh", "python", "js")
SHOWN = ("json", "text")
WITHIN_S = 60.0
CLIENTS = Path(__file__).parents[2] / ".clients"  # what tests/clients/install.sh installs
ANY = "…"


@dataclass(frozen=True)
class Example:
    """Something that a reader may copy, and what comes of it."""

    line: int  # where it stands
    language: str
    code: str
    shown: str | None  # what the guide says that it prints; None where it says nothing
    shown_as: str


def examples_of(guide: str) -> Iterator[Example]:
    """The examples of a guide in Markdown, in their order."""
    blocks = [(guide.count("\n", 0, found.start()) + 1, *found.groups()) for found in FENCED.finditer(guide)]
    followers = [*blocks[1:], (0, "", "")]
    for (line, language, code), (_, shown_as, shown) in zip(blocks, followers, strict=True):
        if language in LANGUAGES:
            yield Example(line, language, code, shown if shown_as in SHOWN else None, shown_as)


class Reader:
    """Somebody who works through a guide in one shell: what is exported stays."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """`folder` is where the files lie that examples read. Raises AssertionError where clients are missing."""
        assert (CLIENTS / "installed").exists(), (
            "OpenAI's clients and Node are missing: run tests/clients/install.sh"
        )
        (folder / "node_modules").symlink_to(CLIENTS / "node_modules")
        self._folder = folder
        self._exported = folder / ".exported"
        self._exported.write_text("".join(f"export {k}={shlex.quote(v)}\n" for k, v in environment.items()))

    async def run(self, example: Example) -> str:
        """What an example prints. Raises AssertionError when it fails."""
        shell = await asyncio.create_subprocess_exec(
            *(
                "bash",
                "-euo",
                "pipefail",
                "-c",
                f". {self._exported}\n{_typed(example)}\nexport -p > {self._exported}",
            ),
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(os.environ),
        )
        try:
            printed, complaints = await asyncio.wait_for(shell.communicate(), WITHIN_S)
        finally:
            if shell.returncode is None:
                shell.kill()
        assert shell.returncode == 0, f"line {example.line} fails:\n{printed.decode()}{complaints.decode()}"
        return printed.decode()


def _typed(example: Example) -> str:
    """What the reader types into the shell."""
    if example.language == "sh":
        return example.code
    program = "node --input-type=module -" if example.language == "js" else "python -"
    if "from openai import" in example.code:
        program = f"{CLIENTS}/clients/bin/{program}"  # it does not go together with what ragmesh needs
    return f"{program} <<'END_OF_EXAMPLE'\n{example.code}\nEND_OF_EXAMPLE"


def differences(example: Example, printed: str) -> list[str]:
    """Where an example printed something else than the guide shows."""
    if example.shown is None:
        return []
    if example.shown_as == "text":
        return [] if fits(example.shown.strip(), printed.strip()) else [f"printed:\n{printed}"]
    try:
        told = json.loads(printed)
    except json.JSONDecodeError:
        return [f"not JSON: {printed!r}"]
    found = list(_unlike(json.loads(_quoted(example.shown)), told, "$"))
    return [*found, f"printed:\n{json.dumps(told, indent=2, ensure_ascii=False)}"] if found else []


def fits(shown: str, printed: str) -> bool:
    """Whether a text is what was shown, `…` standing for anything."""
    return re.fullmatch(".*?".join(map(re.escape, shown.split(ANY))), printed, re.DOTALL) is not None


def _quoted(shown: str) -> str:
    """JSON, with every `…` that is outside of strings put into one, as an item or a field."""
    inside = r'"(?:[^"\\]|\\.)*"'
    return re.sub(
        rf"{inside}|(?P<field>(?<=[{{,\n])\s*{ANY}(?=\s*}}))|{ANY}",
        lambda found: f'"{ANY}": 0' if found["field"] else f'"{ANY}"' if found[0] == ANY else found[0],
        shown,
    )


def _unlike(shown: Any, told: Any, where: str) -> Iterator[str]:
    match shown, told:
        case "…", _:
            return
        case str(), str() if fits(shown, told):
            return
        case dict(), dict():
            yield from _unlike_fields(shown, told, where)
        case list(), list():
            wanted = [item for item in shown if item != ANY]
            if len(told) < len(wanted) or (len(told) > len(wanted) and ANY not in shown):
                yield f"{where} has {len(told)} items"
            for number, (one, other) in enumerate(zip(wanted, told, strict=False)):
                yield from _unlike(one, other, f"{where}[{number}]")
        case _ if shown == told and type(shown) is type(told):
            return
        case _:
            yield f"{where} is {told!r}, not {shown!r}"


def _unlike_fields(shown: dict[str, Any], told: dict[str, Any], where: str) -> Iterator[str]:
    wanted = {key: value for key, value in shown.items() if key != ANY}
    for key in wanted.keys() - told.keys():
        yield f"{where}.{key} is missing"
    if ANY not in shown:
        yield from (f"{where}.{key} is not shown" for key in told.keys() - wanted.keys())
    for key in wanted.keys() & told.keys():
        yield from _unlike(wanted[key], told[key], f"{where}.{key}")
