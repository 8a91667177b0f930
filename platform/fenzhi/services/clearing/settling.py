"""The money of a run (结算金额计算): the rules of month, quarter and year over what the hospitals claim, and every law checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import pyarrow as pa

from fenzhi.rules.clearing.annual_clearing import AnnualClaim, AnnualLine, AnnualRun, AnnualTerms, clear_year
from fenzhi.rules.clearing.annual_conservation import check_year
from fenzhi.rules.clearing.conservation import (
    Balance,
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
    PointValueScope,
    ScopedShares,
    check_by_scope,
    clear_by_scope,
    scoped_shares,
)
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.clearing.workings import annual_working, month_working, quarter_working
from fenzhi.rules.fund.ledger import LedgerAccount
from fenzhi.rules.point_value.fund_pool import after_off_pool
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.point_value.point_value_methods import PriceTerms, price_terms
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.rules.working import Working
from fenzhi.services.clearing.claims import Claim, Ground, quarter_claim
from fenzhi.services.clearing.ledger import Balances, balances_of, postings
from fenzhi.services.clearing.manifest import result_sha256
from fenzhi.services.clearing.modes import NOTHING_BESIDE, BesideSums
from fenzhi.services.clearing.runs import RunKind
from fenzhi.services.clearing.scopes import (
    NO_CASE_MONEY,
    CaseMoney,
    Divided,
    divided,
    scope_of,
)
from fenzhi.services.clearing.year_inputs import refuse_unassessed

OFFSETS_STAND = "every fen offset stands on a receivable"


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
    asked = [quarter_claim(ground, code, one) for code, one in claims.items()]
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


def _year(
    ground: Ground, claims: Mapping[str, Claim], from_pool_fen: int, money: CaseMoney
) -> tuple[AnnualRun, Balance, dict[str, Working], ScopedShares | None]:
    fund_fen = after_off_pool(fund_to_share(ground, claims), from_pool_fen)
    beside, policy = ground.beside, ground.policy
    refuse_unassessed(beside, {code: one.number for code, one in claims.items()})
    terms = AnnualTerms.from_policy(policy, frozen_quarter_terms(ground), beside.kept_back)
    place = terms.year.assessment_place
    plain = [quarter_claim(ground, code, one) for code, one in claims.items()]
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
