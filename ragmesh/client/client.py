"""The client itself: a mesh, seen from an application."""

from pathlib import Path

from ragmesh.client.admin import AdminCalls
from ragmesh.client.documents import DocumentCalls
from ragmesh.client.questions import QuestionCalls
from ragmesh.client.target import settings_of
from ragmesh.rpc.context import DEFAULT_TENANT
from ragmesh.settings import Settings

RETRIES = 2


class Client(DocumentCalls, QuestionCalls, AdminCalls):
    """A mesh, seen from an application. Use it with `async with`; safe to call concurrently.

    Every method takes a `timeout` in seconds, in place of the deadline that the settings have for such a call.
    """

    def __init__(
        self,
        target: str | Settings | None = None,
        *,
        profile: str | None = None,
        api_key: str | None = None,
        ca_file: str | Path | None = None,
        cert_file: str | Path | None = None,
        key_file: str | Path | None = None,
        tenant: str = DEFAULT_TENANT,
        retries: int = RETRIES,
    ) -> None:
        """Chooses a mesh; `async with` connects to it.

        `target` is `consul://HOST:PORT`, `grpcs://HOST` (a balancer with TLS; `grpc://` without),
        `static:document=HOST:PORT,query=…,admin=…`, or whole Settings. Without one it is the mesh of `profile`,
        else of RAGMESH_MESH, RAGMESH_DISCOVERY_URL, `ragmesh profile use`, or the one that `ragmesh up` runs on
        this machine, whichever is there first. `ca_file` makes the connection TLS; `cert_file` and `key_file` show
        who is calling. `retries` is how often a call that is safe to repeat is repeated.

        Raises InvalidArgument for a target that can't be read, NotFound for an unknown profile, and Unavailable
        where no mesh is named and none runs on this machine.
        """
        tls = {"tls_ca_file": ca_file, "tls_cert_file": cert_file, "tls_key_file": key_file}
        super().__init__(
            settings_of(target, profile=profile, api_key=api_key, **tls), tenant=tenant, retries=retries
        )
