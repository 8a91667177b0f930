"""What a run posts (记账): double entry, debit positive, and of a run that counts the year again only the difference to earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fenzhi.rules.clearing.annual_clearing import AnnualRun
from fenzhi.rules.clearing.presettlement import MonthRun
from fenzhi.rules.clearing.quarterly import QuarterRun
from fenzhi.rules.clearing.statement import Account, StatementLine
from fenzhi.rules.fund.ledger import (
    DEBIT_IS_CREDIT,
    Position,
    annual_positions,
    balances,
    check_final,
    line_positions,
    month_positions,
    payment_entries,
    quarter_positions,
)
from fenzhi.rules.refusals import InvariantBroken

Balances = dict[tuple[int | None, str], int]
"""(hospital or none for the pool, account) → fen, debit positive (账户余额)."""


def balances_of(run: MonthRun | QuarterRun | AnnualRun, hospital_ids: Mapping[str, int]) -> Balances:
    """The balances a run stands for (本次结算应有余额), by the chart of accounts. Units: fen; they sum to 0 by the identities.

    Raises: InvariantBroken when what the books of a year still owe a hospital is not its final transfer.
    """
    if isinstance(run, MonthRun):
        positions = month_positions(run)
    elif isinstance(run, QuarterRun):
        positions = quarter_positions(run)
    else:
        positions = annual_positions(run)
        _check_final(positions, run)
    return _numbered(positions, hospital_ids)


def balances_of_lines(
    lines: Sequence[StatementLine], accounts: Mapping[Account, int], hospital_ids: Mapping[str, int]
) -> Balances:
    """As `balances_of`, from the stored lines and accounts of a month or a quarter (由已存结算单得出余额)."""
    return _numbered(line_positions(lines, accounts), hospital_ids)


def _numbered(positions: Mapping[Position, int], hospital_ids: Mapping[str, int]) -> Balances:
    return {
        (hospital_ids[hospital] if hospital else None, account.value): amount
        for (hospital, account), amount in positions.items()
    }


def _check_final(positions: Mapping[Position, int], run: AnnualRun) -> None:
    found = dict(positions)
    for line in run.lines:
        for place, amount in balances(payment_entries(line.hospital, line.line.payments_recorded_fen, "")).items():
            found[place] = found.get(place, 0) + amount
    check_final(found, run)


def postings(due: Balances, posted: Balances) -> list[tuple[int | None, str, int]]:
    """The entries that lead from what earlier runs posted to what is due (应记分录), zero ones left out, in a fixed order.

    Raises: InvariantBroken when they do not sum to 0.
    """
    entries = [
        (hospital, account, due.get((hospital, account), 0) - posted.get((hospital, account), 0))
        for hospital, account in sorted({*due, *posted}, key=lambda key: (key[0] or 0, key[1]))
    ]
    entries = [entry for entry in entries if entry[2]]
    unbalanced = sum(amount for *_, amount in entries)
    if unbalanced:
        raise InvariantBroken(DEBIT_IS_CREDIT, account="ledger", unexplained_fen=unbalanced)
    return entries
