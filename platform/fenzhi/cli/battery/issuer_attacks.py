"""Attacks on issuers and keys (签发方与公钥攻击): refresh storms, rotation, key servers that misbehave, ended issuers and clients."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from fenzhi.access.development_issuer import CLIENT, ISSUER, DevelopmentKey, issue_development_token
from fenzhi.access.roles import Role
from fenzhi.access.tokens import TOKEN_TYPE
from fenzhi.cli.battery.forger import elliptic_signature, encoded
from fenzhi.cli.battery.key_server import WAYS
from fenzhi.cli.battery.stage import Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.battery.tokens import REVOKED_WITHIN_S, forgive, judge, send, transports
from fenzhi.cli.flow.client import Actor
from fenzhi.cli.flow.identity import grant_role, open_account
from fenzhi.rules.refusals import Conflict
from fenzhi.services.identity.administration import NewAccount, add_first_operator

PROVINCE, CITY, STRANGER_CITY = "990000", "990100", "980100"
AUDIENCE = "fenzhi-battery"
_MINUTE = 61.0


@dataclass
class RemoteIssuer:
    """A registered issuer with keys of its own, and the account it signs for (远程签发方)."""

    name: str
    subject: str
    client_id: str = "his-vendor"

    def token(self, key: DevelopmentKey, tenant: str = CITY, **changes: Any) -> str:
        """A token as this issuer signs it."""
        now = int(time.time())
        claims = {
            "iss": self.name, "aud": AUDIENCE, "sub": self.subject, "client_id": self.client_id, "iat": now, "exp": now + 600,
            "jti": str(uuid.uuid4()), "tid": tenant, "role": Role.CITY_SETTLEMENT_CLERK.value, "epoch": 0,
        } | changes  # fmt: skip
        header = {"alg": "ES256", "typ": TOKEN_TYPE, "kid": changes.pop("kid", key.key_id)}
        claims.pop("kid", None)
        data = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{data}.{encoded(elliptic_signature(key.private, data.encode()))}"


def fresh_key() -> DevelopmentKey:
    """A signing key (签名密钥)."""
    return DevelopmentKey(ec.generate_private_key(ec.SECP256R1()))


async def try_issuers(stage: Stage, tally: Tally, rng: random.Random, storm: int) -> None:
    """Register an issuer and attack its keys in every way we know of; `storm` random key ids a wave."""
    first, second = fresh_key(), fresh_key()
    stage.key_server.keys = [first.public_jwk]
    issuer = RemoteIssuer(f"https://idp-{rng.getrandbits(32):08x}.example", f"clerk-{rng.getrandbits(32):08x}")
    issuer_id, other = await _registered(stage, tally, issuer)
    await _believed(stage, tally, "registered issuer", issuer.token(first))
    await _refresh_storm(stage, tally, rng, issuer, first, storm)
    second = await _rotation(stage, tally, issuer, first, second)
    for way in WAYS:
        await _misbehaving(stage, tally, issuer, second, way)
    await _unreachable_for_a_day(stage, tally, issuer, second)
    await _beyond_its_province(stage, tally, issuer, second)
    await _ended(stage, tally, issuer, second, issuer_id, other)


async def _second_operator(stage: Stage) -> Actor:
    """Another operator than the development account's."""
    subject = "dev:operator:second"
    order = NewAccount(ISSUER, subject, uuid.uuid5(uuid.NAMESPACE_URL, "fenzhi:second-operator"), "second")
    with suppress(Conflict):  # It is there already.
        await add_first_operator(stage.platform.database, order, CLIENT)

    async def make(tenant: str, role: Role) -> str:
        return issue_development_token(stage.keys.elliptic, subject, tenant, role.value, 0).token

    return Actor(stage.cast.http, "operator", Role.OPERATOR_ADMIN, make)


async def _registered(stage: Stage, tally: Tally, issuer: RemoteIssuer) -> tuple[str, Actor]:
    """The issuer registered by one operator and approved by another, its account opened and granted, its client registered."""
    operator, other = stage.cast.actor("operator", Role.OPERATOR_ADMIN), await _second_operator(stage)
    for url in (
        "https://evil.example/keys", "http://169.254.169.254/keys", f"https://{stage.key_server.host}@evil.example/keys",
        "file:///etc/passwd", f"http://{stage.key_server.host}#@evil.example", "http://localhost:1/keys", "gopher://127.0.0.1/",
        f"{stage.key_server.url} ", "http://[::1]:80/keys", "//evil.example/keys", "",
    ):  # fmt: skip
        order = {"issuer": issuer.name, "keysUrl": url, "audience": AUDIENCE, "tenant": PROVINCE}
        answer = await operator.raw(_REGISTER, {"i": order | {"idempotencyKey": uuid.uuid4().hex}})
        tally.saw("keys only from allowed hosts", "KEYS_URL_NOT_ALLOWED" in str(answer), f"{url}: {str(answer)[:200]}")
    order = {"issuer": issuer.name, "keysUrl": stage.key_server.url, "audience": AUDIENCE, "tenant": PROVINCE}
    made = await operator.do("issuerRegister", "IssuerRegisterInput", order, "tokenIssuer { id state }")
    issuer_id = str(made["tokenIssuer"]["id"])
    key = fresh_key()
    await _refused(stage, tally, "issuer not approved", issuer.token(key))
    alone = await operator.raw(_APPROVE, {"i": {"tokenIssuer": issuer_id, "idempotencyKey": uuid.uuid4().hex}})
    tally.saw("issuer by two persons", "SAME_PERSON" in str(alone), str(alone)[:200])
    await other.do("issuerApprove", "IssuerStepInput", {"tokenIssuer": issuer_id}, "tokenIssuer { state }")
    person = str(uuid.uuid4())
    await open_account(
        stage.cast, CITY, Role.CITY_SETTLEMENT_CLERK, issuer=issuer.name, subject=issuer.subject, person=person
    )
    await grant_role(stage.cast, CITY, CITY, Role.CITY_SETTLEMENT_CLERK, issuer=issuer.name, subject=issuer.subject)
    system = stage.cast.actor(CITY, Role.CITY_SYSTEM_ADMINISTRATOR)
    order = {"issuer": issuer.name, "clientName": issuer.client_id, "name": "HIS", "tenant": CITY}
    await system.do("clientRegister", "ClientRegisterInput", order, "apiClient { id }")
    stage.clock.ahead_s += 10
    return issuer_id, other


_REGISTER = "mutation($i: IssuerRegisterInput!) { issuerRegister(input: $i) { userErrors { code } } }"
_APPROVE = "mutation($i: IssuerStepInput!) { issuerApprove(input: $i) { userErrors { code } } }"


def _bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


async def _believed(stage: Stage, tally: Tally, name: str, token: str) -> None:
    """Believed on every transport."""
    for method, path in transports():
        answer = await send(stage, method, path, _bearer(token))
        is_in = answer.status_code not in (401, 429, 500, 503)
        tally.saw(name, is_in, f"{method} {path} → {answer.status_code} {answer.text[:200]}")


async def _refused(stage: Stage, tally: Tally, name: str, token: str) -> None:
    """Refused on every transport, word for word like every forgery."""
    for method, path in transports():
        judge(tally, name, f"{method} {path}", await send(stage, method, path, _bearer(token)))
        await forgive(stage)


async def _refresh_storm(
    stage: Stage, tally: Tally, rng: random.Random, issuer: RemoteIssuer, key: DevelopmentKey, storm: int
) -> None:
    """Waves of random key ids within one minute each: at most one reading per minute, and the good token goes on."""
    stranger = fresh_key()
    readings = []
    for _wave in range(5):
        stage.clock.ahead_s += _MINUTE
        before = stage.key_server.asked
        tokens = [issuer.token(stranger, kid=f"{rng.getrandbits(128):032x}") for _ in range(storm)]
        for start in range(0, storm, 20):
            answers = await asyncio.gather(
                *(send(stage, "POST", "/graphql", _bearer(t)) for t in tokens[start : start + 20])
            )
            for answer in answers:
                judge(tally, "random key ids", "POST /graphql", answer)
        readings.append(stage.key_server.asked - before)
        tally.saw("one reading a minute", readings[-1] <= 1, f"{readings[-1]} readings for {storm} key ids")
        await forgive(stage)
    await _believed(stage, tally, "good token beside a storm", issuer.token(key))
    tally.figures["readings_per_wave"] = {"key_ids": storm, "readings": readings}


async def _pass(stage: Stage, hours: int) -> None:
    """Let hours pass: the steady clock goes on, and what the database remembers of keys is that much older."""
    async with stage.past_the_walls() as connection:
        await connection.execute(
            "update issuer_key set first_seen_at = first_seen_at - make_interval(hours => $1), "
            "first_used_at = first_used_at - make_interval(hours => $1)",
            hours,
        )
    stage.clock.ahead_s += hours * 3600


async def _rotation(
    stage: Stage, tally: Tally, issuer: RemoteIssuer, old: DevelopmentKey, new: DevelopmentKey
) -> DevelopmentKey:
    """A second key is published: both are believed for a day from its first use, then the old one is refused though published.

    Returns the key that the issuer signs with in the end.
    """
    stage.key_server.keys = [old.public_jwk, new.public_jwk]
    await _pass(stage, 3 * 24)
    await _believed(stage, tally, "old key beside one published ahead", issuer.token(old))
    await _believed(stage, tally, "new key", issuer.token(new))
    for hours in (1, 11, 11):
        await _pass(stage, hours)
        await _believed(stage, tally, "old key within the overlap", issuer.token(old))
        await _believed(stage, tally, "new key", issuer.token(new))
    await _pass(stage, 2)
    await _refused(stage, tally, "old key after the overlap", issuer.token(old))
    await _believed(stage, tally, "new key", issuer.token(new))
    third = fresh_key()
    stage.key_server.keys = [third.public_jwk]
    stage.clock.ahead_s += _MINUTE
    await _believed(stage, tally, "third key", issuer.token(third))
    await _refused(stage, tally, "key published no more", issuer.token(new))
    stage.key_server.keys = [new.public_jwk]
    await _pass(stage, 25)
    await _refused(stage, tally, "key taken over from and published again", issuer.token(new))
    last = fresh_key()
    stage.key_server.keys = [last.public_jwk]
    stage.clock.ahead_s += _MINUTE
    await _believed(stage, tally, "new key", issuer.token(last))
    return last


async def _misbehaving(stage: Stage, tally: Tally, issuer: RemoteIssuer, key: DevelopmentKey, way: str) -> None:
    """The key server misbehaves: known keys go on, unknown ones are refused in time, nothing is followed."""
    stage.key_server.way = way
    stage.clock.ahead_s += _MINUTE
    stranger = fresh_key()
    began = time.monotonic()
    unknown = await send(stage, "POST", "/graphql", _bearer(issuer.token(stranger)))
    took = time.monotonic() - began
    judge(tally, f"key server {way}", "unknown key", unknown)
    tally.saw("refused in time", took < 12, f"{way}: {took:.1f} s")
    answer = await send(stage, "POST", "/graphql", _bearer(issuer.token(key)))
    tally.saw(f"key server {way}", answer.status_code == 200, f"known key → {answer.status_code} {answer.text[:200]}")
    tally.saw("nothing followed", stage.key_server.followed == 0, way)
    stage.key_server.way = ""
    await forgive(stage)


async def _unreachable_for_a_day(stage: Stage, tally: Tally, issuer: RemoteIssuer, key: DevelopmentKey) -> None:
    """Keys that could not be confirmed for a day let nobody in; when they can be had again, everybody."""
    stage.key_server.way = "error"
    stage.clock.ahead_s += 24 * 3600 + _MINUTE
    for method, path in transports():
        answer = await send(stage, method, path, _bearer(issuer.token(key)))
        is_shut = answer.status_code == 503 and (not answer.content or "KEYS_UNAVAILABLE" in answer.text)
        tally.saw("shut without keys", is_shut, f"{method} {path} → {answer.status_code} {answer.text[:200]}")
    stage.key_server.way = ""
    stage.clock.ahead_s += _MINUTE
    await _believed(stage, tally, "keys can be had again", issuer.token(key))


async def _beyond_its_province(stage: Stage, tally: Tally, issuer: RemoteIssuer, key: DevelopmentKey) -> None:
    """An issuer of one province vouches for nobody of another, account and role or not; nor for a client it has not."""
    far = RemoteIssuer(issuer.name, f"far-{uuid.uuid4().hex[:8]}")
    person = str(uuid.uuid4())
    await open_account(
        stage.cast, STRANGER_CITY, Role.CITY_SETTLEMENT_CLERK, issuer=far.name, subject=far.subject, person=person
    )
    await grant_role(
        stage.cast, STRANGER_CITY, STRANGER_CITY, Role.CITY_SETTLEMENT_CLERK, issuer=far.name, subject=far.subject
    )
    system = stage.cast.actor(STRANGER_CITY, Role.CITY_SYSTEM_ADMINISTRATOR)
    order = {"issuer": far.name, "clientName": far.client_id, "name": "HIS", "tenant": STRANGER_CITY}
    await system.do("clientRegister", "ClientRegisterInput", order, "apiClient { id }")
    await _refused(stage, tally, "issuer beyond its province", far.token(key, STRANGER_CITY))
    await _refused(stage, tally, "client not registered", issuer.token(key, client_id="another"))
    await _refused(stage, tally, "another audience", issuer.token(key, aud="fenzhi"))
    await _refused(stage, tally, "our own issuer by its key", issuer.token(key, iss=ISSUER))


async def _ended(
    stage: Stage, tally: Tally, issuer: RemoteIssuer, key: DevelopmentKey, issuer_id: str, other: Actor
) -> None:
    """An ended issuer is believed no more within thirty seconds, measured."""
    token = issuer.token(key)
    await _believed(stage, tally, "until its end", token)
    await other.do("issuerEnd", "IssuerStepInput", {"tokenIssuer": issuer_id}, "tokenIssuer { state }")
    began = time.monotonic()
    status = 200
    while status != 401 and time.monotonic() - began < REVOKED_WITHIN_S:
        status = (await send(stage, "POST", "/graphql", _bearer(token))).status_code
        await asyncio.sleep(0.2)
    took = round(time.monotonic() - began, 2)
    tally.saw("ended issuer", status == 401, f"still {status} after {took} s")
    tally.figures["issuer_ended_after_s"] = took
    await _refused(stage, tally, "ended issuer", token)
