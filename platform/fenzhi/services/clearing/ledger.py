"""What a run posts (记账): double entry, debit positive, and of a cumulative run only the difference to earlier runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fenzhi.rules.clearing.statement import DRAWN_OR_RETURNED, Account, StatementLine
from fenzhi.rules.refusals import InvariantBroken

Balances = dict[tuple[int | None, str], int]
"""(hospital or none for the pool, account) → fen, debit positive (账户余额)."""

_CREDITED = (
    Account.PAYABLE,
    Account.DEPOSIT,
    Account.DEDUCTIONS,
    Account.ASSESSMENT,
    Account.BANDS,
    Account.NOT_PREPAID,
    Account.CASH_CUT,
)


def balances_of(
    lines: Sequence[StatementLine], accounts: Mapping[Account, int], hospital_ids: Mapping[str, int]
) -> Balances:
    """The balances a run stands for (本次结算应有余额).

    The pool is debited with what it gives; each hospital's payable, deposit, deductions and withholdings are credited, bonuses
    debited; what returns to an account is credited to it, a draw debited. Units: fen. They sum to 0 by the two identities.
    """
    found: Balances = {(None, Account.POOL.value): accounts[Account.POOL]}
    for account in DRAWN_OR_RETURNED:
        found[None, account.value] = -accounts.get(account, 0)
    for line in lines:
        hospital = hospital_ids[line.hospital]
        for account in _CREDITED:
            found[hospital, account.value] = -line.amount(account)
        found[hospital, Account.BONUSES.value] = line.amount(Account.BONUSES)
    return found


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
        raise InvariantBroken("debit and credit of a run are equal", account="ledger", unexplained_fen=unbalanced)
    return entries
