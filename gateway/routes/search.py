"""Search and suggestions: /v1/collections/{collection}/search and /suggestions."""

from aiohttp import web

from gateway import filters, messages, shapes
from gateway.bodies import read, respond
from gateway.calls import services
from gateway.models import SearchBody, SuggestionsBody
from gateway.openapi import Operation, documented
from ragmesh.access import Scope
from ragmesh.errors import InvalidArgument
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import SearchMode, SearchRequest, SuggestQuestionsRequest

routes = web.RouteTableDef()


@routes.post("/v1/collections/{collection}/search")
@documented(Operation("Find passages", shapes.Found, body=SearchBody, needs=Scope.READ))
async def search(request: web.Request) -> web.Response:
    mesh, body = services(request), await read(request, SearchBody)
    with translated():
        found = await mesh.query.search(
            SearchRequest(
                collection=request.match_info["collection"],
                query=body.query,
                top_k=body.top_k,
                mode=SearchMode[body.mode.upper()],
                filter=filters.to_message(body.filter),
                rerank=body.rerank,
            ),
            **outgoing(mesh.settings.search_timeout_s),
        )
    results = [messages.result(each) for each in found.results]
    return respond(
        shapes.Found(
            results=results, mode=messages.name(found.mode).lower(), timings=messages.timings(found.timings)
        ),
        headers={"Server-Timing": messages.server_timing(found.timings)},
    )


@routes.post("/v1/collections/{collection}/suggestions")
@documented(
    Operation(
        "Propose questions that the documents can answer", shapes.Questions, body=SuggestionsBody, needs=Scope.READ
    )
)
async def suggestions(request: web.Request) -> web.Response:
    mesh, body = services(request), await read(request, SuggestionsBody)
    if body.document_id is not None and body.answer is not None:
        raise InvalidArgument("questions follow from document_id or from answer: send one of them", field="answer")
    with translated():
        suggested = await mesh.query.suggest_questions(
            SuggestQuestionsRequest(
                collection=request.match_info["collection"],
                count=body.count,
                document_id=body.document_id,
                answer=body.answer,
            ),
            **outgoing(mesh.settings.answer_timeout_s),
        )
    return respond(shapes.Questions(questions=suggested.questions))
