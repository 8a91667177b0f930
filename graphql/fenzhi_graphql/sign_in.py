"""Who a request comes from (认证): the Authorization header and nothing else."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from fenzhi.access.subject import Subject
from fenzhi.access.tokens import Unauthenticated, Verifier
from fenzhi.services.acts import Platform
from fenzhi.services.registry.accounts import SubjectCache
from fenzhi_graphql.rate import Budgets, RateLimited

TOKEN_MOST = 8_192
"""Characters of a token; ours have some hundreds."""


class SignIn:
    """Turns a request into a subject, within the budget of its tenant and client (识别请求方)."""

    def __init__(self, verifier: Verifier, platform: Platform, budgets: Budgets | None = None) -> None:
        self._verifier = verifier
        self._database = platform.database
        self._cache = SubjectCache()
        self.budgets = budgets or Budgets()

    async def subject(self, request: HTTPConnection) -> Subject:
        """The subject of the one bearer token of the one Authorization header. Raises: Unauthenticated, RateLimited.

        Admits the request to its caller's budget; the envelope lets it go. `state.charge` takes more units off that budget.
        """
        given = request.headers.getlist("authorization")
        if len(given) != 1:
            raise Unauthenticated("not one Authorization header")
        scheme, _, token = given[0].partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_MOST:
            raise Unauthenticated("no bearer token")
        claims = self._verifier.verify(token)
        try:
            subject = await self._cache.subject_of(self._database, claims)
        except ValueError as exc:
            raise Unauthenticated("role") from exc
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
