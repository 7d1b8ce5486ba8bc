"""Failures that a person should hear of, one exception for each kind.

    MeshError
    ├── InvalidArgument       400  the request is wrong; the message says what would be right
    ├── Unauthenticated       401
    ├── PermissionDenied      403
    ├── NotFound              404
    ├── AlreadyExists         409
    ├── FailedPrecondition    409  right request, wrong state
    ├── Aborted               409  somebody else was faster; read again and retry
    ├── ResourceExhausted     429  a limit is reached; `retry_after_s` says when to come back
    ├── Unimplemented         501
    ├── Unavailable           503  a part is away; retry
    ├── DeadlineExceeded      504
    └── Internal              500  unforeseen

Any layer may raise them. `ragmesh.rpc.errors` carries them through gRPC, so that a caller on the other side of a
channel catches the same exception; the gateway renders them as HTTP problems.
"""

from typing import ClassVar


class MeshError(Exception):
    """A failure with a gRPC status name and a message for a person."""

    code: ClassVar[str] = "INTERNAL"
    retriable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        """`field` names the argument at fault; `retry_after_s` tells a client when to try again."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidArgument(MeshError):
    code = "INVALID_ARGUMENT"


class Unauthenticated(MeshError):
    code = "UNAUTHENTICATED"


class PermissionDenied(MeshError):
    code = "PERMISSION_DENIED"


class NotFound(MeshError):
    code = "NOT_FOUND"


class AlreadyExists(MeshError):
    code = "ALREADY_EXISTS"


class FailedPrecondition(MeshError):
    code = "FAILED_PRECONDITION"


class Aborted(MeshError):
    code = "ABORTED"
    retriable = True


class ResourceExhausted(MeshError):
    code = "RESOURCE_EXHAUSTED"
    retriable = True


class Unimplemented(MeshError):
    code = "UNIMPLEMENTED"


class Unavailable(MeshError):
    code = "UNAVAILABLE"
    retriable = True


class DeadlineExceeded(MeshError):
    code = "DEADLINE_EXCEEDED"
    retriable = True


class Internal(MeshError):
    code = "INTERNAL"


BY_CODE: dict[str, type[MeshError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        Unimplemented,
        Unavailable,
        DeadlineExceeded,
        Internal,
    )
}
