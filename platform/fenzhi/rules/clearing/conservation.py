"""Conservation (守恒): the laws that must hold to the fen before a run may be recorded.

Each account is computed again from its own rule and compared; the identities are then added up over what was
computed. A run that breaks a law stops with the name of the law and of the account, and nothing of it is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fenzhi.rules.clearing.presettlement import MonthClaim, MonthRun, presettle_month
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterRun, clear_quarter
from fenzhi.rules.clearing.statement import DRAWN_OR_RETURNED, SUMMED, Account, StatementLine
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import InvariantBroken

FIRST_IDENTITY = "pool + draws = gross + returns"
SECOND_IDENTITY = (
    "gross = payable + deposit + deductions + assessment + bands - bonuses + not prepaid + cut by the cash cap"
)
TRANSFER_IDENTITY = "transfer = payable - payments recorded - offsets"
OWN_RULE = "each amount follows from its own rule"
ACCOUNT_TOTAL = "an account is the sum of its lines"
ACCOUNT_COVERS = "a draw never exceeds its account"
SAME_HOSPITALS = "the lines are those of the claims, each hospital once"
SAME_CASES = "each case of the run stands in one share, once"
CASE_SHARES = "the shares of the cases add up to the share of their hospital"


@dataclass(frozen=True, slots=True)
class Balance:
    """A conservation line of a run (守恒核对): what was to be explained and what explains it. Units: fen."""

    pool_fen: int
    draws_fen: int
    gross_fen: int
    returns_fen: int

    @property
    def unexplained_fen(self) -> int:
        return self.pool_fen + self.draws_fen - self.gross_fen - self.returns_fen


@dataclass(frozen=True, slots=True)
class CaseTotals:
    """The case shares of one hospital as they were computed or stored (机构病例合计). Units: fen, points in 10^-d."""

    hospital: str
    cases: int
    points: int
    share_fen: int


def pool_balance(lines: Iterable[StatementLine], accounts: Mapping[Account, int]) -> Balance:
    """The first identity of a quarter run, added up (基金池平衡)."""
    moved = [accounts[account] for account in DRAWN_OR_RETURNED]
    return Balance(
        accounts[Account.POOL],
        sum(-amount for amount in moved if amount < 0),
        sum(line.gross_fen for line in lines),
        sum(amount for amount in moved if amount > 0),
    )


def check_pool(lines: Sequence[StatementLine], accounts: Mapping[Account, int]) -> Balance:
    """First identity and account totals of a pool (第一恒等式). Raises: InvariantBroken naming the account."""
    _check_totals(lines, accounts)
    price = accounts[Account.POINT_VALUE] + accounts[Account.CAP_EXCESS]
    _same(ACCOUNT_TOTAL, Account.POINT_VALUE.value, price, sum(line.amount(Account.POINT_VALUE) for line in lines))
    _same(
        ACCOUNT_TOTAL, Account.FLOOR.value, accounts[Account.FLOOR], sum(line.amount(Account.FLOOR) for line in lines)
    )
    phi = accounts[Account.PHI] + accounts[Account.PHI_CAP_EXCESS]
    _same(ACCOUNT_TOTAL, Account.PHI.value, phi, sum(line.amount(Account.PHI) for line in lines))
    rounding = sum(line.amount(Account.ROUNDING) for line in lines)
    _same(ACCOUNT_TOTAL, Account.ROUNDING.value, accounts[Account.ROUNDING], rounding)
    shared = sum(line.default_share_fen for line in lines)
    _same("the default shares add up to the pool", Account.POOL.value, accounts[Account.POOL], shared)
    balance = pool_balance(lines, accounts)
    if balance.unexplained_fen:
        raise InvariantBroken(FIRST_IDENTITY, account=Account.POOL.value, unexplained_fen=balance.unexplained_fen)
    return balance


def check_hospital(line: StatementLine) -> None:
    """Second identity and transfer of one hospital (第二恒等式). Raises: InvariantBroken naming the hospital."""
    explained = (
        line.payable_fen
        + line.deposit_withheld_fen
        + line.deductions_fen
        + line.assessment_withheld_fen
        + line.band_withheld_fen
        - line.bonuses_fen
        + line.not_prepaid_fen
        + line.cash_cut_fen
    )
    _same(SECOND_IDENTITY, line.hospital, line.gross_fen, explained)
    due = line.payable_fen - line.payments_recorded_fen - line.offsets_fen
    _same(TRANSFER_IDENTITY, f"{line.hospital}/{Account.TRANSFER.value}", line.transfer_fen, due)


def check_month(run: MonthRun, claims: Sequence[MonthClaim]) -> Balance:
    """Every law of a month run (月度守恒): own rules, account totals, second identity; the pool is Σ gross.

    `claims` are those of the frozen manifest. Raises: InvariantBroken naming law and account.
    """
    check_lines(run.lines, presettle_month(claims, run.terms).lines)
    _check_totals(run.lines, run.accounts)
    gross = sum(line.gross_fen for line in run.lines)
    _same("the pool of a month is its gross", Account.POOL.value, run.accounts[Account.POOL], gross)
    for line in run.lines:
        check_hospital(line)
    return Balance(run.accounts[Account.POOL], 0, gross, 0)


def check_quarter(run: QuarterRun, claims: Sequence[QuarterClaim], fund_fen: int) -> Balance:
    """Every law of a quarter run (季度守恒): φ, own rules, account totals and limits, first and second identity.

    `claims` and `fund_fen` are those of the frozen manifest, not those the run carried along. Raises: InvariantBroken
    naming law and account.
    """
    own = clear_quarter(fund_fen, run.point_value.points_decimals, claims, run.terms)
    check_point_value(run.point_value, own.point_value)
    check_lines(run.lines, own.lines)
    for account, amount in own.accounts.items():
        _same(OWN_RULE, account.value, run.accounts[account], amount)
    covers(Account.PHI, run.accounts[Account.PHI], run.terms.shares.phi_balance_fen)
    covers(Account.ROUNDING, run.accounts[Account.ROUNDING], run.terms.shares.rounding_balance_fen)
    covers(Account.POINT_VALUE, run.accounts[Account.POINT_VALUE], run.terms.price.balance_fen)
    covers(Account.FLOOR, run.accounts[Account.FLOOR], run.terms.shares.floor_balance_fen)
    for line in run.lines:
        check_hospital(line)
    return check_pool(run.lines, run.accounts)


def check_case_totals(lines: Sequence[StatementLine], totals: Iterable[CaseTotals]) -> None:
    """Σ case shares = hospital share, and as many cases and points as the run counted (病例合计核对).

    Shape: one total per hospital, from the rows as stored. Raises: InvariantBroken naming the hospital.
    """
    by_hospital: dict[str, CaseTotals] = {}
    for total in totals:
        if total.hospital in by_hospital:
            raise InvariantBroken(SAME_HOSPITALS, account=total.hospital)
        by_hospital[total.hospital] = total
    for line in lines:
        found = by_hospital.pop(line.hospital, CaseTotals(line.hospital, 0, 0, 0))
        unexplained = line.gross_fen - found.share_fen
        if (found.cases, found.points) != (line.cases, line.points):
            detail = f"cases {found.cases} of {line.cases}, points {found.points} of {line.points}"
            raise InvariantBroken(SAME_CASES, account=line.hospital, unexplained_fen=unexplained, detail=detail)
        if unexplained:
            raise InvariantBroken(CASE_SHARES, account=line.hospital, unexplained_fen=unexplained)
    for hospital, total in by_hospital.items():
        raise InvariantBroken(SAME_HOSPITALS, account=hospital, unexplained_fen=-total.share_fen)


def check_cases(lines: Sequence[StatementLine], rows: Iterable[tuple[str, str, int, int]]) -> None:
    """As `check_case_totals` over the cases themselves, each once (逐例核对).

    Shape: rows of (case id, hospital, points, share_fen). Raises: InvariantBroken naming hospital and case.
    """
    seen: set[str] = set()
    sums: dict[str, list[int]] = {}
    for case_id, hospital, points, share_fen in rows:
        if case_id in seen:
            raise InvariantBroken(SAME_CASES, account=f"{hospital}/{case_id}", unexplained_fen=-share_fen)
        seen.add(case_id)
        held = sums.setdefault(hospital, [0, 0, 0])
        for place, amount in enumerate((1, points, share_fen)):
            held[place] += amount
    check_case_totals(lines, (CaseTotals(hospital, *held) for hospital, held in sums.items()))


_LINE_TERMS: tuple[tuple[str, str], ...] = (
    ("cases", "cases"),
    ("points", "points"),
    ("cost_fen", "cost"),
    ("booked_fen", "booked"),
    ("patient_fen", "patient"),
    ("fund_ratio", "fund_ratio"),
    ("default_share_fen", "default_share"),
    ("priced_share_fen", "priced_share"),
    ("method_share_fen", Account.PHI.value),
    ("floor_fen", Account.FLOOR.value),
    ("gross_fen", Account.GROSS.value),
    ("printed_fen", "printed"),
    ("remainder_fen", "remainder"),
    ("not_prepaid_fen", Account.NOT_PREPAID.value),
    ("deductions_fen", Account.DEDUCTIONS.value),
    ("assessment_withheld_fen", Account.ASSESSMENT.value),
    ("band_withheld_fen", Account.BANDS.value),
    ("bonuses_fen", Account.BONUSES.value),
    ("cash_cut_fen", Account.CASH_CUT.value),
    ("cleared_fen", "cleared"),
    ("deposit_held_before_fen", "deposit_held_before"),
    ("deposit_target_fen", "deposit_target"),
    ("deposit_withheld_fen", Account.DEPOSIT.value),
    ("deposit_posting_fen", "deposit_posting"),
    ("payable_fen", Account.PAYABLE.value),
    ("payments_recorded_fen", Account.PAYMENTS.value),
    ("offsets_fen", Account.OFFSETS.value),
    ("transfer_fen", Account.TRANSFER.value),
)
"""Every term of a line with the name under which it is reported, in the order of posting."""


def check_lines(lines: Sequence[StatementLine], own: Sequence[StatementLine]) -> None:
    """Every term of every line as its own rule gives it (逐项核对). Raises: InvariantBroken naming hospital and term."""
    expected = {line.hospital: line for line in own}
    found: set[str] = set()
    for line in lines:
        if line.hospital not in expected or line.hospital in found:
            raise InvariantBroken(SAME_HOSPITALS, account=line.hospital, unexplained_fen=-line.gross_fen)
        found.add(line.hospital)
    for hospital in expected:
        if hospital not in found:
            raise InvariantBroken(SAME_HOSPITALS, account=hospital, unexplained_fen=expected[hospital].gross_fen)
    for line in lines:
        for name, reported in _LINE_TERMS:
            got, due = getattr(line, name), getattr(expected[line.hospital], name)
            if got != due:
                raise InvariantBroken(
                    OWN_RULE,
                    account=f"{line.hospital}/{reported}",
                    unexplained_fen=int(got - due) if name.endswith("_fen") else 0,
                    detail=f"got {got}, expected {due}",
                )


def _check_totals(lines: Sequence[StatementLine], accounts: Mapping[Account, int]) -> None:
    for account in SUMMED:
        _same(ACCOUNT_TOTAL, account.value, accounts[account], sum(line.amount(account) for line in lines))


def check_point_value(found: PointValue, own: PointValue) -> None:
    """The point value is made of the manifest's sums (点值核对). Raises: InvariantBroken."""
    for name in ("fund_fen", "booked_fen", "cost_fen", "points"):
        _same(
            "the point value is made of the manifest", f"point_value/{name}", getattr(found, name), getattr(own, name)
        )


def covers(account: Account, amount_fen: int, balance_fen: int) -> None:
    """A draw never exceeds its account (支取不超余额). Raises: InvariantBroken."""
    if -amount_fen > balance_fen:
        raise InvariantBroken(ACCOUNT_COVERS, account=account.value, unexplained_fen=-amount_fen - balance_fen)


def _same(law: str, account: str, found: int, due: int) -> None:
    if found != due:
        raise InvariantBroken(law, account=account, unexplained_fen=found - due, detail=f"got {found}, expected {due}")
