"""A small platform for tests (测试环境): the real application over a migrated database, spoken to as its users speak to it."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from fenzhi.access.development_issuer import AUDIENCE, ISSUER, DevelopmentKey, issue_development_token
from fenzhi.access.roles import Role
from fenzhi.access.tokens import Verifier
from fenzhi.logs import configure_logging
from fenzhi.services.acts import Platform
from fenzhi.services.jobs.execution import end_badly, jobs_waiting, take
from fenzhi.services.opening import open_platform
from fenzhi.services.registry.accounts import development_account
from fenzhi_graphql.app import application, wrapped
from fenzhi_workers.jobs import HANDLERS

MASTER_KEY = bytes(range(32))
RENEW_AFTER_S = 300.0
"""After which a client signs in anew; a token lives three times as long."""


@dataclass
class World:
    """The application, its platform, and clients in any role."""

    platform: Platform
    key: DevelopmentKey
    app: Any
    _clients: dict[tuple[str, Role], Client] = field(default_factory=dict)

    async def client(self, tenant: str, role: Role) -> Client:
        """A client signed in for a tenant in a role."""
        if (tenant, role) not in self._clients:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            http = httpx.AsyncClient(transport=transport, base_url="http://fenzhi.test")
            await self._sign_in(http, tenant, role)
            self._clients[tenant, role] = Client(http)
        return self._clients[tenant, role]

    async def _sign_in(self, http: httpx.AsyncClient, tenant: str, role: Role) -> None:
        """Sign in, and anew whenever the token is getting old: the tests of a session outlive any token."""
        signed_at = -math.inf

        async def renew(request: httpx.Request) -> None:
            nonlocal signed_at
            stale = http.headers.get("authorization")
            if time.monotonic() - signed_at > RENEW_AFTER_S:
                subject, epoch = await development_account(self.platform.database, tenant, role)
                token = issue_development_token(self.key, subject, tenant, role.value, epoch).token
                http.headers["authorization"] = f"Bearer {token}"
                signed_at = time.monotonic()
            if request.headers.get("authorization") == stale:
                request.headers["authorization"] = http.headers["authorization"]

        await renew(http.build_request("GET", "/"))
        http.event_hooks = {"request": [renew]}

    async def work_off(self) -> int:
        """Carry out every waiting job in this process, as a worker would; the number carried out."""
        done = 0
        while waiting := await jobs_waiting(self.platform):
            for job_id, *_ in waiting:
                job = await take(self.platform, job_id)
                if job is None:
                    continue
                try:
                    await HANDLERS[job.claimed.kind](self.platform, job)
                except Exception as exc:
                    await end_badly(job, exc)
                    raise
                done += 1
        return done

    async def open_tenants(self, plan: list[tuple[str, str, str]]) -> None:
        """Open tenants given as (kind, code, parent), as the operator; `province_level` is a pooling area of the province's own."""
        operator = await self.client("operator", Role.OPERATOR_ADMIN)
        for kind, code, parent in plan:
            answer = await operator.gql(
                "mutation($i: TenantOpenInput!) { tenantOpen(input: $i) { tenant userErrors { code message } } }",
                {
                    "i": {
                        "idempotencyKey": new_key(),
                        "kind": "CITY" if kind == "province_level" else kind.upper(),
                        "code": code,
                        "name": code,
                        "parent": parent,
                        "areaKind": "PROVINCE" if kind == "province_level" else "CITY",
                    }
                },
            )
            assert answer["tenantOpen"]["userErrors"] == [], answer


@dataclass
class Client:
    """One signed-in client."""

    http: httpx.AsyncClient

    async def raw(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The whole GraphQL answer, errors included."""
        response = await self.http.post("/graphql", json={"query": query, "variables": dict(variables or {})})
        return response.json()  # type: ignore[no-any-return]

    async def gql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of a GraphQL answer; any top-level error fails the test."""
        answer = await self.raw(query, variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]  # type: ignore[no-any-return]


def new_key() -> str:
    """A fresh idempotency key."""
    return uuid.uuid4().hex


@asynccontextmanager
async def open_world(app_dsn: str, redis_url: str) -> AsyncIterator[World]:
    """A world over a migrated database for as long as the block lasts."""
    configure_logging("ERROR")
    key = DevelopmentKey(ec.generate_private_key(ec.SECP256R1()))
    verifier = Verifier(issuer=ISSUER, audience=AUDIENCE, keys={key.key_id: key.private.public_key()})
    async with open_platform(app_dsn, redis_url, MASTER_KEY, is_development=True) as platform:
        app = wrapped(application(platform, verifier, b"c" * 32))
        world = World(platform=platform, key=key, app=app)
        yield world
        for client in world._clients.values():
            await client.http.aclose()


FIRST_TREE = [
    ("province", "410000", ""),
    ("city", "410100", "410000"),
    ("city", "410200", "410000"),
    ("county", "410122", "410100"),
    ("county", "410221", "410200"),
    ("hospital", "H41010001", "410100"),
    ("hospital", "H41012201", "410122"),
    ("hospital", "H41020001", "410200"),
    ("hospital", "H41022101", "410221"),
]
SECOND_TREE = [
    ("province", "370000", ""),
    ("city", "370100", "370000"),
    ("county", "370112", "370100"),
    ("hospital", "H37010001", "370100"),
    ("hospital", "H37011201", "370112"),
]
"""Two provinces, always: a wall that holds inside one province may still leak between two."""
