"""The web page's files: complete, safe to keep, and locked down."""

import gzip
import re

import pytest

from gateway.pages import FOLDER, site


async def test_the_page_names_files_of_its_version_that_may_be_kept_for_ever(edge):
    async with edge.client.get("/") as response:
        page = await response.text()
        assert response.headers["Cache-Control"] == "no-cache"
    addresses = re.findall(r'(?:href|src)="(/web/[^"]+)"', page)
    assert f"/web/{site().version}/app.js" in addresses

    for address in addresses:
        async with edge.client.get(address) as response:
            assert response.status == 200, address
            assert "immutable" in response.headers["Cache-Control"]
            assert await response.read()


async def test_another_versions_address_is_answered_but_not_kept(edge):
    async with edge.client.get("/web/of-another-gateway/app.js") as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["/", "/docs", "/favicon.ico", f"/web/{site().version}/app.js"])
async def test_what_has_not_changed_is_not_sent_again(edge, path):
    async with edge.client.get(path) as first:
        etag = first.headers["ETag"]
    async with edge.client.get(path, headers={"If-None-Match": f'W/"other", {etag}'}) as again:
        assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/docs", f"/web/{site().version}/app.js"])
async def test_no_page_runs_a_script_that_is_not_a_file_of_the_edge(edge, path):
    async with edge.client.get(path) as response:
        policy, page = response.headers["Content-Security-Policy"], await response.text()

    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|https?://", page) or path.startswith("/web/")


async def test_files_travel_packed_to_those_who_take_it(edge):
    address = f"/web/{site().version}/style.css"
    async with edge.client.get(address, headers={"Accept-Encoding": "identity"}) as plain:
        assert "Content-Encoding" not in plain.headers
        body = await plain.read()
    assert gzip.decompress(site().files["style.css"].packed) == body


@pytest.mark.parametrize("path", ["nothing.js", "../pages.py", "%2e%2e/pages.py", "vendor/package.json", "vendor/"])
async def test_nothing_but_the_pages_files_is_served(edge, path):
    async with edge.client.get(f"/web/{site().version}/{path}") as response:
        assert response.status == 404


def test_both_languages_have_the_same_words():
    keys = [
        set(re.findall(r'^  "([^"]+)":', (FOLDER / f"words_{language}.js").read_text(), re.MULTILINE))
        for language in ("en", "zh")
    ]
    singulars = {key for key in keys[0] if key.endswith(".one")}

    assert keys[0] - singulars == keys[1]  # Chinese has no plural


def test_every_word_that_the_page_asks_for_is_there():
    words = (FOLDER / "words_en.js").read_text()
    asked = {key for path in FOLDER.glob("*.js") for key in re.findall(r"\bt\(\"([a-z_.]+)\"", path.read_text())}

    assert len(asked) > 80
    assert [key for key in sorted(asked) if f'"{key}":' not in words] == []
