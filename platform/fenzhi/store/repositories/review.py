"""Special-case review in the store (特例单议): experts, applications, draws, votes, cycles."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, Select, and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from fenzhi.store.repositories.fund import Pool
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.fund import payment
from fenzhi.store.tables.registry import hospital, pooling_area
from fenzhi.store.tables.review import review_cycle, review_expert, special_case, special_case_draw, special_case_vote
from fenzhi.store.tables.submission import case_supersession, inpatient_case

IN_REVIEW = ("admitted", "hearing", "voted", "valued")
"""States in which a case is being heard (评审中)."""
DECIDED = ("approved", "paid")
"""States whose outcome counts (结果已批准)."""


async def lock_reviews(uow: UnitOfWork, year: int) -> None:
    """Let one transaction at a time decide about the reviews of an area's year (特例单议串行化)."""
    name = f"special_case\x1f{uow.scope.area}\x1f{year}"
    await uow.scalar(text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


# Experts


async def add_expert(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID | None:
    """A new expert of the area; None when the code is taken."""
    expert_id = new_id()
    values = {"expert_id": expert_id, "area_id": uow.scope.area} | dict(row)
    made = await uow.execute(
        insert(review_expert).values(**values).on_conflict_do_nothing(index_elements=["area_id", "code"])
    )
    return expert_id if made == 1 else None


def _experts() -> Select[Any]:
    return select(review_expert, pooling_area.c.code.label("area_code")).join(
        pooling_area, pooling_area.c.area_id == review_expert.c.area_id
    )


async def experts(uow: UnitOfWork, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Experts of the scope in order of entry, one page."""
    query = _experts().where(within(review_expert, uow.scope))
    if after is not None:
        query = query.where(review_expert.c.expert_id > after)
    return await uow.rows(query.order_by(review_expert.c.expert_id).limit(limit))


async def expert_by_id(uow: UnitOfWork, expert_id: uuid.UUID) -> Row[Any] | None:
    c = review_expert.c
    return await uow.first(_experts().where(within(review_expert, uow.scope), c.expert_id == expert_id))


async def active_experts(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """The experts of the area that may be drawn, by code."""
    c = review_expert.c
    return await uow.rows(select(review_expert).where(c.area_id == uow.scope.area, c.is_active).order_by(c.code))


async def retire_expert(uow: UnitOfWork, expert_id: uuid.UUID) -> bool:
    """Take an expert off the list; false when it was off already."""
    c = review_expert.c
    touched = await uow.execute(
        update(review_expert)
        .where(within(review_expert, uow.scope), c.expert_id == expert_id, c.is_active)
        .values(is_active=False)
    )
    return touched == 1


# Applications


async def add_application(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID | None:
    """A new application; None when the case has one that is alive."""
    special_case_id = new_id()
    made = await uow.execute(
        insert(special_case)
        .values(special_case_id=special_case_id, state="applied", **row)
        .on_conflict_do_nothing(
            index_elements=["area_id", "case_id"], index_where=text("state not in ('lapsed', 'ineligible')")
        )
    )
    return special_case_id if made == 1 else None


def _cases() -> Select[Any]:
    c = special_case.c
    return (
        select(
            special_case,
            hospital.c.code.label("hospital_code"),
            pooling_area.c.code.label("area_code"),
            review_cycle.c.cycle,
        )
        .join(hospital, and_(hospital.c.area_id == c.area_id, hospital.c.hospital_id == c.hospital_id))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .outerjoin(review_cycle, review_cycle.c.cycle_id == c.cycle_id)
    )


async def case_by_id(uow: UnitOfWork, special_case_id: uuid.UUID) -> Row[Any] | None:
    """One application of the scope."""
    return await uow.first(
        _cases().where(within(special_case, uow.scope), special_case.c.special_case_id == special_case_id)
    )


async def cases(uow: UnitOfWork, after: uuid.UUID | None, limit: int, *, year: int | None) -> Sequence[Row[Any]]:
    """Applications of the scope in order of application, one page."""
    c = special_case.c
    query = _cases().where(within(special_case, uow.scope))
    if after is not None:
        query = query.where(c.special_case_id > after)
    if year is not None:
        query = query.where(c.year == year)
    return await uow.rows(query.order_by(c.special_case_id).limit(limit))


async def queue(uow: UnitOfWork, year: int) -> Sequence[Row[Any]]:
    """The applications of a year that no cycle has decided, in order of application."""
    c = special_case.c
    return await uow.rows(
        _cases()
        .where(c.area_id == uow.scope.area, c.year == year, c.state.in_(("applied", "waiting")))
        .order_by(c.recorded_at, c.special_case_id)
    )


async def move(
    uow: UnitOfWork, special_case_id: uuid.UUID, from_states: Sequence[str], values: Mapping[str, Any]
) -> bool:
    """Move an application on; false when it has left these states."""
    c = special_case.c
    touched = await uow.execute(
        update(special_case)
        .where(within(special_case, uow.scope), c.special_case_id == special_case_id, c.state.in_(from_states))
        .values(**values)
    )
    return touched == 1


async def of_pool(uow: UnitOfWork, pool: Pool, states: Sequence[str]) -> Sequence[Row[Any]]:
    """The applications of a pool's year in the states given, by case."""
    insurance, pool_scope, year = pool
    c = special_case.c
    return await uow.rows(
        select(special_case)
        .where(
            c.area_id == uow.scope.area,
            c.insurance == insurance,
            c.pool_scope == pool_scope,
            c.year == year,
            c.state.in_(states),
        )
        .order_by(c.case_id)
    )


# Draws and votes


async def add_draws(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """Lines of the log of a draw."""
    who = {"area_id": uow.scope.area, "drawn_by_person": uuid.UUID(uow.scope.person_id)}
    await uow.insert(special_case_draw, [{"draw_id": new_id()} | who | dict(row) for row in rows])


async def draws(uow: UnitOfWork, special_case_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The log of the draws of a case, by round and place."""
    c = special_case_draw.c
    return await uow.rows(
        select(special_case_draw)
        .where(within(special_case_draw, uow.scope), c.special_case_id == special_case_id)
        .order_by(c.round, c.place)
    )


async def add_vote(uow: UnitOfWork, row: Mapping[str, Any]) -> bool:
    """One vote; false when the expert has voted on that step."""
    values = {
        "vote_id": new_id(),
        "area_id": uow.scope.area,
        "recorded_by_person": uuid.UUID(uow.scope.person_id),
    } | dict(row)
    keys = ["special_case_id", "round", "step", "expert_code"]
    made = await uow.execute(insert(special_case_vote).values(**values).on_conflict_do_nothing(index_elements=keys))
    return made == 1


async def votes(uow: UnitOfWork, special_case_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The votes on a case, by round and step."""
    c = special_case_vote.c
    return await uow.rows(
        select(special_case_vote)
        .where(within(special_case_vote, uow.scope), c.special_case_id == special_case_id)
        .order_by(c.round, c.step, c.expert_code)
    )


async def draws_of_year(uow: UnitOfWork, year: int) -> Sequence[Row[Any]]:
    """Every line of the draws of a year's cases, by case, round and place."""
    d, c = special_case_draw.c, special_case.c
    return await uow.rows(
        select(special_case_draw)
        .join(special_case, c.special_case_id == d.special_case_id)
        .where(within(special_case_draw, uow.scope), c.year == year)
        .order_by(d.special_case_id, d.round, d.place)
    )


async def first_votes_of_year(uow: UnitOfWork, year: int) -> Sequence[Row[Any]]:
    """The first-step votes of a year's cases, by case and round."""
    v, c = special_case_vote.c, special_case.c
    return await uow.rows(
        select(special_case_vote)
        .join(special_case, c.special_case_id == v.special_case_id)
        .where(within(special_case_vote, uow.scope), c.year == year, v.step == 1)
        .order_by(v.special_case_id, v.round, v.expert_code)
    )


# Cycles


async def discharges(uow: UnitOfWork, first: date, last: date) -> int:
    """Cases of the area discharged between two days, both insurances, no superseded version."""
    c, s = inpatient_case.c, case_supersession.c
    replaced = select(s.old_case_id).where(s.area_id == c.area_id, s.old_case_id == c.case_id).exists()
    return int(
        await uow.scalar(
            select(func.count()).where(
                c.area_id == uow.scope.area, c.discharge_date >= first, c.discharge_date <= last, ~replaced
            )
        )
    )


async def cycles(uow: UnitOfWork, year: int) -> Sequence[Row[Any]]:
    """The closed cycles of a year in the scope, in order."""
    c = review_cycle.c
    return await uow.rows(
        select(review_cycle, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .where(within(review_cycle, uow.scope), c.year == year)
        .order_by(pooling_area.c.code, c.cycle)
    )


async def add_cycle(uow: UnitOfWork, cycle_id: uuid.UUID, row: Mapping[str, Any]) -> None:
    """A cycle as it was closed."""
    who = {"area_id": uow.scope.area, "closed_by_person": uuid.UUID(uow.scope.person_id)}
    await uow.insert(review_cycle, [{"cycle_id": cycle_id} | who | dict(row)])


async def paid_to_date(uow: UnitOfWork, year: int) -> tuple[int, int, int]:
    """Cases passed, what was awarded beside the pool, what the fund paid hospitals in the year so far. Units: cases, fen, fen."""
    c, p = special_case.c, payment.c
    row = await uow.first(
        select(func.count().label("passed"), func.coalesce(func.sum(c.award_fen).filter(c.funding == "off_pool"), 0).label("fen"))
        .where(c.area_id == uow.scope.area, c.year == year, c.state.in_(DECIDED))
    )  # fmt: skip
    paid = await uow.scalar(
        select(func.coalesce(func.sum(p.amount_fen - p.returned_fen), 0)).where(
            p.area_id == uow.scope.area, p.year == year
        )
    )
    assert row is not None
    return int(row.passed), int(row.fen), int(paid)
