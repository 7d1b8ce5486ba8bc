"""The application: its routes and what they all go through."""

from aiohttp import web

from gateway.caller import identified
from gateway.calls import SERVICES, Services
from gateway.middleware import add_headers, observed
from gateway.routes import admin, answer, collections, documents, keys, ops, passages, search, ui
from gateway.routes.openai import chat, completions, embeddings, models

JSON_MAX_BYTES = 1024 * 1024
PARTS = (
    *(ui, ops, collections, documents, passages, search, answer),
    *(chat, completions, embeddings, models),
    *(admin, keys),
)


def make_app(services: Services) -> web.Application:
    """The edge before these services."""
    app = web.Application(middlewares=[observed, identified], client_max_size=JSON_MAX_BYTES)
    app[SERVICES] = services
    app.on_response_prepare.append(add_headers)
    for part in PARTS:
        app.add_routes(part.routes)
    return app
