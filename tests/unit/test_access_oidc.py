"""Tokens of an issuer: which are believed, and how its keys are fetched, kept and exchanged."""

import asyncio
import time
from contextlib import asynccontextmanager

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.access import Identity, Scope
from ragmesh.errors import Unauthenticated, Unavailable
from ragmesh.rpc.auth import oidc
from ragmesh.rpc.auth.credentials import Credentials
from ragmesh.settings import Settings
from tests.issuer import AUDIENCE, Issuer, an_issuer


@pytest.fixture(scope="module")
async def issuer():
    async with an_issuer() as running:
        yield running


@asynccontextmanager
async def reader(issuer: Issuer, **settings):
    async with oidc.Issuer.of(Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE, **settings)) as reading:
        yield reading


async def test_a_good_token_names_tenant_scopes_and_subject(issuer):
    async with reader(issuer) as reading:
        identity, until = await reading.identity(issuer.token())

    assert identity == Identity("acme", frozenset({Scope.READ, Scope.WRITE}), "oidc:ann")
    assert time.time() < until < time.time() + 400


async def test_tenant_and_scopes_may_stand_in_other_claims(issuer):
    async with reader(issuer, oidc_tenant_claim="org", oidc_scope_claim="roles") as reading:
        identity, _ = await reading.identity(issuer.token(org="beta", roles=["admin", "cook", 7], tenant=None))

    assert (identity.tenant, identity.scopes) == ("beta", {Scope.ADMIN})


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda issuer: issuer.token(exp=int(time.time()) - 60), "expired"),
        (lambda issuer: issuer.token(exp=None), "exp"),
        (lambda issuer: issuer.token(nbf=int(time.time()) + 300), "not yet valid"),
        (lambda issuer: issuer.token(aud="another"), "udience"),
        (lambda issuer: issuer.token(aud=None), "aud"),
        (lambda issuer: issuer.token(iss="https://evil.example"), "ssuer"),
        (lambda issuer: issuer.token(sub=None), "sub"),
        (lambda issuer: issuer.token(sub="a\nb"), "sub"),
        (lambda issuer: issuer.token(tenant=None), "names no tenant"),
        (lambda issuer: issuer.token(tenant="../other"), "names no tenant"),
        (lambda issuer: issuer.token(tenant=["acme"]), "names no tenant"),
        (lambda issuer: issuer.token(kid="another"), "not the issuer's"),
        (lambda issuer: issuer.token(key="secret" * 8, alg="HS256"), "must be signed by"),
        (lambda issuer: issuer.token(key="secret" * 8, alg="HS256", kid="shared"), "must be signed by"),
        (lambda issuer: jwt.encode(issuer.claims(), None, "none"), "must be signed by"),
        (lambda issuer: issuer.confused_token(), "must be signed by"),
        (lambda issuer: issuer.token(key=oidc_key()), "ignature"),
        (lambda issuer: "no.token.at-all", "neither an API key nor a JWT"),
    ],
)
async def test_a_token_that_is_not_good_is_refused_with_the_reason(issuer, spoil, why):
    async with reader(issuer) as reading:
        with pytest.raises(Unauthenticated, match=why):
            await reading.identity(spoil(issuer))


def oidc_key():
    another = Issuer()
    another.rotate("first")
    return another.keys["first"]


async def test_keys_are_fetched_once_and_anew_when_the_issuer_has_others(issuer, monkeypatch):
    async with an_issuer() as own, reader(own) as reading:
        await asyncio.gather(*(reading.identity(own.token()) for _ in range(20)))
        assert own.asked == 1

        own.rotate("second", elliptic=True)
        with pytest.raises(
            Unauthenticated
        ):  # the keys were fetched just now: they are not asked for at anybody's wish
            await reading.identity(own.token())
        monkeypatch.setattr(oidc, "AGAIN_S", 0.0)
        assert (await reading.identity(own.token()))[0].tenant == "acme"
        assert own.asked == 2


async def test_unknown_key_ids_do_not_make_us_ask_the_issuer_each_time():
    async with an_issuer() as own, reader(own) as reading:
        for number in range(20):
            with pytest.raises(Unauthenticated):
                await reading.identity(own.token(kid=f"made-up-{number}"))

        assert own.asked == 1


async def test_an_issuer_that_is_away_is_no_reason_to_refuse_or_to_believe(monkeypatch):
    monkeypatch.setattr(oidc, "AGAIN_S", 0.0)
    async with an_issuer() as own, reader(own) as reading:
        own.status = 503
        with pytest.raises(Unavailable):
            await reading.identity(own.token())

        own.status = 200
        await reading.identity(own.token())
        own.status = 503
        monkeypatch.setattr(oidc, "FRESH_S", 0.0)
        assert (await reading.identity(own.token()))[0].tenant == "acme"  # by the keys that are known
        monkeypatch.setattr(oidc, "STALE_S", 0.0)
        with pytest.raises(Unavailable):
            await reading.identity(own.token())


async def test_a_token_is_not_believed_beyond_its_end(issuer, monkeypatch):
    monkeypatch.setattr(oidc, "CLOCKS_S", 0)
    async with reader(issuer) as reading:
        credentials = Credentials(_no_keys, reading, cache_s=60)
        token = issuer.token(exp=int(time.time()) + 2)
        assert (await credentials.identity(token)).tenant == "acme"

        async def use_it_on() -> None:
            while True:
                await credentials.identity(token)
                await asyncio.sleep(0.05)

        with pytest.raises(Unauthenticated, match="expired"):
            await asyncio.wait_for(use_it_on(), timeout=5)


async def _no_keys(key):
    raise AssertionError(key)


@given(st.text(max_size=200) | st.from_regex(r"[\w-]{1,40}\.[\w-]{1,40}\.[\w-]{0,40}", fullmatch=True))
def test_whatever_comes_as_a_token_is_refused_and_breaks_nothing(text):
    async def read() -> None:
        async with oidc.Issuer.of(Settings(oidc_issuer="http://127.0.0.1:9", oidc_audience=AUDIENCE)) as reading:
            with pytest.raises(Unauthenticated):
                await reading.identity(text)

    asyncio.run(read())


@pytest.mark.parametrize("url", ["http://issuer.example", "ftp://127.0.0.1", "issuer.example", ""])
async def test_keys_are_fetched_over_tls_only(url):
    with pytest.raises(ValueError, match="https"):
        async with oidc.Issuer.of(Settings(oidc_issuer=url, oidc_audience=AUDIENCE)):
            pass
