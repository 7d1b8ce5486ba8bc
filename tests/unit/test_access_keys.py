"""API keys: what is kept of them, and which open something."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.access import Identity, Scope
from ragmesh.cli.keys import read_expiry
from ragmesh.cli.session import Trouble
from ragmesh.errors import InvalidArgument, NotFound, Unauthenticated
from svc_admin.keys import KEY, KeyRing
from svc_admin.model import Key, NewKey


class Kept(dict[str, Key]):
    """A store in memory; the real one is tested in tests/contract."""

    async def add(self, key):
        self[key.id] = key

    async def get(self, key_id):
        return dict.get(self, key_id)


WANTED = NewKey("acme", "website", frozenset({Scope.READ}), requests_per_minute=7, tokens_per_minute=9)


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def ring(kept):
    return KeyRing(kept)


async def test_a_new_key_opens_what_it_was_made_for(ring):
    key, text = await ring.create(WANTED)

    assert await ring.authenticate(text) == Identity("acme", frozenset({Scope.READ}), key.id, 7, 9)


async def test_nothing_that_is_kept_opens_anything(ring, kept):
    key, text = await ring.create(WANTED)
    secret = text.rpartition("_")[2]

    assert len(bytes.fromhex(secret)) * 8 >= 256
    assert secret not in str([repr(one) for one in kept.values()])
    assert bytes.fromhex(secret) not in (key.salt, key.digest)
    with pytest.raises(Unauthenticated):
        await ring.authenticate(f"rm_{key.id}_{key.digest.hex()}")


async def test_two_keys_share_nothing(ring):
    (one, first), (other, second) = await ring.create(WANTED), await ring.create(WANTED)

    assert {one.id, one.salt, one.digest}.isdisjoint({other.id, other.salt, other.digest})
    mixed = f"rm_{one.id}_{second.rpartition('_')[2]}"
    with pytest.raises(Unauthenticated):
        await ring.authenticate(mixed)
    assert first != second


@given(text=st.text() | st.from_regex(KEY, fullmatch=True) | st.from_regex(r"rm_\w*_?\w*", fullmatch=True))
async def test_whatever_comes_as_a_key_is_refused_and_breaks_nothing(text):
    with pytest.raises(Unauthenticated):
        await KeyRing(Kept()).authenticate(text)


async def test_an_ended_key_says_so_to_who_holds_it_and_to_nobody_else(ring, kept, monkeypatch):
    soon = datetime.now(UTC) + timedelta(hours=1)
    _, text = await ring.create(NewKey("acme", "", frozenset(), expires_at=soon))
    monkeypatch.setattr("svc_admin.keys.datetime", _Tomorrow)

    with pytest.raises(Unauthenticated, match="ended on"):
        await ring.authenticate(text)
    with pytest.raises(Unauthenticated, match="not known"):
        await ring.authenticate(text[:-1] + ("0" if text[-1] != "0" else "1"))


class _Tomorrow(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(days=1)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (NewKey("No Tenant", "", frozenset()), "tenant"),
        (NewKey("x" * 64, "", frozenset()), "tenant"),
        (NewKey("acme\n", "", frozenset()), "tenant"),
        (NewKey("acme", "x" * 129, frozenset()), "name"),
        (NewKey("acme", "a\0b", frozenset()), "name"),
        (NewKey("acme", "", frozenset(), expires_at=datetime.now(UTC)), "expires_at"),
        (NewKey("acme", "", frozenset(), requests_per_minute=-1), "requests_per_minute"),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(ring, kept, wanted, field):
    with pytest.raises(InvalidArgument) as raised:
        await ring.create(wanted)

    assert raised.value.field == field
    assert not kept


async def test_a_key_reads_and_writes_the_default_tenant_unless_said(ring):
    key, _ = await ring.create(NewKey("", "", frozenset()))

    assert (key.tenant, key.scopes) == ("default", {Scope.READ, Scope.WRITE})


async def test_what_is_no_key_s_id_can_t_be_revoked(ring):
    with pytest.raises(NotFound):
        await ring.revoke("../../etc")


def test_an_expiry_reads_as_people_say_it():
    now = datetime.now(UTC)

    assert read_expiry("") is None
    for text, days in (("30d", 30), ("2w", 14), ("48h", 2), ("1440m", 1)):
        assert abs(read_expiry(text) - now - timedelta(days=days)) < timedelta(seconds=10)
    for text in ("30", "d", "0d", "-1d", "1y", "1 d", "999999w"):
        with pytest.raises(Trouble, match="expires-in"):
            read_expiry(text)
