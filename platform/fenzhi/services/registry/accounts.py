"""Accounts and memberships (账号与成员资格): who a token's subject is, looked up for every request."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from fenzhi.access.roles import KIND_OF_ROLE, Duty, Role, TenantKind
from fenzhi.access.scope import AUTHENTICATION_SCOPE, DatabaseRole, Scope
from fenzhi.access.subject import Subject
from fenzhi.access.tokens import Claims, Unauthenticated
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.store.repositories import registry
from fenzhi.store.session import Database, UnitOfWork

DEVELOPMENT_ISSUER = "fenzhi-development"
OPERATOR_TENANT = "operator"
_SEEN_FOR_S = 5.0
_SEEN_MOST = 10_000


async def subject_of(database: Database, claims: Claims) -> Subject:
    """The subject of a verified token (识别访问主体).

    Raises: Unauthenticated when the account is unknown or locked, the membership is gone, or the token is of an older epoch.
    """
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        row = await registry.standing_of_account(uow, claims.issuer, claims.subject, claims.tenant, claims.role)
        if row is None or row.is_locked or row.token_epoch != claims.epoch:
            raise Unauthenticated("membership")
        role = Role(claims.role)
        kind = KIND_OF_ROLE[role]
        area_ids: tuple[int, ...] = ()
        is_delegated = False
        if kind is TenantKind.PROVINCE and row.province_id is not None:
            area_ids = await registry.areas_of_province(uow, row.province_id)
        if kind is TenantKind.COUNTY:
            found = await registry.county_by_code(uow, claims.tenant)
            is_delegated = bool(found and found.is_delegated)
        return Subject(
            account_id=str(row.account_id),
            person_id=str(row.person_id),
            client_id=claims.client_id,
            role=role,
            tenant=claims.tenant,
            tenant_kind=kind,
            province_id=row.province_id,
            area_id=row.area_id,
            county_id=row.county_id,
            hospital_id=row.hospital_id,
            area_ids=area_ids,
            is_delegated=is_delegated,
            is_sandbox=await registry.is_sandbox(uow, row.province_id),
        )


class SubjectCache:
    """Subjects seen in the last few seconds (访问主体缓存), so that a burst of requests costs one look-up.

    A revocation takes effect within 5 s; keyed by everything the look-up depends on, the epoch included.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str, str, int], tuple[float, Subject]] = OrderedDict()

    async def subject_of(self, database: Database, claims: Claims) -> Subject:
        """As `subject_of`, from memory when fresh."""
        key = (claims.issuer, claims.subject, claims.tenant, claims.role, claims.epoch)
        now = time.monotonic()
        held = self._seen.get(key)
        if held is not None and now - held[0] < _SEEN_FOR_S:
            return held[1]
        subject = await subject_of(database, claims)
        self._seen[key] = (now, subject)
        self._seen.move_to_end(key)
        while len(self._seen) > _SEEN_MOST:
            self._seen.popitem(last=False)
        return subject


@dataclass(frozen=True, slots=True)
class GrantRole:
    """An order to let an account act in a role for a tenant (授权)."""

    issuer: str
    subject: str
    person_id: str
    display_name: str
    tenant: str
    role: Role


async def _tenant_row(uow: UnitOfWork, tenant: str, kind: TenantKind) -> dict[str, object]:
    """The ids of a tenant by code, as a membership carries them."""
    ids: dict[str, object] = {"province_id": None, "area_id": None, "county_id": None, "hospital_id": None}
    if kind is TenantKind.OPERATOR:
        return ids
    finders = {
        TenantKind.PROVINCE: registry.province_by_code,
        TenantKind.CITY: registry.area_by_code,
        TenantKind.COUNTY: registry.county_by_code,
        TenantKind.HOSPITAL: registry.hospital_by_code,
    }
    row = await finders[kind](uow, tenant)
    if row is None:
        raise NotFound(f"没有该租户：{tenant}。", f"No such tenant: {tenant}.")
    found = row._mapping
    return {name: found.get(name) for name in ids}


async def grant_role(platform: Platform, operator: Subject, request: Request, order: GrantRole) -> Answer:
    """Let an account act in a role for a tenant (授权). Changes: account, membership. Raises: NotFound, Forbidden."""
    kind = KIND_OF_ROLE[order.role]

    async def effect(uow: UnitOfWork) -> Answer:
        ids = await _tenant_row(uow, order.tenant, kind)
        if order.role is Role.INTEGRATION_DEVELOPER and not await registry.is_sandbox(uow, ids["province_id"]):
            raise Conflict(
                "接口开发角色只可授予沙箱租户。",
                "Integration developers live in a sandbox tenant only.",
                code="SANDBOX_ONLY",
            )
        account_id = await registry.ensure_account(
            uow, order.issuer, order.subject, uuid.UUID(order.person_id), order.display_name
        )
        await registry.grant(
            uow,
            {
                "account_id": account_id,
                "role": order.role.value,
                "tenant": order.tenant,
                "tenant_kind": kind.value,
                **ids,
            },
        )
        return {"type": "Account", "id": str(account_id)}

    return await act(platform, operator, Duty.ONBOARD_TENANTS, request, effect)


async def revoke_role(
    platform: Platform, operator: Subject, request: Request, account_id: uuid.UUID, tenant: str, role: Role
) -> Answer:
    """End a role (撤销授权); every token of the account is stale at once. Changes: membership, account."""

    async def effect(uow: UnitOfWork) -> Answer:
        if await registry.revoke(uow, account_id, tenant, role.value) == 0:
            raise NotFound("没有该授权。", "No such grant.")
        return {"type": "Account", "id": str(account_id)}

    return await act(platform, operator, Duty.ONBOARD_TENANTS, request, effect)


def development_subject(tenant: str, role: Role) -> str:
    """The subject name of a tenant's development account (开发账号名)."""
    return f"dev:{tenant}:{role.value}"


async def make_development_accounts(uow: UnitOfWork, tenant: str, kind: TenantKind) -> None:
    """One account and one person for each role of a new tenant (开发账号); only in development. Operator scope."""
    ids = await _tenant_row(uow, tenant, kind)
    is_sandbox = await registry.is_sandbox(uow, ids["province_id"])
    for role, level in KIND_OF_ROLE.items():
        if level is not kind or (role is Role.INTEGRATION_DEVELOPER and not is_sandbox):
            continue
        name = development_subject(tenant, role)
        person = uuid.uuid5(uuid.NAMESPACE_URL, f"fenzhi:{name}")
        account_id = await registry.ensure_account(uow, DEVELOPMENT_ISSUER, name, person, name)
        await registry.grant(
            uow, {"account_id": account_id, "role": role.value, "tenant": tenant, "tenant_kind": kind.value, **ids}
        )


async def ensure_operator(database: Database) -> None:
    """The development operator's account (运营管理员账号), made once. For the development issuer only."""
    scope = Scope(role=DatabaseRole.OPERATOR, tenant=OPERATOR_TENANT)
    async with database.unit_of_work(scope) as uow:
        await make_development_accounts(uow, OPERATOR_TENANT, TenantKind.OPERATOR)


async def development_account(database: Database, tenant: str, role: Role) -> tuple[str, int]:
    """Subject and token epoch of a tenant's development account (开发账号). Raises: NotFound, Conflict for a role of another level."""
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        subject = development_subject(tenant, role)
        row = await registry.standing_of_account(uow, DEVELOPMENT_ISSUER, subject, tenant, role.value)
        if row is None:
            if tenant != OPERATOR_TENANT and await registry.tenant_exists(uow, tenant):
                raise Conflict(
                    f"租户 {tenant} 没有角色 {role}。",
                    f"Tenant {tenant} has no role {role}.",
                    code="ROLE_OF_ANOTHER_LEVEL",
                )
            raise NotFound(f"没有该租户：{tenant}。", f"No such tenant: {tenant}.")
        return subject, int(row.token_epoch)


async def tenants(database: Database) -> list[dict[str, str]]:
    """Every tenant with kind and parent (租户清单), for the operator's command line."""
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        rows = await registry.tenants(uow)
    operator = {"code": OPERATOR_TENANT, "name": "平台运营", "kind": "operator", "parent": ""}
    return [operator] + [{"code": r.code, "name": r.name, "kind": r.kind, "parent": r.parent} for r in rows]
