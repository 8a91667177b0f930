"""The catalog desk in the store (目录维护): editions taken back, opinions and answers, previews."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, text, update

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import edition_withdrawal, group_opinion, opinion_answer, preview_row


async def add_withdrawal(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(edition_withdrawal, [{**row, "province_id": uow.scope.province}])


async def withdrawal_of(uow: UnitOfWork, edition_id: uuid.UUID) -> Row[Any] | None:
    """The withdrawal of an edition, proposed or approved."""
    c = edition_withdrawal.c
    return await uow.first(
        select(edition_withdrawal).where(c.province_id == uow.scope.province, c.edition_id == edition_id)
    )


async def approve_withdrawal(uow: UnitOfWork, edition_id: uuid.UUID, restored: uuid.UUID) -> int:
    """Decide a proposed withdrawal; 0 when it is not proposed any more."""
    c = edition_withdrawal.c
    return await uow.execute(
        update(edition_withdrawal)
        .where(c.province_id == uow.scope.province, c.edition_id == edition_id, c.state == "proposed")
        .values(
            state="approved",
            decided_by=uuid.UUID(uow.scope.account_id),
            decided_by_person=uuid.UUID(uow.scope.person_id),
            decided_at=func.now(),
            restored_edition_id=restored,
        )
    )


async def add_opinion(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    scope = uow.scope
    await uow.insert(
        group_opinion,
        [{**row, "area_id": scope.area, "county_id": scope.county_id, "hospital_id": scope.hospital_id}],
    )


async def opinions(
    uow: UnitOfWork, area_ids: Sequence[int], edition_id: uuid.UUID, group_code: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Opinions on an edition's groups, newest first, of the areas asked for and no more than the scope sees."""
    c = group_opinion.c
    query = select(group_opinion).where(c.area_id.in_(area_ids), c.edition_id == edition_id)
    if uow.scope.hospital_id is not None:
        query = query.where(c.hospital_id == uow.scope.hospital_id)
    if group_code is not None:
        query = query.where(c.group_code == group_code)
    return await uow.rows(query.order_by(c.opinion_id.desc()).limit(limit))


async def opinion_count(uow: UnitOfWork, area_ids: Sequence[int], edition_id: uuid.UUID, group_code: str) -> int:
    c = group_opinion.c
    found = await uow.scalar(
        select(func.count()).where(c.area_id.in_(area_ids), c.edition_id == edition_id, c.group_code == group_code)
    )
    return int(found or 0)


async def add_answer(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(opinion_answer, [{**row, "province_id": uow.scope.province}])


async def answers(uow: UnitOfWork, next_edition_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The answers given with an edition, in byte order of the group code."""
    c = opinion_answer.c
    return await uow.rows(
        select(opinion_answer)
        .where(c.province_id == uow.scope.province, c.next_edition_id == next_edition_id)
        .order_by(c.group_code)
        .limit(2000)
    )


async def answered(uow: UnitOfWork, edition_id: uuid.UUID, next_edition_id: uuid.UUID, group_code: str) -> bool:
    c = opinion_answer.c
    row = await uow.first(
        select(c.answer_id).where(
            c.province_id == uow.scope.province,
            c.edition_id == edition_id,
            c.next_edition_id == next_edition_id,
            c.group_code == group_code,
        )
    )
    return row is not None


async def history_by_hospital(uow: UnitOfWork, area_ids: Sequence[int], year: int) -> Sequence[Row[Any]]:
    """The usable history of a year, equal cases counted by area, hospital, level, principal diagnosis and procedures."""
    return await uow.rows(
        text(
            "select area_id, hospital_id, level, diagnoses[1] as principal, procedures, count(*) as n from history_discharge"
            " where area_id = any(:areas) and year = :year and set_aside = '' group by 1, 2, 3, 4, 5"
        ),
        {"areas": list(area_ids), "year": year},
    )


async def add_preview(uow: UnitOfWork, rows: Iterable[tuple[Any, ...]]) -> int:
    """Rows of a preview: (job_id, edition_id, year, area_id, hospital_id, level, cases, moved, grouped_before, grouped_after,
    points_before, points_after)."""
    province = uow.scope.province
    return await uow.copy_in(
        preview_row,
        (
            "province_id", "job_id", "edition_id", "year", "area_id", "hospital_id", "level", "cases", "moved",
            "grouped_before", "grouped_after", "points_before", "points_after",
        ),
        ((province, *row) for row in rows),
    )  # fmt: skip


async def latest_preview(uow: UnitOfWork, edition_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The rows of the latest preview of an edition, by area, hospital and level."""
    c = preview_row.c
    last = (
        select(c.job_id)
        .where(c.province_id == uow.scope.province, c.edition_id == edition_id)
        .order_by(c.recorded_at.desc(), c.job_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return await uow.rows(
        select(preview_row)
        .where(c.province_id == uow.scope.province, c.edition_id == edition_id, c.job_id == last)
        .order_by(c.area_id, c.hospital_id, c.level)
        .limit(20_000)
    )
