"""What a year needs entered by two persons (年度录入事项): assessments, opening balances, receivables of earlier years, baselines."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.fund.ledger import Entry, LedgerAccount, opening_entries, owed_entries, repaid_entries
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.fund.books import post
from fenzhi.services.fund.faults import amount_fault, pool_faults, text_fault
from fenzhi.store.repositories import registry, year
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork

ROWS_MOST = 100


@dataclass(frozen=True, slots=True)
class Ground:
    """The pool an entry belongs to, its document and reason (基金池与依据)."""

    insurance: str
    pool_scope: str
    year: int
    document: str
    reason: str

    @property
    def pool(self) -> Pool:
        """The fund pool (基金池)."""
        return (self.insurance, self.pool_scope, self.year)

    def row(self) -> dict[str, Any]:
        """The columns it fills (列值)."""
        return {
            "insurance": self.insurance,
            "pool_scope": self.pool_scope,
            "year": self.year,
            "document": self.document,
            "reason": self.reason,
        }

    def faults(self) -> list[Refusal]:
        """What is wrong with it (校验)."""
        found = pool_faults(self.insurance, self.pool_scope, self.year)
        found += text_fault("DOCUMENT_MISSING", "document", self.document, "依据文件", "The document")
        found += text_fault("REASON_MISSING", "reason", self.reason, "理由", "The reason")
        return found


@dataclass(frozen=True, slots=True)
class AssessmentRow:
    """The assessment of one hospital (机构考核结果). `score` and `grade` are read where the assessment acts at the deposit."""

    hospital: str
    coefficient: Decimal
    score: Decimal | None = None
    grade: str = ""


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry of the year as its readers see it (年度录入事项). `row` holds what its kind has. Units: fen."""

    entry_id: uuid.UUID
    kind: str
    area_code: str
    hospital_code: str
    insurance: str
    pool_scope: str
    year: int
    document: str
    reason: str
    state: str
    recorded_at: datetime
    approved_at: datetime | None
    row: Row[Any]
    moved_fen: int = 0
    """Of a receivable: offset or paid back so far. Of an advance: paid less returned."""
    returned_fen: int = 0


def _view(kind: str, row: Row[Any], moved: int = 0, returned: int = 0) -> EntryView:
    return EntryView(
        row.entry_id,
        kind,
        row.area_code,
        getattr(row, "hospital_code", ""),
        row.insurance,
        row.pool_scope,
        row.year,
        row.document,
        row.reason,
        row.state,
        row.recorded_at,
        row.approved_at,
        row,
        moved,
        returned,
    )


async def _hospital(uow: UnitOfWork, code: str) -> Row[Any]:
    found = await registry.hospital_by_code(uow, code)
    if found is None or found.area_id != uow.scope.area:
        raise NotFound(f"没有该医院：{code}。", f"No such hospital: {code}.")
    return found


def keys_of_hospital(row: Row[Any]) -> dict[str, Any]:
    """The tenant columns of a hospital (机构隔离列)."""
    return {"area_id": row.area_id, "county_id": row.county_id, "hospital_id": row.hospital_id}


def _twice(codes: Sequence[str], where: str) -> list[Refusal]:
    seen: set[str] = set()
    return [
        Refusal("HOSPITAL_TWICE", where, code, "同一医院出现两次。", "A hospital stands in the list twice.",
                "每家医院一行。", "Give each hospital one row.")
        for code in codes if code in seen or seen.add(code)  # type: ignore[func-returns-value]
    ]  # fmt: skip


def _count_faults(count: int, where: str) -> list[Refusal]:
    if 1 <= count <= ROWS_MOST:
        return []
    return [
        Refusal("ROWS_RANGE", where, str(count), f"一次须为 1 至 {ROWS_MOST} 行。", f"Give 1 to {ROWS_MOST} rows at a time.",
                "分批录入。", "Enter them in several steps.")
    ]  # fmt: skip


async def enter_assessments(
    platform: Platform, clerk: Subject, request: Request, ground: Ground, rows: Sequence[AssessmentRow]
) -> Answer:
    """Enter what the assessment of a year gave each hospital (录入考核结果); a row counts once approved.

    Changes: assessment_result (draft), one per hospital. Raises: NotFound, DataRefused with every fault at once.
    """
    faults = ground.faults() + _count_faults(len(rows), "rows") + _twice([r.hospital for r in rows], "rows")
    for number, row in enumerate(rows):
        if not 0 <= row.coefficient <= 2 or row.coefficient.as_tuple().exponent < -6:  # type: ignore[operator]
            faults.append(
                Refusal("COEFFICIENT_RANGE", f"rows.{number}.coefficient", str(row.coefficient),
                        "考核系数须在 0 至 2 之间，至多 6 位小数。", "A coefficient lies between 0 and 2, with at most 6 decimals.",
                        "核对考核结果。", "Check the assessment.")
            )  # fmt: skip

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        ids = []
        for row in rows:
            hospital = await _hospital(uow, row.hospital)
            values = {"coefficient": row.coefficient, "score": row.score, "grade": row.grade}
            ids.append(
                await year.add_entry(uow, "AssessmentResult", keys_of_hospital(hospital) | ground.row() | values)
            )
        return {"type": "AssessmentResult", "id": str(ids[0]), "ids": [str(one) for one in ids]}

    return await act(platform, clerk, Duty.ENTER_YEAR, request, effect)


async def enter_opening(
    platform: Platform, clerk: Subject, request: Request, ground: Ground, account: str, amount_fen: int
) -> Answer:
    """Enter what an account of the pool holds when its year begins (录入账户期初余额); it is posted when approved.

    Changes: account_opening (draft). Raises: DataRefused with every fault at once.
    """
    faults = ground.faults() + amount_fault("amountFen", amount_fen, at_least=1)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        values = {"area_id": uow.scope.area, "account": account, "amount_fen": amount_fen}
        return _answer("AccountOpening", await year.add_entry(uow, "AccountOpening", ground.row() | values))

    return await act(platform, clerk, Duty.ENTER_YEAR, request, effect)


async def enter_receivable(
    platform: Platform, clerk: Subject, request: Request, ground: Ground, hospital: str, since: date, amount_fen: int
) -> Answer:
    """Enter what a hospital owes from a year before the books began (录入往年应收); it is posted when approved.

    Changes: receivable (draft). Raises: NotFound, DataRefused with every fault at once.
    """
    faults = ground.faults() + amount_fault("amountFen", amount_fen, at_least=1)

    async def effect(uow: UnitOfWork) -> Answer:
        if since > await uow.today():
            faults.append(
                Refusal("SINCE_IN_FUTURE", "since", since.isoformat(), "形成日期晚于今天。", "The day it arose lies in the future.",
                        "核对日期。", "Check the day.")
            )  # fmt: skip
        if faults:
            raise DataRefused(tuple(faults))
        row = keys_of_hospital(await _hospital(uow, hospital)) | {"since": since, "amount_fen": amount_fen}
        return _answer("Receivable", await year.add_entry(uow, "Receivable", ground.row() | row))

    return await act(platform, clerk, Duty.ENTER_YEAR, request, effect)


async def enter_baselines(
    platform: Platform, clerk: Subject, request: Request, ground: Ground, rows: Sequence[tuple[str, Decimal]]
) -> Answer:
    """Enter the volume of a year that an elastic point value pays at its fixed value (录入弹性点值基准量), in whole points.

    Changes: volume_baseline (draft), one per hospital. Raises: NotFound, DataRefused with every fault at once.
    """
    faults = ground.faults() + _count_faults(len(rows), "rows") + _twice([code for code, _ in rows], "rows")
    faults += [
        Refusal("POINTS_RANGE", f"rows.{n}.points", str(points), "基准量须不小于 0，至多 4 位小数。",
                "A baseline is not below 0 and has at most 4 decimals.", "核对基准量。", "Check the baseline.")
        for n, (_, points) in enumerate(rows)
        if not 0 <= points <= 10**12 or points.as_tuple().exponent < -4  # type: ignore[operator]
    ]  # fmt: skip

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        ids = []
        for code, points in rows:
            row = keys_of_hospital(await _hospital(uow, code)) | {"points": points}
            ids.append(await year.add_entry(uow, "VolumeBaseline", ground.row() | row))
        return {"type": "VolumeBaseline", "id": str(ids[0]), "ids": [str(one) for one in ids]}

    return await act(platform, clerk, Duty.ENTER_YEAR, request, effect)


def _answer(kind: str, entry_id: uuid.UUID) -> Answer:
    return {"type": kind, "id": str(entry_id)}


def _nothing(_row: Row[Any]) -> tuple[str, tuple[Entry, ...]]:
    return "", ()


def _opened(row: Row[Any]) -> tuple[str, tuple[Entry, ...]]:
    return "opening", opening_entries(
        LedgerAccount(row.account), row.amount_fen, f"{row.year}年期初余额：{row.document}"
    )


def _owed(row: Row[Any]) -> tuple[str, tuple[Entry, ...]]:
    return "receivable", owed_entries(row.hospital_code, row.amount_fen, f"{row.year}年度应收：{row.document}")


_POSTED: Mapping[str, Callable[[Row[Any]], tuple[str, tuple[Entry, ...]]]] = {
    "AccountOpening": _opened,
    "Receivable": _owed,
}
"""What the approval of an entry writes into the books."""


async def decide_entries(
    platform: Platform, approver: Subject, request: Request, kind: str, ids: Sequence[str], *, approve: bool
) -> Answer:
    """Approve or reject entries of one kind (审批年度录入事项), by another person than who entered each; all of them or none.

    Changes: the entries draft → approved | rejected; ledger_entry for opening balances and receivables.
    Raises: NotFound, SamePerson, Conflict ENTRY_NOT_DRAFT, DataRefused.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        if faults := _count_faults(len(ids), "ids"):
            raise DataRefused(tuple(faults))
        keys = sorted({as_id(one, "ids") for one in ids})
        for key in keys:
            row = await year.entry_by_id(uow, kind, key)
            if row is None:
                raise NotFound("没有该录入事项。", "No such entry.")
            require_second_person(str(row.entered_by_person), uow.scope.person_id)
            if not await year.decide_entry(uow, kind, key, "approved" if approve else "rejected"):
                raise Conflict(
                    f"该事项已处于 {row.state} 状态。", f"The entry is {row.state} already.", code="ENTRY_NOT_DRAFT"
                )
            source, entries = _POSTED.get(kind, _nothing)(row)
            if approve and entries:
                ids_of = {row.hospital_code: row.hospital_id} if kind == "Receivable" else {}
                await post(uow, (row.insurance, row.pool_scope, row.year), source, key, entries, ids_of)
        return {"type": kind, "id": str(keys[0]), "ids": [str(key) for key in keys]}

    return await act(platform, approver, Duty.APPROVE_YEAR, request, effect)


async def repay_receivable(
    platform: Platform,
    clerk: Subject,
    request: Request,
    receivable_id: str,
    amount_fen: int,
    voucher: str,
    paid_on: date,
) -> Answer:
    """Record what a hospital paid back of its debt (登记应收收回). Changes: receivable_movement, ledger_entry.

    Raises: NotFound, DataRefused, Conflict RECEIVABLE_OVERPAID.
    """
    faults = amount_fault("amountFen", amount_fen, at_least=1)
    faults += text_fault("VOUCHER_MISSING", "voucher", voucher, "凭证号", "The voucher")

    async def effect(uow: UnitOfWork) -> Answer:
        if paid_on > await uow.today():
            faults.append(
                Refusal("PAID_IN_FUTURE", "paidOn", paid_on.isoformat(), "收款日期晚于今天。",
                        "The day of payment lies in the future.", "收款后再登记。", "Record it once it is paid.")
            )  # fmt: skip
        if faults:
            raise DataRefused(tuple(faults))
        key = as_id(receivable_id, "receivable")
        await year.lock_entry(uow, "Receivable", key)
        row = await year.entry_by_id(uow, "Receivable", key)
        if row is None or row.state != "approved":
            raise NotFound("没有该应收款。", "No such receivable.")
        left = row.amount_fen - (await year.moved_of_receivables(uow, [key])).get(key, 0)
        if amount_fen > left:
            raise Conflict(
                f"该应收款尚余 {left} 分，不能收回更多。",
                f"{left} fen of the receivable are open: no more can be paid back.",
                code="RECEIVABLE_OVERPAID",
            )
        movement = keys_of_hospital(row) | {
            "receivable_id": key,
            "kind": "repaid",
            "amount_fen": amount_fen,
            "year": paid_on.year,
            "voucher": voucher,
            "moved_on": paid_on,
        }
        (movement_id,) = await year.add_receivable_movements(uow, [movement])
        pool = (row.insurance, row.pool_scope, row.year)
        entries = repaid_entries(row.hospital_code, amount_fen, f"收回应收款，凭证 {voucher}")
        await post(uow, pool, "receivable", movement_id, entries, {row.hospital_code: row.hospital_id})
        return _answer("Receivable", key)

    return await act(platform, clerk, Duty.RECORD_PAYMENT, request, effect)


async def entries(
    platform: Platform,
    subject: Subject,
    kind: str,
    after: uuid.UUID | None,
    limit: int,
    *,
    wanted_year: int | None = None,
) -> Sequence[EntryView]:
    """One page of the entries of a kind the subject sees (年度录入事项列表); below the city approved ones."""
    async with looking(platform, subject, _reading(kind)) as uow:
        return await _views(uow, kind, await year.entries(uow, kind, after, limit, year=wanted_year))


async def entry(platform: Platform, subject: Subject, kind: str, entry_id: uuid.UUID) -> EntryView | None:
    """One entry, or none in this scope (年度录入事项)."""
    async with looking(platform, subject, _reading(kind)) as uow:
        row = await year.entry_by_id(uow, kind, entry_id)
        return None if row is None else (await _views(uow, kind, [row]))[0]


def _reading(kind: str) -> Duty:
    return Duty.READ_FUND if kind == "AccountOpening" else Duty.READ_CLEARING


async def _views(uow: UnitOfWork, kind: str, rows: Sequence[Row[Any]]) -> list[EntryView]:
    ids = [row.entry_id for row in rows]
    if kind == "Receivable":
        moved = await year.moved_of_receivables(uow, ids)
        return [_view(kind, row, moved.get(row.entry_id, 0)) for row in rows]
    if kind == "Advance":
        sums = await year.advance_sums(uow, ids)
        return [_view(kind, row, *sums.get(row.entry_id, (0, 0))) for row in rows]
    return [_view(kind, row) for row in rows]
