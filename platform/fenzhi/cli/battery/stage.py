"""The stage of the battery (测试环境): two API instances over one fresh database, tenants of two provinces, two live signing keys."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fenzhi.access.development_issuer import AUDIENCE, ISSUER, DevelopmentKey, issue_development_token
from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.roles import Role
from fenzhi.access.tokens import PublicKey, Verifier
from fenzhi.cli.battery.key_server import KeyServer
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.servers import ServerAddresses
from fenzhi.logs import configure_logging
from fenzhi.services.acts import Platform
from fenzhi.services.identity.trust import Trust
from fenzhi.services.opening import open_platform
from fenzhi.services.registry.accounts import development_account

RSA_KEY_ID = "rotated-rsa"
TENANTS = (
    ("PROVINCE", "990000", ""),
    ("CITY", "990100", "990000"),
    ("COUNTY", "990122", "990100"),
    ("HOSPITAL", "H99010001", "990100"),
    ("HOSPITAL", "H99012201", "990122"),
    ("PROVINCE", "980000", ""),
    ("CITY", "980100", "980000"),
    ("HOSPITAL", "H98010001", "980100"),
)
_OPEN = "mutation($i: TenantOpenInput!) { tenantOpen(input: $i) { tenant userErrors { code } } }"


@dataclass
class Keys:
    """Two signing keys that live side by side, as during a rotation (签名密钥)."""

    elliptic: DevelopmentKey
    rsa: rsa.RSAPrivateKey

    @staticmethod
    def fresh() -> Keys:
        return Keys(
            DevelopmentKey(ec.generate_private_key(ec.SECP256R1())), rsa.generate_private_key(65537, key_size=2048)
        )

    def trusted(self) -> dict[str, PublicKey]:
        """The public keys by id."""
        return {self.elliptic.key_id: self.elliptic.private.public_key(), RSA_KEY_ID: self.rsa.public_key()}


class Clock:
    """A steady clock that the battery can move on (可拨快的时钟)."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@dataclass
class Stage:
    """One platform and the casts of its API instances (测试平台)."""

    platform: Platform
    keys: Keys
    casts: list[Cast]
    addresses: ServerAddresses
    key_server: KeyServer
    clock: Clock

    @property
    def cast(self) -> Cast:
        """Users of the first instance."""
        return self.casts[0]

    @asynccontextmanager
    async def past_the_walls(self) -> AsyncIterator[Any]:
        """A connection that no wall holds, to make what is stored older than it is (越过隔离墙的连接)."""
        server = (self.addresses.superuser_dsn or self.addresses.owner_dsn).rsplit("/", 1)[0]
        connection = await asyncpg.connect(f"{server}/{self.addresses.owner_dsn.rsplit('/', 1)[1]}")
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def staged(
    addresses: ServerAddresses, *, instances: int = 1, migrate: bool = True, master_key: bytes = b""
) -> AsyncIterator[Stage]:
    """API instances over a database, for as long as the block lasts (搭建). Without tenants."""
    from fenzhi_graphql.app import application, wrapped
    from fenzhi_migrations.upgrade import upgrade_to_head

    if migrate:
        await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    configure_logging("CRITICAL")
    keys, master, cursor, clock = Keys.fresh(), master_key or os.urandom(32), os.urandom(32), Clock()
    async with AsyncExitStack() as stack:
        key_server = await stack.enter_async_context(KeyServer().running())
        hosts = KeyHosts((key_server.host,))
        casts: list[Cast] = []
        platforms: list[Platform] = []
        for _ in range(instances):
            opened = open_platform(addresses.app_dsn, addresses.redis_url, master, is_development=True, key_hosts=hosts)
            platforms.append(await stack.enter_async_context(opened))
            verifier = Verifier(ISSUER, AUDIENCE, keys.trusted())
            trust = Trust(verifier, platforms[-1].database, hosts=hosts, clock=clock)
            app = wrapped(application(platforms[-1], trust, cursor))
            casts.append(Cast(await stack.enter_async_context(client_of(app)), token_maker(platforms[0], keys)))
        yield Stage(platforms[0], keys, casts, addresses, key_server, clock)


ADDRESS_HEADER = "x-battery-address"


def client_of(app: Any) -> httpx.AsyncClient:
    """A client of an application in this process; the address it seems to come from is in a header of its own."""

    async def addressed(scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(ADDRESS_HEADER.encode())
        await app({**scope, "client": (given.decode(), 1)} if given else scope, receive, send)

    transport = httpx.ASGITransport(app=addressed, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://fenzhi.battery", timeout=120)


def token_maker(platform: Platform, keys: Keys) -> Any:
    """Makes good tokens of development accounts."""

    async def make(tenant: str, role: Role) -> str:
        subject, epoch = await development_account(platform.database, tenant, role)
        return issue_development_token(keys.elliptic, subject, tenant, role.value, epoch).token

    return make


async def open_tenants(cast: Cast) -> None:
    """Open the tenants of the stage, as the operator; the second province is a sandbox."""
    operator = cast.actor("operator", Role.OPERATOR_ADMIN)
    for kind, code, parent in TENANTS:
        order = {"kind": kind, "code": code, "name": code, "parent": parent, "isSandbox": code == "980000"}
        await operator.do("tenantOpen", "TenantOpenInput", order, "tenant")
