"""Submission in the store (上报): batches, parts as received, what became of every row, verdicts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert

from fenzhi.store.copy_records import in_pieces
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.submission import (
    batch,
    batch_part,
    case_personal,
    case_supersession,
    history_discharge,
    inpatient_case,
    intake_row,
    list_key,
    verdict,
)


def _own(uow: UnitOfWork) -> ColumnElement[bool]:
    """A hospital's own batches, or the area's own history batches: those the scope may add to."""
    owner = batch.c.hospital_id
    own = owner.is_(None) if uow.scope.hospital_id is None else owner == uow.scope.hospital_id
    return and_(batch.c.area_id == uow.scope.area, own)


# Batches and their parts


async def add_batch(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(batch, [dict(row)])


async def hold_own_batch(uow: UnitOfWork, batch_id: uuid.UUID) -> Row[Any] | None:
    """An own batch, held until the transaction ends, so that nothing else changes it meanwhile; none when it is not one's own."""
    return await uow.first(select(batch).where(batch.c.batch_id == batch_id, _own(uow)).with_for_update())


async def own_batch(uow: UnitOfWork, batch_id: uuid.UUID) -> Row[Any] | None:
    """An own batch, to look at."""
    return await uow.first(select(batch).where(batch.c.batch_id == batch_id, _own(uow)))


async def keep_part(uow: UnitOfWork, row: Mapping[str, Any]) -> bool:
    """Keep a part and count it; false when the batch has a part of this number already."""
    kept = await uow.execute(upsert(batch_part).values(**row).on_conflict_do_nothing())
    if kept:
        await uow.execute(
            update(batch)
            .where(batch.c.batch_id == row["batch_id"], _own(uow))
            .values(parts=batch.c.parts + 1, bytes=batch.c.bytes + row["bytes"])
        )
    return bool(kept)


async def add_part(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    """A part of a batch that is made whole in this transaction, counted already."""
    await uow.insert(batch_part, [dict(row)])


async def part_digest(uow: UnitOfWork, batch_id: uuid.UUID, part_no: int) -> Row[Any] | None:
    """Digest and size of a part that is kept, without its bytes."""
    c = batch_part.c
    return await uow.first(
        select(c.sha256, c.bytes).where(c.batch_id == batch_id, c.part_no == part_no, c.area_id == uow.scope.area)
    )


async def part_numbers(uow: UnitOfWork, batch_id: uuid.UUID) -> list[int]:
    """Numbers of the parts of a batch, in order."""
    c = batch_part.c
    rows = await uow.rows(
        select(c.part_no).where(c.batch_id == batch_id, c.area_id == uow.scope.area).order_by(c.part_no)
    )
    return [row.part_no for row in rows]


async def part_sealed(uow: UnitOfWork, batch_id: uuid.UUID, part_no: int) -> Row[Any] | None:
    """The encrypted bytes of a part with their key."""
    c = batch_part.c
    return await uow.first(
        select(c.key_id, c.sealed_bytes, c.sha256).where(
            c.batch_id == batch_id, c.part_no == part_no, c.area_id == uow.scope.area
        )
    )


async def move_batch(uow: UnitOfWork, batch_id: uuid.UUID, from_state: str, **values: Any) -> bool:
    """Move a batch out of a state; false when it was not in it."""
    return bool(
        await uow.execute(
            update(batch)
            .where(batch.c.batch_id == batch_id, batch.c.area_id == uow.scope.area, batch.c.state == from_state)
            .values(**values)
        )
    )


def _batches(uow: UnitOfWork) -> Select[Any]:
    return (
        select(batch, hospital.c.code.label("hospital_code"))
        .outerjoin(hospital, and_(hospital.c.hospital_id == batch.c.hospital_id, hospital.c.area_id == batch.c.area_id))
        .where(within(batch, uow.scope))
    )


async def batch_by_id(uow: UnitOfWork, batch_id: uuid.UUID) -> Row[Any] | None:
    """One batch of the scope."""
    return await uow.first(_batches(uow).where(batch.c.batch_id == batch_id))


async def batches_before(uow: UnitOfWork, before: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Batches of the scope, newest first, one page before a batch."""
    query = _batches(uow)
    if before is not None:
        query = query.where(batch.c.batch_id < before)
    return await uow.rows(query.order_by(batch.c.batch_id.desc()).limit(limit))


async def personal_of_case(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any] | None:
    """The sealed personal fields of one case of the scope."""
    c = case_personal.c
    return await uow.first(
        select(c.area_id, c.key_id, c.sealed_fields).where(c.case_id == case_id, within(case_personal, uow.scope))
    )


# Verdicts


async def verdicts_after(
    uow: UnitOfWork, batch_id: uuid.UUID, after: tuple[int, int], severity: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Verdicts of a batch in order of row, one page after a place."""
    c = verdict.c
    query = select(verdict).where(
        c.batch_id == batch_id, within(verdict, uow.scope), tuple_(c.row_no, c.seq) > tuple_(*after)
    )
    if severity is not None:
        query = query.where(c.severity == severity)
    return await uow.rows(query.order_by(c.row_no, c.seq).limit(limit))


async def rows_of_part(uow: UnitOfWork, batch_id: uuid.UUID, part_no: int) -> Sequence[Row[Any]]:
    """What became of every row of one part, in order."""
    c = intake_row.c
    return await uow.rows(
        select(c.row_no, c.setl_id, c.outcome, c.refusal_codes)
        .where(c.batch_id == batch_id, c.part_no == part_no, within(intake_row, uow.scope))
        .order_by(c.row_no)
    )


async def cases_of_rows(uow: UnitOfWork, batch_id: uuid.UUID, row_nos: Sequence[int]) -> dict[int, uuid.UUID]:
    """Row number → case, of the rows of a batch that became one."""
    c = intake_row.c
    rows = await uow.rows(
        select(c.row_no, c.case_id).where(
            c.batch_id == batch_id, c.row_no.in_(row_nos), c.case_id.is_not(None), within(intake_row, uow.scope)
        )
    )
    return {row.row_no: row.case_id for row in rows}


async def verdicts_of_part(uow: UnitOfWork, batch_id: uuid.UUID, part_no: int, limit: int) -> Sequence[Row[Any]]:
    """Verdicts about the rows of one part, in order of row, the first `limit`."""
    v, r = verdict.c, intake_row.c
    return await uow.rows(
        select(verdict)
        .join(intake_row, and_(r.batch_id == v.batch_id, r.row_no == v.row_no))
        .where(v.batch_id == batch_id, r.part_no == part_no, within(verdict, uow.scope))
        .order_by(v.row_no, v.seq)
        .limit(limit)
    )


async def places_of_rows(uow: UnitOfWork, batch_id: uuid.UUID, row_nos: Sequence[int]) -> Sequence[Row[Any]]:
    """Where the bytes of rows of a batch lie, by part (行原文位置)."""
    c = intake_row.c
    return await uow.rows(
        select(c.row_no, c.part_no, c.byte_offset, c.byte_length, c.hospital_id)
        .where(
            c.batch_id == batch_id,
            within(intake_row, uow.scope),
            c.row_no == func.any(text("cast(:wanted as integer[])")),
        )
        .order_by(c.part_no, c.row_no),
        {"wanted": list(row_nos)},
    )


async def verdict_summary(uow: UnitOfWork, batch_id: uuid.UUID) -> Sequence[Row[Any]]:
    """How often each code was given, and on how many rows."""
    c = verdict.c
    return await uow.rows(
        select(
            c.rule,
            c.code,
            c.severity,
            func.count().label("times"),
            func.count(func.distinct(c.row_no)).label("rows"),
        )
        .where(c.batch_id == batch_id, within(verdict, uow.scope))
        .group_by(c.rule, c.code, c.severity)
        .order_by(c.rule, c.code, c.severity)
    )


# Judging


async def take_turn(uow: UnitOfWork, area_id: int, hospital_id: int | None) -> None:
    """Wait until no other batch of the hospital is being judged (同一医院逐批判定); held until the transaction ends."""
    name = f"submission\x1f{area_id}\x1f{hospital_id or 0}"
    await uow.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


async def sealed_batch(uow: UnitOfWork, batch_id: uuid.UUID) -> Row[Any] | None:
    """A batch of the area that waits for judgement, with the business day of its seal."""
    received_on = func.date(func.timezone("Asia/Shanghai", batch.c.sealed_at)).label("received_on")
    return await uow.first(
        select(batch, received_on).where(
            batch.c.batch_id == batch_id, batch.c.area_id == uow.scope.area, batch.c.state == "sealed"
        )
    )


STAGED: Mapping[Table, tuple[str, ...]] = {
    table: tuple(column.name for column in table.columns if column.name != "recorded_at")
    for table in (
        intake_row,
        verdict,
        inpatient_case,
        case_personal,
        list_key,
        case_supersession,
        history_discharge,
    )
}
"""Tables filled by judging, with their columns in the order of the records (判定写入的表与列)."""


def _staging(table: Table) -> str:
    return f"judged_{table.name}"


async def open_staging(uow: UnitOfWork, tables: Iterable[Table]) -> None:
    """Temporary tables for a judgement, gone with the transaction (暂存表). Nothing in them counts."""
    for table in tables:
        columns = ", ".join(STAGED[table])
        name = _staging(table)
        await uow.execute(
            text(f"create temporary table {name} on commit drop as select {columns} from {table.name} with no data")
        )
        if table is intake_row:
            await uow.execute(text(f"create index on {name} (setl_id)"))


async def stage(uow: UnitOfWork, table: Table, records: Sequence[tuple[Any, ...]]) -> None:
    """Copy records into a table's staging (写入暂存)."""
    if not records:
        return
    raw = await uow.connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.copy_records_to_table(_staging(table), records=records, columns=list(STAGED[table]))


async def stage_octets(uow: UnitOfWork, table: Table, octets: bytes) -> None:
    """Copy records that are written as COPY reads them into a table's staging (写入已编码的暂存)."""
    if not octets:
        return
    raw = await uow.connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.copy_to_table(_staging(table), source=in_pieces(octets), columns=list(STAGED[table]), format="binary")


async def release(uow: UnitOfWork, table: Table) -> int:
    """Move what is staged into its table, past the wall (转入正式表); the number of rows."""
    columns = ", ".join(STAGED[table])
    return await uow.execute(text(f"insert into {table.name} ({columns}) select {columns} from {_staging(table)}"))


async def stored_versions(uow: UnitOfWork, hospital_id: int, setl_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """The highest version of each settlement id already accepted, with its case and digest (已受理的最高版本)."""
    c = list_key.c
    return await uow.rows(
        select(c.setl_id, c.version, c.case_id, c.digest)
        .ext(distinct_on(c.setl_id))
        .where(
            c.area_id == uow.scope.area,
            c.hospital_id == hospital_id,
            c.setl_id == func.any(text("cast(:wanted as text[])")),
        )
        .order_by(c.setl_id, c.version.desc()),
        {"wanted": list(setl_ids)},
    )


async def staged_rows(uow: UnitOfWork, setl_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Earlier rows of the batch in hand with these settlement ids (本批已判定的同号清单), in order of row."""
    return await uow.rows(
        text(
            "select r.setl_id, r.version, r.row_no, r.case_id, k.digest from judged_intake_row r "
            "left join judged_list_key k on k.case_id = r.case_id "
            "where r.setl_id = any(cast(:wanted as text[])) order by r.row_no"
        ),
        {"wanted": list(setl_ids)},
    )


async def refuse_staged(uow: UnitOfWork, code: str) -> int:
    """Refuse every sound row of the batch in hand for one reason that lies outside it; the number of rows (整批不受理)."""
    return await uow.execute(
        text(
            "update judged_intake_row set outcome = 'refused', case_id = null, refusal_codes = array[:code] "
            "where outcome = 'accepted'"
        ),
        {"code": code},
    )


# History


async def set_aside_repeated(uow: UnitOfWork, reason: str) -> int:
    """Set aside staged discharges that the area has already, or that an earlier row of the batch gave (重复历史病例)."""
    stored = await uow.execute(
        text(
            "update judged_history_discharge j set set_aside = :reason where j.set_aside = '' and exists ("
            "select from history_discharge h where h.area_id = :area and h.hospital_id = j.hospital_id"
            " and h.year = j.year and h.history_id = j.history_id and h.set_aside = '')"
        ),
        {"reason": reason, "area": uow.scope.area},
    )
    repeated = await uow.execute(
        text(
            "update judged_history_discharge j set set_aside = :reason from ("
            "select row_no, row_number() over (partition by hospital_id, history_id order by row_no) as place"
            " from judged_history_discharge where set_aside = '') o where o.row_no = j.row_no and o.place > 1"
        ),
        {"reason": reason},
    )
    return stored + repeated


async def staged_history_counts(uow: UnitOfWork) -> dict[str, int]:
    """Staged discharges by reason; a blank reason means used."""
    rows = await uow.rows(
        text("select set_aside, count(*) as n from judged_history_discharge group by set_aside order by set_aside")
    )
    return {row.set_aside: int(row.n) for row in rows}


async def note_set_aside(uow: UnitOfWork, batch_id: uuid.UUID, reason: str, words: Mapping[str, str]) -> int:
    """A finding for each discharge of a batch that was set aside for a reason."""
    return await uow.execute(
        text(
            "insert into verdict (area_id, county_id, hospital_id, batch_id, row_no, seq, setl_id, rule, code, severity,"
            " path, saw, zh, en, remedy_zh, remedy_en)"
            " select area_id, county_id, hospital_id, batch_id, row_no, 0, history_id, :rule, :code, 'warning',"
            " '', '', :zh, :en, :remedy_zh, :remedy_en from history_discharge"
            " where area_id = :area and batch_id = :batch and set_aside = :reason"
        ),
        {"area": uow.scope.area, "batch": batch_id, "reason": reason, **words},
    )
