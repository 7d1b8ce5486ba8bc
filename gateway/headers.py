"""What every response carries."""

from functools import lru_cache
from ipaddress import ip_address, ip_network

from aiohttp import web

from gateway.calls import services
from gateway.cors import MAY_READ, is_allowed
from gateway.limits import RATE_HEADERS
from ragmesh.rpc.context import REQUEST_ID_KEY

GIVEN_ID = web.RequestKey("request_id", str)
RESPONSE = web.RequestKey("response", web.StreamResponse)

POLICY = "default-src 'none'; frame-ancestors 'none'"  # of what is no page; a page has its own
HSTS = "max-age=31536000"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """An application calls it just before it sends a response."""
    request[RESPONSE] = response
    headers = response.headers
    headers[REQUEST_ID_KEY] = request[GIVEN_ID]
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Content-Security-Policy", POLICY)
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if came_by_https(request):
        headers["Strict-Transport-Security"] = HSTS
    if is_allowed(request):
        headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        headers["Access-Control-Expose-Headers"] = MAY_READ
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        headers.add("Vary", "Origin")
    headers.update(request.get(RATE_HEADERS, {}))


def came_by_https(request: web.Request) -> bool:
    """Whether the reader speaks TLS: with us, or with a proxy whose word counts."""
    if request.secure:
        return True
    told = request.headers.get("X-Forwarded-Proto", "")
    return told == "https" and is_trusted(request.remote or "", services(request).settings.trusted_proxies)


@lru_cache(maxsize=1024)
def is_trusted(address: str, proxies: str) -> bool:
    """Whether an address is one of the proxies that a setting lists."""
    networks = (ip_network(each.strip(), strict=False) for each in proxies.split(",") if each.strip())
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    return any(peer in network for network in networks)
