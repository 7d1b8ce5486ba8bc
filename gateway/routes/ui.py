"""The web page at /, the API's description for reading at /docs, and their files."""

from aiohttp import web

from gateway.access import for_everybody
from gateway.pages import File, site

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
ALWAYS = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"  # kept, and used where its ETag is still right

routes = web.RouteTableDef()


@routes.get("/")
@for_everybody
async def home(request: web.Request) -> web.Response:
    return _sent(request, site().files["index.html"], ASK_AGAIN)


@routes.get("/docs")
@for_everybody
async def docs(request: web.Request) -> web.Response:
    return _sent(request, site().files["docs.html"], ASK_AGAIN)


@routes.get("/favicon.ico")
@for_everybody
async def icon(request: web.Request) -> web.Response:
    return _sent(request, site().files["icon.svg"], ASK_AGAIN)


@routes.get("/web/{version}/{path:.+}")
@for_everybody
async def file(request: web.Request) -> web.Response:
    """A file of the page. While gateways are replaced, one may be asked for a version that is not its own."""
    found = site().files.get(request.match_info["path"])
    if found is None:
        raise web.HTTPNotFound
    return _sent(request, found, ALWAYS if request.match_info["version"] == site().version else ASK_AGAIN)


def _sent(request: web.Request, found: File, keeping: str) -> web.Response:
    headers = {
        "Cache-Control": keeping,
        "ETag": found.etag,
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
    }
    if found.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=found.packed, content_type=found.content_type, charset="utf-8", headers=headers)
    return web.Response(body=found.body, content_type=found.content_type, charset="utf-8", headers=headers)
