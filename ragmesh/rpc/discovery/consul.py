"""Discovery by Consul (1.8 or later): `consul://host:port`, or `consuls://` for TLS.

An instance registers itself with a gRPC health check, and again whenever Consul has forgotten it. Callers hear of
changes by blocking queries (https://developer.hashicorp.com/consul/api-docs/features/blocking).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import structlog
from consul import ConsulException
from consul.aio import Consul

from ragmesh.rpc.discovery.port import Endpoint
from ragmesh.settings import Settings

log = structlog.get_logger()

PREFIX = "ragmesh-"  # of the names of services in Consul
WAIT_S = 30  # longest blocking query; Consul adds up to a sixteenth
TIMEOUT_S = 5.0  # of every other request
RETRY_S = 0.5
CHECK_EVERY = "2s"  # callers notice a dead instance by themselves, and sooner
CHECK_TIMEOUT = "5s"  # an overloaded instance answers late, and is not to be taken out for that
FORGET_AFTER = "1m"
LOOK_EVERY_S = 2.0  # whether Consul still knows this instance
NOTICE_S = 0.5  # until every caller has heard that an instance leaves

FAULTS = (ConsulException, aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class ConsulDiscovery:
    """One Consul agent, as a registry. Each use has an HTTP client of its own: watches keep connections busy."""

    host: str
    port: int
    scheme: str
    token: str | None
    ca_file: str | None
    checks_use_tls: bool

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The agent that `discovery_url` names. Raises ValueError."""
        parts = urlsplit(settings.discovery_url)
        if not parts.hostname or not parts.port:
            raise ValueError(
                f"RAGMESH_DISCOVERY_URL is {settings.discovery_url!r}: it needs a host and a port,"
                " as in consul://127.0.0.1:8500"
            )
        return cls(
            host=parts.hostname,
            port=parts.port,
            scheme="https" if parts.scheme == "consuls" else "http",
            token=settings.consul_token.get_secret_value() or None,
            ca_file=str(settings.consul_ca_file) if settings.consul_ca_file else None,
            checks_use_tls=settings.tls_cert_file is not None,
        )

    async def instances(self, service: str) -> AsyncGenerator[frozenset[Endpoint], None]:
        """Those whose health check passes."""

        def query(consul: Any, **blocking: Any) -> Awaitable[Any]:
            return consul.health.service(PREFIX + service, passing=True, **blocking)

        async with aclosing(self.watched(service, query)) as answers:
            async for _, entries in answers:
                yield frozenset(map(_endpoint, entries))

    async def watched(
        self, what: str, query: Callable[..., Awaitable[tuple[str, Any]]]
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """Index and answer of a blocking query, now and after each change; `what` names it in the log.

        `query` is called with a client, `index` and `wait`. While Consul is away nothing comes.
        """
        index, away = None, False
        async with self.client(timeout_s=WAIT_S * 2) as consul:
            while True:
                try:
                    index, answer = await query(consul, index=index, wait=f"{WAIT_S}s")
                except FAULTS as error:
                    if not away:
                        log.warning("consul.away", watching=what, error=repr(error))
                    index, away = None, True
                    await asyncio.sleep(RETRY_S)
                    continue
                away = False
                yield index, answer

    @asynccontextmanager
    async def announced(self, service: str, me: Endpoint) -> AsyncIterator[None]:
        """Keeps this instance registered inside the block, as soon as Consul can be reached."""
        async with self.client(timeout_s=TIMEOUT_S) as consul:
            keeping = asyncio.create_task(self._keep_registered(consul, service, me))
            try:
                yield
            finally:
                keeping.cancel()
                await asyncio.wait([keeping])
                await _deregister(consul, me)

    @asynccontextmanager
    async def client(self, *, timeout_s: float) -> AsyncIterator[Any]:
        """A client whose every request may take so long."""
        verify = self.scheme == "https" and (self.ca_file or True)
        consul = Consul(
            self.host,
            self.port,
            token=self.token,
            scheme=self.scheme,
            verify=verify,
            connections_timeout=timeout_s,
        )
        try:
            yield consul
        finally:
            await consul.close()

    async def _keep_registered(self, consul: Any, service: str, me: Endpoint) -> None:
        away = False
        while True:
            try:
                if me.id not in await consul.agent.services(f'ID == "{me.id}"'):
                    await self._register(consul, service, me)
                away = False
            except FAULTS as error:
                if not away:
                    log.warning("consul.not_registered", error=repr(error))
                away = True
            await asyncio.sleep(RETRY_S if away else LOOK_EVERY_S)

    async def _register(self, consul: Any, service: str, me: Endpoint) -> None:
        host, _, port = me.address.rpartition(":")
        for predecessor in await consul.agent.services(f'Address == "{host}" and Port == {port}'):
            await consul.agent.service.deregister(predecessor)  # killed before it could do so itself
        check = {  # py-consul's own Check.grpc spells TLS in a way that Consul 1.8 refuses
            "GRPC": f"{me.address}/{me.id}",  # whoever else listens there one day does not know this id
            "GRPCUseTLS": self.checks_use_tls,
            "Interval": CHECK_EVERY,
            "Timeout": CHECK_TIMEOUT,
            "DeregisterCriticalServiceAfter": FORGET_AFTER,
            "Status": "passing",  # it registers when it can serve, not a check later
        }
        await consul.agent.service.register(
            PREFIX + service,
            service_id=me.id,
            address=host,
            port=int(port),
            tags=[f"version={me.version}", f"zone={me.zone}"],
            meta={"version": me.version, "zone": me.zone},
            check=check,
            replace_existing_checks=True,
        )
        log.info("consul.registered", id=me.id, address=me.address)


async def _deregister(consul: Any, me: Endpoint) -> None:
    try:
        await consul.agent.service.deregister(me.id)
    except FAULTS as error:
        log.warning("consul.not_deregistered", error=repr(error))  # its health check will end it
        return
    await asyncio.sleep(NOTICE_S)


def _endpoint(entry: Any) -> Endpoint:
    service = entry["Service"]
    meta = service["Meta"] or {}
    return Endpoint(
        id=service["ID"],
        address=f"{service['Address']}:{service['Port']}",
        zone=meta.get("zone", ""),
        version=meta.get("version", ""),
    )
