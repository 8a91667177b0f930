"""Looking accounts, grants, clients and issuers up (身份查询), within the administrator's reach."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import identity


@dataclass(frozen=True, slots=True)
class MembershipView:
    """A role of an account in a tenant (成员资格)."""

    tenant: str
    role: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as its administrators see it (账号)."""

    account_id: uuid.UUID
    issuer: str
    subject: str
    person_id: uuid.UUID
    display_name: str
    is_locked: bool
    memberships: tuple[MembershipView, ...]


@dataclass(frozen=True, slots=True)
class GrantView:
    """A proposed or decided role (授权申请)."""

    grant_id: uuid.UUID
    account_id: uuid.UUID
    tenant: str
    role: str
    state: str
    proposed_by: uuid.UUID
    proposed_at: datetime
    decided_by: uuid.UUID | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClientView:
    """A registered client (客户端)."""

    client_key: uuid.UUID
    issuer: str
    client_id: str
    name: str
    tenant: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuerView:
    """A registered issuer (签发方)."""

    issuer_id: uuid.UUID
    issuer: str
    keys_url: str
    audience: str
    tenant: str
    factor_methods: tuple[str, ...]
    factor_classes: tuple[str, ...]
    state: str


async def accounts(platform: Platform, administrator: Subject, after: str, limit: int) -> Sequence[AccountView]:
    """One page of the accounts within reach, in order of key (账号列表)."""
    async with looking(platform, administrator, Duty.READ_ACCOUNTS) as uow:
        rows = await identity.accounts(uow, after, limit)
        held = await identity.memberships_of(uow, [row.account_id for row in rows])
    return [_account(row, held) for row in rows]


async def account(platform: Platform, administrator: Subject, account_id: uuid.UUID) -> AccountView | None:
    """One account within reach, or none (账号)."""
    async with looking(platform, administrator, Duty.READ_ACCOUNTS) as uow:
        row = await identity.account_by_id(uow, account_id)
        held = await identity.memberships_of(uow, [account_id])
    return None if row is None else _account(row, held)


def _account(row: Row[Any], held: Sequence[Row[Any]]) -> AccountView:
    return AccountView(
        row.account_id,
        row.issuer,
        row.subject,
        row.person_id,
        row.display_name,
        row.is_locked,
        tuple(MembershipView(m.tenant, m.role, m.recorded_at) for m in held if m.account_id == row.account_id),
    )


async def grants(platform: Platform, administrator: Subject, after: str, limit: int) -> Sequence[GrantView]:
    """One page of the proposed and decided roles within reach, newest first (授权申请列表)."""
    async with looking(platform, administrator, Duty.READ_ACCOUNTS) as uow:
        return [_grant(row) for row in await identity.grants(uow, after, limit)]


async def grant(platform: Platform, administrator: Subject, grant_id: uuid.UUID) -> GrantView | None:
    """One proposed or decided role within reach, or none (授权申请)."""
    async with looking(platform, administrator, Duty.READ_ACCOUNTS) as uow:
        row = await identity.grant_by_id(uow, grant_id)
    return None if row is None else _grant(row)


def _grant(row: Row[Any]) -> GrantView:
    return GrantView(
        row.grant_id,
        row.account_id,
        row.tenant,
        row.role,
        row.state,
        row.proposed_by,
        row.recorded_at,
        row.decided_by,
        row.decided_at,
    )


async def clients(platform: Platform, administrator: Subject, after: str, limit: int) -> Sequence[ClientView]:
    """One page of the clients within reach, in order of key (客户端列表)."""
    async with looking(platform, administrator, Duty.READ_ACCOUNTS) as uow:
        rows = await identity.clients(uow, after, limit)
    return [ClientView(r.client_key, r.issuer, r.client_id, r.name, r.tenant, r.ended_at) for r in rows]


async def client(platform: Platform, administrator: Subject, client_key: uuid.UUID) -> ClientView | None:
    """One client within reach, or none (客户端)."""
    async with looking(platform, administrator, Duty.READ_ACCOUNTS) as uow:
        row = await identity.client_by_key(uow, client_key)
    if row is None:
        return None
    return ClientView(row.client_key, row.issuer, row.client_id, row.name, row.tenant, row.ended_at)


async def issuers(platform: Platform, operator: Subject) -> Sequence[IssuerView]:
    """Every registered issuer (签发方列表), for the operator. Raises: Forbidden."""
    async with looking(platform, operator, Duty.ONBOARD_TENANTS) as uow:
        rows = await identity.issuers(uow)
    return [
        IssuerView(
            r.issuer_id,
            r.issuer,
            r.keys_url,
            r.audience,
            r.tenant,
            tuple(r.factor_methods),
            tuple(r.factor_classes),
            r.state,
        )
        for r in rows
    ]
