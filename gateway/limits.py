"""How much one caller may ask for: requests and tokens in a minute, and calls of its tenant at once.

A route that lets a model work reserves what it may cost, and tells what it has cost:

    await reserve(request, tokens=900)
    …
    spent(request, tokens=312)

What was reserved too much is given back, what was too little is owed. What fails costs nothing.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.caller import caller
from gateway.calls import services
from ragmesh.access import Identity
from ragmesh.errors import ResourceExhausted
from ragmesh.storage.buckets.port import Buckets, Rate, Verdict

LIMITED = "/v1/"  # what the edge answers by itself stays reachable
BYTES_A_TOKEN = 4  # of UTF-8, about
BUSY_RETRY_S = 1.0


@dataclass(slots=True)
class Spending:
    """What one request takes out of its caller's tokens."""

    key: str
    rate: Rate
    reserved: int
    used: int | None = None  # not told yet


BUCKETS = web.AppKey("buckets", Buckets)  # pyright: ignore[reportArgumentType] a protocol names it
IN_FLIGHT = web.AppKey("in_flight", Counter[str])
RATE_HEADERS = web.RequestKey("rate_headers", dict[str, str])
SPENDING = web.RequestKey("spending", Spending)


@web.middleware
async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what is beyond the limits of its caller before anything is done for it."""
    if not request.path.startswith(LIMITED):
        return await handler(request)
    request[RATE_HEADERS] = {}
    await _count(request)
    with _one_more_of_the_tenant(request):
        try:
            return await handler(request)
        except ConnectionError:
            raise  # who leaves early has cost what was reserved
        except Exception:
            spent(request, tokens=0)
            raise
        finally:
            await _settle(request)


async def reserve(request: web.Request, tokens: int) -> None:
    """Takes what a request may cost. Raises ResourceExhausted where its caller has used up its tokens."""
    identity = caller(request)
    per_minute = identity.tokens_per_minute or services(request).settings.tokens_per_minute
    if not per_minute:
        return
    rate = _rate(per_minute)
    cost = min(tokens, per_minute)  # what costs more than a minute's tokens waits for all of them
    key = _key("tokens", identity)
    verdict = await request.app[BUCKETS].take(key, cost, rate)
    _tell(request, "tokens", rate, verdict)
    if not verdict.allowed:
        raise ResourceExhausted(
            f"your limit is {per_minute} tokens in a minute, and this may take {cost}, with "
            f"{_whole(verdict)} left now",
            retry_after_s=verdict.retry_after_s,
        )
    request[SPENDING] = Spending(key, rate, cost)


def spent(request: web.Request, tokens: int) -> None:
    """Notes what a request has cost so far, if it reserved something."""
    if SPENDING in request:
        request[SPENDING].used = (request[SPENDING].used or 0) + tokens


def tokens_of(*texts: str) -> int:
    """About how many tokens texts have."""
    return sum(len(text.encode(errors="replace")) // BYTES_A_TOKEN + 1 for text in texts)


def one_more_upload(request: web.Request) -> AbstractContextManager[None]:
    """Counts an upload that comes in. Raises ResourceExhausted for one too many.

    Each is a call to the document service for as long as its sender likes, and that handles so many at once.
    """
    most = services(request).settings.uploads_max
    return _one_more(request, "uploads", most, f"{most} uploads are taken in at once, and that many are running")


def one_more_download(request: web.Request) -> AbstractContextManager[None]:
    """Likewise, an original that is read. Raises ResourceExhausted for one too many."""
    most = services(request).settings.downloads_max
    return _one_more(request, "downloads", most, f"{most} originals are read at once, and that many are being read")


async def _count(request: web.Request) -> None:
    identity = caller(request)
    per_minute = identity.requests_per_minute or services(request).settings.requests_per_minute
    if not per_minute:
        return
    rate = _rate(per_minute)
    verdict = await request.app[BUCKETS].take(_key("requests", identity), 1, rate)
    _tell(request, "requests", rate, verdict)
    if not verdict.allowed:
        raise ResourceExhausted(
            f"your limit is {per_minute} requests in a minute, and they are used up",
            retry_after_s=verdict.retry_after_s,
        )


def _one_more_of_the_tenant(request: web.Request) -> AbstractContextManager[None]:
    most = services(request).settings.tenant_in_flight_max
    refusal = f"{most} requests of your tenant are handled at once, and that many are running"
    return _one_more(request, f"tenant:{caller(request).tenant}", most, refusal)


@contextmanager
def _one_more(request: web.Request, what: str, most: int, refusal: str) -> Iterator[None]:
    """Counts what runs here; `most` is 0 for any number. Raises ResourceExhausted for one too many."""
    running = request.app[IN_FLIGHT]
    if most and running[what] >= most:
        raise ResourceExhausted(refusal, retry_after_s=BUSY_RETRY_S)
    running[what] += 1
    try:
        yield
    finally:
        running[what] -= 1
        if not running[what]:
            del running[what]


async def _settle(request: web.Request) -> None:
    """Takes what a request has cost beyond its reservation, or gives back. What broke off has cost all of it."""
    spending = request.get(SPENDING)
    if spending and spending.used is not None and spending.used != spending.reserved:
        difference = spending.used - spending.reserved
        await request.app[BUCKETS].settle(spending.key, difference, spending.rate)


def _rate(per_minute: int) -> Rate:
    return Rate(capacity=per_minute, refill_per_s=per_minute / 60)


def _key(what: str, identity: Identity) -> str:
    return f"{what}:{identity.tenant}:{identity.subject}"


def _tell(request: web.Request, what: str, rate: Rate, verdict: Verdict) -> None:
    """The headers in which OpenAI's API tells of limits."""
    full_again_s = (rate.capacity - verdict.remaining) / rate.refill_per_s
    request[RATE_HEADERS] |= {
        f"x-ratelimit-limit-{what}": f"{rate.capacity:.0f}",
        f"x-ratelimit-remaining-{what}": f"{_whole(verdict)}",
        f"x-ratelimit-reset-{what}": _duration(full_again_s),
    }


def _whole(verdict: Verdict) -> int:
    return max(0, math.floor(verdict.remaining))


def _duration(seconds: float) -> str:
    """As OpenAI writes it: 120ms, 7s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
