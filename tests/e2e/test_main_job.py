"""Documents in, streamed and cited answers out: over HTTP, on real Triton and real Milvus Lite."""

import asyncio

from tests.e2e.files import docx, html, pptx, xlsx
from tests.unit.parse_samples import pdf

NOTE = b"""# Tea at the Harbour Office

The harbour office in Kilmory serves jasmine tea on Tuesdays. The kettle is descaled by Mrs Ferreira every March.

# Boats

The ferry Aurelia leaves pier four at half past six in the morning.
"""
NOTE_ZH = "# 港口办公室\n\n每周二供应茉莉花茶。渡轮“曙光号”早上六点半从四号码头出发。\n".encode()


async def test_an_answer_is_streamed_with_its_sources_first_and_cites_them(mesh, collection):
    await mesh.add("harbour.md", NOTE, collection)

    events = [
        event
        async for event in mesh.stream(
            f"/v1/collections/{collection}/answer",
            {"question": "When does the ferry Aurelia leave?", "stream": True, "max_tokens": 48},
        )
    ]

    names = [name for name, _ in events]
    assert names[0] == "sources"
    assert names[-2:] == ["usage", "done"]
    assert set(names[1:-2]) == {"token"}
    assert len(names) > 4, "the text came in one piece"
    sources = events[0][1]["citations"]
    assert sources[0]["document_name"] == "harbour.md"
    assert "The ferry Aurelia leaves pier four at half past six" in sources[0]["text"]
    assert events[-2][1]["completion_tokens"] > 0


async def test_an_answer_without_streaming_is_the_same_in_one_piece(mesh, collection):
    await mesh.add("harbour.md", NOTE, collection)

    status, body = await mesh.call(
        "POST",
        f"/v1/collections/{collection}/answer",
        json={"question": "Who descales the kettle?", "max_tokens": 32},
    )

    assert status == 200
    assert body["answer"]
    assert body["finish_reason"] in {"stop", "length"}
    assert body["usage"]["prompt_tokens"] > 0
    assert body["timings"]["total_ms"] >= body["timings"]["first_token_ms"] > 0


async def test_nothing_found_is_said_and_no_model_is_asked(mesh, collection):
    status, body = await mesh.call(
        "POST", f"/v1/collections/{collection}/answer", json={"question": "Who is the captain?"}
    )

    assert status == 200
    assert (body["finish_reason"], body["citations"]) == ("not_found", [])
    assert body["usage"]["completion_tokens"] == 0


async def test_english_and_chinese_are_found_in_every_mode(mesh, collection):
    await mesh.add("harbour.md", NOTE, collection)
    await mesh.add("港口.md", NOTE_ZH, collection)
    await mesh.add("other.md", b"The quarterly budget review moved to the blue room.", collection)

    for mode in ("dense", "sparse", "hybrid"):
        english = await mesh.search("Which tea is served on Tuesdays?", collection, mode=mode)
        chinese = await mesh.search("渡轮几点出发？", collection, mode=mode)
        assert english[0]["document_name"] == "harbour.md", mode
        assert chinese[0]["document_name"] == "港口.md", mode


async def test_every_format_becomes_searchable_text_with_pages(mesh, collection):
    documents = {
        "a.pdf": pdf("first page", "the walrus sings on page two"),
        "b.docx": docx("the otter paints in a word file"),
        "c.pptx": pptx(["slide one", "the heron dances on slide two"]),
        "d.xlsx": xlsx({"animals": [["name", "job"], ["badger", "the badger audits a sheet"]]}),
        "e.html": html("the lynx reads a web page"),
        "f.txt": "die Möwe liest Latin-1".encode("latin-1"),
    }
    added = await asyncio.gather(*(mesh.add(name, data, collection) for name, data in documents.items()))
    assert {body["state"] for _, body in added} == {"READY"}, added

    for query, name, page in (
        ("walrus sings", "a.pdf", 2),
        ("otter paints", "b.docx", 0),
        ("heron dances", "c.pptx", 2),
        ("badger audits", "d.xlsx", 1),
        ("lynx reads", "e.html", 0),
        ("Möwe liest", "f.txt", 0),
    ):
        best = (await mesh.search(query, collection))[0]
        assert (best["document_name"], best["page"]) == (name, page)


async def test_filters_narrow_and_never_widen(mesh, collection):
    await mesh.add("a.txt", b"The red lantern hangs in the east gate.", collection, metadata='{"team": "east"}')
    await mesh.add("b.txt", b"The red lantern hangs in the west gate.", collection, metadata='{"team": "west"}')

    east = await mesh.search("red lantern", collection, filter={"metadata.team": "east"})
    nowhere = await mesh.search("red lantern", collection, filter={"metadata.team": "north"})
    status, problem = await mesh.call(
        "POST", f"/v1/collections/{collection}/search", json={"query": "x", "filter": {"colour": "red"}}
    )

    assert {result["document_name"] for result in east} == {"a.txt"}
    assert nowhere == []
    assert status == 400
    assert "metadata." in problem["detail"], "the problem names the fields that there are"


async def test_a_deleted_document_is_never_found_again(mesh, collection):
    _, document = await mesh.add("gone.md", b"The obsidian compass points to the north pier.", collection)
    assert await mesh.search("obsidian compass", collection)

    status, _ = await mesh.call("DELETE", f"/v1/documents/{document['id']}")

    assert status == 204
    assert await mesh.search("obsidian compass", collection) == []
    assert (await mesh.call("GET", f"/v1/documents/{document['id']}"))[0] == 404


async def test_reprocessing_keeps_one_generation_searchable(mesh, collection):
    _, document = await mesh.add("again.md", b"The copper bell rings at noon.", collection)

    status, queued = await mesh.call("POST", f"/v1/documents/{document['id']}/reprocess")
    assert status in {200, 202}
    async with mesh.http.get(f"{mesh.url}/v1/documents/{document['id']}/events") as events:
        assert b"READY" in await events.read()

    assert queued["generation"] == 2
    found = await mesh.search("copper bell", collection)
    assert [result["chunk_id"] for result in found] == [f"{document['id']}:2:0"]


async def test_the_original_bytes_come_back(mesh, collection):
    _, document = await mesh.add("harbour.md", NOTE, collection)

    assert await mesh.call("GET", f"/v1/documents/{document['id']}/content") == (200, NOTE)


async def test_questions_are_suggested_from_what_is_there(mesh, collection):
    await mesh.add("harbour.md", NOTE, collection)

    status, body = await mesh.call("POST", f"/v1/collections/{collection}/suggestions", json={"count": 3})

    assert status == 200
    assert 1 <= len(body["questions"]) <= 3
    for question in body["questions"]:
        assert (await mesh.search(question, collection))[0]["document_name"] == "harbour.md"


async def test_the_operator_sees_every_part(mesh):
    status, board = await mesh.call("GET", "/v1/admin/mesh")
    _, models = await mesh.call("GET", "/v1/admin/models")
    _, stats = await mesh.call("GET", "/v1/admin/stats")
    _, config = await mesh.call("GET", "/v1/admin/config")

    assert status == 200
    assert {instance["service"] for instance in board["instances"]} == {
        "admin", "document", "gateway", "query", "worker",
    }  # fmt: skip
    assert {part["health"] for part in (*board["instances"], *board["backends"])} == {"SERVING"}
    used = {model["name"] for model in models["models"] if model["active"] and model["state"] == "READY"}
    assert used == {"e5-small", "smollm2-135m"}
    assert stats["ingest"]["collections"] >= 1
    assert any(setting["key"] == "RAGMESH_MILVUS_URI" for setting in config["settings"])
