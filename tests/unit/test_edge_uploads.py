"""Documents in and out through the edge: in pieces, at the pace of the slower side, whole or not at all."""

import asyncio
import io

import aiohttp
import pytest

from ragmesh import errors
from tests.edge import PAGE, an_edge

UPLOADS = "/v1/collections/c/documents"
FORM = {"Content-Type": "multipart/form-data; boundary=B"}
FILE = b'Content-Disposition: form-data; name="file"; filename="a.md"\r\n\r\ntea'
METADATA = b'Content-Disposition: form-data; name="metadata"\r\n\r\n{"k": "v"}'
TAGS = b'Content-Disposition: form-data; name="tags"\r\n\r\nx'


async def pieces(count: int):
    for _ in range(count):
        yield bytes(1 << 16)


def form(*parts: bytes) -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"


async def test_an_upload_passes_through_in_pieces(edge):
    body = bytes(700_000)

    response, document = await edge.json(
        "POST", '/v1/collections/c/documents?name=a.md&wait=true&metadata={"k":"v"}', data=body
    )

    spec, *pieces = edge.documents.received
    assert (response.status, document["state"]) == (201, "READY")
    assert (spec.spec.name, spec.spec.collection, spec.spec.metadata) == ("a.md", "c", {"k": "v"})
    assert b"".join(piece.data for piece in pieces) == body
    assert max(len(piece.data) for piece in pieces) <= 256 * 1024


async def test_an_upload_carries_the_key_of_its_client(edge):
    for data, query in ((form(FILE), ""), (b"tea", "?name=a.md")):
        kind = FORM if not query else {}
        await edge.json("POST", UPLOADS + query, data=data, headers=kind | {"Idempotency-Key": "mine-1"})

    specs = [message.spec for message in edge.documents.received if message.spec]
    assert [spec.idempotency_key for spec in specs] == ["mine-1", "mine-1"]


async def test_a_form_is_an_upload_too(edge):
    form = aiohttp.FormData()
    form.add_field("metadata", '{"k": "v"}', content_type="application/json")
    form.add_field("file", b"tea", filename="b.md")

    response, _ = await edge.json("POST", "/v1/collections/c/documents", data=form)

    spec, piece = edge.documents.received
    assert response.status == 202
    assert (spec.spec.name, spec.spec.metadata, piece.data) == ("b.md", {"k": "v"}, b"tea")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "?name="),
        ("?name=a&wait=maybe", "true or false"),
        ("?name=a&metadata=[]", "object of strings"),
        ("?name=a&metadata=%7B%22k%22:%22%5Cud800%22%7D", "object of strings"),
    ],
)
async def test_an_upload_says_what_it_lacks(edge, query, says):
    response, problem = await edge.json("POST", UPLOADS + query, data=b"text")

    assert response.status == 400
    assert says in problem["detail"]
    assert not edge.documents.received


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the form is broken"),
        (b"garbage", "the form is broken"),
        (form(b"no header\r\n\r\nx"), "the form is broken"),
        (form(METADATA), "no part named `file`"),
        (form(TAGS, FILE), "`metadata`, then `file`"),
        (form(METADATA.replace(b'"v"', b"7"), FILE), "object of strings"),
        (form(METADATA.replace(b"v", b"\xff"), FILE), "object of strings"),
        (form(METADATA + b" " * 70_000, FILE), "65536"),
        (form(FILE.replace(b'; filename="a.md"', b"")), "no filename"),
    ],
)
async def test_a_form_that_is_no_upload_is_refused(edge, body, says):
    response, problem = await edge.json("POST", UPLOADS, data=body, headers=FORM)

    assert response.status == 400
    assert says in problem["detail"]
    assert not edge.documents.received


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=" + "b" * 99])
async def test_a_form_without_a_usable_boundary_is_refused(edge, kind):
    response, problem = await edge.json("POST", UPLOADS, data=form(FILE), headers={"Content-Type": kind})

    assert response.status == 400
    assert "boundary" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (form(FILE)[:-10], "the form is broken"),
        (form(FILE).removesuffix(b"--B--\r\n"), "the form is broken"),
        (form(FILE, METADATA), "`metadata` before it"),
        (form(FILE, FILE), "one file at a time"),
    ],
)
async def test_a_form_that_does_not_end_after_its_file_leaves_nothing(edge, body, says):
    response, problem = await edge.json("POST", UPLOADS, data=body, headers=FORM)

    assert response.status == 400
    assert says in problem["detail"]
    await asyncio.wait_for(edge.documents.broken_off.wait(), 5)
    assert not edge.documents.completed.is_set()


async def test_an_upload_beyond_the_limit_is_refused_by_its_length():
    async with an_edge(upload_max_bytes=1 << 20) as edge:
        response, problem = await edge.json("POST", f"{UPLOADS}?name=a", data=io.BytesIO(bytes(2 << 20)))

        assert (response.status, "1 MiB" in problem["detail"]) == (413, True)
        assert not edge.documents.received


async def test_an_upload_that_does_not_tell_its_length_is_refused_at_the_limit():
    async with an_edge(upload_max_bytes=1 << 20) as edge:
        response, problem = await edge.json("POST", f"{UPLOADS}?name=a", data=pieces(17))
        await asyncio.wait_for(edge.documents.broken_off.wait(), 5)

        assert (response.status, "1 MiB" in problem["detail"]) == (413, True)
        assert sum(len(message.data or b"") for message in edge.documents.received) <= 1 << 20


async def test_an_upload_that_is_refused_while_it_comes_is_told_why(edge):
    edge.documents.error = errors.NotFound("there is no such collection")

    answers = [
        await asyncio.gather(*(edge.json("POST", f"{UPLOADS}?name=a", data=pieces(3)) for _ in range(16)))
        for _ in range(8)
    ]

    told = {(response.status, problem["detail"]) for some in answers for response, problem in some}
    assert told == {(404, "there is no such collection")}


async def test_a_slow_service_slows_the_upload_down(edge):
    read = 0

    async def body():
        nonlocal read
        async for piece in pieces(1024):
            read += 1
            yield piece

    edge.documents.taking.clear()
    uploading = asyncio.create_task(edge.json("POST", f"{UPLOADS}?name=a", data=body()))
    seen = -1
    while seen < read or not read:
        seen = read
        await asyncio.sleep(0.3)  # long enough for all of it, if nothing held it back
    held_back_at = read
    edge.documents.taking.set()
    response, _ = await uploading

    assert held_back_at < 512
    assert response.status == 202
    assert sum(len(message.data or b"") for message in edge.documents.received) == 1 << 26


async def test_an_upload_that_breaks_off_never_looks_complete(edge):
    _, writer = await asyncio.open_connection(edge.client.host, edge.client.port)
    writer.write(
        b"POST /v1/collections/c/documents?name=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\nhalf"
    )
    await edge.documents.arrived.wait()
    writer.transport.abort()

    await asyncio.wait_for(edge.documents.broken_off.wait(), 5)

    assert not edge.documents.completed.is_set()


async def test_a_download_can_not_run_as_a_page(edge):
    async with edge.client.get("/v1/documents/d/content") as response:
        body = await response.read()

    assert body == PAGE
    assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%22%0A.html"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_download_that_breaks_off_never_looks_complete(edge):
    edge.documents.broken_download = errors.Unavailable("the disk is away")

    with pytest.raises(aiohttp.ClientPayloadError):
        async with edge.client.get("/v1/documents/d/content") as response:
            await response.read()


@pytest.mark.parametrize("path", ["/v1/documents/d/content", "/v1/documents/d/events"])
async def test_a_stream_has_no_head(edge, path):
    async with edge.client.head(path) as response:
        assert response.status == 405


@pytest.mark.parametrize(
    "head", [b"Idempotency-Key: \xff", b'Content-Disposition: form-data; name="file"; filename="\xfc.pdf"']
)
async def test_a_head_that_is_no_utf8_is_refused_and_told(edge, head):
    is_form = head.startswith(b"Content-Disposition")
    body = b"--b\r\n" + head + b"\r\n\r\ntea\r\n--b--\r\n" if is_form else b"tea"
    kind = b"Content-Type: multipart/form-data; boundary=b" if is_form else b"Content-Type: text/plain\r\n" + head
    reader, writer = await asyncio.open_connection(edge.client.host, edge.client.port)
    writer.write(
        b"POST /v1/collections/c/documents?name=a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        + kind
        + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )

    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b"UTF-8" in answer
