"""Identity in the store (身份): issuers, keys, clients, grants, tokens taken back, failed sign-ins.

What is read and written at sign-in runs in the operator's role, before there is a tenant; everything an administrator does runs in
the administrator's own scope, which row level security repeats.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.identity import api_client, issuer_key, role_grant, token_issuer
from fenzhi.store.tables.registry import account, membership

FAILURES_MOST = 5
FAILURES_WITHIN_MIN = 15
"""So many failures within so many minutes lock an account or an address until they are older than that (锁定规则)."""


async def standing_of_token(
    uow: UnitOfWork, *, issuer: str, subject: str, tenant: str, role: str, client_id: str, token_id: str, address: str
) -> Row[Any] | None:
    """Everything that decides on a verified token, in one look (operator scope); none when there is no such account.

    `membership_id` is null where the account does not act in that role for that tenant. A client counts where it is registered for the
    tenant or one above it. An issuer that is registered for a province or an area vouches for memberships inside it only.
    """
    return await uow.first(
        text(
            f"""
            select a.account_id, a.person_id, a.token_epoch, a.is_locked,
              m.membership_id, m.province_id, m.area_id, m.county_id, m.hospital_id,
              exists (select from api_client c where c.issuer = a.issuer and c.client_id = :client_id and c.ended_at is null
                and (c.province_id is null or c.province_id = m.province_id) and (c.area_id is null or c.area_id = m.area_id)
                and (c.county_id is null or c.county_id = m.county_id)
                and (c.hospital_id is null or c.hospital_id = m.hospital_id)) as has_client,
              exists (select from token_denial d where d.issuer = a.issuer and d.token_id = :token_id) as is_denied,
              exists (select from token_issuer i where i.issuer = a.issuer and i.state = 'active'
                and (i.province_id is not null and i.province_id is distinct from m.province_id
                  or i.area_id is not null and i.area_id is distinct from m.area_id)) as is_beyond_issuer,
              (select count(*) from sign_in_failure f where f.account_id = a.account_id
                and f.happened_at > now() - interval '{FAILURES_WITHIN_MIN} minutes'
                and (a.failures_forgiven_at is null or f.happened_at > a.failures_forgiven_at)) as failures,
              (select count(*) from sign_in_failure f where f.address = :address
                and f.happened_at > now() - interval '{FAILURES_WITHIN_MIN} minutes') as failures_of_address
            from account a left join membership m on m.account_id = a.account_id and m.tenant = :tenant and m.role = :role
              and m.revoked_at is null
            where a.issuer = :issuer and a.subject = :subject
            """
        ),
        {
            "issuer": issuer,
            "subject": subject,
            "tenant": tenant,
            "role": role,
            "client_id": client_id,
            "token_id": token_id,
            "address": address,
        },
    )


async def note_failure(uow: UnitOfWork, *, account_id: uuid.UUID | None, address: str | None, reason: str) -> int:
    """Write one failure down, of an account or of an address; how many there are within the window. Older than a day goes."""
    await uow.execute(text("delete from sign_in_failure where happened_at < now() - interval '1 day'"))
    await uow.execute(
        text(
            "insert into sign_in_failure (failure_id, account_id, address, reason) values (:id, :account, :address, :reason)"
        ),
        {"id": new_id(), "account": account_id, "address": address, "reason": reason},
    )
    column = "account_id" if account_id is not None else "address"
    return int(
        await uow.scalar(
            text(
                f"select count(*) from sign_in_failure where {column} = :value "
                f"and happened_at > now() - interval '{FAILURES_WITHIN_MIN} minutes'"
            ),
            {"value": account_id if account_id is not None else address},
        )
    )


async def deny_token(uow: UnitOfWork, issuer: str, token_id: str, account_id: uuid.UUID, until: int) -> None:
    """Take a token back until it would have ended anyway (operator scope); ended ones are forgotten."""
    await uow.execute(text("delete from token_denial where until < now() - interval '1 hour'"))
    await uow.execute(
        text(
            "insert into token_denial (issuer, token_id, account_id, until) values (:issuer, :token, :account, to_timestamp(:until)) "
            "on conflict do nothing"
        ),
        {"issuer": issuer, "token": token_id, "account": account_id, "until": until},
    )


# Accounts and grants, in an administrator's scope


async def account_by_subject(uow: UnitOfWork, issuer: str, subject: str) -> Row[Any] | None:
    """An account of the scope by its name at the issuer."""
    return await uow.first(select(account).where(account.c.issuer == issuer, account.c.subject == subject))


async def account_by_id(uow: UnitOfWork, account_id: uuid.UUID) -> Row[Any] | None:
    """An account of the scope."""
    return await uow.first(select(account).where(account.c.account_id == account_id, *_own(uow, account)))


async def add_account(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID | None:
    """Open an account; none when the issuer's subject has one already, here or elsewhere."""
    account_id = new_id()
    touched = await uow.execute(
        upsert(account)
        .values(account_id=account_id, **row)
        .on_conflict_do_nothing(index_elements=["issuer", "subject"])
    )
    return account_id if touched else None


async def set_lock(uow: UnitOfWork, account_id: uuid.UUID, is_locked: bool) -> int:
    """Lock or unlock an account; unlocking forgives its failures. Every token of it is stale either way."""
    return await uow.execute(
        update(account)
        .where(account.c.account_id == account_id, *_own(uow, account))
        .values(is_locked=is_locked, token_epoch=account.c.token_epoch + 1)
        if is_locked
        else update(account)
        .where(account.c.account_id == account_id, *_own(uow, account))
        .values(is_locked=False, failures_forgiven_at=func.now())
    )


async def accounts(uow: UnitOfWork, after: str, limit: int) -> Sequence[Row[Any]]:
    """Accounts of the scope in order of key, one page after a key."""
    query = select(account).where(*_own(uow, account))
    if after:
        query = query.where(account.c.account_id > uuid.UUID(after))
    return await uow.rows(query.order_by(account.c.account_id).limit(limit))


async def memberships_of(uow: UnitOfWork, account_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """Live memberships of accounts of the scope."""
    return await uow.rows(
        select(membership)
        .where(membership.c.account_id.in_(account_ids), membership.c.revoked_at.is_(None), *_own(uow, membership))
        .order_by(membership.c.tenant, membership.c.role)
    )


async def live_roles_of_person(uow: UnitOfWork, person_id: uuid.UUID) -> Sequence[str]:
    """Roles that a person holds as far as the scope sees; the store's constraint sees all."""
    rows = await uow.rows(
        select(membership.c.role).where(membership.c.person_id == person_id, membership.c.revoked_at.is_(None))
    )
    return [row.role for row in rows]


async def add_grant(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    """Write a proposed role down."""
    grant_id = new_id()
    await uow.insert(role_grant, [{"grant_id": grant_id, "state": "proposed", **row}])
    return grant_id


async def grant_by_id(uow: UnitOfWork, grant_id: uuid.UUID) -> Row[Any] | None:
    """A proposed or decided role of the scope."""
    return await uow.first(select(role_grant).where(role_grant.c.grant_id == grant_id, *_own(uow, role_grant)))


async def decide_grant(uow: UnitOfWork, grant_id: uuid.UUID, state: str) -> int:
    """Move a proposed role on; 0 when it is not proposed any more."""
    return await uow.execute(
        update(role_grant)
        .where(role_grant.c.grant_id == grant_id, role_grant.c.state == "proposed", *_own(uow, role_grant))
        .values(
            state=state,
            decided_by=uuid.UUID(uow.scope.account_id),
            decided_by_person=uuid.UUID(uow.scope.person_id),
            decided_at=func.now(),
        )
    )


async def grants(uow: UnitOfWork, after: str, limit: int) -> Sequence[Row[Any]]:
    """Proposed and decided roles of the scope, newest first, one page before a key."""
    query = select(role_grant).where(*_own(uow, role_grant))
    if after:
        query = query.where(role_grant.c.grant_id < uuid.UUID(after))
    return await uow.rows(query.order_by(role_grant.c.grant_id.desc()).limit(limit))


async def add_client(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    """Register a client of a tenant."""
    client_key = new_id()
    await uow.execute(api_client.insert().values(client_key=client_key, **row))
    return client_key


async def ensure_client(uow: UnitOfWork, issuer: str, client_id: str, tenant: str, name: str) -> None:
    """Register a client for the whole platform once (operator scope)."""
    await uow.execute(
        upsert(api_client)
        .values(client_key=new_id(), issuer=issuer, client_id=client_id, tenant=tenant, name=name)
        .on_conflict_do_nothing(
            index_elements=["issuer", "client_id", "tenant"], index_where=api_client.c.ended_at.is_(None)
        )
    )


async def end_client(uow: UnitOfWork, client_key: uuid.UUID) -> int:
    """End a client; 0 when there is none in the scope."""
    return await uow.execute(
        update(api_client)
        .where(api_client.c.client_key == client_key, api_client.c.ended_at.is_(None), *_own(uow, api_client))
        .values(ended_at=func.now())
    )


async def clients(uow: UnitOfWork, after: str, limit: int) -> Sequence[Row[Any]]:
    """Clients of the scope in order of key, one page after a key."""
    query = select(api_client).where(*_own(uow, api_client))
    if after:
        query = query.where(api_client.c.client_key > uuid.UUID(after))
    return await uow.rows(query.order_by(api_client.c.client_key).limit(limit))


def _own(uow: UnitOfWork, table: Any) -> list[Any]:
    """The scope as a predicate: an area's rows, a province's own ones, or all for the operator."""
    scope = uow.scope
    if scope.area_id is not None:
        return [table.c.area_id == scope.area_id]
    if scope.province_id is not None:
        return [table.c.province_id == scope.province_id, table.c.area_id.is_(None)]
    return []


# Issuers and their keys, in the operator's scope


async def add_issuer(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    """Write a proposed issuer down."""
    issuer_id = new_id()
    await uow.execute(
        token_issuer.insert().values(
            issuer_id=issuer_id,
            proposed_by=uuid.UUID(uow.scope.account_id),
            proposed_by_person=uuid.UUID(uow.scope.person_id),
            **row,
        )
    )
    return issuer_id


async def issuer_by_id(uow: UnitOfWork, issuer_id: uuid.UUID) -> Row[Any] | None:
    """One issuer."""
    return await uow.first(select(token_issuer).where(token_issuer.c.issuer_id == issuer_id))


async def approve_issuer(uow: UnitOfWork, issuer_id: uuid.UUID) -> int:
    """Put a proposed issuer into use; 0 when it is not proposed."""
    return await uow.execute(
        update(token_issuer)
        .where(token_issuer.c.issuer_id == issuer_id, token_issuer.c.state == "proposed")
        .values(
            state="active",
            approved_by=uuid.UUID(uow.scope.account_id),
            approved_by_person=uuid.UUID(uow.scope.person_id),
            approved_at=func.now(),
        )
    )


async def end_issuer(uow: UnitOfWork, issuer_id: uuid.UUID) -> int:
    """End an issuer; 0 when it has ended or is none."""
    return await uow.execute(
        update(token_issuer)
        .where(token_issuer.c.issuer_id == issuer_id, token_issuer.c.state != "ended")
        .values(state="ended", ended_at=func.now())
    )


async def issuers(uow: UnitOfWork, only_active: bool = False) -> Sequence[Row[Any]]:
    """Issuers in order of registration."""
    query = select(token_issuer)
    if only_active:
        query = query.where(token_issuer.c.state == "active")
    return await uow.rows(query.order_by(token_issuer.c.issuer_id))


async def remember_keys(uow: UnitOfWork, issuer: str, keys: Mapping[str, str]) -> tuple[datetime, Sequence[Row[Any]]]:
    """Note the keys (thumbprint → key id) that an issuer publishes now; the database's time, and when each was first seen and used."""
    for thumbprint, key_id in keys.items():
        await uow.execute(
            upsert(issuer_key)
            .values(issuer=issuer, thumbprint=thumbprint, key_id=key_id)
            .on_conflict_do_nothing(index_elements=["issuer", "thumbprint"])
        )
    rows = await uow.rows(select(issuer_key).where(issuer_key.c.issuer == issuer))
    return await uow.now(), rows


async def note_key_used(uow: UnitOfWork, issuer: str, thumbprint: str) -> None:
    """Note the first token that a key verified."""
    await uow.execute(
        update(issuer_key)
        .where(
            issuer_key.c.issuer == issuer, issuer_key.c.thumbprint == thumbprint, issuer_key.c.first_used_at.is_(None)
        )
        .values(first_used_at=func.now())
    )


async def count_operators(uow: UnitOfWork, issuer: str) -> int:
    """How many accounts of an issuer are operators (operator scope)."""
    return int(
        await uow.scalar(
            select(func.count())
            .select_from(membership.join(account, account.c.account_id == membership.c.account_id))
            .where(membership.c.role == "operator_admin", membership.c.revoked_at.is_(None), account.c.issuer == issuer)
        )
    )


async def client_by_key(uow: UnitOfWork, client_key: uuid.UUID) -> Row[Any] | None:
    """A client of the scope."""
    return await uow.first(select(api_client).where(api_client.c.client_key == client_key, *_own(uow, api_client)))
