"""Accounts and roles by two administrators (开户与授权): the system administrator proposes, the security administrator grants."""

from __future__ import annotations

from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.cli.flow.client import Cast


def administrators_of(role: Role) -> tuple[Role, Role]:
    """The system and the security administrator that manage a role (管理员): the province's for its own, else the city's."""
    if KIND_OF_ROLE[role] is TenantKind.PROVINCE:
        return Role.PROVINCE_SYSTEM_ADMINISTRATOR, Role.PROVINCE_SECURITY_ADMINISTRATOR
    return Role.CITY_SYSTEM_ADMINISTRATOR, Role.CITY_SECURITY_ADMINISTRATOR


async def open_account(cast: Cast, place: str, role: Role, *, issuer: str, subject: str, person: str) -> str:
    """Open an account at the province or city `place` that manages `role` (开户); its UUID."""
    system, _ = administrators_of(role)
    order = {"issuer": issuer, "subject": subject, "personId": person, "displayName": subject}
    opened = await cast.actor(place, system).do("accountOpen", "AccountOpenInput", order, "account { uuid }")
    return str(opened["account"]["uuid"])


async def grant_role(cast: Cast, place: str, tenant: str, role: Role, *, issuer: str, subject: str) -> str:
    """Propose and grant a role to an account that is open (授权); the account's UUID."""
    system, security = administrators_of(role)
    order = {"issuer": issuer, "subject": subject, "tenant": tenant, "role": role.name}
    proposed = await cast.actor(place, system).do("roleGrant", "RoleGrantInput", order, "accountId grant { id }")
    step = {"grant": proposed["grant"]["id"]}
    await cast.actor(place, security).do("roleGrantApprove", "RoleGrantStepInput", step, "grant { state }")
    return str(proposed["accountId"])
