"""What travels with a call: for whom it is, request id, trace context and deadline.

A server takes them from the incoming metadata; `outgoing` hands them on:

    document = await stub.get_document(GetDocumentRequest(id=id), **outgoing(timeout_s=5))
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypedDict

import uuid_utils

from ragmesh.access import DEFAULT_TENANT, NOBODY, Identity, the_mesh
from ragmesh.telemetry import logs, traces

TENANT_KEY = "ragmesh-tenant"
REQUEST_ID_KEY = "x-request-id"
DEADLINE_SHAVE_S = 0.02  # kept back from the caller's deadline, so that a time-out arrives as a named error


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whose call is being handled, and until when."""

    identity: Identity = the_mesh()  # noqa: RUF009 it is frozen
    request_id: str = ""
    deadline: float | None = None  # on the monotonic clock; None for none


Metadata = tuple[str, str]
Present = Callable[[Identity], Metadata]  # how a caller tells for whom it calls


class CallOptions(TypedDict):
    """Keyword arguments of a stub call."""

    timeout: float
    metadata: Sequence[Metadata]


def by_name(identity: Identity) -> Metadata:
    """The tenant's bare name: believed where the mesh is open, by nobody else."""
    return TENANT_KEY, identity.tenant


_present: Present = by_name
_current: ContextVar[CallContext] = ContextVar("ragmesh_call", default=CallContext())  # noqa: B039 it is frozen


def present_by(present: Present) -> None:
    """Says how this process tells for whom it calls: for the one who starts the process, before any call."""
    global _present  # noqa: PLW0603 a process is one caller
    _present = present


def identity() -> Identity:
    """Who began this call."""
    return _current.get().identity


def tenant() -> str:
    """Whose data this call may see."""
    return _current.get().identity.tenant


def request_id() -> str:
    """Names this call in logs and errors; empty outside a call."""
    return _current.get().request_id


def time_left(cap_s: float) -> float:
    """Seconds that a further call may take: the caller's remaining time less a shave, at most `cap_s`."""
    deadline = _current.get().deadline
    if deadline is None:
        return cap_s
    return max(0.0, min(cap_s, deadline - time.monotonic() - DEADLINE_SHAVE_S))


def outgoing(timeout_s: float, present: Present | None = None) -> CallOptions:
    """Timeout and metadata for a call on behalf of the current one, presented as the process does unless said."""
    here = _current.get()
    metadata = [(present or _present)(here.identity), *traces.carrier().items()]
    if here.request_id:
        metadata.append((REQUEST_ID_KEY, here.request_id))
    return {"timeout": time_left(timeout_s), "metadata": metadata}


def enter(request_id: str, timeout_s: float | None) -> None:
    """Makes this task a call's, of nobody yet: for servers, which give each call a task of its own."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    _current.set(CallContext(NOBODY, request_id, deadline))


def identify(identity: Identity) -> None:
    """Says whose call this task handles."""
    _current.set(replace(_current.get(), identity=identity))


@contextmanager
def acting(identity: Identity) -> Iterator[None]:
    """Calls in the block are made for somebody: at the edge, which knows its callers itself."""
    token = _current.set(replace(_current.get(), identity=identity))
    try:
        yield
    finally:
        _current.reset(token)


def forget_deadline() -> None:
    """Lets this task go on when the call that began it is over: for what is done for others too."""
    _current.set(replace(_current.get(), deadline=None))


@contextmanager
def bound(
    *, tenant: str = DEFAULT_TENANT, request_id: str | None = None, timeout_s: float | None = None
) -> Iterator[CallContext]:
    """A call context for what the mesh does of itself: in a worker, or before the edge knows its caller."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    call = CallContext(the_mesh(tenant), request_id or new_request_id(), deadline)
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def new_request_id() -> str:
    """A request id that sorts by time."""
    return str(uuid_utils.uuid7())


def _names() -> dict[str, str]:
    """What a log line tells of the call."""
    here = _current.get()
    if not here.request_id:
        return {}
    if here.identity is NOBODY:
        return {"request_id": here.request_id}
    return {"request_id": here.request_id, "tenant": here.identity.tenant, "subject": here.identity.subject}


logs.name_calls_by(_names)
