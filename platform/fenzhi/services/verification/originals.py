"""Batches and their originals (原件核验): every part opens, hashes to its digest, and says what the stored cases say."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from sqlalchemy import Row

from fenzhi.rules.submission.case_facts import CaseFacts, case_facts, earlier_digest, list_digest
from fenzhi.rules.submission.check_policy import SubmissionPolicy
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.services.submission.part_formats import rows_of_part
from fenzhi.services.submission.parts import PartUnreadable, opened_with
from fenzhi.services.verification.findings import Verification
from fenzhi.store.keyring import Keyring
from fenzhi.store.repositories import verification as store
from fenzhi.store.session import UnitOfWork


async def verify_batches(
    found: Verification, uow: UnitOfWork, area_code: str, keyring: Keyring | None, originals: int, seed: int
) -> None:
    """Counts of every batch; the originals of all (`originals` 0) or of that many batches, chosen by `seed` (批次核验)."""
    batches = list(await store.batches(uow))
    for row in batches:
        _verify_counts(found, row, f"{area_code} batch {row.batch_id}")
    for row in await store.wrong_payers(uow):
        found.saw("case.payers", row.wrong == 0, area_code, f"{row.wrong} of {row.cases} cases, such as {row.first}")
    if keyring is None:
        return
    chosen = sorted(batches, key=lambda row: hashlib.sha256(f"{seed}{row.batch_id}".encode()).digest())
    for row in chosen[: originals or len(chosen)]:
        await _verify_originals(found, uow, row, f"{area_code} batch {row.batch_id}", keyring)


def _verify_counts(found: Verification, row: Row[Any], place: str) -> None:
    due = list(range(1, row.parts + 1))
    kept = list(row.kept or ())
    found.saw("batch.parts", kept == due, place, f"parts {kept[:20]}, due 1 to {row.parts}")
    if row.purpose == "lists" and row.state != "sealed" and row.counts is not None:
        found.same("batch.rows", f"{place} rows", row.rows, row.counts.get("rows"))
        found.same("batch.rows", f"{place} accepted", row.accepted, row.counts.get("accepted"))


async def _verify_originals(
    found: Verification, uow: UnitOfWork, batch: Row[Any], place: str, keyring: Keyring
) -> None:
    first_row = 0
    for number in batch.kept or ():
        part = await store.part(uow, batch.batch_id, number)
        if part is None:
            continue
        name = f"{place} part {number}"
        try:
            content = await asyncio.to_thread(
                opened_with, keyring, batch.area_id, batch.batch_id, number, part.key_id, part.sealed_bytes
            )
        except PartUnreadable:
            found.saw("batch.originals", False, name, "it does not open")
            return
        digest, size = hashlib.sha256(content).digest(), len(content)
        is_same = (digest, size) == (part.sha256, part.bytes)
        found.saw("batch.originals", is_same, name, f"hashes to {digest.hex()[:16]}…, {size} bytes")
        if batch.purpose != "lists" or batch.state == "sealed":
            continue
        cases = await store.cases_of_part(uow, batch.batch_id, number)
        first_row += await asyncio.to_thread(_compare, found, name, content, cases, first_row)


def _compare(found: Verification, place: str, content: bytes, cases: dict[int, Row[Any]], first_row: int) -> int:
    """Each case against the line it came from; how many row numbers the part takes up."""
    rows, span = rows_of_part(content)
    for parsed in rows:
        case = cases.pop(first_row + parsed.row_no, None)
        if case is None:
            continue
        name = f"{place} row {first_row + parsed.row_no} case {case.case_id}"
        given = parsed.settlement_list
        if given is None:
            found.saw("case.digest", False, name, "the line is no list")
            continue
        found.same("case.digest", name, (case.digest or b"").hex(), _due_digest(given, case))
        wrong = _wrong_facts(given, case)
        found.saw("case.facts", not wrong, name, ", ".join(wrong))
    for row_no, case in cases.items():
        found.saw("case.digest", False, f"{place} row {row_no} case {case.case_id}", "the original has no such row")
    return span


def _wrong_facts(given: SettlementList, case: Row[Any]) -> list[str]:
    """Names of the facts that differ, those left out that a policy decides: insurance, which fund is the basic one, the month."""
    try:
        facts: CaseFacts = case_facts(given, _no_policy(given))
    except ValueError:
        return ["not an accepted list"]
    due = {
        "setl_id": given.setl_id,
        "version": given.version,
        "admission_date": given.admission_date,
        "discharge_date": given.discharge_date,
        "settlement_date": given.settlement_end_date,
        "age_days": facts.age_days,
        "los_days": facts.los_days,
        "total_fen": facts.total_fen,
        "account_fen": facts.account_fen,
        "cash_fen": facts.cash_fen,
        "diagnoses": list(facts.diagnoses),
        "procedures": list(facts.procedures),
    }
    if not _is_earlier(given, case):
        for fact in _LATER:
            due[fact] = getattr(facts, fact)
    wrong = [name for name, value in due.items() if _plain(getattr(case, name)) != value]
    if case.basic_fund_fen + case.other_funds_fen != facts.basic_fund_fen + facts.other_funds_fen:
        wrong.append("basic_fund_fen + other_funds_fen")
    return wrong


_LATER = ("icu_minutes", "discharge_department", "own_paid_fen")


def _is_earlier(given: SettlementList, case: Row[Any]) -> bool:
    """A case accepted before cases carried these facts: it has none of them, and its list was hashed without them."""
    return all(getattr(case, name) is None for name in _LATER) and (case.digest or b"").hex() == earlier_digest(given)


def _due_digest(given: SettlementList, case: Row[Any]) -> str:
    return earlier_digest(given) if _is_earlier(given, case) else list_digest(given)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _no_policy(given: SettlementList) -> SubmissionPolicy:
    """A policy by which any list has an insurance and a basic fund: what it decides is not compared."""
    return SubmissionPolicy({given.insurance_type or "": "any"}, {"any": frozenset({"-"})}, list_due_days=0)
