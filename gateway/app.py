"""The application: its routes and what they all go through."""

from collections import Counter
from functools import cache

from aiohttp import web

from gateway.caller import identified
from gateway.calls import SERVICES, Services
from gateway.cors import preflights
from gateway.headers import add_headers
from gateway.limits import BUCKETS, IN_FLIGHT, limited
from gateway.middleware import LOAD, observed
from gateway.openapi import DESCRIPTION, describe
from gateway.pace import paced
from gateway.problem import dumps
from gateway.readiness import READINESS, Readiness
from gateway.routes import admin, answer, collections, documents, keys, ops, passages, search, ui
from gateway.routes.openai import chat, completions, embeddings, models
from gateway.watches import WATCHES, Watches
from ragmesh.rpc.load import Load
from ragmesh.storage.buckets.memory import MemoryBuckets
from ragmesh.storage.buckets.port import Buckets

JSON_MAX_BYTES = 1024 * 1024
PARTS = (
    *(ui, ops, collections, documents, passages, search, answer),
    *(chat, completions, embeddings, models),
    *(admin, keys),
)


def make_app(services: Services, buckets: Buckets | None = None, load: Load | None = None) -> web.Application:
    """The edge before these services; without `buckets` it counts its callers' requests for itself."""
    app = web.Application(
        middlewares=[observed, preflights, identified, limited, paced], client_max_size=JSON_MAX_BYTES
    )
    app[SERVICES] = services
    app[BUCKETS] = buckets or MemoryBuckets()
    app[IN_FLIGHT] = Counter()
    app[LOAD] = load or Load()
    app[WATCHES] = Watches(services)
    app.on_response_prepare.append(add_headers)
    app[READINESS] = Readiness(services)
    app[DESCRIPTION] = cache(lambda: dumps(describe(app)))  # it takes a while, and never changes
    for part in PARTS:
        app.add_routes(part.routes)
    return app
