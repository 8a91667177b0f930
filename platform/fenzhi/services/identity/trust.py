"""Whom the platform believes (令牌信任): the deployment's own issuer and the registered ones, each by its published keys.

Keys come from the one address of the issuer's registration, on an allowed host, without redirects; never from a token. However many unknown
key ids come, an issuer is asked at most once a minute. What cannot be read leaves the known keys for a day; with none, nobody signs in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import jwt
import structlog

from fenzhi.access.issuer_keys import KEY_SET_MOST, KeyHosts, KeyLife, PublishedKey, is_over, published_keys
from fenzhi.access.scope import AUTHENTICATION_SCOPE
from fenzhi.access.tokens import Claims, FactorPolicy, PublicKey, Unauthenticated, Verifier
from fenzhi.rules.refusals import FenzhiError
from fenzhi.store.repositories import identity
from fenzhi.store.session import Database, Unavailable

READ_AGAIN_S = 60.0
"""An issuer is asked for its keys no more often than this."""
FRESH_S = 600.0
"""Keys older than this are read again beside the requests."""
STALE_S = 24 * 3600.0
"""Keys that could not be confirmed for this long are believed no more."""
READING_S = 5.0
"""How long one reading may take, from the connection to the last byte."""
_REGISTRY_S = 5.0
_REGISTRY_STALE_S = 25.0
_log = structlog.get_logger("fenzhi.identity")

Fetch = Callable[[str], Awaitable[bytes]]
"""Reads a key set; raises whatever stands in the way."""


class KeysUnavailable(FenzhiError):
    """The issuer's keys cannot be had and none are known (公钥不可用): nobody of that issuer signs in."""

    code = "KEYS_UNAVAILABLE"
    http_status = 503

    def __init__(self) -> None:
        super().__init__(
            "无法取得签发方公钥，暂不能验证令牌。",
            "The keys of the issuer cannot be had; tokens cannot be verified for the moment.",
            hint="稍后重试 / try again later",
        )


def fetching(hosts: KeyHosts) -> Fetch:
    """Reads key sets from allowed hosts over HTTPS (读取公钥集): no redirect, no proxy of the environment, 64 KiB, five seconds."""

    async def fetch(url: str) -> bytes:
        if not hosts.allows(url):
            raise ValueError("the host is not allowed")
        async with (
            asyncio.timeout(READING_S),
            httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=READING_S) as client,
            client.stream("GET", url, headers={"accept": "application/json", "accept-encoding": "identity"}) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"answered {answer.status_code}")
            body = bytearray()
            async for piece in answer.aiter_raw(8_192):
                body += piece
                if len(body) > KEY_SET_MOST:
                    raise ValueError("the key set is too large")
            return bytes(body)

    return fetch


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer by registration (可信签发方)."""

    issuer: str
    keys_url: str
    audience: str
    factors: FactorPolicy = field(default_factory=FactorPolicy)


class IssuerKeys:
    """The keys of one issuer, read when needed and never more often than once a minute (签发方公钥环)."""

    def __init__(
        self,
        trusted: TrustedIssuer,
        database: Database,
        fetch: Fetch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trusted = trusted
        self._database = database
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str, PublishedKey] = {}
        self._lives: dict[str, KeyLife] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._now: datetime | None = None
        self._reading: asyncio.Task[None] | None = None
        self.readings = 0
        """How often the issuer was asked (读取次数)."""

    async def key(self, key_id: str) -> PublishedKey | None:
        """The live key of an id, or none (取公钥). Raises: KeysUnavailable."""
        is_known = key_id in self._keys and self._age() <= STALE_S
        if not is_known or self._age() > FRESH_S:
            self._read_again()
        if not is_known and self._reading is not None:
            await asyncio.shield(self._reading)
        if self._age() > STALE_S:
            raise KeysUnavailable
        found = self._keys.get(key_id)
        if found is None or is_over(found.thumbprint, self._lives, self._now_at()):
            return None
        return found

    async def believed(self, found: PublishedKey) -> None:
        """Note that a token under a key was believed: from now on it takes over from earlier ones (首次采信)."""
        life = self._lives[found.thumbprint]
        if life.first_used_at is None:
            async with self._database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
                await identity.note_key_used(uow, self.trusted.issuer, found.thumbprint)
            self._lives[found.thumbprint] = KeyLife(life.first_seen_at, self._now_at())

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self._clock() - self._read_at

    def _now_at(self) -> datetime:
        """The database's time at the last reading, gone on by this machine's steady clock."""
        assert self._now is not None
        return self._now + timedelta(seconds=self._age())

    def _read_again(self) -> None:
        if self._reading is not None and not self._reading.done():
            return
        if self._tried_at is not None and self._clock() - self._tried_at < READ_AGAIN_S:
            self._reading = None
            return
        self._tried_at = self._clock()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        self.readings += 1
        try:
            async with asyncio.timeout(READING_S + 1):
                keys = published_keys(await self._fetch(self.trusted.keys_url))
            async with self._database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
                known = {one.thumbprint: one.key_id for one in keys.values()}
                now, rows = await identity.remember_keys(uow, self.trusted.issuer, known)
        except Exception as exc:
            _log.warning("keys_unread", issuer=self.trusted.issuer, error=type(exc).__name__)
            return
        self._lives = {row.thumbprint: KeyLife(row.first_seen_at, row.first_used_at) for row in rows}
        self._keys, self._now, self._read_at = keys, now, self._clock()


class Trust:
    """Verifies tokens of every issuer that is believed (令牌验证)."""

    def __init__(
        self,
        own: Verifier | None,
        database: Database,
        *,
        remote: TrustedIssuer | None = None,
        hosts: KeyHosts | None = None,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own = own
        self._database = database
        self._fetch = fetch or fetching(hosts or KeyHosts())
        self._clock = clock
        self._configured = {remote.issuer: remote} if remote is not None else {}
        self._rings: dict[str, IssuerKeys] = {}
        self._registered: Mapping[str, TrustedIssuer] = {}
        self._registry_at: float | None = None

    async def verify(self, token: str) -> Claims:
        """The claims of a token of a believed issuer (验证令牌). Raises: Unauthenticated, KeysUnavailable, Unavailable."""
        issuer, key_id = _stated(token)
        if self._own is not None and issuer == self._own.issuer:
            return self._own.verify(token)
        ring = await self._ring(issuer)
        if ring is None or not key_id:
            raise Unauthenticated("issuer")
        found = await ring.key(key_id)
        keys: Mapping[str, PublicKey] = {} if found is None else {key_id: found.key}
        trusted = ring.trusted
        claims = Verifier(trusted.issuer, trusted.audience, keys, trusted.factors).verify(token)
        if found is not None:
            with suppress(Unavailable):
                await ring.believed(found)
        return claims

    async def _ring(self, issuer: str) -> IssuerKeys | None:
        trusted = self._configured.get(issuer) or (await self._registry()).get(issuer)
        if trusted is None:
            self._rings.pop(issuer, None)
            return None
        ring = self._rings.get(issuer)
        if ring is None or ring.trusted != trusted:
            ring = self._rings[issuer] = IssuerKeys(trusted, self._database, self._fetch, self._clock)
        return ring

    async def _registry(self) -> Mapping[str, TrustedIssuer]:
        """The registered issuers, at most some seconds old. Raises: Unavailable when they cannot be read for longer."""
        age = float("inf") if self._registry_at is None else self._clock() - self._registry_at
        if age > _REGISTRY_S:
            try:
                async with self._database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
                    rows = await identity.issuers(uow, only_active=True)
            except Unavailable:
                if age > _REGISTRY_STALE_S:
                    raise
                return self._registered
            self._registry_at = self._clock()
            self._registered = {
                row.issuer: TrustedIssuer(
                    row.issuer,
                    row.keys_url,
                    row.audience,
                    FactorPolicy(frozenset(row.factor_methods), frozenset(row.factor_classes)),
                )
                for row in rows
            }
        return self._registered


def _stated(token: str) -> tuple[str, str]:
    """The issuer and key id that a token names, unverified: they only choose whose keys are tried. Raises: Unauthenticated."""
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError, ValueError, OverflowError, TypeError) as exc:
        raise Unauthenticated("malformed") from exc
    issuer, key_id = claims.get("iss"), header.get("kid")
    return issuer if isinstance(issuer, str) else "", key_id if isinstance(key_id, str) else ""
