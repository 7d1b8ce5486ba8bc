"""Parser processes: whatever one document does to its own, the others are read."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import semantra_multilingual

from ragmesh.errors import Unavailable
from ragmesh.settings import Settings
from svc_document.chunking import ChunkedDocument
from svc_document.parse import pool as pool_module
from svc_document.parse.document import ParseError
from svc_document.parse.pool import Limits, ParsePool

HERE = Path(__file__).parent
FILE = Path(__file__)
LIMITS = Limits(timeout_s=30, memory_bytes=1 << 30)


@pytest.fixture(autouse=True)
def importable_faults(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent.parent)]))


@asynccontextmanager
async def faulty_pool(limits: Limits = LIMITS, processes: int = 1) -> AsyncIterator[ParsePool]:
    import parse_faults  # noqa: PLC0415 importable from now on, here and in the children

    async with ParsePool(parse_faults.faulty, limits, processes=processes) as pool:
        yield pool


async def pid(pool: ParsePool, name: str = "good") -> int:
    return (await pool.chunks(FILE, name)).page_count


async def failure(pool: ParsePool, name: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        await pool.chunks(FILE, name)
    return caught.value


async def test_a_warm_process_reads_one_document_after_the_other():
    async with faulty_pool() as pool:
        assert await pid(pool) == await pid(pool)


async def test_a_process_is_replaced_before_it_grows_old(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pool_module, "ANSWERS_MAX", 2)

    async with faulty_pool() as pool:
        assert await pid(pool) != await pid(pool)


@pytest.mark.parametrize(
    ("name", "code"), [("memory", "memory"), ("crash", "crashed"), ("exit", "crashed"), ("raise", "broken")]
)
async def test_a_document_that_fails_fails_alone(name: str, code: str):
    async with faulty_pool(processes=2) as pool:
        good, error, also_good = await asyncio.gather(pid(pool), failure(pool, name), pid(pool))

        assert error.code == code
        assert name in error.message
        assert good > 0
        assert also_good > 0
        assert await pid(pool) > 0


async def test_a_document_that_hangs_is_given_up_in_time_and_its_process_is_gone():
    async with faulty_pool(Limits(timeout_s=0.3, memory_bytes=1 << 30), processes=2) as pool:
        error = await failure(pool, "hang")

        assert error.code == "timeout"
        assert "0.3 seconds" in error.message
        assert not parsers()
        assert await pid(pool) > 0


async def test_a_cancelled_reading_ends_its_process_and_frees_its_place():
    async with faulty_pool() as pool:
        await pid(pool)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await pool.chunks(FILE, "hang")

        assert not parsers()
        assert await pid(pool) > 0


async def test_a_process_that_is_killed_from_outside_costs_its_document_nothing():
    async with faulty_pool() as pool:
        first = await pid(pool)
        os.kill(first, signal.SIGKILL)

        assert await pid(pool) not in (0, first)


async def test_what_a_library_prints_does_not_disturb_the_answer():
    async with faulty_pool() as pool:
        assert (await pool.chunks(FILE, "chatter")).content_type == "chatter"


async def test_a_job_that_cannot_start_is_a_fault_of_ours_not_of_the_document():
    import parse_faults  # noqa: PLC0415

    async with ParsePool(parse_faults.never_starts, LIMITS, processes=1) as pool:
        with pytest.raises(Unavailable):
            await pool.chunks(FILE, "good")


async def test_documents_are_read_and_cut_beside_hostile_ones(tmp_path: Path):
    tokenizer = tmp_path / "e5-small@1" / "1" / "tokenizer.json"
    tokenizer.parent.mkdir(parents=True)
    tokenizer.symlink_to(
        Path(semantra_multilingual.__file__).parent / "assets/multilingual-e5-small/tokenizer.json"
    )
    (tmp_path / "good").write_text("# Towers\n\nThe tower is tall. 塔很高。")
    (tmp_path / "bad").write_bytes(b"%PDF-1.7\n")
    settings = Settings(data_dir=tmp_path, models_dir=tmp_path, parse_processes=2)

    async with ParsePool.of(settings) as pool:
        good, bad = await asyncio.gather(
            pool.chunks(tmp_path / "good", "a.md"), pool.chunks(tmp_path / "bad", "a.pdf"), return_exceptions=True
        )

    assert isinstance(good, ChunkedDocument)
    assert [chunk.text for chunk in good.chunks] == ["Towers\n\nThe tower is tall. 塔很高。"]
    assert isinstance(bad, ParseError)
    assert bad.code == "truncated"


async def test_no_process_outlives_the_pool():
    async with faulty_pool(processes=2) as pool:
        await asyncio.gather(pid(pool), pid(pool))

    assert not parsers()


async def test_no_process_outlives_a_killed_parent_even_while_it_hangs():
    parent = await asyncio.to_thread(_parent_with_a_hanging_child)
    children = psutil.Process(parent.pid).children()
    assert len(children) == 1

    parent.kill()
    parent.wait()

    assert not psutil.wait_procs(children, timeout=10)[1]


def _parent_with_a_hanging_child() -> subprocess.Popen[str]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as told:
        told.readline()
    return parent


PARENT = """
import asyncio, parse_faults
from pathlib import Path
from svc_document.parse.pool import Limits, ParsePool

async def main():
    async with ParsePool(parse_faults.faulty, Limits(60, 1 << 30), processes=1) as pool:
        await pool.chunks(Path("x"), "good")
        print("ready", flush=True)
        await pool.chunks(Path("x"), "hang")

asyncio.run(main())
"""


def parsers() -> list[psutil.Process]:
    return [process for process in psutil.Process().children() if "svc_document.parse.child" in process.cmdline()]
