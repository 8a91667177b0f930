"""The books of a pool (总账): what a run, a payment or a correction writes, each time as much on one side as on the other.

A run states positions: what each account of the year should stand at. Only the difference to what earlier runs of the
year posted is written, so that a year's books are a sum and a run repeated writes nothing. A correction is a reversal
and a restatement; nothing is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fenzhi.rules.clearing.annual_clearing import AnnualRun
from fenzhi.rules.clearing.out_of_area import Funding
from fenzhi.rules.clearing.presettlement import MonthRun
from fenzhi.rules.clearing.quarterly import QuarterRun
from fenzhi.rules.clearing.statement import DRAWN_OR_RETURNED, Account, StatementLine
from fenzhi.rules.refusals import InvariantBroken

DEBIT_IS_CREDIT = "debit = credit"
BOOKS_AGREE = "the books agree with the statements"


class LedgerAccount(StrEnum):
    """The chart of accounts (会计科目). Debit positive, credit negative."""

    FUND = "pool"
    RESERVE = "reserve"
    ADJUSTMENT = "adjustment"
    RISK = "risk"
    POINT_VALUE = "point_value"
    CAP_EXCESS = "cap_excess"
    PHI = "phi"
    PHI_CAP_EXCESS = "phi_cap_excess"
    FLOOR = "floor"
    ROUNDING = "rounding"
    OFF_POOL = "off_pool"
    CONTROL_WITHHELD = "control_withheld"
    NOT_PREPAID = "not_prepaid"
    DEDUCTIONS = "deductions"
    ASSESSMENT = "assessment"
    BANDS = "bands"
    BONUSES = "bonuses"
    BONUSES_FINANCED = "bonuses_financed"
    CASH_CUT = "cash_cut"
    DEPOSIT = "deposit"
    DEPOSIT_FORFEITED = "deposit_forfeited"
    PAYABLE = "payable"
    PAID = "paid"
    ADVANCE = "advance"
    RECEIVABLE = "receivable"
    OPENING = "opening"
    INTER_AREA_RECEIVABLE = "inter_area_receivable"
    INTER_AREA_PAYABLE = "inter_area_payable"
    INTER_AREA_UNCOVERED = "inter_area_uncovered"

    @property
    def zh(self) -> str:
        return _ZH[self]


_ZH = {
    LedgerAccount.FUND: "统筹基金支出",
    LedgerAccount.RESERVE: "预留金",
    LedgerAccount.ADJUSTMENT: "区域调节金",
    LedgerAccount.RISK: "风险金",
    LedgerAccount.POINT_VALUE: "点值差额",
    LedgerAccount.CAP_EXCESS: "点值封顶结余",
    LedgerAccount.PHI: "支付比例调节",
    LedgerAccount.PHI_CAP_EXCESS: "支付比例调节超限",
    LedgerAccount.FLOOR: "病例保底",
    LedgerAccount.ROUNDING: "点值尾差",
    LedgerAccount.OFF_POOL: "池外支付",
    LedgerAccount.CONTROL_WITHHELD: "总额控制暂不拨付",
    LedgerAccount.NOT_PREPAID: "未预付",
    LedgerAccount.DEDUCTIONS: "审核扣款",
    LedgerAccount.ASSESSMENT: "考核扣减",
    LedgerAccount.BANDS: "分档扣减",
    LedgerAccount.BONUSES: "奖励与分担",
    LedgerAccount.BONUSES_FINANCED: "奖励与分担资金来源",
    LedgerAccount.CASH_CUT: "现金上限削减",
    LedgerAccount.DEPOSIT: "质量保证金",
    LedgerAccount.DEPOSIT_FORFEITED: "没收保证金",
    LedgerAccount.PAYABLE: "应付机构款",
    LedgerAccount.PAID: "已付款",
    LedgerAccount.ADVANCE: "预付金",
    LedgerAccount.RECEIVABLE: "应收机构款",
    LedgerAccount.OPENING: "期初余额",
    LedgerAccount.INTER_AREA_RECEIVABLE: "应收其他统筹区异地款",
    LedgerAccount.INTER_AREA_PAYABLE: "应付其他统筹区异地款",
    LedgerAccount.INTER_AREA_UNCOVERED: "异地款资金缺口",
}

KEPT_BACK = (LedgerAccount.RESERVE, LedgerAccount.ADJUSTMENT, LedgerAccount.RISK)
"""What a budget keeps back for later (预留科目)."""
CARRIED = (*KEPT_BACK, LedgerAccount.PHI, LedgerAccount.ROUNDING, LedgerAccount.FLOOR, LedgerAccount.POINT_VALUE)
"""The accounts whose balance goes into the next year (结转科目)."""

Position = tuple[str, LedgerAccount]
"""Hospital code, blank for the pool itself, and account (机构与科目)."""

_LINE_ACCOUNTS = (
    (Account.NOT_PREPAID, LedgerAccount.NOT_PREPAID, -1),
    (Account.DEDUCTIONS, LedgerAccount.DEDUCTIONS, -1),
    (Account.ASSESSMENT, LedgerAccount.ASSESSMENT, -1),
    (Account.BANDS, LedgerAccount.BANDS, -1),
    (Account.BONUSES, LedgerAccount.BONUSES, 1),
    (Account.CASH_CUT, LedgerAccount.CASH_CUT, -1),
    (Account.DEPOSIT, LedgerAccount.DEPOSIT, -1),
    (Account.PAYABLE, LedgerAccount.PAYABLE, -1),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a posting (分录). Units: fen, debit positive, credit negative; hospital blank for the pool."""

    hospital: str
    account: LedgerAccount
    amount_fen: int
    memo: str = ""


def month_positions(run: MonthRun) -> dict[Position, int]:
    """What a month run adds to the books (月度应记额): fund against payable, deposit, deductions and what waits."""
    return _with_fund(run.lines, {}, sum(line.gross_fen for line in run.lines))


def quarter_positions(run: QuarterRun) -> dict[Position, int]:
    """Where the books should stand after a quarter run (季度应记额); year to date in a cumulative run.

    Offsets move what is owed to the hospital against what it owes from earlier years. Units: fen.
    """
    return line_positions(run.lines, run.accounts)


def line_positions(lines: Sequence[StatementLine], accounts: Mapping[Account, int]) -> dict[Position, int]:
    """As `quarter_positions`, from the lines and accounts of a month or a quarter alone (由结算单得出应记额). Units: fen."""
    positions = _with_fund(lines, accounts, accounts[Account.POOL])
    for line in lines:
        _move(positions, line.hospital, LedgerAccount.PAYABLE, LedgerAccount.RECEIVABLE, line.offsets_fen)
    return {place: amount for place, amount in positions.items() if amount}


def annual_positions(run: AnnualRun) -> dict[Position, int]:
    """Where the books should stand after the annual run (年度应记额).

    As a quarter, then the deposit is released or forfeited, the advance is set off, and bonuses are charged to the
    accounts that paid them. Units: fen. Payments stand in the books since they were recorded.
    """
    positions = quarter_positions(run.year)
    for line in run.lines:
        code = line.hospital
        _move(positions, code, LedgerAccount.DEPOSIT, LedgerAccount.PAYABLE, line.deposit_released_fen)
        forfeited = line.final.deposit_forfeited_fen
        _move(positions, code, LedgerAccount.DEPOSIT, LedgerAccount.DEPOSIT_FORFEITED, forfeited)
        _move(positions, code, LedgerAccount.PAYABLE, LedgerAccount.ADVANCE, line.final.advance_fen)
    for account, drawn in run.bonuses.draws.items():
        _move(positions, "", LedgerAccount(account), LedgerAccount.BONUSES_FINANCED, drawn)
    return {place: amount for place, amount in positions.items() if amount}


def entries_of(due: Mapping[Position, int], posted: Mapping[Position, int], memo: str) -> tuple[Entry, ...]:
    """What must be written so that the books stand where they should (应记分录): due − posted, zeros left out.

    Shape: in order of hospital and account; the pool first. Raises: InvariantBroken unless debit = credit.
    """
    entries = tuple(
        Entry(hospital, account, due.get((hospital, account), 0) - posted.get((hospital, account), 0), memo)
        for hospital, account in sorted({*due, *posted})
        if due.get((hospital, account), 0) != posted.get((hospital, account), 0)
    )
    check_balanced(entries)
    return entries


def payment_entries(hospital: str, amount_fen: int, memo: str) -> tuple[Entry, ...]:
    """A payment as recorded, or a return when negative (付款分录). Units: fen."""
    return _pair(hospital, LedgerAccount.PAYABLE, LedgerAccount.PAID, amount_fen, memo)


def advance_entries(hospital: str, amount_fen: int, memo: str) -> tuple[Entry, ...]:
    """An advance as paid out (预付金分录). Units: fen."""
    return _pair(hospital, LedgerAccount.ADVANCE, LedgerAccount.PAID, amount_fen, memo)


def receivable_entries(hospital: str, final_fen: int, memo: str) -> tuple[Entry, ...]:
    """A negative final becomes what the hospital owes (年度应收分录); nothing for a final of 0 or above. Units: fen."""
    return _pair(hospital, LedgerAccount.RECEIVABLE, LedgerAccount.PAYABLE, max(0, -final_fen), memo)


def opening_entries(account: LedgerAccount, amount_fen: int, memo: str) -> tuple[Entry, ...]:
    """What an account of the pool holds when its year begins (期初分录). Units: fen."""
    return _pair("", LedgerAccount.OPENING, account, amount_fen, memo)


def set_aside_entries(before: Mapping[str, int], now: Mapping[str, int], memo: str) -> tuple[Entry, ...]:
    """What a budget keeps back, as the difference to the version before (预留分录).

    `before`, `now`: reserve, adjustment and risk in fen; an account that is absent keeps nothing. Raises: InvariantBroken
    unless debit = credit.
    """
    entries: list[Entry] = []
    for account in KEPT_BACK:
        added = now.get(account.value, 0) - before.get(account.value, 0)
        entries.extend(_pair("", LedgerAccount.FUND, account, added, memo))
    check_balanced(entries)
    return tuple(entries)


def between_areas_positions(
    receivable_fen: int, payable_fen: int, funding: Funding
) -> tuple[dict[Position, int], dict[Position, int]]:
    """Where the books of one area should stand after a clearing between areas, year to date (区域间清算应记额). Units: fen.

    First those of its out-of-area pool: what others owe replaces the fund that paid their cases; what is owed to others
    is fund spent, as far as the fund goes. Then those of its local pool, whose adjustment fund pays what is short.
    """
    out_of_area: dict[Position, int] = {}
    local: dict[Position, int] = {}
    _move(out_of_area, "", LedgerAccount.INTER_AREA_RECEIVABLE, LedgerAccount.FUND, receivable_fen)
    _move(out_of_area, "", LedgerAccount.FUND, LedgerAccount.INTER_AREA_PAYABLE, funding.fund_fen)
    _move(out_of_area, "", LedgerAccount.INTER_AREA_UNCOVERED, LedgerAccount.INTER_AREA_PAYABLE, funding.uncovered_fen)
    _move(local, "", LedgerAccount.ADJUSTMENT, LedgerAccount.INTER_AREA_PAYABLE, funding.adjustment_fen)
    owed = -sum(held.get(("", LedgerAccount.INTER_AREA_PAYABLE), 0) for held in (out_of_area, local))
    if owed != payable_fen:
        raise InvariantBroken(BOOKS_AGREE, account="inter_area_payable", unexplained_fen=owed - payable_fen)
    return (
        {place: amount for place, amount in out_of_area.items() if amount},
        {place: amount for place, amount in local.items() if amount},
    )


def owed_entries(hospital: str, amount_fen: int, memo: str) -> tuple[Entry, ...]:
    """What a hospital owes from years before the books began (往年应收期初分录). Units: fen."""
    return _pair(hospital, LedgerAccount.RECEIVABLE, LedgerAccount.OPENING, amount_fen, memo)


def repaid_entries(hospital: str, amount_fen: int, memo: str) -> tuple[Entry, ...]:
    """What a hospital paid back of its debt (应收收回分录). Units: fen."""
    return _pair(hospital, LedgerAccount.PAID, LedgerAccount.RECEIVABLE, amount_fen, memo)


def off_pool_entries(hospital: str, amount_fen: int, memo: str) -> tuple[Entry, ...]:
    """A payment beside the points, approved and owed (池外支付分录). Units: fen."""
    return _pair(hospital, LedgerAccount.OFF_POOL, LedgerAccount.PAYABLE, amount_fen, memo)


def reversal(entries: Iterable[Entry], memo: str) -> tuple[Entry, ...]:
    """The same entries the other way round (冲正). What was posted stays; both together are 0."""
    return tuple(Entry(entry.hospital, entry.account, -entry.amount_fen, memo) for entry in entries)


def correction(wrong: Iterable[Entry], right: Iterable[Entry], memo: str) -> tuple[Entry, ...]:
    """A reversal followed by the restatement (冲正并重记). Raises: InvariantBroken unless both sides balance."""
    entries = (*reversal(wrong, memo), *(Entry(e.hospital, e.account, e.amount_fen, memo) for e in right))
    check_balanced(entries)
    return entries


def balances(entries: Iterable[Entry]) -> dict[Position, int]:
    """Where the books stand (科目余额), zeros left out. Units: fen."""
    sums: dict[Position, int] = {}
    for entry in entries:
        place = (entry.hospital, entry.account)
        sums[place] = sums.get(place, 0) + entry.amount_fen
    return {place: amount for place, amount in sorted(sums.items()) if amount}


def check_balanced(entries: Iterable[Entry]) -> None:
    """Debit = credit (借贷相等). Raises: InvariantBroken with the difference."""
    total = sum(entry.amount_fen for entry in entries)
    if total:
        raise InvariantBroken(DEBIT_IS_CREDIT, unexplained_fen=total)


def check_books(found: Mapping[Position, int], due: Mapping[Position, int]) -> None:
    """The books stand where the statements say (账实核对). Raises: InvariantBroken naming hospital and account."""
    for hospital, account in sorted({*found, *due}):
        got, want = found.get((hospital, account), 0), due.get((hospital, account), 0)
        if got != want:
            name = f"{hospital or 'pool'}/{account.value}"
            raise InvariantBroken(BOOKS_AGREE, account=name, unexplained_fen=got - want)


def check_final(found: Mapping[Position, int], run: AnnualRun) -> None:
    """What is still owed in the books is the final transfer of every hospital (年度最终拨付核对).

    `found`: the books with every payment and advance of the year, before a receivable is set up. Raises:
    InvariantBroken naming the hospital.
    """
    for line in run.lines:
        owed = -found.get((line.hospital, LedgerAccount.PAYABLE), 0)
        if owed != line.final.final_fen:
            raise InvariantBroken(
                BOOKS_AGREE, account=f"{line.hospital}/payable", unexplained_fen=owed - line.final.final_fen
            )


def _with_fund(lines: Iterable[StatementLine], accounts: Mapping[Account, int], pool_fen: int) -> dict[Position, int]:
    positions: dict[Position, int] = {("", LedgerAccount.FUND): pool_fen}
    for account in DRAWN_OR_RETURNED:
        positions[("", LedgerAccount(account.value))] = -accounts.get(account, 0)
    for line in lines:
        for account, booked, sign in _LINE_ACCOUNTS:
            positions[(line.hospital, booked)] = sign * line.amount(account)
    return {place: amount for place, amount in positions.items() if amount}


def _move(
    positions: dict[Position, int], hospital: str, debit: LedgerAccount, credit: LedgerAccount, amount_fen: int
) -> None:
    for account, amount in ((debit, amount_fen), (credit, -amount_fen)):
        positions[(hospital, account)] = positions.get((hospital, account), 0) + amount


def _pair(hospital: str, debit: LedgerAccount, credit: LedgerAccount, amount_fen: int, memo: str) -> tuple[Entry, ...]:
    if amount_fen == 0:
        return ()
    return (Entry(hospital, debit, amount_fen, memo), Entry(hospital, credit, -amount_fen, memo))
