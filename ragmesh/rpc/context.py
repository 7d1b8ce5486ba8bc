"""What travels with a call: tenant, request id, trace context and deadline.

A server takes them from the incoming metadata; `outgoing` hands them on:

    document = await stub.get_document(GetDocumentRequest(id=id), **outgoing(timeout_s=5))
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypedDict

import structlog
import uuid_utils

from ragmesh.telemetry import traces

TENANT_KEY = "ragmesh-tenant"
REQUEST_ID_KEY = "x-request-id"
DEFAULT_TENANT = "default"
DEADLINE_SHAVE_S = 0.02  # kept back from the caller's deadline, so that a time-out arrives as a named error


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whose call is being handled, and until when."""

    tenant: str = DEFAULT_TENANT
    request_id: str = ""
    deadline: float | None = None  # on the monotonic clock; None for none


class CallOptions(TypedDict):
    """Keyword arguments of a stub call."""

    timeout: float
    metadata: Sequence[tuple[str, str]]


_current: ContextVar[CallContext] = ContextVar("ragmesh_call", default=CallContext())  # noqa: B039 it is frozen


def tenant() -> str:
    """Whose data this call may see."""
    return _current.get().tenant


def request_id() -> str:
    """Names this call in logs and errors; empty outside a call."""
    return _current.get().request_id


def time_left(cap_s: float) -> float:
    """Seconds that a further call may take: the caller's remaining time less a shave, at most `cap_s`."""
    deadline = _current.get().deadline
    if deadline is None:
        return cap_s
    return max(0.0, min(cap_s, deadline - time.monotonic() - DEADLINE_SHAVE_S))


def outgoing(timeout_s: float) -> CallOptions:
    """Timeout and metadata for a call made on behalf of the current one."""
    here = _current.get()
    metadata = [(TENANT_KEY, here.tenant), *traces.carrier().items()]
    if here.request_id:
        metadata.append((REQUEST_ID_KEY, here.request_id))
    return {"timeout": time_left(timeout_s), "metadata": metadata}


def enter(tenant: str, request_id: str, timeout_s: float | None) -> None:
    """Makes this task a call's: for servers, which give each call a task of its own."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    _current.set(CallContext(tenant, request_id, deadline))
    structlog.contextvars.bind_contextvars(tenant=tenant, request_id=request_id)


def forget_deadline() -> None:
    """Lets this task go on when the call that began it is over: for what is done for others too."""
    _current.set(replace(_current.get(), deadline=None))


@contextmanager
def bound(
    *, tenant: str = DEFAULT_TENANT, request_id: str | None = None, timeout_s: float | None = None
) -> Iterator[CallContext]:
    """A call context for code that no RPC began: the edge, the command line, a worker."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    call = CallContext(tenant, request_id or new_request_id(), deadline)
    token = _current.set(call)
    try:
        with structlog.contextvars.bound_contextvars(tenant=tenant, request_id=call.request_id):
            yield call
    finally:
        _current.reset(token)


def new_request_id() -> str:
    """A request id that sorts by time."""
    return str(uuid_utils.uuid7())
