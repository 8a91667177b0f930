"""From frozen cases to statements (结算计算): cases graded and counted, their money by the rules, each case's share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.engine import Engine
from fenzhi.rules.clearing.annual_clearing import AnnualLine
from fenzhi.rules.clearing.annual_conservation import DEPOSIT_IDENTITY, FINAL_IDENTITY, SOURCES_IDENTITY
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
)
from fenzhi.rules.clearing.scoped_clearing import (
    SCOPES_ADD_UP,
    ScopedShares,
)
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.fund.ledger import BOOKS_AGREE, DEBIT_IS_CREDIT
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.rules.working import Working
from fenzhi.services.clearing.case_shares import ShareCut
from fenzhi.services.clearing.case_totals import PartShare, amounts_by_case, share_totals
from fenzhi.services.clearing.claims import Claim, claims_of
from fenzhi.services.clearing.freezing import FrozenRun
from fenzhi.services.clearing.grading import SAMPLE, cross_check, grade
from fenzhi.services.clearing.manifest import in_order
from fenzhi.services.clearing.modes import BesidePayments, cross_check_modes, with_modes
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.scopes import (
    GradedCases,
    part_of_cases,
)
from fenzhi.services.clearing.settling import settle
from fenzhi.services.clearing.special_cases import unreviewed_cases, with_special_cases

CLEARED = "cleared"


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
    share_cuts: Mapping[str, ShareCut]
    """By hospital code, the last case that takes one of the fen left."""
    part_cuts: Mapping[str, Mapping[str, PartShare]]
    """By hospital code and scope, of a pool that was divided by level or month: what its cases there share."""
    scoped: ScopedShares | None
    result_sha256: bytes
    annual: Mapping[str, AnnualLine]
    """For a year: what stands below payable, by hospital code."""
    offsets: Mapping[str, tuple[tuple[str, int], ...]]
    """What this run takes of each receivable beyond the year's earlier runs, by hospital code."""
    bonus_draws: Mapping[str, int]
    """For a year: what reserve, adjustment and risk gave to bonuses."""
    beside: BesidePayments
    """What is paid beside the points."""
    unreviewed: Mapping[str, tuple[str, int]]
    """Disposition and points of the reviewed cases without their reviews, by case id."""

    @property
    def laws(self) -> tuple[str, ...]:
        """The laws that were checked and hold (已核对的守恒律)."""
        of_year = (DEPOSIT_IDENTITY, FINAL_IDENTITY, SOURCES_IDENTITY, BOOKS_AGREE) if self.annual else ()
        by_scope = (SCOPES_ADD_UP,) if self.scoped is not None else ()
        return (
            FIRST_IDENTITY,
            SECOND_IDENTITY,
            TRANSFER_IDENTITY,
            *of_year,
            *by_scope,
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
    cases, unreviewed, beside = graded_cases(frozen, engine)
    is_cleared = pc.equal(cases["disposition"], CLEARED)
    cleared = cases.filter(is_cleared)
    claims = _claims(frozen, cases, _sums(frozen, engine, cleared))
    settled = settle(frozen, claims, beside.sums(), GradedCases(cleared, frozen.hospitals))
    totals, cuts, part_cuts = share_totals(frozen, engine, settled, cleared)
    check_case_totals(settled.lines, totals)
    return ComputedRun(
        cases=cases,
        lines=settled.lines,
        accounts=settled.accounts,
        annual=settled.annual,
        offsets=settled.offsets,
        bonus_draws=settled.bonus_draws,
        beside=beside,
        unreviewed=unreviewed,
        workings=settled.workings,
        point_value=settled.point_value,
        printed=settled.printed,
        fund_ratio=settled.fund_ratio,
        balance=settled.balance,
        entries=settled.entries,
        pending=_pending(cases),
        less_patient=settled.less_patient,
        share_totals=totals,
        share_cuts=cuts,
        part_cuts=part_cuts,
        scoped=settled.scoped,
        result_sha256=settled.result_sha256(cases),
    )


def graded_cases(frozen: FrozenRun, engine: Engine) -> tuple[pa.Table, dict[str, tuple[str, int]], BesidePayments]:
    """The frozen cases grouped and scored, a sample of them by the rules as well, in order of case id (入组计分结果); and the reviewed ones
    as they were without their reviews, by case id; and what is paid beside the points.

    Raises: InvariantBroken when a case is lost, or engine and rules differ.
    """
    graded = grade(engine, frozen.cases, frozen.basis)
    _all_there(frozen.cases.num_rows, graded.num_rows)
    cross_check(frozen.cases, graded, frozen.basis)
    graded, beside = with_modes(graded, frozen.cases, frozen.basis, frozen.modes, frozen.special)
    sample = range(0, graded.num_rows, max(1, graded.num_rows // SAMPLE))
    cross_check_modes(graded, frozen.cases, frozen.basis, frozen.modes, sample)
    unreviewed = unreviewed_cases(graded, frozen.cases["case_id"], frozen.special)
    graded = with_special_cases(graded, frozen.cases["case_id"], frozen.special)
    together = _beside(frozen.cases, graded)
    part = None if frozen.by_case is not None or frozen.kind is RunKind.MONTH else _part(frozen)
    if part is not None:
        together = together.append_column("part", part)
    return in_order(together), unreviewed, beside


def _part(frozen: FrozenRun) -> pa.ChunkedArray | None:
    return part_of_cases(frozen.cases, frozen.basis, frozen.policy)


def _all_there(frozen: int, graded: int) -> None:
    if frozen != graded:
        raise InvariantBroken(SAME_CASES, account="cases", detail=f"frozen {frozen}, graded {graded}")


def _beside(cases: pa.Table, graded: pa.Table) -> pa.Table:
    together = cases.select(
        ["case_id", "hospital_id", "total_fen", "basic_fund_fen", "patient_fen", "los_days", "settlement_month"]
    )
    for name in ("disposition", "group_code", "band", "points", "group_score", "beside_fen", "mode", "control_fen"):
        if name in graded.column_names:
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
    found = {row["hospital"]: row for row in engine.aggregate_hospitals(scored, beside).to_pylist()}
    if frozen.by_case is not None:
        paid = pa.table({"hospital": beside["hospital"], "fen": amounts_by_case(cleared["points"], frozen.by_case)})
        for row in paid.group_by("hospital").aggregate([("fen", "sum")]).to_pylist():
            found[row["hospital"]]["case_priced_fen"] = row["fen_sum"]
    return found


def _hospital_codes(frozen: FrozenRun, cases: pa.Table) -> pa.ChunkedArray:
    numbers = sorted(frozen.hospitals)
    index = pc.index_in(cases["hospital_id"], value_set=pa.array(numbers, cases["hospital_id"].type))
    return pc.take(pa.array([frozen.hospitals[number][0] for number in numbers], pa.string()), index)


def _claims(frozen: FrozenRun, cases: pa.Table, sums: Mapping[str, Mapping[str, Any]]) -> dict[str, Claim]:
    counted = cases.group_by("hospital_id").aggregate([("case_id", "count")]).to_pylist()
    return claims_of(frozen, {row["hospital_id"]: row["case_id_count"] for row in counted}, sums)


def _pending(cases: pa.Table) -> dict[str, int]:
    """How many cases stand on each named list."""
    counted = cases.group_by("disposition").aggregate([("case_id", "count")]).to_pylist()
    return {
        row["disposition"].removeprefix("pending:"): row["case_id_count"]
        for row in sorted(counted, key=lambda row: str(row["disposition"]))
        if row["disposition"] != CLEARED
    }
