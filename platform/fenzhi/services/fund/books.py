"""The books of a pool beyond its runs (总账记账): payments, advances, budgets, opening balances, receivables."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fenzhi.access.roles import Duty
from fenzhi.access.scope import DatabaseRole
from fenzhi.access.subject import Subject
from fenzhi.rules.fund.ledger import Entry, LedgerAccount, check_balanced
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import clearing, registry
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork


async def post(
    uow: UnitOfWork,
    pool: Pool,
    source: str,
    source_id: uuid.UUID,
    entries: Iterable[Entry],
    hospital_ids: Mapping[str, int],
) -> None:
    """Write balanced entries of one source into the books (记账), in the transaction of the act they come from.

    The ledger is written in the worker's role, whoever acts: no level below may write it by itself. Raises: InvariantBroken.
    """
    rows = [(hospital_ids[e.hospital] if e.hospital else None, e.account.value, e.amount_fen, e.memo) for e in entries]
    if not rows:
        return
    insurance, pool_scope, year = pool
    check_balanced(Entry("", LedgerAccount(account), amount) for _, account, amount, _memo in rows)
    common = {"area_id": uow.scope.area, "insurance": insurance, "pool_scope": pool_scope, "year": year}
    async with uow.as_role(DatabaseRole.WORKER):
        await clearing.add_entries(uow, common | {"source": source, "source_id": source_id}, rows)


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """Where one account of a pool's year stands (科目余额). Units: fen; debit positive. `hospital_code` blank: the pool itself."""

    hospital_code: str
    account: str
    zh: str
    balance_fen: int


async def books(platform: Platform, subject: Subject, pool: Pool) -> Sequence[AccountBalance]:
    """The books of a pool's year, every source and every published run (总账余额); they sum to 0.

    A county sees the accounts of its own hospitals, which are one side of the books.
    """
    async with looking(platform, subject, Duty.READ_BOOKS) as uow:
        codes = {row.hospital_id: row.code for row in await registry.hospitals(uow, 0, 1_000_000)}
        return [
            AccountBalance(
                codes[row.hospital_id] if row.hospital_id is not None else "",
                row.account,
                LedgerAccount(row.account).zh,
                int(row.amount_fen),
            )
            for row in await clearing.books(uow, pool)
        ]
