"""The money of an area (资金核验): every computed run by itself, and every balance of the ledger over the published ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from sqlalchemy import Row

from fenzhi.rules.clearing.annual_clearing import AnnualAccount, AnnualLine
from fenzhi.rules.clearing.conservation import check_hospital
from fenzhi.rules.clearing.statement import DRAWN_OR_RETURNED, Account, StatementLine
from fenzhi.rules.fund.ledger import LedgerAccount
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.clearing.ledger import Balances
from fenzhi.services.clearing.manifest import case_set, result_sha256, sha256
from fenzhi.services.verification.findings import Verification
from fenzhi.services.verification.replay import verify_replay
from fenzhi.store.bulk import read_arrow
from fenzhi.store.repositories import verification as store
from fenzhi.store.session import Database, UnitOfWork

_CREDITED = {
    LedgerAccount.NOT_PREPAID: Account.NOT_PREPAID,
    LedgerAccount.DEDUCTIONS: Account.DEDUCTIONS,
    LedgerAccount.ASSESSMENT: Account.ASSESSMENT,
    LedgerAccount.BANDS: Account.BANDS,
    LedgerAccount.CASH_CUT: Account.CASH_CUT,
    LedgerAccount.DEPOSIT: Account.DEPOSIT,
    LedgerAccount.PAYABLE: Account.PAYABLE,
}
_DRAWN = "drawn_from_"
_SUMMED = ("gross_fen", "cost_fen", "booked_fen")


async def verify_money(found: Verification, database: Database, uow: UnitOfWork, area_code: str) -> None:
    """Every law over every run of the area that was computed (结算核验)."""
    codes = {row.hospital_id: row.code for row in await store.hospitals(uow)}
    runs = await store.settled_runs(uow)
    for run in runs:
        place = f"{area_code} {run.insurance} {run.pool_scope} {run.kind} {run.year}-{run.period:02d} {run.run_id}"
        await _verify_run(found, database, uow, run, place, codes)
    for row in await store.unbalanced_sources(uow):
        found.same("ledger.balance", f"{area_code} {row.source} {row.source_id}", int(row.fen), 0)
    for pool in sorted({(run.insurance, run.pool_scope, run.year) for run in runs if run.state == "published"}):
        own = [r for r in runs if r.state == "published" and (r.insurance, r.pool_scope, r.year) == pool]
        await _verify_accounts(found, uow, own, f"{area_code} {' '.join(map(str, pool))}", codes)


async def _verify_run(
    found: Verification, database: Database, uow: UnitOfWork, run: Row[Any], place: str, codes: Mapping[int, str]
) -> None:
    manifest, summary = run.manifest or {}, run.summary or {}
    found.same("run.manifest", place, _hex(run.manifest_sha256), sha256(manifest).hex())
    if run.state in ("approved", "published"):
        is_second = run.approved_by_person is not None and run.approved_by_person != run.started_by_person
        found.saw("run.eyes", is_second, place, f"approved by {run.approved_by_person}")
    entries = await store.posted(uow, [run.run_id])
    found.same("ledger.balance", place, sum(entries.values()), 0)
    if "cases" in manifest:
        stored = await read_arrow(database, uow.scope, store.case_digests_sql(uow.scope.area, run.run_id))
        due: Any
        try:
            due = case_set(stored, codes)
        except KeyError as exc:
            due = {"count": stored.num_rows, "root": f"a case of hospital {exc}, who is not of the area"}
        for part in ("count", "leaves", "root"):
            same = manifest["cases"].get(part) == due.get(part)
            seen = f"{part}: manifest {str(manifest['cases'].get(part))[:80]}, stored cases {str(due.get(part))[:80]}"
            found.saw("run.cases", same, place, seen)
    statements = await store.statements(uow, run.run_id)
    await _verify_lines(found, database, uow, run, place, statements, codes)
    for name in _SUMMED:
        found.same("run.totals", f"{place} {name}", summary.get(name), sum(getattr(s, name) for s in statements))
    pool = summary.get("pool_fen", 0) + summary.get("draws_fen", 0)
    found.same("run.pool", place, pool, summary.get("gross_fen", 0) + summary.get("returns_fen", 0))
    found.same("run.pool", f"{place} pool", run.pool_fen, summary.get("pool_fen"))


async def _verify_lines(
    found: Verification,
    database: Database,
    uow: UnitOfWork,
    run: Row[Any],
    place: str,
    statements: Sequence[Row[Any]],
    codes: Mapping[int, str],
) -> None:
    totals = await store.run_case_totals(uow, run.run_id)
    lines: list[StatementLine] = []
    for row in statements:
        name = f"{place} {row.hospital_code}"
        try:
            line = line_of(row)
        except (KeyError, ValueError, TypeError) as exc:
            found.saw("run.hospital", False, name, f"the statement cannot be read: {type(exc).__name__} {exc}")
            continue
        lines.append(line)
        try:
            check_hospital(line)
            found.saw("run.hospital", True, name)
        except InvariantBroken as exc:
            found.saw("run.hospital", False, name, str(exc))
        cleared, pending = totals.pop((row.hospital_id, True), (0, 0)), totals.pop((row.hospital_id, False), (0, 0))
        found.same("run.totals", f"{name} cases and points", cleared, (row.cases, row.points))
        found.same("run.totals", f"{name} pending cases", pending[0], row.pending_cases)
    for (hospital, is_cleared), (cases, _) in totals.items():
        # Hospitals with nothing but pending cases have no statement.
        found.saw("run.totals", not is_cleared, f"{place} hospital {hospital}", f"{cases} cleared cases, no statement")
    stated, _ = _accounts(run)
    cases = await read_arrow(database, uow.scope, store.run_cases_sql(uow.scope.area, run.run_id))
    beside = {row.hospital_code: row.beside_fen for row in statements}
    held = {row.hospital_code: row.control_withheld_fen for row in statements if row.control_withheld_fen}
    annual = cast("list[AnnualLine]", [_StoredAnnual(row) for row in statements] if run.kind == "year" else [])
    found.same(
        "run.result", place, _hex(run.result_sha256), result_sha256(lines, stated, cases, annual, beside, held).hex()
    )
    await verify_replay(found, uow, run, place, codes, {line.hospital: line for line in lines}, statements, cases)


@dataclass(frozen=True, slots=True)
class _StoredAnnual:
    """What a stored statement of a year says below payable, as the result digest asks for it."""

    row: Row[Any]

    @property
    def hospital(self) -> str:
        return str(self.row.hospital_code)

    def amount(self, account: AnnualAccount) -> int:
        return int(getattr(self.row, f"{account.value}_fen"))


def _accounts(run: Row[Any]) -> tuple[dict[Account, int], dict[LedgerAccount, int]]:
    """The accounts that a run's summary states, and what reserve, adjustment and risk gave to bonuses."""
    stated = {a["name"]: int(a["fen"]) for a in (run.summary or {}).get("accounts", ())}
    drawn = {LedgerAccount(n.removeprefix(_DRAWN)): fen for n, fen in stated.items() if n.startswith(_DRAWN)}
    return {Account(name): fen for name, fen in stated.items() if name in set(Account)}, drawn


def due_balances(run: Row[Any], rows: Sequence[Row[Any]]) -> Balances:
    """What the books should hold after a run, made again from its stored statements (应有余额). Units: fen, zeros left out.

    Raises: KeyError, ValueError for statements of another shape.
    """
    stated, drawn = _accounts(run)
    is_month = run.kind == "month"
    found: Balances = {}

    def book(hospital: int | None, account: LedgerAccount, fen: int) -> None:
        place = (hospital, account.value)
        found[place] = found.get(place, 0) + fen

    book(None, LedgerAccount.FUND, sum(row.gross_fen for row in rows) if is_month else stated[Account.POOL])
    for returned in () if is_month else DRAWN_OR_RETURNED:
        book(None, LedgerAccount(returned.value), -stated.get(returned, 0))
    for row in rows:
        line, who = line_of(row), row.hospital_id
        for credited, amount in _CREDITED.items():
            book(who, credited, -line.amount(amount))
        book(who, LedgerAccount.BONUSES, line.bonuses_fen)
        book(who, LedgerAccount.OFF_POOL, row.beside_fen)
        book(who, LedgerAccount.CONTROL_WITHHELD, -row.control_withheld_fen)
        book(who, LedgerAccount.PAYABLE, row.control_withheld_fen - row.beside_fen)
        if not is_month:
            book(who, LedgerAccount.PAYABLE, line.offsets_fen)
            book(who, LedgerAccount.RECEIVABLE, -line.offsets_fen)
        if run.kind == "year":
            for debit, credit, fen in (
                (LedgerAccount.DEPOSIT, LedgerAccount.PAYABLE, row.deposit_released_fen),
                (LedgerAccount.DEPOSIT, LedgerAccount.DEPOSIT_FORFEITED, row.deposit_forfeited_fen),
                (LedgerAccount.PAYABLE, LedgerAccount.ADVANCE, row.advance_fen),
            ):
                book(who, debit, fen)
                book(who, credit, -fen)
    for drawn_from, fen in drawn.items():
        book(None, drawn_from, fen)
        book(None, LedgerAccount.BONUSES_FINANCED, -fen)
    return {place: fen for place, fen in found.items() if fen}


def line_of(row: Row[Any]) -> StatementLine:
    """A stored statement in the words of the rules (结算单还原). Raises: KeyError, ValueError for one of another shape."""
    terms = row.working["terms"]
    return StatementLine(
        hospital=row.hospital_code,
        cases=row.cases,
        points=row.points,
        cost_fen=row.cost_fen,
        booked_fen=row.booked_fen,
        patient_fen=row.patient_fen,
        fund_ratio=Fraction(terms["fund_ratio"]),
        default_share_fen=terms["default_share_fen"],
        priced_share_fen=terms["priced_share_fen"],
        method_share_fen=terms["method_share_fen"],
        floor_fen=terms["floor_fen"],
        gross_fen=row.gross_fen,
        printed_fen=terms["printed_fen"],
        remainder_fen=row.remainder_fen,
        not_prepaid_fen=row.not_prepaid_fen,
        deductions_fen=row.deductions_fen,
        assessment_withheld_fen=row.assessment_withheld_fen,
        band_withheld_fen=row.band_withheld_fen,
        bonuses_fen=row.bonus_fen,
        cash_cut_fen=row.cash_cut_fen,
        cleared_fen=row.cleared_fen,
        deposit_held_before_fen=terms["deposit_held_before_fen"],
        deposit_target_fen=terms["deposit_target_fen"],
        deposit_withheld_fen=row.deposit_withheld_fen,
        deposit_posting_fen=terms["deposit_posting_fen"],
        payable_fen=row.payable_fen,
        payments_recorded_fen=row.prior_paid_fen,
        offsets_fen=row.offset_fen,
        transfer_fen=row.transfer_fen,
    )


async def _verify_accounts(
    found: Verification, uow: UnitOfWork, runs: Sequence[Row[Any]], pool: str, codes: Mapping[int, str]
) -> None:
    """What the ledger holds over a run and the runs it replaced is what the run's statements stand for, account by account."""
    for run in runs:
        posted = await store.posted(uow, [run.run_id, *_replaced(run, runs)])
        try:
            due = due_balances(run, await store.statements(uow, run.run_id))
        except (KeyError, ValueError, TypeError) as exc:
            found.saw(
                "ledger.accounts", False, f"{pool} {run.run_id}", f"no balances follow: {type(exc).__name__} {exc}"
            )
            continue
        for hospital, account in sorted({*due, *posted}, key=lambda key: (key[0] or 0, key[1])):
            who = "pool" if hospital is None else codes.get(hospital, f"hospital {hospital}")
            stored, expected = posted.get((hospital, account), 0), due.get((hospital, account), 0)
            found.same("ledger.accounts", f"{pool} {run.kind} {run.period} {who} {account}", stored, expected)


def _replaced(run: Row[Any], runs: Sequence[Row[Any]]) -> list[Any]:
    """The published runs whose postings a run took the place of: as `freezing` chose them, from the run's own manifest."""
    if run.kind == "month":
        return []
    earlier = {one[0] for one in run.manifest.get("earlier_runs", ())}
    known = [other for other in runs if str(other.run_id) in earlier]
    if run.kind == "year" or _is_cumulative(run):
        return [other.run_id for other in known]
    return [other.run_id for other in known if other.kind == "month" and (other.period + 2) // 3 == run.period]


def _is_cumulative(run: Row[Any]) -> bool:
    """Whether the run's own frozen policy counts quarters from the first of January."""
    resolved = json.loads(run.manifest["policy"])["values"]["quarter.mode"]["value"]
    return "cumulative" in json.dumps(resolved)


def _hex(digest: bytes | None) -> str:
    return (digest or b"").hex()
