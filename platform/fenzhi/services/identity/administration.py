"""Accounts and roles (账号与授权): the system administrator opens, the security administrator grants, locks and unlocks.

A role with power over money, law or others takes two persons: one proposes it, a security administrator (or operator) grants it.
Taking away takes one person and works at once.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import KIND_OF_ROLE, POWER_ROLES, Duty, Role
from fenzhi.access.scope import AUTHENTICATION_SCOPE, DatabaseRole
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.identity.reach import (
    home_of,
    may_manage,
    refuse_faults,
    require_exclusive,
    tenant_ids,
    text_fault,
)
from fenzhi.store.repositories import identity, registry
from fenzhi.store.session import Database, UnitOfWork


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An order to open an account (开户单): the issuer's subject and the natural person behind it."""

    issuer: str
    subject: str
    person_id: uuid.UUID
    display_name: str


@dataclass(frozen=True, slots=True)
class NewRole:
    """An order to let an account act in a role for a tenant (授权单)."""

    issuer: str
    subject: str
    tenant: str
    role: Role


def no_such_account() -> NotFound:
    """What an account of another area and no account are both answered (无此账号)."""
    return NotFound("没有该账号。", "No such account.", code="ACCOUNT_NOT_FOUND")


async def open_account(platform: Platform, administrator: Subject, request: Request, order: NewAccount) -> Answer:
    """Open an account without any role (开通账号). Changes: account. Raises: Forbidden, DataRefused, Conflict ACCOUNT_TAKEN."""
    administrator.scope_for(Duty.OPEN_ACCOUNTS)
    refuse_faults(
        text_fault("issuer", order.issuer, 200),
        text_fault("subject", order.subject, 200),
        text_fault("displayName", order.display_name, 200),
    )

    async def effect(uow: UnitOfWork) -> Answer:
        row = {
            "issuer": order.issuer,
            "subject": order.subject,
            "person_id": order.person_id,
            "display_name": order.display_name,
            **home_of(administrator),
        }
        account_id = await identity.add_account(uow, row)
        if account_id is None:
            raise Conflict(
                "该签发方的此主体已有账号。",
                "This subject of the issuer has an account already.",
                code="ACCOUNT_TAKEN",
                hint="使用已有账号，或请其所在机构撤销 / use the account there is, or have its owner give it up",
            )
        return {"type": "Account", "id": str(account_id)}

    return await act(platform, administrator, Duty.OPEN_ACCOUNTS, request, effect)


async def propose_role(platform: Platform, administrator: Subject, request: Request, order: NewRole) -> Answer:
    """Propose a role for an account; a security administrator's proposal of a role without power is granted at once (提请授权).

    Changes: role_grant, and membership where granted. Raises: Forbidden, NotFound, Conflict ROLE_NOT_MANAGED or SANDBOX_ONLY,
    RoleExclusive.
    """
    administrator.scope_for(Duty.PROPOSE_ROLES)
    may_manage(administrator, order.role)
    kind = KIND_OF_ROLE[order.role]
    is_granted = administrator.may(Duty.GRANT_ROLES) and order.role not in POWER_ROLES

    async def effect(uow: UnitOfWork) -> Answer:
        ids = await tenant_ids(uow, administrator, order.tenant, kind)
        if order.role is Role.INTEGRATION_DEVELOPER and not await registry.is_sandbox(uow, ids["province_id"]):
            raise Conflict(
                "接口开发角色只可授予沙箱租户。",
                "Integration developers live in a sandbox tenant only.",
                code="SANDBOX_ONLY",
            )
        account = await identity.account_by_subject(uow, order.issuer, order.subject)
        if account is None:
            raise no_such_account()
        await require_exclusive(uow, account.person_id, order.role)
        row = {
            "account_id": account.account_id,
            "role": order.role.value,
            "tenant": order.tenant,
            "tenant_kind": kind.value,
            **ids,
        }
        if is_granted:
            await registry.grant(uow, row)
            return {"type": "Account", "id": str(account.account_id), "grant": ""}
        proposed = {
            "proposed_by": uuid.UUID(uow.scope.account_id),
            "proposed_by_person": uuid.UUID(uow.scope.person_id),
        }
        grant_id = await identity.add_grant(uow, row | proposed)
        return {"type": "Account", "id": str(account.account_id), "grant": str(grant_id)}

    duty = Duty.GRANT_ROLES if is_granted else Duty.PROPOSE_ROLES
    return await act(platform, administrator, duty, request, effect)


async def decide_role(
    platform: Platform, administrator: Subject, request: Request, grant_id: uuid.UUID, *, is_granted: bool
) -> Answer:
    """Grant or reject a proposed role (审批授权); granting takes another natural person than the proposer and the receiver.

    Changes: role_grant, membership. Raises: Forbidden, NotFound, SamePerson, RoleExclusive, Conflict GRANT_DECIDED.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        proposed = await identity.grant_by_id(uow, grant_id)
        if proposed is None:
            raise NotFound("没有该授权申请。", "No such proposed role.", code="GRANT_NOT_FOUND")
        role = Role(proposed.role)
        may_manage(administrator, role)
        account = await identity.account_by_id(uow, proposed.account_id)
        if account is None:
            raise no_such_account()
        if is_granted:
            require_second_person(str(proposed.proposed_by_person), uow.scope.person_id)
            require_second_person(str(account.person_id), uow.scope.person_id)
        if await identity.decide_grant(uow, grant_id, "granted" if is_granted else "rejected") == 0:
            raise Conflict("该授权申请已处理。", "This proposed role was decided already.", code="GRANT_DECIDED")
        if is_granted:
            await require_exclusive(uow, account.person_id, role)
            await registry.grant(uow, _membership(proposed))
        return {"type": "RoleGrant", "id": str(grant_id)}

    return await act(platform, administrator, Duty.GRANT_ROLES, request, effect)


def _membership(proposed: Row[Any]) -> dict[str, Any]:
    names = (
        "account_id",
        "role",
        "tenant",
        "tenant_kind",
        "province_id",
        "area_id",
        "county_id",
        "hospital_id",
    )
    return {name: getattr(proposed, name) for name in names}


async def revoke_role(
    platform: Platform, administrator: Subject, request: Request, account_id: uuid.UUID, tenant: str, role: Role
) -> Answer:
    """End a role (撤销授权); every token of the account is stale at once. Changes: membership, account. Raises: NotFound, Forbidden."""
    administrator.scope_for(Duty.GRANT_ROLES)
    may_manage(administrator, role)

    async def effect(uow: UnitOfWork) -> Answer:
        if await registry.revoke(uow, account_id, tenant, role.value) == 0:
            raise NotFound("没有该授权。", "No such grant.")
        return {"type": "Account", "id": str(account_id)}

    return await act(platform, administrator, Duty.GRANT_ROLES, request, effect)


async def set_lock(
    platform: Platform, administrator: Subject, request: Request, account_id: uuid.UUID, *, is_locked: bool
) -> Answer:
    """Lock an account, which makes its tokens stale, or unlock it, which forgives its failures (锁定、解锁). Raises: NotFound, Forbidden."""

    async def effect(uow: UnitOfWork) -> Answer:
        if await identity.set_lock(uow, account_id, is_locked) == 0:
            raise no_such_account()
        return {"type": "Account", "id": str(account_id)}

    return await act(platform, administrator, Duty.GRANT_ROLES, request, effect)


async def sign_out(platform: Platform, subject: Subject, request: Request) -> Answer:
    """Take the caller's own token back before its end (注销令牌). Changes: token_denial."""

    async def effect(uow: UnitOfWork) -> Answer:
        async with uow.as_role(DatabaseRole.OPERATOR):
            await identity.deny_token(
                uow, subject.issuer, subject.token_id, uuid.UUID(subject.account_id), subject.expires_at
            )
        return {"type": "Account", "id": subject.account_id}

    return await act(platform, subject, Duty.SIGN_OUT, request, effect)


async def add_first_operator(database: Database, order: NewAccount, client_id: str) -> None:
    """Make the first operators of a new platform, from the machine itself (首任平台运营): account, role and client.

    Two at most: from then on operators are granted by operators. Raises: Conflict OPERATORS_EXIST, RoleExclusive by the store.
    """
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        if await identity.count_operators(uow, order.issuer) >= 2:
            raise Conflict(
                "平台已有两名运营人员，其余由其相互授权。",
                "There are two operators already; they grant the role to others.",
                code="OPERATORS_EXIST",
            )
        account_id = await registry.ensure_account(
            uow, order.issuer, order.subject, order.person_id, order.display_name
        )
        row = {"account_id": account_id, "role": Role.OPERATOR_ADMIN.value, "tenant": "operator"}
        await registry.grant(uow, row | {"tenant_kind": "operator"})
        await identity.ensure_client(uow, order.issuer, client_id, "operator", client_id)
