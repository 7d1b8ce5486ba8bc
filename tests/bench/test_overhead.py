"""The bench of the edge's overhead measures both sides of every load. What it finds is for people to read."""

from bench import overhead
from bench.overhead import Load
from bench.site import scripted


async def test_the_edge_is_measured_beside_direct_calls(tmp_path):
    loads = [Load("search", "search", "bench", 2, 8), Load("stream", "stream", "bench", 2, 2)]

    search, stream = await overhead.measure(scripted(tmp_path), loads, rounds=1)

    assert [len(side) for side in search.outcomes.values()] == [1, 1]
    assert search.rate_ratio > 0
    assert search.cpu_ms("edge")["gateway"] + stream.cpu_ms("edge")["gateway"] > 0
    assert all(outcome.tokens == 400 for rounds in stream.outcomes.values() for outcome in rounds)
    assert all(ms > 0 for side in overhead.SIDES for ms in stream.latency_ms(side, first=True))


def test_a_page_gets_its_tables_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{overhead.BEGIN}\nold\n{overhead.END}\n\nafter\n")

    overhead.write_into(page, "| new |")

    assert page.read_text() == f"before\n\n{overhead.BEGIN}\n\n| new |\n\n{overhead.END}\n\nafter\n"
