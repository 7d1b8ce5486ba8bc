"""Who gets in: every way that somebody might try, on a real mesh with RAGMESH_AUTH=required.

What each attempt got is the table in docs/security.md, row by row.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest

from ragmesh import errors
from ragmesh.access import ALL, Identity
from ragmesh.edge_headers import edge_headers
from ragmesh.rpc.auth.tokens import Signer
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.errors import translated
from ragmesh.settings import Settings
from ragmesh.up.state import of_running_mesh
from ragmesh.v1 import (
    DocumentServiceStub,
    GetInstanceRequest,
    InstanceServiceStub,
    ListDocumentsRequest,
    ResolveDocumentsRequest,
)
from tests.issuer import AUDIENCE, Issuer, an_issuer
from tests.mesh import Mesh, running_mesh

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
AUTH_CACHE_S = 0.5
DOCUMENT = b"the night ferry leaves at seven"
Metadata = list[tuple[str, str]]


@dataclass
class Closed:
    """A mesh that asks who calls, with an issuer, two tenants' keys and a document of one of them."""

    mesh: Mesh
    issuer: Issuer
    keys: dict[str, str] = field(default_factory=dict)
    document_id: str = ""

    async def ragmesh(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """The command line, with this mesh's data folder."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ragmesh.cli", *arguments, "--data-dir", str(self.mesh.data_dir)),
            env={**os.environ, "COLUMNS": "200", **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def get(self, path: str, key: str | None = None, **headers: str) -> tuple[int, Any]:
        authorized = {} if key is None else {"Authorization": f"Bearer {key}"}
        return await self.mesh.call("GET", path, headers=authorized | headers)

    async def status(self, path: str, key: str | None = None, **headers: str) -> str:
        return str((await self.get(path, key, **headers))[0])

    async def make_key(self, **wanted: Any) -> dict[str, Any]:
        status, made = await self.mesh.call(
            "POST", "/v1/admin/keys", json=wanted, headers={"X-API-Key": self.keys["admin"]}
        )
        assert status == 201, made
        return made

    async def grpc(self, *metadata: tuple[str, str]) -> str:
        """The name of the status that a call made directly to the document service gets."""
        return await self._outcome(lambda stub: stub.list_documents(ListDocumentsRequest(), **_with(metadata)))

    async def grpc_inside(self, *metadata: tuple[str, str]) -> str:
        """Likewise of what is spoken inside the mesh alone."""
        return await self._outcome(
            lambda stub: stub.resolve_documents(ResolveDocumentsRequest(), **_with(metadata))
        )

    async def _outcome(self, call: Callable[[DocumentServiceStub], Awaitable[object]]) -> str:
        async with open_channel(Settings(), self.address("document")) as channel:
            try:
                with translated():
                    await call(DocumentServiceStub(channel))
            except errors.MeshError as error:
                return error.code
        return "OK"

    def address(self, service: str) -> str:
        pairs = self.mesh.state()["discovery_url"].removeprefix("static:").split(",")
        return dict(pair.split("=") for pair in pairs)[service]


def _with(metadata: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {"metadata": list(metadata), "timeout": 10}


@pytest.fixture(scope="session")
async def closed(tmp_path_factory) -> AsyncIterator[Closed]:
    folder = tmp_path_factory.mktemp("closed")
    async with (
        an_issuer() as issuer,
        running_mesh(
            folder,
            RAGMESH_AUTH="required",
            RAGMESH_AUTH_CACHE_S=str(AUTH_CACHE_S),
            RAGMESH_OIDC_ISSUER=issuer.url,
            RAGMESH_OIDC_AUDIENCE=AUDIENCE,
        ) as mesh,
    ):
        made = Closed(mesh, issuer)
        code, said = await made.ragmesh("keys", "create", "--name", "first", "--scope", "admin", "--json")
        assert code == 0, said
        made.keys["admin"] = json.loads(said)["secret"]
        made.keys["acme"] = (await made.make_key(tenant="acme", name="acme's"))["key"]
        made.keys["other"] = (await made.make_key(tenant="other", name="other's"))["key"]
        made.keys["reader"] = (await made.make_key(tenant="acme", scopes=["read"]))["key"]
        status, document = await mesh.call(
            "POST",
            "/v1/collections/default/documents?name=ferry.txt&wait=true",
            data=DOCUMENT,
            headers={"X-API-Key": made.keys["acme"], "Content-Type": "application/octet-stream"},
        )
        assert (status, document["state"]) == (201, "READY"), document
        made.document_id = document["id"]
        yield made


async def attempts(closed: Closed) -> dict[str, str]:
    """Every attempt, and what it got."""
    get, issuer, keys = closed.status, closed.issuer, closed.keys
    list_, its = "/v1/collections", f"/v1/documents/{closed.document_id}"
    revoked = await closed.make_key(tenant="acme", name="to be revoked")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    ending = await closed.make_key(tenant="acme", name="to end", expires_at=soon)
    seen = {"a key of its tenant": await get(its, keys["acme"])}
    assert (await get(list_, revoked["key"]), await get(list_, ending["key"])) == ("200", "200")
    await closed.mesh.call("DELETE", f"/v1/admin/keys/{revoked['id']}", headers={"X-API-Key": keys["admin"]})
    await _until_refused(closed, revoked["key"], within_s=AUTH_CACHE_S + 3)
    await _until_refused(closed, ending["key"], within_s=2 + AUTH_CACHE_S + 3)
    elsewhere = Issuer(url=issuer.url)
    elsewhere.rotate("first")
    unknown = "01900000-0000-7000-8000-000000000000"
    return seen | {
        "the same key as `X-API-Key`": await get(its, **{"X-API-Key": keys["acme"]}),
        "a token of the issuer": await get(its, issuer.token()),
        "no credential": await get(list_),
        "a wrong key": await get(list_, keys["acme"][:-1] + ("0" if keys["acme"][-1] != "0" else "1")),
        "a revoked key": await get(list_, revoked["key"]),
        "a key past its time": await get(list_, ending["key"]),
        "a good key in the address (`?api_key=`)": await get(f"{list_}?api_key={keys['acme']}"),
        "two different keys": await get(list_, keys["acme"], **{"X-API-Key": keys["other"]}),
        "deleting with a key that may read": str(
            (await closed.mesh.call("DELETE", its, headers={"X-API-Key": keys["reader"]}))[0]
        ),
        "`/v1/admin/mesh` without the scope admin": await get("/v1/admin/mesh", keys["acme"]),
        "`/metrics` without the scope admin": await get("/metrics", keys["acme"]),
        "another tenant's document": await get(its, keys["other"]),
        "a document that never was": await get(f"/v1/documents/{unknown}", keys["other"]),
        "another tenant's document, with a forged `ragmesh-tenant` header": await get(
            its, keys["other"], **{"ragmesh-tenant": "acme"}
        ),
        "a token past its time": await get(list_, issuer.token(exp=int(time.time()) - 60)),
        "a token signed by somebody else": await get(list_, elsewhere.token()),
        "a token for another audience": await get(list_, issuer.token(aud="another")),
        "a token of another issuer": await get(list_, issuer.token(iss="https://evil.example")),
        "a token without a tenant": await get(list_, issuer.token(tenant=None)),
        "a token without our scopes": await get(list_, issuer.token(scope="openid")),
        "a token with `alg=none`": await get(list_, jwt.encode(issuer.claims(), None, "none")),
        "a token signed by HS256 with the issuer's public key": await get(list_, issuer.confused_token()),
        "a forged service token over HTTP": await get(list_, **dict([_forged()])),
        "gRPC: a good key": await closed.grpc(("authorization", f"Bearer {keys['acme']}")),
        "gRPC: a token of the issuer": await closed.grpc(("authorization", f"Bearer {issuer.token()}")),
        "gRPC: no credential": await closed.grpc(),
        "gRPC: a bare `ragmesh-tenant`": await closed.grpc(("ragmesh-tenant", "acme")),
        "gRPC: a revoked key": await closed.grpc(("authorization", f"Bearer {revoked['key']}")),
        "gRPC: a forged service token": await closed.grpc(_forged()),
        "gRPC: a service token as bearer": await closed.grpc(("authorization", f"Bearer {_forged()[1]}")),
        "gRPC: a key without the scope": await closed.grpc(("authorization", f"Bearer {keys['admin']}")),
        "gRPC: a key, for what is spoken inside the mesh": await closed.grpc_inside(
            ("authorization", f"Bearer {keys['acme']}")
        ),
    }


def _forged() -> tuple[str, str]:
    return Signer("guessed" * 8).present(Identity("acme", ALL, "mesh"))


async def _until_refused(closed: Closed, key: str, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while await closed.status("/v1/collections", key) == "200":  # noqa: ASYNC110 it is another process's clock
            await asyncio.sleep(0.05)


async def test_every_attempt_gets_what_the_documentation_says(closed: Closed):
    rows = [f"| {attempt} | {got} |" for attempt, got in (await attempts(closed)).items()]

    page = PAGE.read_text(encoding="utf-8").splitlines()
    first = page.index("| attempt | what it got |") + 2
    written = page[first : page.index("", first)]
    assert written == rows, "\n".join(rows)


async def test_another_tenants_document_and_one_that_never_was_read_alike(closed: Closed):
    unknown = "01900000-0000-7000-8000-000000000000"
    answers = []
    for document_id in (closed.document_id, unknown):
        status, problem = await closed.get(f"/v1/documents/{document_id}", closed.keys["other"])
        answers.append((status, problem["detail"].replace(document_id, "ID")))

    assert answers[0] == answers[1]


async def test_what_one_tenant_added_no_other_finds(closed: Closed):
    async def found(key: str) -> list[str]:
        _, body = await closed.mesh.call(
            "POST",
            "/v1/collections/default/search",
            json={"query": "night ferry"},
            headers={"X-API-Key": closed.keys[key]},
        )
        return [result["document_name"] for result in body["results"]]

    assert (await found("reader"), await found("other")) == (["ferry.txt"], [])


async def test_the_mesh_itself_works_behind_closed_doors(closed: Closed):
    _, ready = await closed.get("/readyz")
    _, mesh = await closed.get("/v1/admin/mesh", closed.keys["admin"])

    assert set(ready["parts"].values()) == {"SERVING"}
    assert {instance["health"] for instance in mesh["instances"]} == {"SERVING"}
    async with open_channel(Settings(), closed.address("worker")) as channel:
        with pytest.raises(errors.Unauthenticated), translated():
            await InstanceServiceStub(channel).get_instance(GetInstanceRequest(), timeout=10)


async def test_openai_s_routes_and_the_tools_of_this_machine_get_in_with_a_key(closed: Closed):
    presented = await edge_headers(of_running_mesh(Settings(data_dir=closed.mesh.data_dir)), "test")

    status, models = await closed.get("/v1/models", closed.keys["reader"])
    assert (status, models["object"]) == (200, "list")
    assert await closed.status("/v1/admin/stats", **presented) == "200"


async def test_keys_are_made_listed_and_ended_by_the_command(closed: Closed):
    code, said = await closed.ragmesh("keys", "create", "--tenant", "cli", "--scope", "read", "--expires-in", "30d")
    assert code == 0
    secret = said.splitlines()[-1]
    key_id = secret.split("_")[1]

    assert await closed.status("/v1/collections", secret) == "200"
    code, listed = await closed.ragmesh("keys", "list", "--tenant", "cli", "--json")
    assert [key["id"] for key in json.loads(listed)] == [key_id]
    assert secret.rpartition("_")[2] not in listed
    # With a key of its own the command may do what that key may, wherever it runs.
    as_reader = {"RAGMESH_API_KEY": closed.keys["reader"]}
    code, said = await closed.ragmesh("keys", "revoke", key_id, **as_reader)
    assert (code, "scope admin" in said) == (4, True)
    assert (await closed.ragmesh("ls", **as_reader))[1].count("ferry.txt") == 1

    assert (await closed.ragmesh("keys", "revoke", key_id))[0] == 0
    await _until_refused(closed, secret, within_s=AUTH_CACHE_S + 3)


async def test_no_secret_stands_in_a_log_or_in_the_state_of_the_mesh(closed: Closed):
    await attempts(closed)
    service_secret = closed.mesh.data_dir / "service.secret"
    secrets = [service_secret.read_text().strip(), *(key.rpartition("_")[2] for key in closed.keys.values())]

    written = "".join(log.read_text(errors="replace") for log in (closed.mesh.data_dir / "logs").iterdir())
    written += json.dumps(closed.mesh.state())
    stored = (closed.mesh.data_dir / "ragmesh.db").read_bytes()
    assert [secret for secret in secrets if secret in written or secret.encode() in stored] == []
    assert service_secret.stat().st_mode & 0o077 == 0


UP = ("-m", "ragmesh.cli", "up", "--port", "0")
GATEWAY = ("-m", "gateway")


@pytest.mark.parametrize(
    ("command", "setting", "value", "advice"),
    [
        (UP, "HOST", "0.0.0.0", "set RAGMESH_AUTH=required"),
        (GATEWAY, "HOST", "0.0.0.0", "set RAGMESH_AUTH=required"),
        (GATEWAY, "LISTEN", "0.0.0.0:0", "set RAGMESH_AUTH=required"),
        (GATEWAY, "AUTH", "required", "RAGMESH_SERVICE_SECRET is not set"),
    ],
)
async def test_what_others_could_reach_is_not_started_open(tmp_path, command, setting, value, advice):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        env={**os.environ, "RAGMESH_DATA_DIR": str(tmp_path), f"RAGMESH_{setting}": value},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()

    assert process.returncode == 1
    assert advice in said.decode()
