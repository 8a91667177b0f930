"""Who a request comes from (认证): the Authorization header and nothing else."""

from __future__ import annotations

import time
from collections import OrderedDict

from starlette.requests import HTTPConnection

from fenzhi.access.subject import Subject
from fenzhi.access.tokens import Claims, Unauthenticated, Verifier
from fenzhi.services.acts import Platform
from fenzhi.services.identity import failures
from fenzhi.services.identity.trust import Trust
from fenzhi.services.registry.accounts import NOBODY, SubjectCache
from fenzhi_graphql.rate import Budgets, RateLimited

HONEST = frozenset({"ExpiredSignatureError"})
"""Reasons for which a token is refused and nobody has tried anything: it was genuine and has ended."""
LOCK_SEEN_S = 30.0
"""How long a process refuses an address it knows to be locked without asking the database."""
LOCKED_MOST = 10_000
BELIEVED_S = 5.0
"""How long a token that was verified is believed without verifying its signature again; its end is watched meanwhile."""
BELIEVED_MOST = 2_000
TOKEN_MOST = 8_192
"""Characters of a token; ours have some hundreds."""


class SignIn:
    """Turns a request into a subject, within the budget of its tenant and client (识别请求方)."""

    def __init__(self, trust: Trust | Verifier, platform: Platform, budgets: Budgets | None = None) -> None:
        self._trust = Trust(trust, platform.database) if isinstance(trust, Verifier) else trust
        self._locked: OrderedDict[str, float] = OrderedDict()
        self._believed: OrderedDict[str, tuple[float, Claims]] = OrderedDict()
        self._database = platform.database
        self._cache = SubjectCache()
        self.budgets = budgets or Budgets()

    async def subject(self, request: HTTPConnection) -> Subject:
        """The subject of the one bearer token of the one Authorization header.

        Raises: Unauthenticated, LockedOut, RateLimited, KeysUnavailable, Unavailable.

        Admits the request to its caller's budget; the envelope lets it go. `state.charge` takes more units off that budget.
        """
        given = request.headers.getlist("authorization")
        if len(given) != 1:
            raise Unauthenticated("not one Authorization header")
        scheme, _, token = given[0].partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_MOST:
            raise Unauthenticated("no bearer token")
        address = failures.address_key(request.client.host if request.client is not None else "")
        self._refuse_locked(address)
        claims = await self._claims(token, address)
        try:
            subject = await self._cache.subject_of(self._database, claims, address)
        except Unauthenticated as exc:
            if exc.reason == NOBODY:
                await self._note(address, exc.reason)
            raise
        state = request.scope.setdefault("state", {})
        state.update(tenant=subject.tenant, role=subject.role.value)
        key = (subject.tenant, subject.client_id)

        def charge(units: int) -> None:
            try:
                self.budgets.charge(key, units)
            except RateLimited as exc:
                state["retry_after_s"] = exc.retry_after_s
                raise

        state["charge"] = charge
        if "leave" not in state:
            state["leave"] = self.budgets.enter(key)
        return subject

    async def _claims(self, token: str, address: str) -> Claims:
        """The claims of a token; one that was never signed counts against the address it comes from."""
        held = self._believed.get(token)
        if held is not None and time.monotonic() < held[0] and time.time() < held[1].expires_at:
            return held[1]
        self._believed.pop(token, None)
        try:
            claims = await self._trust.verify(token)
            self._believed[token] = (time.monotonic() + BELIEVED_S, claims)
            while len(self._believed) > BELIEVED_MOST:
                self._believed.popitem(last=False)
            return claims
        except Unauthenticated as exc:
            if exc.reason not in HONEST:
                await self._note(address, exc.reason)
            raise

    async def _note(self, address: str, reason: str) -> None:
        if await failures.note_address_failure(self._database, address, reason):
            self._locked[address] = time.monotonic() + LOCK_SEEN_S
            while len(self._locked) > LOCKED_MOST:
                self._locked.popitem(last=False)

    def _refuse_locked(self, address: str) -> None:
        """Refuse a locked address without asking anybody; after a while the database is asked again."""
        until = self._locked.get(address)
        if until is None:
            return
        if time.monotonic() < until:
            raise failures.LockedOut
        del self._locked[address]
