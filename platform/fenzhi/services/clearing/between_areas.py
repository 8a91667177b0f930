"""Clearing between the areas of a province (区域间异地就医清算): claims on the areas of insurance, drafted by a job, published by a second person.

The money of an out-of-area case was promised by the area of treatment in its own clearing. Here the province adds up what each area
may claim of each other, shows every area its own side, and with publication both sides' books move at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pyarrow as pa
from sqlalchemy import Row, func

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.clearing.out_of_area import AreaClaim, balances_between, case_amounts, check_claims, fund_claims
from fenzhi.rules.fund.budget import SetAside
from fenzhi.rules.fund.ledger import LedgerAccount, Position, between_areas_positions, entries_of
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.fund.books import post
from fenzhi.services.fund.faults import pool_faults
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.store.bulk import read_arrow
from fenzhi.store.repositories import clearing, fund, inter_area
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import Database, UnitOfWork

BETWEEN_JOB = "clearing.between_areas"
OUT_OF_AREA, LOCAL = "out_of_area", "local"
SOURCE = "inter_area"
_PERIODS = {"quarter": 4, "year": 1}


class NothingBetweenAreas(Conflict):
    """No area of the province has a published out-of-area clearing of the period (本期没有已公布的异地清算)."""

    code = "NOTHING_BETWEEN_AREAS"


class StatementOpen(Conflict):
    """A statement between areas of the year is not decided yet, or covers the period already (区域间清算未办结)."""

    code = "INTER_AREA_STATEMENT_OPEN"


@dataclass(frozen=True, slots=True)
class ClearBetween:
    """An order to clear between areas (发起区域间清算). `kind`: quarter, 1–4, or year, 1."""

    insurance: str
    year: int
    kind: str
    period: int

    def plain(self) -> dict[str, Any]:
        """As JSON values (平文)."""
        return {"insurance": self.insurance, "year": self.year, "kind": self.kind, "period": self.period}


def _faults(order: ClearBetween) -> list[Refusal]:
    found = pool_faults(order.insurance, OUT_OF_AREA, order.year)
    last = _PERIODS.get(order.kind, 0)
    if not 1 <= order.period <= last:
        found.append(
            Refusal("PERIOD_RANGE", "period", f"{order.kind} {order.period}", "区域间清算按季度（1 至 4）或年度（1）进行。",
                    "Areas are cleared by quarter, 1 to 4, or by year, 1.", "核对类型与期次。", "Check kind and period.")
        )  # fmt: skip
    return found


async def start_between_areas(platform: Platform, clerk: Subject, request: Request, order: ClearBetween) -> Answer:
    """Want the claims between the province's areas worked out for a period (发起区域间清算): a job that leaves a draft.

    Changes: job. Raises: DataRefused, StatementOpen, NothingBetweenAreas.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        await _refuse_unless_next(uow, order)
        job_id = await enqueue(uow, platform.doorbell, BETWEEN_JOB, order.plain())
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, clerk, Duty.CLEAR_BETWEEN_AREAS, request, effect)


async def _refuse_unless_next(uow: UnitOfWork, order: ClearBetween) -> Sequence[Row[Any]]:
    """The runs to clear, where nothing of the year stands in the way."""
    at = _place(order.kind, order.period)
    for row in await inter_area.statements_of_year(uow, order.insurance, order.year, ("draft", "published")):
        if row.state == "draft" or _place(row.kind, row.period) >= at:
            raise StatementOpen(
                f"该年度{row.kind} {row.period} 的区域间清算处于 {row.state} 状态。",
                f"The statement between areas of {row.kind} {row.period} is {row.state}.",
                hint="先公布或作废草稿；已公布的期次不再更改 / publish or void the draft; a published period never changes",
            )
    runs = await inter_area.runs_to_clear(uow, order.insurance, order.year, order.kind, order.period)
    if not runs:
        raise NothingBetweenAreas(
            "全省没有该期已公布的异地就医清算。", "No area has a published out-of-area clearing of the period."
        )
    return runs


def _refuse_missing(areas: set[str]) -> None:
    """Year to date, an area that claimed before must have cleared again: else its claims would be taken back."""
    if areas:
        raise NothingBetweenAreas(
            f"统筹区 {'、'.join(sorted(areas))} 本年度已有异地申请，但本期异地清算尚未公布。",
            f"Areas {', '.join(sorted(areas))} claimed earlier in the year and have no published out-of-area clearing of the period.",
            hint="待其公布本期异地清算后再办理 / wait until they have published it",
        )


def _place(kind: str, period: int) -> int:
    return 5 if kind == "year" else period


@dataclass
class _Claims:
    """The claims of a period as they are gathered."""

    rows: dict[int, list[tuple[Any, ...]]] = field(default_factory=dict)
    """Insured area → rows of claims, what changed since the statements before."""
    to_date: list[AreaClaim] = field(default_factory=list)
    outside: dict[str, list[int]] = field(default_factory=dict)
    """Division code of another province, or unknown → cases and fen."""
    areas: dict[str, int] = field(default_factory=dict)


async def clear_between_areas(job: JobInHand) -> None:
    """Work out what the areas of a province owe one another, year to date, and leave it as a draft (计算区域间清算).

    Killed at any moment it leaves nothing or the whole draft. Changes: inter_area_statement, inter_area_balance, inter_area_claim.
    Raises: StatementOpen, NothingBetweenAreas; InvariantBroken when claims are not the gross of the hospitals, or areas do not receive
    what areas pay.
    """
    order = ClearBetween(**job.payload)
    async with job.reading() as uow:
        runs = await _refuse_unless_next(uow, order)
        published = await inter_area.statements_of_year(uow, order.insurance, order.year, ("published",))
        earlier = [row.statement_id for row in published]
        before = {row.case_id: row for row in await inter_area.claimed_before(uow, earlier)}
        _refuse_missing({row.treatment_area for row in before.values()} - {run.area_code for run in runs})
        insured_in = await inter_area.places_of_insurance(uow)
        found = _Claims(areas={code: number for number, code in insured_in.values()})
        for run in runs:
            await _claims_of_run(job.platform.database, uow, run, insured_in, before, found)
    _withdrawn(before, found)
    balances = balances_between(_summed(found.to_date))
    result: dict[str, Any] = {}
    async with job.finishing(result) as uow:
        await _refuse_unless_next(uow, order)
        statement_id = await inter_area.add_statement(
            uow,
            order.plain()
            | {
                "claims": sum(len(rows) for rows in found.rows.values()),
                "receivable_fen": sum(one.receivable_fen for one in balances.values()),
                "payable_fen": sum(one.payable_fen for one in balances.values()),
                "working": {
                    "runs": [[run.area_code, str(run.run_id), (run.result_sha256 or b"").hex()] for run in runs],
                    "outside": [[code, *sums] for code, sums in sorted(found.outside.items())],
                },
            },
        )
        sides = _sides(statement_id, found)
        for area, rows in sorted(found.rows.items()):
            async with uow.in_area(area):
                await inter_area.add_claims(uow, ((statement_id, *row) for row in rows))
        for area, side in sorted(sides.items()):
            async with uow.in_area(area):
                await inter_area.add_balances(uow, side)
        result["statement"] = str(statement_id)


async def _claims_of_run(
    database: Database,
    uow: UnitOfWork,
    run: Row[Any],
    insured_in: Mapping[str, tuple[int, str]],
    before: dict[uuid.UUID, Row[Any]],
    found: _Claims,
) -> None:
    """The cases of one area's clearing as claims on the areas of insurance."""
    statements = await clearing.statements_of_runs(uow, [run.run_id])
    if not statements:
        return
    terms = statements[0].working["terms"]
    places = int(terms["points_decimals"])
    cases = await read_arrow(database, uow.scope, _cases_sql(run))
    off_pool = {uuid.UUID(case): fen for case, fen in run.manifest["special_cases"]["off_pool"]}
    amounts = _amounts(cases, Fraction(terms["by_case"]), off_pool)
    gross: dict[str, int] = {}
    sums: dict[tuple[str, str], list[int]] = {}
    for case, amount in zip(cases.to_pylist(), amounts, strict=True):
        case_id, hospital = uuid.UUID(case["case_id"]), case["hospital_code"]
        if case_id not in off_pool:
            gross[hospital] = gross.get(hospital, 0) + amount
        area, code = insured_in.get(case["insured_area"], (0, ""))
        if not code or code == run.area_code:
            held = found.outside.setdefault(case["insured_area"], [0, 0])
            held[0] += 1
            held[1] += amount
            continue
        held = sums.setdefault((run.area_code, code), [0, 0])
        held[0] += 1
        held[1] += amount
        earlier = before.get(case_id)
        is_same_payer = earlier is not None and earlier.area_id == area
        change = amount - (int(earlier.amount_fen) if earlier is not None and is_same_payer else 0)
        if is_same_payer:
            del before[case_id]
        if change:
            found.rows.setdefault(area, []).append(
                (run.area_code, hospital, run.run_id, case_id, case["settlement_month"], case["points"], places, change)
            )
    check_claims({row.hospital_code: row.gross_fen for row in statements}, gross)
    found.to_date += [AreaClaim(one, other, fen, n) for (one, other), (n, fen) in sorted(sums.items())]


def _cases_sql(run: Row[Any]) -> str:
    # Numbers and ids of ours, as literals, so that the answer comes by COPY.
    return f"""
        select r.case_id::text as case_id, h.code as hospital_code, r.settlement_month, r.points, c.insured_area
          from run_case r
          join inpatient_case c on c.area_id = r.area_id and c.case_id = r.case_id
          join hospital h on h.area_id = r.area_id and h.hospital_id = r.hospital_id
         where r.area_id = {run.area_id} and r.run_id = '{run.run_id}'::uuid
           and r.disposition in ('cleared', 'off_pool:special_case')
         order by r.case_id
    """


def _amounts(cases: pa.Table, price: Fraction, off_pool: Mapping[uuid.UUID, int]) -> list[int]:
    """What each case was promised: its points at the price, or what its review approved beside the pool."""
    at_price = case_amounts(cases["points"].to_pylist(), price)
    ids = cases["case_id"].to_pylist()
    return [off_pool.get(uuid.UUID(one), fen) for one, fen in zip(ids, at_price, strict=True)]


def _withdrawn(before: Mapping[uuid.UUID, Row[Any]], found: _Claims) -> None:
    """What was claimed of a case that is cleared no more, or of another area now, is claimed back."""
    for case_id, row in sorted(before.items()):
        found.rows.setdefault(row.area_id, []).append(
            (
                row.treatment_area,
                row.hospital_code,
                None,
                case_id,
                row.settlement_month,
                0,
                0,
                -int(row.amount_fen),
            )
        )


def _summed(claims: Sequence[AreaClaim]) -> list[AreaClaim]:
    sums: dict[tuple[str, str], list[int]] = {}
    for claim in claims:
        held = sums.setdefault((claim.treated_in, claim.insured_in), [0, 0])
        held[0] += claim.amount_fen
        held[1] += claim.cases
    return [AreaClaim(one, other, fen, n) for (one, other), (fen, n) in sorted(sums.items())]


def _sides(statement_id: uuid.UUID, found: _Claims) -> dict[int, list[dict[str, Any]]]:
    """Both sides of every claim: the area of treatment receives, the area of insurance pays."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}

    def side(area: str, counterpart: str) -> dict[str, Any]:
        return rows.setdefault(
            (area, counterpart),
            {
                "statement_id": statement_id,
                "area_id": found.areas[area],
                "counterpart": counterpart,
                "cases": 0,
                "receivable_fen": 0,
                "payable_fen": 0,
            },
        )

    for claim in _summed(found.to_date):
        treated, insured = side(claim.treated_in, claim.insured_in), side(claim.insured_in, claim.treated_in)
        treated["receivable_fen"] += claim.amount_fen
        insured["payable_fen"] += claim.amount_fen
        treated["cases"] += claim.cases
        insured["cases"] += claim.cases
    sides: dict[int, list[dict[str, Any]]] = {}
    for (area, _), row in sorted(rows.items()):
        sides.setdefault(found.areas[area], []).append(row)
    return sides


async def publish_between_areas(platform: Platform, approver: Subject, request: Request, statement_id: str) -> Answer:
    """Publish a draft, as another person than who drafted it (公布区域间清算): every area sees its side, and its books follow.

    Changes: inter_area_statement draft → published; ledger_entry of every area. Raises: NotFound, SamePerson, Conflict
    INTER_AREA_NOT_DRAFT; InvariantBroken.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await _draft(uow, statement_id)
        require_second_person(str(row.drafted_by_person), uow.scope.person_id)
        await _decided(
            uow,
            row,
            {
                "state": "published",
                "approved_by": uuid.UUID(uow.scope.account_id),
                "approved_by_person": uuid.UUID(uow.scope.person_id),
                "published_at": func.now(),
            },
        )
        await _post(uow, row)
        return {"type": "AreaClearing", "id": str(row.statement_id)}

    return await act(platform, approver, Duty.APPROVE_BETWEEN_AREAS, request, effect)


async def void_between_areas(platform: Platform, clerk: Subject, request: Request, statement_id: str) -> Answer:
    """Void a draft, so that the period can be worked out anew (作废区域间清算草稿). Raises: NotFound, Conflict INTER_AREA_NOT_DRAFT."""

    async def effect(uow: UnitOfWork) -> Answer:
        row = await _draft(uow, statement_id)
        await _decided(uow, row, {"state": "voided"})
        return {"type": "AreaClearing", "id": str(row.statement_id)}

    return await act(platform, clerk, Duty.CLEAR_BETWEEN_AREAS, request, effect)


async def _draft(uow: UnitOfWork, statement_id: str) -> Row[Any]:
    row = await inter_area.statement_by_id(uow, as_id(statement_id, "statement"))
    if row is None:
        raise NotFound("没有该区域间清算。", "No such statement between areas.")
    return row


async def _decided(uow: UnitOfWork, row: Row[Any], values: Mapping[str, Any]) -> None:
    if not await inter_area.move_statement(uow, row.statement_id, values):
        raise Conflict(
            f"该区域间清算处于 {row.state} 状态。", f"The statement is {row.state}.", code="INTER_AREA_NOT_DRAFT"
        )


async def _post(uow: UnitOfWork, statement: Row[Any]) -> None:
    """Both sides' books, as far as they do not stand there yet: what areas receive is what areas pay."""
    owed: dict[int, list[int]] = {}
    for row in await inter_area.balances(uow, statement.statement_id):
        held = owed.setdefault(row.area_id, [0, 0])
        held[0] += row.receivable_fen
        held[1] += row.payable_fen
    for earlier in await inter_area.statements_of_year(uow, statement.insurance, statement.year, ("published",)):
        for row in await inter_area.balances(uow, earlier.statement_id):
            owed.setdefault(row.area_id, [0, 0])
    memo = f"{statement.year}年区域间异地就医清算"
    for area, (receivable, payable) in sorted(owed.items()):
        async with uow.in_area(area):
            out_of_area: Pool = (statement.insurance, OUT_OF_AREA, statement.year)
            local: Pool = (statement.insurance, LOCAL, statement.year)
            adjustment = await _held(uow, local)
            funding = fund_claims(payable, await _fund(uow, out_of_area, local), adjustment)
            due = between_areas_positions(receivable, payable, funding)
            for pool, positions in zip((out_of_area, local), due, strict=True):
                entries = entries_of(positions, await _posted(uow, pool), memo)
                await post(uow, pool, SOURCE, statement.statement_id, entries, {})


async def _posted(uow: UnitOfWork, pool: Pool) -> dict[Position, int]:
    rows = await clearing.books(uow, pool, sources=(SOURCE,))
    return {("", LedgerAccount(row.account)): int(row.amount_fen) for row in rows}


async def _held(uow: UnitOfWork, local: Pool) -> int:
    """What the adjustment fund holds, what earlier statements of the year drew put back."""
    name = LedgerAccount.ADJUSTMENT
    held = sum(-int(row.amount_fen) for row in await clearing.books(uow, local) if row.account == name.value)
    return held + (await _posted(uow, local)).get(("", name), 0)


async def _fund(uow: UnitOfWork, out_of_area: Pool, local: Pool) -> int:
    """The year's out-of-area fund: the approved budget of that pool, else what the local budget sets aside for it."""
    own = await fund.budget_in_force(uow, out_of_area)
    if own is not None:
        return int(own.annual_fen)
    row = await fund.budget_in_force(uow, local)
    composition = (row.composition if row is not None else None) or {}
    return int(composition.get("set_asides", {}).get(SetAside.OUT_OF_AREA.value, 0))


@dataclass(frozen=True, slots=True)
class SideView:
    """One area's side against one other (一方对一方). Units: fen, year to date."""

    area: str
    counterpart: str
    cases: int
    receivable_fen: int
    payable_fen: int


@dataclass(frozen=True, slots=True)
class BetweenView:
    """A statement between areas as its reader sees it (区域间清算). Units: fen. An area sees its own sides only."""

    statement_id: uuid.UUID
    row: Row[Any]
    sides: tuple[SideView, ...]
    sees_all: bool


async def _view(uow: UnitOfWork, row: Row[Any]) -> BetweenView:
    sides = tuple(
        SideView(one.area_code, one.counterpart, one.cases, one.receivable_fen, one.payable_fen)
        for one in await inter_area.balances(uow, row.statement_id)
    )
    return BetweenView(row.statement_id, row, sides, uow.scope.area_id is None)


async def between_areas(
    platform: Platform, subject: Subject, before: uuid.UUID | None, limit: int, *, year: int | None = None
) -> Sequence[BetweenView]:
    """One page of the statements between areas, newest first (区域间清算列表); a city sees published ones."""
    async with looking(platform, subject, Duty.READ_BETWEEN_AREAS) as uow:
        return [await _view(uow, row) for row in await inter_area.statements(uow, before, limit, year=year)]


async def between_areas_by_id(platform: Platform, subject: Subject, statement_id: uuid.UUID) -> BetweenView | None:
    """One statement, or none in this scope (区域间清算)."""
    async with looking(platform, subject, Duty.READ_BETWEEN_AREAS) as uow:
        row = await inter_area.statement_by_id(uow, statement_id)
        return None if row is None else await _view(uow, row)


async def claims_on(
    platform: Platform, subject: Subject, statement_id: uuid.UUID, after: uuid.UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """One page of the claims of a statement on the areas the subject sees: a city those it has to pay (异地申请明细)."""
    async with looking(platform, subject, Duty.READ_BETWEEN_AREAS) as uow:
        if await inter_area.statement_by_id(uow, statement_id) is None:
            return []
        return await inter_area.claims(uow, statement_id, after, limit)
