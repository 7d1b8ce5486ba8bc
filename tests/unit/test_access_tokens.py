"""Service tokens: what one part of the mesh tells another, and what nobody else can say."""

import base64
import json
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.access import Identity, Scope
from ragmesh.errors import Unauthenticated
from ragmesh.rpc.auth.believed import Believed
from ragmesh.rpc.auth.tokens import CLOCKS_S, LIFE_S, Signer
from ragmesh.settings import Settings

SECRET, OTHER = "a" * 32, "b" * 32
CALLER = Identity("acme", frozenset({Scope.READ, Scope.WRITE}), "key-1")
SIGNER = Signer(SECRET)


def claims(**changes):
    now = int(time.time())
    usual = {"iss": "ragmesh", "aud": "ragmesh", "sub": "x", "tenant": "acme", "scope": "read"}
    return usual | {"iat": now, "exp": now + 60} | changes


@given(st.text(), st.sets(st.sampled_from(Scope)), st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_who_calls_arrives_as_it_was_sent(tenant, scopes, subject):
    sent = Identity(tenant.encode(errors="ignore").decode(), frozenset(scopes), subject)

    assert Signer(SECRET).identity(Signer(SECRET).token(sent)) == sent


def test_a_token_is_used_again_while_it_is_fresh_and_differs_for_each_caller():
    assert SIGNER.token(CALLER) == SIGNER.token(CALLER)
    assert SIGNER.token(CALLER) != SIGNER.token(Identity("other", CALLER.scopes, CALLER.subject))


@given(st.text() | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]*", fullmatch=True))
def test_whatever_comes_as_a_token_is_refused_and_breaks_nothing(text):
    with pytest.raises(Unauthenticated):
        SIGNER.identity(text)


@given(st.data())
def test_a_token_of_which_anything_was_changed_is_refused(data):
    token = SIGNER.token(CALLER)
    head, body, signature = token.split(".")
    changed = json.loads(base64.urlsafe_b64decode(body + "=="))
    name = data.draw(st.sampled_from(sorted(changed)))
    changed[name] = data.draw(st.text() | st.integers() | st.none())
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    if forged == body:
        return

    with pytest.raises(Unauthenticated):
        SIGNER.identity(f"{head}.{forged}.{signature}")


@pytest.mark.parametrize(
    ("spoilt", "secret", "algorithm", "why"),
    [
        ({}, OTHER, "HS256", "Signature"),
        ({}, "", "none", "alg"),
        ({}, SECRET * 2, "HS512", "alg"),
        ({"aud": "somebody"}, SECRET, "HS256", "udience"),
        ({"iss": "somebody"}, SECRET, "HS256", "ssuer"),
        ({"exp": 1}, SECRET, "HS256", "expired"),
        ({"scope": "root"}, SECRET, "HS256", "for whom"),
        ({"scope": 7}, SECRET, "HS256", "for whom"),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_the_reason(spoilt, secret, algorithm, why):
    with pytest.raises(Unauthenticated, match=why):
        SIGNER.identity(jwt.encode(claims(**spoilt), secret, algorithm))


def test_a_token_that_was_believed_once_is_not_for_ever(monkeypatch):
    token = SIGNER.token(Identity("short", frozenset(), "x"))
    assert SIGNER.identity(token).tenant == "short"
    now, monotonic = time.time(), time.monotonic()
    monkeypatch.setattr(time, "time", lambda: now + LIFE_S + CLOCKS_S + 1)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic + LIFE_S + CLOCKS_S + 1)
    monkeypatch.setattr(jwt.api_jwt, "datetime", _Later)

    with pytest.raises(Unauthenticated, match="expired"):
        SIGNER.identity(token)


class _Later(jwt.api_jwt.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


def test_two_secrets_are_believed_while_one_is_exchanged_for_the_other():
    old, new = Signer(SECRET, OTHER), Signer(OTHER, SECRET)

    assert old.identity(new.token(CALLER)) == new.identity(old.token(CALLER)) == CALLER
    with pytest.raises(Unauthenticated):
        Signer(OTHER).identity(old.token(CALLER))


def test_required_without_a_secret_says_what_to_do():
    with pytest.raises(ValueError, match="RAGMESH_SERVICE_SECRET is not set"):
        Signer.of(Settings(auth="required"))


def test_what_is_believed_is_bounded_in_number_and_time():
    believed = Believed[int, str](most=3)
    for number in range(5):
        believed.keep(number, "x", for_s=60)
    believed.keep(9, "gone", for_s=0)

    assert (len(believed), believed.get(0), believed.get(4), believed.get(9)) == (3, None, "x", None)
