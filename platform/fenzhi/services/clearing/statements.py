"""From frozen cases to statements (结算计算): points per hospital, the rules of month and quarter, and every law checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol

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
from fenzhi.rules.clearing.scoped_clearing import (
    SCOPES_ADD_UP,
    PointValueScope,
    ScopedShares,
    check_by_scope,
    clear_by_scope,
    scoped_shares,
)
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.clearing.workings import annual_working, month_working, quarter_working
from fenzhi.rules.fund.ledger import BOOKS_AGREE, DEBIT_IS_CREDIT, LedgerAccount
from fenzhi.rules.point_value.fund_pool import after_off_pool
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.point_value.point_value_methods import PriceTerms, price_terms
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.rules.working import Working
from fenzhi.services.clearing.case_shares import ShareCut
from fenzhi.services.clearing.case_totals import PartShare, amounts_by_case, share_totals
from fenzhi.services.clearing.freezing import FrozenRun, Position
from fenzhi.services.clearing.grading import SAMPLE, cross_check, grade
from fenzhi.services.clearing.ledger import Balances, balances_of, postings
from fenzhi.services.clearing.manifest import in_order, result_sha256
from fenzhi.services.clearing.modes import NOTHING_BESIDE, BesidePayments, BesideSums, cross_check_modes, with_modes
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.scopes import (
    NO_CASE_MONEY,
    CaseMoney,
    Divided,
    GradedCases,
    divided,
    part_of_cases,
    scope_of,
)
from fenzhi.services.clearing.special_cases import unreviewed_cases, with_special_cases
from fenzhi.services.clearing.year_inputs import YearInputs, refuse_unassessed

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


class Ground(Protocol):
    """What the money of a run is made of once its cases are graded (金额计算依据): of a frozen run, or of a manifest read again."""

    @property
    def kind(self) -> RunKind: ...
    @property
    def policy(self) -> ResolvedPolicy: ...
    @property
    def points_decimals(self) -> int: ...
    @property
    def hospitals(self) -> Mapping[int, tuple[str, int | None]]: ...
    @property
    def fund_fen(self) -> int | None: ...
    @property
    def price(self) -> PointValue | None: ...
    @property
    def last_year_ratio(self) -> Fraction | None: ...
    @property
    def deductions(self) -> Mapping[int, int]: ...
    @property
    def payments(self) -> Mapping[int, int]: ...
    @property
    def position(self) -> Position: ...
    @property
    def beside(self) -> YearInputs: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...
    @property
    def by_case(self) -> Fraction | None: ...


@dataclass(frozen=True)
class Settled:
    """The money of a run (结算金额): as `ComputedRun`, without its cases."""

    lines: tuple[StatementLine, ...]
    accounts: Mapping[Account, int]
    workings: Mapping[str, Working]
    point_value: PointValue
    printed: str
    fund_ratio: Fraction
    balance: Balance
    entries: list[tuple[int | None, str, int]]
    less_patient: bool
    annual: Mapping[str, AnnualLine]
    offsets: Mapping[str, tuple[tuple[str, int], ...]]
    bonus_draws: Mapping[str, int]
    beside: Mapping[str, int]
    """By hospital code, what is paid beside the points."""
    withheld: Mapping[str, int]
    """By hospital code, what total control holds back of it."""
    scoped: ScopedShares | None = None
    """The shares of a pool that was divided by level or month."""

    def result_sha256(self, cases: pa.Table) -> bytes:
        """The digest of the result with its cases (结果摘要)."""
        return result_sha256(self.lines, self.accounts, cases, tuple(self.annual.values()), self.beside, self.withheld)


def settle(
    ground: Ground,
    claims: Mapping[str, Claim],
    beside: BesideSums = NOTHING_BESIDE,
    money: CaseMoney = NO_CASE_MONEY,
) -> Settled:
    """The money of a run from what each hospital claims, every law checked (由机构数据计算金额). `money`: of its cases, for parts and floors.

    Raises: as `compute`.
    """
    run: MonthRun | QuarterRun
    year: AnnualRun | None = None
    scoped: ScopedShares | None = None
    if ground.kind is RunKind.MONTH:
        run, balance, workings = _month(ground, claims)
        value, printed_places = run.terms.point_value, run.terms.printed_decimals
        ratio, less_patient = run.terms.fund_ratio, run.terms.method is MonthMethod.SP_MINUS_PATIENT
    else:
        if ground.kind is RunKind.QUARTER:
            run, balance, workings, scoped = _quarter(ground, claims, beside.from_pool_fen, money)
        else:
            year, balance, workings, scoped = _year(ground, claims, beside.from_pool_fen, money)
            run = year.year
        value, printed_places = run.point_value, run.terms.shares.printed_decimals
        ratio, less_patient = value.fund_ratio(), False
    ids = {code: number for number, (code, _) in ground.hospitals.items()}
    return Settled(
        lines=run.lines,
        accounts=run.accounts,
        workings=workings,
        point_value=value,
        printed=value.printed(printed_places),
        fund_ratio=ratio,
        balance=balance,
        entries=postings(_with_beside(balances_of(year or run, ids), beside), ground.position.posted),
        beside={ground.hospitals[number][0]: fen for number, fen in beside.by_hospital.items()},
        withheld={ground.hospitals[number][0]: fen for number, fen in beside.withheld.items()},
        less_patient=less_patient,
        annual={line.hospital: line for line in year.lines} if year else {},
        offsets=_offsets(ground, run.lines, ids),
        bonus_draws=year.bonuses.draws if year else {},
        scoped=scoped,
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


@dataclass(frozen=True)
class Claim:
    """What stands behind one hospital's line, as counted."""

    number: int
    cases: int
    pending: int
    points: int
    cost_fen: int
    booked_fen: int
    patient_fen: int
    case_priced_fen: int = 0


def _claims(frozen: FrozenRun, cases: pa.Table, sums: Mapping[str, Mapping[str, Any]]) -> dict[str, Claim]:
    counted = cases.group_by("hospital_id").aggregate([("case_id", "count")]).to_pylist()
    return claims_of(frozen, {row["hospital_id"]: row["case_id_count"] for row in counted}, sums)


def claims_of(
    ground: Ground, frozen_cases: Mapping[int, int], sums: Mapping[str, Mapping[str, Any]]
) -> dict[str, Claim]:
    """One claim per hospital that has cases, deductions, payments or postings in the run's span, by hospital code (机构申报).

    `frozen_cases`: all cases by hospital id; `sums`: cases, points and money of the cleared ones by code.
    """
    posted = {number for number, _ in ground.position.posted if number is not None}
    beside = (*ground.beside.receivables, *ground.beside.offset_earlier, *ground.beside.advances)
    numbers = {*frozen_cases, *ground.deductions, *ground.payments, *posted, *beside}
    found: dict[str, Claim] = {}
    for number in numbers:
        code = ground.hospitals[number][0]
        row = sums.get(code, {})
        n = row.get("cases", 0)
        found[code] = Claim(
            number,
            n,
            frozen_cases.get(number, 0) - n,
            row.get("points", 0),
            row.get("cost_fen", 0),
            row.get("booked_fen", 0),
            row.get("patient_fen", 0),
            row.get("case_priced_fen", 0),
        )
    return dict(sorted(found.items()))


def _month(ground: Ground, claims: Mapping[str, Claim]) -> tuple[MonthRun, Balance, dict[str, Working]]:
    if ground.price is None or ground.last_year_ratio is None:
        raise ValueError("a month is priced by a budget point value")
    terms = MonthTerms.from_policy(ground.policy, ground.price, ground.last_year_ratio)
    position = ground.position
    asked = [
        MonthClaim(
            hospital=code,
            cases=one.cases,
            points=one.points,
            cost_fen=one.cost_fen,
            booked_fen=one.booked_fen,
            patient_fen=one.patient_fen,
            deductions_fen=ground.deductions.get(one.number, 0),
            cash_cap_fen=cash_cap(ground.policy, one.booked_fen),
            deposit_held_fen=position.deposit_held.get(one.number, 0),
            earlier_cleared_fen=position.earlier_cleared.get(one.number, 0),
        )
        for code, one in claims.items()
    ]
    run = presettle_month(asked, terms)
    balance = check_month(run, asked)
    return run, balance, {line.hospital: month_working(run, line) for line in run.lines}


def _with_beside(due: Balances, beside: BesideSums) -> Balances:
    """The books owe what is paid beside the points as well (池外支付入账), less what total control holds back in its own account."""
    for hospital, fen in beside.by_hospital.items():
        held = beside.withheld.get(hospital, 0)
        for account, amount in (
            (LedgerAccount.OFF_POOL, fen),
            (LedgerAccount.CONTROL_WITHHELD, -held),
            (LedgerAccount.PAYABLE, held - fen),
        ):
            place = (hospital, account.value)
            due[place] = due.get(place, 0) + amount
    return {place: amount for place, amount in due.items() if amount}


def _quarter(
    ground: Ground, claims: Mapping[str, Claim], from_pool_fen: int, money: CaseMoney
) -> tuple[QuarterRun, Balance, dict[str, Working], ScopedShares | None]:
    terms = frozen_quarter_terms(ground)
    fund_fen = after_off_pool(fund_to_share(ground, claims), from_pool_fen)
    asked = [_quarter_claim(ground, code, one) for code, one in claims.items()]
    cut = _divided(ground, fund_fen, asked, terms, money)
    if cut is not None:
        asked = cut.claims(asked)
        if scope_of(ground.policy) is not PointValueScope.POOL:
            scoped = clear_by_scope(cut.funds, ground.points_decimals, cut.parts, asked, terms)
            balance = check_by_scope(scoped, cut.funds, cut.parts, asked)
            shares = scoped_shares(cut.funds, ground.points_decimals, cut.parts, asked, terms)
            lines = scoped.run.lines
            return (
                scoped.run,
                balance,
                {one.hospital: quarter_working(scoped.run, one, shares) for one in lines},
                shares,
            )
    run = clear_quarter(fund_fen, ground.points_decimals, asked, terms)
    balance = check_quarter(run, asked, fund_fen)
    return run, balance, {line.hospital: quarter_working(run, line) for line in run.lines}, None


def _divided(
    ground: Ground, fund_fen: int, asked: Sequence[QuarterClaim], terms: QuarterTerms, money: CaseMoney
) -> Divided | None:
    """The pool by scope and with floors, where the policy asks for either; cases from elsewhere are priced one by one."""
    if ground.by_case is not None:
        return None
    place = (ground.kind, ground.policy, ground.manifest, ground.points_decimals)
    return divided(*place, fund_fen, asked, terms, money)


def fund_to_share(ground: Ground, claims: Mapping[str, Claim]) -> int:
    """What there is to share (可分配额): the fund opened so far; of cases from elsewhere, what they are paid one by one. Units: fen."""
    if ground.by_case is not None:
        return sum(one.case_priced_fen for one in claims.values())
    if ground.fund_fen is None:
        raise ValueError("a quarter or a year shares a fund")
    return ground.fund_fen


def frozen_quarter_terms(ground: Ground) -> QuarterTerms:
    """The terms of a quarter or year, with the balances its accounts open with."""
    held = ground.beside.openings
    if ground.by_case is not None:
        price = PriceTerms(basis=Basis(ground.policy.method("point_value.basis")), by_case=ground.by_case)
    else:
        price = price_terms(
            ground.policy,
            ground.points_decimals,
            budget=ground.price,
            bargained=ground.price,
            balance_fen=max(0, held.get(Account.POINT_VALUE.value, 0)),
        )
    return QuarterTerms.from_policy(
        ground.policy,
        phi_balance_fen=max(0, held.get(Account.PHI.value, 0)),
        rounding_balance_fen=max(0, held.get(Account.ROUNDING.value, 0)),
        floor_balance_fen=max(0, held.get(Account.FLOOR.value, 0)),
        price=price,
    )


def _quarter_claim(ground: Ground, code: str, one: Claim) -> QuarterClaim:
    position, beside = ground.position, ground.beside
    return QuarterClaim(
        hospital=code,
        cases=one.cases,
        points=one.points,
        cost_fen=one.cost_fen,
        booked_fen=one.booked_fen,
        patient_fen=one.patient_fen,
        deductions_fen=ground.deductions.get(one.number, 0),
        payments_recorded_fen=ground.payments.get(one.number, 0),
        deposit_held_fen=position.deposit_held.get(one.number, 0),
        earlier_cleared_fen=position.earlier_cleared.get(one.number, 0),
        offset_earlier_fen=beside.offset_earlier.get(one.number, 0),
        receivables=beside.receivables.get(one.number, ()),
        fixed_points=opened_baseline(ground, one.number),
        case_priced_fen=one.case_priced_fen,
    )


def opened_baseline(ground: Ground, hospital: int) -> int:
    """The part of a hospital's yearly baseline that the curve has opened, in 10^-d points, half up (基准量进度)."""
    points = ground.beside.baselines.get(hospital)
    budget = ground.manifest["budget"]
    if points is None or budget is None:
        return 0
    return half_up(points * 10**ground.points_decimals * Fraction(budget["opened"]))


def _year(
    ground: Ground, claims: Mapping[str, Claim], from_pool_fen: int, money: CaseMoney
) -> tuple[AnnualRun, Balance, dict[str, Working], ScopedShares | None]:
    fund_fen = after_off_pool(fund_to_share(ground, claims), from_pool_fen)
    beside, policy = ground.beside, ground.policy
    refuse_unassessed(beside, {code: one.number for code, one in claims.items()})
    terms = AnnualTerms.from_policy(policy, frozen_quarter_terms(ground), beside.kept_back)
    place = terms.year.assessment_place
    plain = [_quarter_claim(ground, code, one) for code, one in claims.items()]
    cut = _divided(ground, fund_fen, plain, terms.year, money)
    shares: ScopedShares | None = None
    if cut is not None:
        plain = cut.claims(plain)
        if scope_of(policy) is not PointValueScope.POOL:
            shares = scoped_shares(cut.funds, ground.points_decimals, cut.parts, plain, terms.year)
    asked = [
        AnnualClaim(
            year=replace(claim, assessment_coefficient=beside.coefficient(one.number, place)),
            booked_after_audit_fen=one.booked_fen - ground.deductions.get(one.number, 0),
            advance_fen=beside.advances.get(one.number, 0),
            deposit_release=beside.release(one.number, place, policy),
        )
        for claim, one in zip(plain, claims.values(), strict=True)
    ]
    shared = None if shares is None else (shares.point_value, shares.whole)
    run = clear_year(fund_fen, ground.points_decimals, asked, terms, shared)
    if shares is not None and cut is not None:
        again = scoped_shares(cut.funds, ground.points_decimals, cut.parts, plain, terms.year)
        shared = (again.point_value, again.whole)
    balance = check_year(run, asked, fund_fen, shared)
    return run, balance, {line.hospital: annual_working(run, line, shares) for line in run.lines}, shares


def _offsets(
    ground: Ground, lines: tuple[StatementLine, ...], ids: Mapping[str, int]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """What each receivable gives, in dated order, of what a line takes beyond the year's earlier runs."""
    found = {}
    for line in lines:
        number = ids[line.hospital]
        left = line.offsets_fen - ground.beside.offset_earlier.get(number, 0)
        taken = []
        for one in sorted(ground.beside.receivables.get(number, ()), key=lambda r: (r.since, r.receivable_id)):
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


def _pending(cases: pa.Table) -> dict[str, int]:
    """How many cases stand on each named list."""
    counted = cases.group_by("disposition").aggregate([("case_id", "count")]).to_pylist()
    return {
        row["disposition"].removeprefix("pending:"): row["case_id_count"]
        for row in sorted(counted, key=lambda row: str(row["disposition"]))
        if row["disposition"] != CLEARED
    }
