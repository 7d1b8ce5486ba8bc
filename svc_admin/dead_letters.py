"""Documents that were given up, as operators list and replay them: the document service keeps them."""

from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    DeadLetter,
    Document,
    DocumentServiceStub,
    ListDeadLettersRequest,
    ListDeadLettersResponse,
    ListFailedDocumentsRequest,
    ReplayDeadLettersRequest,
    ReplayDeadLettersResponse,
    RetryFailedDocumentsRequest,
)


class DeadLetters:
    """Asks the document service."""

    def __init__(self, documents: DocumentServiceStub, timeout_s: float) -> None:
        self._documents = documents
        self._timeout_s = timeout_s

    async def page(self, request: ListDeadLettersRequest) -> ListDeadLettersResponse:
        """Those of all tenants, newest first."""
        asked = ListFailedDocumentsRequest(page_size=request.page_size, page_token=request.page_token)
        with translated():
            found = await self._documents.list_failed_documents(asked, **outgoing(self._timeout_s))
        return ListDeadLettersResponse(
            dead_letters=[_dead_letter(document) for document in found.documents],
            next_page_token=found.next_page_token,
        )

    async def replay(self, request: ReplayDeadLettersRequest) -> ReplayDeadLettersResponse:
        """Queues them again."""
        asked = RetryFailedDocumentsRequest(document_ids=request.document_ids)
        with translated():
            done = await self._documents.retry_failed_documents(asked, **outgoing(self._timeout_s))
        return ReplayDeadLettersResponse(replayed=done.queued)


def _dead_letter(document: Document) -> DeadLetter:
    return DeadLetter(
        document_id=document.id,
        document_name=document.name,
        collection=document.collection,
        error=document.error,
        attempts=document.attempts,
        failed_at=document.updated_at,
    )
