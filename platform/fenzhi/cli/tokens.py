"""Tenants and development tokens from the command line (租户与开发令牌)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fenzhi.access.development_issuer import IssuedToken, development_key, issue_development_token
from fenzhi.access.roles import KIND_OF_ROLE, Role
from fenzhi.cli.status import running_status
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.settings import Settings

if TYPE_CHECKING:
    from fenzhi.store.session import Database

TokenMaker = Callable[[str, Role], Awaitable[str]]
"""Makes a token for a tenant and a role (令牌签发)."""


def development_token(settings: Settings, *, tenant: str, role: str, has_second_factor: bool = True) -> IssuedToken:
    """A token of the development account of one tenant and role (签发开发令牌), with or without the second-factor claim.

    Raises: Conflict `NOT_DEVELOPMENT` off loopback or with a real issuer; NotRunning; DataRefused for an unknown role;
    NotFound for a tenant that does not exist or does not carry the role.
    """
    if not settings.development:
        raise Conflict(
            "开发签发方仅用于本机且未配置正式签发方时。",
            "The development issuer serves a loopback address without a real issuer only.",
            code="NOT_DEVELOPMENT",
            hint="Ask the issuer named by FENZHI_JWT_ISSUER for a token.",
        )
    wanted = known_role(role)
    status = running_status(settings.state_dir)
    key = development_key(settings.state_dir / "keys" / "development-issuer.pem")
    subject, epoch = asyncio.run(_account(status.app_dsn, tenant, wanted))
    return issue_development_token(
        key, subject, tenant, role, epoch, audience=settings.jwt_audience, has_second_factor=has_second_factor
    )


def token_maker(settings: Settings, database: Database) -> TokenMaker:
    """Makes development tokens for the running platform (开发令牌)."""
    from fenzhi.services.registry.accounts import development_account

    key = development_key(settings.state_dir / "keys" / "development-issuer.pem")

    async def make(tenant: str, role: Role) -> str:
        subject, epoch = await development_account(database, tenant, role)
        return issue_development_token(key, subject, tenant, role.value, epoch, audience=settings.jwt_audience).token

    return make


def list_tenants(settings: Settings) -> list[dict[str, str | None]]:
    """All tenants of the running platform (租户清单): code, name, kind, and the code of the parent, None for the operator.

    Raises: NotRunning.
    """
    return asyncio.run(_tenants(running_status(settings.state_dir).app_dsn))


def known_role(role: str) -> Role:
    """The role of that name (角色). Raises: DataRefused."""
    if role in KIND_OF_ROLE:
        return Role(role)
    raise DataRefused(
        (
            Refusal(
                code="ROLE_UNKNOWN",
                where="--role",
                saw=role,
                zh=f"没有角色 {role}。",
                en=f"There is no role {role}.",
                remedy_zh=f"可用角色：{'、'.join(KIND_OF_ROLE)}",
                remedy_en=f"One of: {', '.join(KIND_OF_ROLE)}",
            ),
        )
    )


async def _account(app_dsn: str, tenant: str, role: Role) -> tuple[str, int]:
    from fenzhi.services.registry.accounts import development_account
    from fenzhi.store.session import Database

    database = Database(app_dsn, pool_size=1, application="fenzhi-cli")
    try:
        return await development_account(database, tenant, role)
    finally:
        await database.close()


async def _tenants(app_dsn: str) -> list[dict[str, str | None]]:
    from fenzhi.services.registry.accounts import tenants
    from fenzhi.store.session import Database

    database = Database(app_dsn, pool_size=1, application="fenzhi-cli")
    try:
        return [{**tenant, "parent": tenant["parent"] or None} for tenant in await tenants(database)]
    finally:
        await database.close()
