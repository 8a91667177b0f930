"""From frozen cases to statements (结算计算): points per hospital, the rules of month and quarter, and every law checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.engine import Engine
from fenzhi.rules.clearing.annual_clearing import AnnualClaim, AnnualLine, AnnualRun, AnnualTerms, clear_year
from fenzhi.rules.clearing.annual_conservation import DEPOSIT_IDENTITY, FINAL_IDENTITY, SOURCES_IDENTITY, check_year
from fenzhi.rules.clearing.conservation import (
    CASE_SHARES,
    FIRST_IDENTITY,
    OWN_RULE,
    SAME_CASES,
    SECOND_IDENTITY,
    TRANSFER_IDENTITY,
    Balance,
    CaseTotals,
    check_case_totals,
    check_month,
    check_quarter,
)
from fenzhi.rules.clearing.presettlement import (
    MonthClaim,
    MonthMethod,
    MonthRun,
    MonthTerms,
    cash_cap,
    presettle_month,
)
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterRun, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.clearing.workings import annual_working, month_working, quarter_working
from fenzhi.rules.fund.ledger import BOOKS_AGREE, DEBIT_IS_CREDIT
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.point_value.point_value_methods import price_terms
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.rules.working import Working
from fenzhi.services.clearing.freezing import FrozenRun
from fenzhi.services.clearing.grading import cross_check, grade
from fenzhi.services.clearing.ledger import balances_of, postings
from fenzhi.services.clearing.manifest import result_sha256
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.special_cases import unreviewed_cases, with_special_cases
from fenzhi.services.clearing.year_inputs import refuse_unassessed

CLEARED = "cleared"
OFFSETS_STAND = "every fen offset stands on a receivable"
ENGINE_IS_RULES = "the bulk engine says what the rules say"


@dataclass(frozen=True)
class ComputedRun:
    """What a run came to, before it is recorded (计算结果)."""

    cases: pa.Table
    """Every frozen case once: case_id, hospital_id, disposition, group_code, band, points, total_fen, basic_fund_fen, patient_fen, los_days,
    settlement_month, group_score."""
    lines: tuple[StatementLine, ...]
    accounts: Mapping[Account, int]
    workings: Mapping[str, Working]
    point_value: PointValue
    """The settlement point value of a quarter, the budget point value a month was priced by."""
    printed: str
    fund_ratio: Fraction
    balance: Balance
    entries: list[tuple[int | None, str, int]]
    pending: Mapping[str, int]
    less_patient: bool
    share_totals: tuple[CaseTotals, ...]
    result_sha256: bytes
    annual: Mapping[str, AnnualLine]
    """For a year: what stands below payable, by hospital code."""
    offsets: Mapping[str, tuple[tuple[str, int], ...]]
    """What this run takes of each receivable beyond the year's earlier runs, by hospital code."""
    bonus_draws: Mapping[str, int]
    """For a year: what reserve, adjustment and risk gave to bonuses."""
    unreviewed: Mapping[str, tuple[str, int]]
    """Disposition and points of the reviewed cases without their reviews, by case id."""

    @property
    def laws(self) -> tuple[str, ...]:
        """The laws that were checked and hold (已核对的守恒律)."""
        of_year = (DEPOSIT_IDENTITY, FINAL_IDENTITY, SOURCES_IDENTITY, BOOKS_AGREE) if self.annual else ()
        return (
            FIRST_IDENTITY,
            SECOND_IDENTITY,
            TRANSFER_IDENTITY,
            *of_year,
            OWN_RULE,
            SAME_CASES,
            CASE_SHARES,
            DEBIT_IS_CREDIT,
            ENGINE_IS_RULES,
        )


def compute(frozen: FrozenRun, engine: Engine) -> ComputedRun:
    """Compute a frozen run (计算结算): a pure function of it, whatever the order of its rows and the threads of the engine.

    Raises: InvariantBroken naming the law and the account; the typed refusals of the rules (NoCases, NoPoints, FundRatioZero, …).
    """
    graded = grade(engine, frozen.cases, frozen.basis)
    _all_there(frozen.cases.num_rows, graded.num_rows)
    cross_check(frozen.cases, graded, frozen.basis)
    unreviewed = unreviewed_cases(graded, frozen.cases["case_id"], frozen.special)
    graded = with_special_cases(graded, frozen.cases["case_id"], frozen.special)
    cases = _beside(frozen.cases, graded)
    is_cleared = pc.equal(cases["disposition"], CLEARED)
    cleared = cases.filter(is_cleared)
    claims = _claims(frozen, cases, _sums(frozen, engine, cleared))
    run: MonthRun | QuarterRun
    year: AnnualRun | None = None
    if frozen.kind is RunKind.MONTH:
        run, balance, workings = _month(frozen, claims)
        value, printed_places = run.terms.point_value, run.terms.printed_decimals
        ratio, less_patient = run.terms.fund_ratio, run.terms.method is MonthMethod.SP_MINUS_PATIENT
    else:
        if frozen.kind is RunKind.QUARTER:
            run, balance, workings = _quarter(frozen, claims)
        else:
            year, balance, workings = _year(frozen, claims)
            run = year.year
        value, printed_places = run.point_value, run.terms.shares.printed_decimals
        ratio, less_patient = value.fund_ratio(), False
    ids = {code: number for number, (code, _) in frozen.hospitals.items()}
    totals = _share_totals(frozen, engine, run.lines, cleared, less_patient=less_patient)
    check_case_totals(run.lines, totals)
    annual = {line.hospital: line for line in year.lines} if year else {}
    return ComputedRun(
        cases=cases,
        lines=run.lines,
        accounts=run.accounts,
        annual=annual,
        offsets=_offsets(frozen, run.lines, ids),
        bonus_draws=year.bonuses.draws if year else {},
        unreviewed=unreviewed,
        workings=workings,
        point_value=value,
        printed=value.printed(printed_places),
        fund_ratio=ratio,
        balance=balance,
        entries=postings(balances_of(year or run, ids), frozen.position.posted),
        pending=_pending(cases),
        less_patient=less_patient,
        share_totals=totals,
        result_sha256=result_sha256(run.lines, run.accounts, cases, tuple(annual.values())),
    )


def _all_there(frozen: int, graded: int) -> None:
    if frozen != graded:
        raise InvariantBroken(SAME_CASES, account="cases", detail=f"frozen {frozen}, graded {graded}")


def _beside(cases: pa.Table, graded: pa.Table) -> pa.Table:
    together = cases.select(
        ["case_id", "hospital_id", "total_fen", "basic_fund_fen", "patient_fen", "los_days", "settlement_month"]
    )
    for name in ("disposition", "group_code", "band", "points", "group_score"):
        together = together.append_column(name, graded[name])
    return together


def _sums(frozen: FrozenRun, engine: Engine, cleared: pa.Table) -> dict[str, dict[str, Any]]:
    """Per hospital code: cases, points and money of the cleared cases."""
    if cleared.num_rows == 0:
        return {}
    scored = cleared.select(["group_code", "band", "points"]).append_column(
        "reason", pa.nulls(cleared.num_rows, pa.string())
    )
    beside = pa.table(
        {
            "hospital": _hospital_codes(frozen, cleared),
            "cost_fen": cleared["total_fen"],
            "booked_fen": cleared["basic_fund_fen"],
            "patient_fen": cleared["patient_fen"],
        }
    )
    return {row["hospital"]: row for row in engine.aggregate_hospitals(scored, beside).to_pylist()}


def _hospital_codes(frozen: FrozenRun, cases: pa.Table) -> pa.ChunkedArray:
    numbers = sorted(frozen.hospitals)
    index = pc.index_in(cases["hospital_id"], value_set=pa.array(numbers, cases["hospital_id"].type))
    return pc.take(pa.array([frozen.hospitals[number][0] for number in numbers], pa.string()), index)


@dataclass(frozen=True)
class _Claim:
    """What stands behind one hospital's line, as counted."""

    number: int
    cases: int
    pending: int
    points: int
    cost_fen: int
    booked_fen: int
    patient_fen: int


def _claims(frozen: FrozenRun, cases: pa.Table, sums: Mapping[str, Mapping[str, Any]]) -> dict[str, _Claim]:
    """One claim per hospital that has cases, deductions, payments or postings in the run's span, by hospital code."""
    counted = cases.group_by("hospital_id").aggregate([("case_id", "count")]).to_pylist()
    frozen_cases = {row["hospital_id"]: row["case_id_count"] for row in counted}
    posted = {number for number, _ in frozen.position.posted if number is not None}
    beside = (*frozen.beside.receivables, *frozen.beside.offset_earlier, *frozen.beside.advances)
    numbers = {*frozen_cases, *frozen.deductions, *frozen.payments, *posted, *beside}
    found: dict[str, _Claim] = {}
    for number in numbers:
        code = frozen.hospitals[number][0]
        row = sums.get(code, {})
        n = row.get("cases", 0)
        found[code] = _Claim(
            number,
            n,
            frozen_cases.get(number, 0) - n,
            row.get("points", 0),
            row.get("cost_fen", 0),
            row.get("booked_fen", 0),
            row.get("patient_fen", 0),
        )
    return dict(sorted(found.items()))


def _month(frozen: FrozenRun, claims: Mapping[str, _Claim]) -> tuple[MonthRun, Balance, dict[str, Working]]:
    if frozen.price is None or frozen.last_year_ratio is None:
        raise ValueError("a month is priced by a budget point value")
    terms = MonthTerms.from_policy(frozen.policy, frozen.price, frozen.last_year_ratio)
    position = frozen.position
    asked = [
        MonthClaim(
            hospital=code,
            cases=one.cases,
            points=one.points,
            cost_fen=one.cost_fen,
            booked_fen=one.booked_fen,
            patient_fen=one.patient_fen,
            deductions_fen=frozen.deductions.get(one.number, 0),
            cash_cap_fen=cash_cap(frozen.policy, one.booked_fen),
            deposit_held_fen=position.deposit_held.get(one.number, 0),
            earlier_cleared_fen=position.earlier_cleared.get(one.number, 0),
        )
        for code, one in claims.items()
    ]
    run = presettle_month(asked, terms)
    balance = check_month(run, asked)
    return run, balance, {line.hospital: month_working(run, line) for line in run.lines}


def _quarter(frozen: FrozenRun, claims: Mapping[str, _Claim]) -> tuple[QuarterRun, Balance, dict[str, Working]]:
    if frozen.fund_fen is None:
        raise ValueError("a quarter shares a fund")
    terms = frozen_quarter_terms(frozen)
    asked = [_quarter_claim(frozen, code, one) for code, one in claims.items()]
    run = clear_quarter(frozen.fund_fen, frozen.basis.points_decimals, asked, terms)
    balance = check_quarter(run, asked, frozen.fund_fen)
    return run, balance, {line.hospital: quarter_working(run, line) for line in run.lines}


def frozen_quarter_terms(frozen: FrozenRun) -> QuarterTerms:
    """The terms of a quarter or year, with the balances its accounts open with."""
    held = frozen.beside.openings
    price = price_terms(
        frozen.policy,
        frozen.basis.points_decimals,
        budget=frozen.price,
        bargained=frozen.price,
        balance_fen=max(0, held.get(Account.POINT_VALUE.value, 0)),
    )
    return QuarterTerms.from_policy(
        frozen.policy,
        phi_balance_fen=max(0, held.get(Account.PHI.value, 0)),
        rounding_balance_fen=max(0, held.get(Account.ROUNDING.value, 0)),
        floor_balance_fen=max(0, held.get(Account.FLOOR.value, 0)),
        price=price,
    )


def _quarter_claim(frozen: FrozenRun, code: str, one: _Claim) -> QuarterClaim:
    position, beside = frozen.position, frozen.beside
    return QuarterClaim(
        hospital=code,
        cases=one.cases,
        points=one.points,
        cost_fen=one.cost_fen,
        booked_fen=one.booked_fen,
        patient_fen=one.patient_fen,
        deductions_fen=frozen.deductions.get(one.number, 0),
        payments_recorded_fen=frozen.payments.get(one.number, 0),
        deposit_held_fen=position.deposit_held.get(one.number, 0),
        earlier_cleared_fen=position.earlier_cleared.get(one.number, 0),
        offset_earlier_fen=beside.offset_earlier.get(one.number, 0),
        receivables=beside.receivables.get(one.number, ()),
        fixed_points=opened_baseline(frozen, one.number),
    )


def opened_baseline(frozen: FrozenRun, hospital: int) -> int:
    """The part of a hospital's yearly baseline that the curve has opened, in 10^-d points, half up (基准量进度)."""
    points = frozen.beside.baselines.get(hospital)
    budget = frozen.manifest["budget"]
    if points is None or budget is None:
        return 0
    return half_up(points * 10**frozen.basis.points_decimals * Fraction(budget["opened"]))


def _year(frozen: FrozenRun, claims: Mapping[str, _Claim]) -> tuple[AnnualRun, Balance, dict[str, Working]]:
    if frozen.fund_fen is None:
        raise ValueError("a year shares a fund")
    beside, policy = frozen.beside, frozen.policy
    refuse_unassessed(beside, {code: one.number for code, one in claims.items()})
    terms = AnnualTerms.from_policy(policy, frozen_quarter_terms(frozen), beside.kept_back)
    place = terms.year.assessment_place
    asked = [
        AnnualClaim(
            year=replace(
                _quarter_claim(frozen, code, one), assessment_coefficient=beside.coefficient(one.number, place)
            ),
            booked_after_audit_fen=one.booked_fen - frozen.deductions.get(one.number, 0),
            advance_fen=beside.advances.get(one.number, 0),
            deposit_release=beside.release(one.number, place, policy),
        )
        for code, one in claims.items()
    ]
    run = clear_year(frozen.fund_fen, frozen.basis.points_decimals, asked, terms)
    balance = check_year(run, asked, frozen.fund_fen)
    return run, balance, {line.hospital: annual_working(run, line) for line in run.lines}


def _offsets(
    frozen: FrozenRun, lines: tuple[StatementLine, ...], ids: Mapping[str, int]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """What each receivable gives, in dated order, of what a line takes beyond the year's earlier runs."""
    found = {}
    for line in lines:
        number = ids[line.hospital]
        left = line.offsets_fen - frozen.beside.offset_earlier.get(number, 0)
        taken = []
        for one in sorted(frozen.beside.receivables.get(number, ()), key=lambda r: (r.since, r.receivable_id)):
            amount = min(left, one.open_fen)
            left -= amount
            if amount:
                taken.append((one.receivable_id, amount))
        if left:
            raise InvariantBroken(
                OFFSETS_STAND, account=f"{line.hospital}/{Account.OFFSETS.value}", unexplained_fen=left
            )
        if taken:
            found[line.hospital] = tuple(taken)
    return found


def _share_totals(
    frozen: FrozenRun, engine: Engine, lines: tuple[StatementLine, ...], cleared: pa.Table, *, less_patient: bool
) -> tuple[CaseTotals, ...]:
    """The case shares of every hospital, apportioned and added up again."""
    if cleared.num_rows == 0:
        return ()
    hospitals = _hospital_codes(frozen, cleared)
    grouped = pa.table({"hospital": hospitals, "points": cleared["points"], "case_id": cleared["case_id"]})
    counted = grouped.group_by("hospital").aggregate([("case_id", "count"), ("points", "sum")]).to_pylist()
    gross = {line.hospital: line.gross_fen for line in lines}
    shares = dict(gross)
    if not less_patient:
        present = [row["hospital"] for row in counted]
        totals = pa.table(
            {
                "hospital": pa.array(present, pa.string()),
                "total_fen": pa.array([gross.get(code, 0) for code in present], pa.int64()),
            }
        )
        shared = engine.apportion_cases(totals, grouped)
        summed = shared.group_by("hospital").aggregate([("share_fen", "sum")]).to_pylist()
        shares = {row["hospital"]: row["share_fen_sum"] for row in summed}
    return tuple(
        CaseTotals(row["hospital"], row["case_id_count"], row["points_sum"], shares.get(row["hospital"], 0))
        for row in counted
    )


def _pending(cases: pa.Table) -> dict[str, int]:
    """How many cases stand on each named list."""
    counted = cases.group_by("disposition").aggregate([("case_id", "count")]).to_pylist()
    return {
        row["disposition"].removeprefix("pending:"): row["case_id_count"]
        for row in sorted(counted, key=lambda row: str(row["disposition"]))
        if row["disposition"] != CLEARED
    }
