"""Registry in the store (机构登记)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.registry import (
    account,
    agreement,
    county,
    hospital,
    hospital_coefficient,
    hospital_standing,
    membership,
    pooling_area,
    province,
    tenant_number,
)


async def next_number(uow: UnitOfWork, tenant: str, kind: str) -> int:
    """A surrogate number for a new tenant, never given twice."""
    return int(
        await uow.scalar(insert(tenant_number).values(tenant=tenant, kind=kind).returning(tenant_number.c.number))
    )


async def tenant_exists(uow: UnitOfWork, tenant: str) -> bool:
    """Whether a tenant code is taken (operator scope)."""
    return await uow.first(select(tenant_number.c.number).where(tenant_number.c.tenant == tenant)) is not None


async def add_province(uow: UnitOfWork, code: str, name: str, is_sandbox: bool) -> int:
    number = await next_number(uow, code, "province")
    await uow.insert(province, [{"province_id": number, "code": code, "name": name, "is_sandbox": is_sandbox}])
    return number


async def add_area(uow: UnitOfWork, province_id: int, code: str, name: str, kind: str, years: tuple[int, int]) -> int:
    number = await next_number(uow, code, "city")
    await uow.insert(
        pooling_area, [{"area_id": number, "province_id": province_id, "code": code, "name": name, "kind": kind}]
    )
    await uow.scalar(text("select fenzhi_ensure_area(:a, :f, :t)"), {"a": number, "f": years[0], "t": years[1]})
    return number


async def province_level_area(uow: UnitOfWork, province_id: int) -> str | None:
    """The code of the area whose fund the province itself holds, or none; whoever else is opening one waits until this transaction ends."""
    await uow.scalar(
        text("select pg_advisory_xact_lock(hashtextextended('fenzhi.province_level', :p))"), {"p": province_id}
    )
    c = pooling_area.c
    found = await uow.scalar(select(c.code).where(c.province_id == province_id, c.kind == "province"))
    return None if found is None else str(found)


async def add_county(uow: UnitOfWork, area_id: int, province_id: int, code: str, name: str, is_delegated: bool) -> int:
    number = await next_number(uow, code, "county")
    row = {"county_id": number, "area_id": area_id, "province_id": province_id, "code": code, "name": name}
    await uow.insert(county, [row | {"is_delegated": is_delegated}])
    return number


async def add_hospital(
    uow: UnitOfWork, area_id: int, county_id: int | None, province_id: int, code: str, name: str
) -> int:
    number = await next_number(uow, code, "hospital")
    row = {"hospital_id": number, "area_id": area_id, "county_id": county_id, "province_id": province_id}
    await uow.insert(hospital, [row | {"code": code, "name": name}])
    return number


async def province_by_code(uow: UnitOfWork, code: str) -> Row[Any] | None:
    return await uow.first(select(province).where(province.c.code == code))


async def is_sandbox(uow: UnitOfWork, province_id: object) -> bool:
    """Whether a province is a sandbox without real data."""
    return bool(await uow.scalar(select(province.c.is_sandbox).where(province.c.province_id == province_id)))


async def area_by_code(uow: UnitOfWork, code: str) -> Row[Any] | None:
    return await uow.first(select(pooling_area).where(pooling_area.c.code == code))


async def county_by_code(uow: UnitOfWork, code: str) -> Row[Any] | None:
    return await uow.first(select(county).where(county.c.code == code))


async def hospital_by_code(uow: UnitOfWork, code: str) -> Row[Any] | None:
    return await uow.first(select(hospital).where(hospital.c.code == code))


async def tenants(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Every tenant with its parent's code (operator scope)."""
    return await uow.rows(
        text(
            """
            select code, name, 'province' as kind, 'operator' as parent from province
            union all select a.code, a.name, 'city', p.code from pooling_area a join province p using (province_id)
            union all select c.code, c.name, 'county', a.code from county c join pooling_area a using (area_id)
            union all select h.code, h.name, 'hospital', coalesce(c.code, a.code)
              from hospital h join pooling_area a using (area_id) left join county c on c.county_id = h.county_id
            order by 3 desc, 1
            """
        )
    )


async def areas_of_province(uow: UnitOfWork, province_id: int) -> tuple[int, ...]:
    rows = await uow.rows(
        select(pooling_area.c.area_id).where(pooling_area.c.province_id == province_id).order_by(pooling_area.c.area_id)
    )
    return tuple(row.area_id for row in rows)


async def ensure_account(
    uow: UnitOfWork,
    issuer: str,
    subject: str,
    person_id: uuid.UUID,
    display_name: str,
    home: Mapping[str, Any] | None = None,
) -> uuid.UUID:
    """The account of a subject of an issuer, made when it is new."""
    await uow.execute(
        upsert(account)
        .values(
            account_id=new_id(),
            issuer=issuer,
            subject=subject,
            person_id=person_id,
            display_name=display_name,
            **(home or {}),
        )
        .on_conflict_do_nothing(index_elements=["issuer", "subject"])
    )
    found = await uow.scalar(
        select(account.c.account_id).where(account.c.issuer == issuer, account.c.subject == subject)
    )
    return found  # type: ignore[no-any-return]


async def grant(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    """Give an account a role in a tenant; a live grant stays as it is."""
    await uow.execute(
        upsert(membership)
        .values(membership_id=new_id(), **row)
        .on_conflict_do_nothing(
            index_elements=["account_id", "tenant", "role"], index_where=membership.c.revoked_at.is_(None)
        )
    )


async def revoke(uow: UnitOfWork, account_id: uuid.UUID, tenant: str, role: str) -> int:
    """End a grant and make every token of the account stale."""
    touched = await uow.execute(
        update(membership)
        .where(
            membership.c.account_id == account_id,
            membership.c.tenant == tenant,
            membership.c.role == role,
            membership.c.revoked_at.is_(None),
        )
        .values(revoked_at=func.now())
    )
    await uow.execute(
        update(account).where(account.c.account_id == account_id).values(token_epoch=account.c.token_epoch + 1)
    )
    return touched


async def standing_of_account(uow: UnitOfWork, issuer: str, subject: str, tenant: str, role: str) -> Row[Any] | None:
    """The account and its live membership in a tenant and role (operator scope); none when there is no such pair."""
    return await uow.first(
        select(
            account, membership.c.province_id, membership.c.area_id, membership.c.county_id, membership.c.hospital_id
        )
        .join(membership, membership.c.account_id == account.c.account_id)
        .where(
            account.c.issuer == issuer,
            account.c.subject == subject,
            membership.c.tenant == tenant,
            membership.c.role == role,
            membership.c.revoked_at.is_(None),
        )
    )


async def add_standing(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(hospital_standing, [{"standing_id": new_id(), **row}])


async def add_coefficient(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(hospital_coefficient, [{"coefficient_id": new_id(), **row}])


async def add_agreement(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(agreement, [{"agreement_id": new_id(), **row}])


async def hospitals(uow: UnitOfWork, after: int, limit: int) -> Sequence[Row[Any]]:
    """Hospitals of the scope in order of number, one page after a number."""
    return await uow.rows(
        select(
            hospital,
            pooling_area.c.code.label("area_code"),
            county.c.code.label("county_code"),
        )
        .join(pooling_area, pooling_area.c.area_id == hospital.c.area_id)
        .outerjoin(county, county.c.county_id == hospital.c.county_id)
        .where(hospital.c.hospital_id > after)
        .order_by(hospital.c.hospital_id)
        .limit(limit)
    )


async def hospital_by_id(uow: UnitOfWork, hospital_id: int) -> Row[Any] | None:
    return await uow.first(
        select(hospital, pooling_area.c.code.label("area_code"), county.c.code.label("county_code"))
        .join(pooling_area, pooling_area.c.area_id == hospital.c.area_id)
        .outerjoin(county, county.c.county_id == hospital.c.county_id)
        .where(hospital.c.hospital_id == hospital_id)
    )


async def areas(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Pooling areas of the scope, in order of number."""
    return await uow.rows(select(pooling_area).order_by(pooling_area.c.area_id))


async def counties(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Counties of the scope, in order of number."""
    return await uow.rows(
        select(county, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == county.c.area_id)
        .order_by(county.c.county_id)
    )


async def standings(uow: UnitOfWork, area_id: int, hospital_id: int | None = None) -> Sequence[Row[Any]]:
    """Dated levels of the area's hospitals; the later entry for one date wins."""
    query = select(hospital_standing).where(hospital_standing.c.area_id == area_id)
    if hospital_id is not None:
        query = query.where(hospital_standing.c.hospital_id == hospital_id)
    return await uow.rows(
        query.order_by(
            hospital_standing.c.hospital_id, hospital_standing.c.effective_from, hospital_standing.c.recorded_at
        )
    )


async def coefficients(uow: UnitOfWork, area_id: int, hospital_id: int | None = None) -> Sequence[Row[Any]]:
    """Dated coefficients of the area's hospitals by insurance; the later entry for one date wins."""
    c = hospital_coefficient.c
    query = select(hospital_coefficient).where(c.area_id == area_id)
    if hospital_id is not None:
        query = query.where(c.hospital_id == hospital_id)
    return await uow.rows(query.order_by(c.hospital_id, c.insurance, c.effective_from, c.recorded_at))


async def agreements(uow: UnitOfWork, area_id: int, hospital_id: int | None = None) -> Sequence[Row[Any]]:
    """Agreements of the area's hospitals."""
    c = agreement.c
    query = select(agreement).where(c.area_id == area_id)
    if hospital_id is not None:
        query = query.where(c.hospital_id == hospital_id)
    return await uow.rows(query.order_by(c.hospital_id, c.insurance, c.valid_from))


def in_force(rows: Sequence[Row[Any]], on: date) -> Row[Any] | None:
    """The last row whose `effective_from` is not after a date."""
    found = [row for row in rows if row.effective_from <= on]
    return found[-1] if found else None


async def hospital_codes(uow: UnitOfWork, hospital_ids: Sequence[int]) -> Mapping[int, str]:
    """Codes of hospitals the scope sees, by id."""
    rows = await uow.rows(
        select(hospital.c.hospital_id, hospital.c.code).where(hospital.c.hospital_id.in_(hospital_ids))
    )
    return {row.hospital_id: row.code for row in rows}
