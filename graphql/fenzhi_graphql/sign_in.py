"""Who a request comes from (认证): the Authorization header and nothing else."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from fenzhi.access.subject import Subject
from fenzhi.access.tokens import Unauthenticated, Verifier
from fenzhi.services.acts import Platform
from fenzhi.services.registry.accounts import SubjectCache


class SignIn:
    """Turns a request into a subject (识别请求方)."""

    def __init__(self, verifier: Verifier, platform: Platform) -> None:
        self._verifier = verifier
        self._database = platform.database
        self._cache = SubjectCache()

    async def subject(self, request: HTTPConnection) -> Subject:
        """The subject of a bearer token. Raises: Unauthenticated."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("no bearer token")
        claims = self._verifier.verify(token.strip())
        try:
            subject = await self._cache.subject_of(self._database, claims)
        except ValueError as exc:
            raise Unauthenticated("role") from exc
        request.scope.setdefault("state", {}).update(tenant=subject.tenant, role=subject.role.value)
        return subject
