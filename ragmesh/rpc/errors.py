"""Errors on the wire: `ragmesh.errors` to gRPC statuses with google.rpc details, and back.

with translated():
    document = await stub.get_document(request)   # raises ragmesh.errors.NotFound, not AioRpcError
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ragmesh.errors import BY_CODE, Internal, MeshError, Unavailable

DETAILS_KEY = "grpc-status-details-bin"
TRANSPORT = (  # also what grpc itself reports of a connection that broke
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
Metadata = tuple[tuple[str, bytes], ...]


def status_of(error: MeshError) -> grpc.StatusCode:
    """The gRPC status of an error."""
    return grpc.StatusCode[error.code]


def details_of(error: MeshError, request_id: str) -> Metadata:
    """Trailing metadata with what a program needs: the field at fault, when to retry, the request's id."""
    status = Status(code=_number(status_of(error)), message=error.message)
    status.details.add().Pack(RequestInfo(request_id=request_id))
    if error.field:
        violation = BadRequest.FieldViolation(field=error.field, description=error.message)
        status.details.add().Pack(BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    return ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc(error: grpc.aio.AioRpcError) -> MeshError:
    """The exception that the server raised, as far as it told."""
    message = error.details() or error.code().name
    if error.code() in TRANSPORT and not is_from_handler(error):
        return Unavailable("the call broke off before the server had answered; try again")
    kind = BY_CODE.get(error.code().name, Internal)
    field, retry_after_s = _read_details(error)
    return kind(message, field=field, retry_after_s=retry_after_s)


def is_from_handler(error: grpc.aio.AioRpcError) -> bool:
    """Whether a handler of ragmesh raised it, rather than the transport below: what handlers raise has details."""
    return any(key == DETAILS_KEY for key, _ in error.trailing_metadata() or ())


@contextmanager
def translated() -> Iterator[None]:
    """Raises the server's exception in the place of grpc's."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from None


def _read_details(error: grpc.aio.AioRpcError) -> tuple[str | None, float | None]:
    field, retry_after_s = None, None
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_KEY:
            continue
        for detail in Status.FromString(cast("bytes", value)).details:
            bad, retry = BadRequest(), RetryInfo()
            if detail.Unpack(bad) and bad.field_violations:
                field = bad.field_violations[0].field
            if detail.Unpack(retry):
                retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    return field, retry_after_s


def _number(code: grpc.StatusCode) -> int:
    return cast("tuple[int, str]", code.value)[0]
