"""The laws of an annual run (年度守恒): those of a quarter, and the way from payable to the last transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fenzhi.rules.clearing.annual_clearing import AnnualAccount, AnnualClaim, AnnualLine, AnnualRun, clear_year
from fenzhi.rules.clearing.conservation import (
    ACCOUNT_COVERS,
    ACCOUNT_TOTAL,
    OWN_RULE,
    SAME_HOSPITALS,
    Balance,
    check_hospital,
    check_lines,
    check_point_value,
    check_pool,
    covers,
)
from fenzhi.rules.clearing.shares import PoolShares
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import InvariantBroken

FINAL_IDENTITY = "final = payable + deposit released - payments recorded - offsets - advance"
DEPOSIT_IDENTITY = "deposit = released + forfeited"
SOURCES_IDENTITY = "bonuses = what their sources gave"


def check_year(
    run: AnnualRun,
    claims: Sequence[AnnualClaim],
    fund_fen: int,
    shared: tuple[PointValue, PoolShares] | None = None,
) -> Balance:
    """Every law of an annual run (年度守恒): own rules, accounts and their limits, both identities, the final transfer.

    `claims` and `fund_fen` are those of the frozen manifest; `shared`: of a pool divided first, worked out again. Raises: InvariantBroken naming law and account.
    """
    own = clear_year(fund_fen, run.year.point_value.points_decimals, claims, run.terms, shared)
    check_point_value(run.year.point_value, own.year.point_value)
    check_lines([one.line for one in run.lines], own.year.lines)
    check_lines(run.year.lines, own.year.lines)
    _check_annual_lines(run.lines, own.lines)
    _check_accounts(run.year.accounts, own.year.accounts)
    _check_accounts(run.accounts, own.accounts)
    shares = run.terms.year.shares
    for account, balance in (
        (Account.PHI, shares.phi_balance_fen),
        (Account.ROUNDING, shares.rounding_balance_fen),
        (Account.FLOOR, shares.floor_balance_fen),
        (Account.POINT_VALUE, run.terms.year.price.balance_fen),
    ):
        covers(account, run.year.accounts[account], balance)
    _check_sources(run)
    for line in run.lines:
        check_annual_line(line)
    return check_pool(run.year.lines, run.year.accounts)


def check_annual_line(line: AnnualLine) -> None:
    """Second identity, deposit and final transfer of one hospital (机构年度核对). Raises: InvariantBroken."""
    check_hospital(line.line)
    _same(
        DEPOSIT_IDENTITY,
        f"{line.hospital}/{AnnualAccount.DEPOSIT_RELEASED.value}",
        line.line.deposit_withheld_fen,
        line.deposit_released_fen + line.final.deposit_forfeited_fen,
    )
    due = line.line.transfer_fen + line.deposit_released_fen - line.final.advance_fen
    _same(FINAL_IDENTITY, f"{line.hospital}/{AnnualAccount.FINAL.value}", line.final.final_fen, due)


def _check_annual_lines(found: Sequence[AnnualLine], own: Sequence[AnnualLine]) -> None:
    if [line.hospital for line in found] != [line.hospital for line in own]:
        raise InvariantBroken(SAME_HOSPITALS)
    for line, due in zip(found, own, strict=True):
        for account in AnnualAccount:
            _same(OWN_RULE, f"{line.hospital}/{account.value}", line.amount(account), due.amount(account))
        if line.bands != due.bands:
            raise InvariantBroken(OWN_RULE, account=f"{line.hospital}/{Account.BANDS.value}")


def _check_accounts(
    found: Mapping[Account, int] | Mapping[AnnualAccount, int], own: Mapping[Account, int] | Mapping[AnnualAccount, int]
) -> None:
    held = {account.value: amount for account, amount in found.items()}
    for account, due in own.items():
        _same(ACCOUNT_TOTAL, account.value, held[account.value], due)


def _check_sources(run: AnnualRun) -> None:
    given = sum(run.bonuses.draws.values())
    _same(SOURCES_IDENTITY, Account.BONUSES.value, run.year.accounts[Account.BONUSES], given)
    for source in run.terms.sources:
        drawn = run.bonuses.draws.get(source.account, 0)
        if drawn > max(0, source.balance_fen):
            over = drawn - max(0, source.balance_fen)
            raise InvariantBroken(ACCOUNT_COVERS, account=source.account, unexplained_fen=over)


def _same(law: str, account: str, found: int, due: int) -> None:
    if found != due:
        raise InvariantBroken(law, account=account, unexplained_fen=found - due, detail=f"got {found}, expected {due}")
