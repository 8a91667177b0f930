"""Accounts and memberships (账号与成员资格): who a token's subject is, looked up for every request."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import ADMINISTRATORS, KIND_OF_ROLE, Role, TenantKind
from fenzhi.access.scope import AUTHENTICATION_SCOPE, DatabaseRole, Scope
from fenzhi.access.subject import Subject
from fenzhi.access.tokens import Claims, Unauthenticated
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.services.identity.failures import LockedOut, note_account_failure
from fenzhi.store.repositories import identity, registry
from fenzhi.store.session import Database, UnitOfWork

DEVELOPMENT_ISSUER = "fenzhi-development"
DEVELOPMENT_CLIENT = "fenzhi-cli"
OPERATOR_TENANT = "operator"
NOBODY = "no account"
"""Why a genuine token of somebody without an account is refused."""
_SEEN_FOR_S = 5.0
_SEEN_MOST = 10_000


async def subject_of(database: Database, claims: Claims, address: str = "") -> Subject:
    """The subject of a verified token (识别访问主体).

    Raises: Unauthenticated when the account is unknown or locked, the membership is gone, the client is not registered for the tenant, the
    issuer does not vouch for it, the token was signed out or is of an older epoch; LockedOut after too many failures of the account or
    from the address. A role or client that a genuine token asks for and has not is a failure of its account.
    """
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        row = await identity.standing_of_token(
            uow,
            issuer=claims.issuer,
            subject=claims.subject,
            tenant=claims.tenant,
            role=claims.role,
            client_id=claims.client_id,
            token_id=claims.token_id,
            address=address,
        )
        if row is None:
            raise Unauthenticated(NOBODY)
        if max(row.failures, row.failures_of_address) >= identity.FAILURES_MOST:
            raise LockedOut
        if row.is_locked or row.is_denied or row.token_epoch != claims.epoch:
            raise Unauthenticated("taken back")
        subject = await _subject(uow, claims, row)
    if subject is None:
        await note_account_failure(database, str(row.account_id), "membership")
        raise Unauthenticated("membership")
    return subject


async def _subject(uow: UnitOfWork, claims: Claims, row: Row[Any]) -> Subject | None:
    """The subject, or none where membership, client or issuer do not carry the token."""
    if row.membership_id is None or row.is_beyond_issuer or not row.has_client:
        return None
    role = Role(claims.role)
    kind = KIND_OF_ROLE[role]
    area_ids: tuple[int, ...] = ()
    if kind is TenantKind.PROVINCE and row.province_id is not None:
        area_ids = await registry.areas_of_province(uow, row.province_id)
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
        is_sandbox=await registry.is_sandbox(uow, row.province_id),
        has_second_factor=claims.has_second_factor,
        issuer=claims.issuer,
        token_id=claims.token_id,
        expires_at=claims.expires_at,
    )


class SubjectCache:
    """Subjects seen in the last few seconds (访问主体缓存), so that a burst of requests costs one look-up.

    A revocation takes effect within 5 s; keyed by the whole token and the address it comes from.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[Claims, str], tuple[float, Subject]] = OrderedDict()

    async def subject_of(self, database: Database, claims: Claims, address: str = "") -> Subject:
        """As `subject_of`, from memory when fresh."""
        key = (claims, address)
        now = time.monotonic()
        held = self._seen.get(key)
        if held is not None and now - held[0] < _SEEN_FOR_S:
            return held[1]
        self._seen.pop(key, None)
        subject = await subject_of(database, claims, address)
        self._seen[key] = (now, subject)
        while len(self._seen) > _SEEN_MOST:
            self._seen.popitem(last=False)
        return subject


async def ids_of_tenant(uow: UnitOfWork, tenant: str, kind: TenantKind) -> dict[str, object]:
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


def development_subject(tenant: str, role: Role) -> str:
    """The subject name of a tenant's development account (开发账号名)."""
    return f"dev:{tenant}:{role.value}"


async def make_development_accounts(uow: UnitOfWork, tenant: str, kind: TenantKind) -> None:
    """One account and one person for each role of a new tenant (开发账号); only in development. Operator scope."""
    ids = await ids_of_tenant(uow, tenant, kind)
    is_sandbox = await registry.is_sandbox(uow, ids["province_id"])
    for role, level in KIND_OF_ROLE.items():
        if level is not kind or (role is Role.INTEGRATION_DEVELOPER and not is_sandbox):
            continue
        name = development_subject(tenant, role)
        person = uuid.uuid5(uuid.NAMESPACE_URL, f"fenzhi:{name}")
        # Administrators are the operator's to manage, everybody else their own area's.
        home = {} if role in ADMINISTRATORS else {"province_id": ids["province_id"], "area_id": ids["area_id"]}
        account_id = await registry.ensure_account(uow, DEVELOPMENT_ISSUER, name, person, name, home)
        await registry.grant(
            uow, {"account_id": account_id, "role": role.value, "tenant": tenant, "tenant_kind": kind.value, **ids}
        )


async def ensure_operator(database: Database) -> None:
    """The development operator's account (运营管理员账号), made once. For the development issuer only."""
    scope = Scope(role=DatabaseRole.OPERATOR, tenant=OPERATOR_TENANT)
    async with database.unit_of_work(scope) as uow:
        await make_development_accounts(uow, OPERATOR_TENANT, TenantKind.OPERATOR)
        await identity.ensure_client(uow, DEVELOPMENT_ISSUER, DEVELOPMENT_CLIENT, OPERATOR_TENANT, DEVELOPMENT_CLIENT)


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
                    hint=f"角色 {role} 属于 {KIND_OF_ROLE[role]} 级租户；fenzhi tenants 列出全部 / that role belongs to a {KIND_OF_ROLE[role]}",
                )
            hint = "fenzhi tenants 列出全部租户 / lists every tenant"
            raise NotFound(f"没有该租户：{tenant}。", f"No such tenant: {tenant}.", hint=hint)
        return subject, int(row.token_epoch)


async def tenants(database: Database) -> list[dict[str, str]]:
    """Every tenant with kind and parent (租户清单), for the operator's command line."""
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        rows = await registry.tenants(uow)
    operator = {"code": OPERATOR_TENANT, "name": "平台运营", "kind": "operator", "parent": ""}
    return [operator] + [{"code": r.code, "name": r.name, "kind": r.kind, "parent": r.parent} for r in rows]
