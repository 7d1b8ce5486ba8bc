"""Bad input gets a clear error: what was wrong, and what would be right. Through the edge of a real mesh."""

import asyncio
import io
import json
import zipfile

import aiohttp
import pytest

from tests.unit.parse_samples import pdf

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(range(256)) * 8


def docx_bomb(unpacked_bytes: int = 3 << 30) -> bytes:
    """A DOCX of a few megabytes whose document part unpacks to gigabytes of zeros."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            block = bytes(1 << 24)
            for _ in range(unpacked_bytes >> 24):
                part.write(block)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("blank.txt", b" \n\t \n", "empty"),
        ("locked.pdf", pdf("secret page", lock="secret"), "encrypted"),
        ("short.pdf", pdf("a page that is cut off")[:-400], "truncated"),
        ("picture.txt", PNG, "unsupported_type"),
        ("scan.pdf", pdf(""), "no_text"),
    ],
)
async def test_a_document_that_cannot_be_read_fails_with_the_reason(mesh, collection, name, data, code):
    status, document = await mesh.add(name, data, collection)

    assert (status, document["state"]) == (201, "FAILED"), document
    assert document["error"]["code"] == code
    assert document["error"]["retriable"] is False
    assert name in document["error"]["message"]


async def test_a_zip_bomb_fails_alone(mesh, collection):
    bomb = await asyncio.to_thread(docx_bomb, 1 << 30)
    (_, bombed), (_, neighbour) = await asyncio.gather(
        mesh.add("bomb.docx", bomb, collection),
        mesh.add("neighbour.txt", b"The neighbour is fine.", collection),
    )

    assert (bombed["state"], bombed["error"]["code"]) == ("FAILED", "too_large_unpacked")
    assert neighbour["state"] == "READY"


async def test_invalid_utf8_is_read_in_the_encoding_it_is_in(mesh, collection):
    status, document = await mesh.add(
        "old.txt", "港口的渡轮早上六点半从四号码头出发。".encode("gb18030"), collection
    )

    assert (status, document["state"]) == (201, "READY")
    assert (await mesh.search("渡轮几点出发", collection))[0]["text"].startswith("港口")


@pytest.mark.parametrize("name", ["a/b.txt", "..", "a\\b.txt", "nul\0.txt", "x" * 1000, ""])
async def test_a_name_that_is_none_is_refused(mesh, collection, name):
    status, problem = await mesh.add(name, b"text", collection)

    assert status == 400
    assert "name" in problem["detail"]


async def test_an_empty_file_is_refused(mesh, collection):
    status, problem = await mesh.add("empty.txt", b"", collection)

    assert status == 400
    assert "empty" in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/collections/nowhere/search", {"query": "x"}, 404, "nowhere"),
        ("GET", "/v1/collections/nowhere/documents", None, 404, "nowhere"),
        ("POST", "/v1/collections", {"name": "No Good"}, 400, "lower-case letters"),
        ("POST", "/v1/collections", {"name": "default"}, 409, "default"),
        ("POST", "/v1/collections/default/search", {"query": "x", "top_k": 0}, 400, "top_k"),
        ("POST", "/v1/collections/default/search", {"query": "x", "top_k": 1_000_000}, 400, "top_k"),
        ("POST", "/v1/collections/default/search", {"query": ""}, 400, "query"),
        ("POST", "/v1/collections/default/answer", {"question": "?" * 100_000}, 400, "8192"),
        ("POST", "/v1/collections/default/search", {"query": "x", "mode": "psychic"}, 400, "hybrid"),
        ("POST", "/v1/collections/default/search", {"query": "x", "topk": 3}, 400, "top_k"),
        ("GET", "/v1/collections/default/documents?page_token=AAAA", None, 400, "page_token"),
        ("GET", "/v1/documents/not-an-id", None, 400, "UUID"),
        ("GET", "/v1/documents/01890000-0000-7000-8000-000000000000", None, 404, "01890000"),
        ("GET", "/v1/nothing", None, 404, ""),
        ("PUT", "/v1/collections", None, 405, ""),
    ],
)
async def test_a_bad_request_says_what_would_be_right(mesh, method, path, body, status, says):
    got, problem = await mesh.call(method, path, json=body)

    assert got == status, problem
    assert problem["status"] == status
    assert says in problem["detail"]
    assert problem["request_id"]


async def test_a_page_token_is_good_for_its_own_list_only(mesh, collection):
    for number in range(3):
        await mesh.add(f"{number}.txt", f"Note number {number}.".encode(), collection)
    _, page = await mesh.call("GET", f"/v1/collections/{collection}/documents?page_size=2")
    token = page["next_page_token"]

    _, rest = await mesh.call(
        "GET", f"/v1/collections/{collection}/documents", params={"page_size": "2", "page_token": token}
    )
    status, problem = await mesh.call(
        "GET", "/v1/collections/default/documents", params={"page_size": "2", "page_token": token}
    )

    assert [document["name"] for document in (*page["documents"], *rest["documents"])] == [
        "2.txt",
        "1.txt",
        "0.txt",
    ]
    assert status == 400
    assert "page_token" in problem["detail"]


async def test_malformed_json_is_refused_with_the_place(mesh):
    status, problem = await mesh.call(
        "POST",
        "/v1/collections/default/search",
        data=b'{"query": "x",,}',
        headers={"Content-Type": "application/json"},
    )

    assert status == 400
    assert "JSON" in problem["detail"]


async def test_an_upload_that_breaks_off_leaves_nothing(mesh, collection):
    host, port = mesh.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1/collections/{collection}/documents?name=half.txt HTTP/1.1\r\nHost: {host}\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n".encode()
        + b"x" * 400_000
    )
    await writer.drain()
    writer.transport.abort()

    status, document = await mesh.add("after.txt", b"This one came after.", collection)
    _, listed = await mesh.call("GET", f"/v1/collections/{collection}/documents")

    assert status == 201
    assert [document["name"] for document in listed["documents"]] == ["after.txt"]
    kept = [file for file in (mesh.data_dir / "blobs").rglob("*") if file.is_file()]
    assert not [file for file in kept if file.stat().st_size == 400_000]
    assert any(document["id"] in str(file) for file in kept)


async def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(mesh, collection):
    async with aiohttp.ClientSession() as session:  # its connection is closed with the body unsent
        response = await session.post(
            f"{mesh.url}/v1/collections/{collection}/documents?name=huge.bin",
            data=_gigabyte(),
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(1 << 30)},
        )
        problem = await response.json(content_type=None)

    assert response.status == 413
    assert "256 MiB" in problem["detail"]


async def _gigabyte():
    """Never read to its end: the edge answers by the announced length."""
    for _ in range(4):
        yield bytes(1 << 20)


async def test_no_bad_input_was_logged_as_our_own_fault(mesh):
    """Runs last in this file: nothing above was answered with an internal error."""
    for log in (mesh.data_dir / "logs").glob("*.log"):
        for line in log.read_text().splitlines():
            if line.startswith("{"):
                assert json.loads(line)["event"] != "rpc.failed", line
