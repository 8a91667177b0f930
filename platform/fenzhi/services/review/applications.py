"""Applications for special-case review (特例单议申请与申诉): by the hospital, with the digests of its material."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.rules.review.eligibility import SpecialReason
from fenzhi.services.acts import Answer, Platform, Request, act, as_id
from fenzhi.services.fund.faults import text_fault
from fenzhi.services.review.experts import word_fault
from fenzhi.store.repositories import cases, review
from fenzhi.store.session import UnitOfWork

EVIDENCE_MOST = 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A piece of material (材料): what it is and the SHA-256 of its bytes as hex; the bytes stay with the hospital."""

    title: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An order to apply for a case (申请特例单议)."""

    case_id: str
    specialty: str
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    statement: str


def _faults(order: Apply) -> list[Refusal]:
    found = text_fault("REASON_MISSING", "statement", order.statement, "申请说明", "The statement")
    found += word_fault("SPECIALTY_SHAPE", "specialty", order.specialty, "专业", "The specialty")
    if not order.reasons or any(one not in set(SpecialReason) for one in order.reasons):
        found.append(Refusal("SPECIAL_CASE_NO_REASON", "reasons", "、".join(order.reasons)[:60], "须选择至少一项申请理由。",
                             "Give at least one known reason.", "核对申请理由。", "Check the reasons."))  # fmt: skip
    if not 1 <= len(order.evidence) <= EVIDENCE_MOST:
        found.append(Refusal("SPECIAL_CASE_EVIDENCE", "evidence", str(len(order.evidence)),
                             f"须附 1 至 {EVIDENCE_MOST} 份材料及其摘要。", f"Hand in 1 to {EVIDENCE_MOST} pieces with their digests.",
                             "补充材料。", "Add the material."))  # fmt: skip
    for number, piece in enumerate(order.evidence):
        found += text_fault("EVIDENCE_TITLE", f"evidence.{number}.title", piece.title, "材料名称", "The title")
        if not _DIGEST.fullmatch(piece.sha256):
            found.append(Refusal("EVIDENCE_DIGEST", f"evidence.{number}.sha256", piece.sha256[:70],
                                 "材料摘要须为 64 位小写十六进制 SHA-256。", "A digest is a SHA-256 in 64 lower-case hex digits.",
                                 "按材料原文重新计算摘要。", "Compute it over the bytes of the material."))  # fmt: skip
    return found


async def apply_for(platform: Platform, submitter: Subject, request: Request, order: Apply) -> Answer:
    """Apply for the review of one of the hospital's cases (申请特例单议); it waits for its cycle to be closed.

    The year is that of the settlement. Changes: special_case (applied). Raises: NotFound, DataRefused with every fault at once,
    Conflict CASE_REPLACED, SPECIAL_CASE_EXISTS.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        row = await cases.case_by_id(uow, as_id(order.case_id, "case"))
        if row is None:
            raise NotFound("没有该病例。", "No such case.")
        if row.superseded_by is not None:
            raise Conflict(
                "该病例已被更正的清单取代。", "A corrected list has replaced the case.", code="CASE_REPLACED"
            )
        made = await review.add_application(
            uow,
            {
                "area_id": row.area_id,
                "county_id": row.county_id,
                "hospital_id": row.hospital_id,
                "case_id": row.case_id,
                "insurance": row.insurance,
                "pool_scope": row.pool_scope,
                "year": row.settlement_month // 100,
                "specialty": order.specialty,
                "reasons": sorted(set(order.reasons)),
                "evidence": [{"title": one.title, "sha256": one.sha256} for one in order.evidence],
                "statement": order.statement,
                "applied_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        if made is None:
            raise Conflict("该病例已申请特例单议。", "The case has an application already.", code="SPECIAL_CASE_EXISTS")
        return {"type": "SpecialCase", "id": str(made)}

    return await act(platform, submitter, Duty.APPLY_SPECIAL_CASE, request, effect)


async def appeal(platform: Platform, submitter: Subject, request: Request, special_case: str, reason: str) -> Answer:
    """Appeal against a refusal, once and within the clock (申诉): another panel hears the case.

    Changes: special_case refused → admitted, round 2. Raises: NotFound, DataRefused, Conflict SPECIAL_CASE_STATE, APPEAL_CLOSED.
    """
    faults = text_fault("REASON_MISSING", "reason", reason, "申诉理由", "The reason")

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        row = await found_case(uow, special_case)
        if row.state != "refused":
            raise wrong_state(row)
        if row.round != 1 or row.appeal_due_on is None or await uow.today() > row.appeal_due_on:
            raise Conflict(
                "申诉期限已过，或已复议一次。",
                "The time of appeal is over, or the case has been heard twice.",
                code="APPEAL_CLOSED",
            )
        values = {
            "state": "admitted",
            "round": 2,
            "appeal": reason,
            "verdict": None,
            "decided_on": None,
            "appeal_due_on": None,
        }
        return await moved(uow, row, ("refused",), values)

    return await act(platform, submitter, Duty.APPLY_SPECIAL_CASE, request, effect)


async def found_case(uow: UnitOfWork, special_case: str) -> Row[Any]:
    """An application of the scope (查找申请). Raises: NotFound."""
    row = await review.case_by_id(uow, as_id(special_case, "specialCase"))
    if row is None:
        raise NotFound("没有该特例单议申请。", "No such application.")
    return row


def wrong_state(row: Row[Any]) -> Conflict:
    """The refusal of a step that the state does not allow (状态不符)."""
    return Conflict(
        f"该申请处于 {row.state} 状态，不能进行此操作。",
        f"The application is {row.state}; this step is not possible.",
        code="SPECIAL_CASE_STATE",
    )


async def moved(uow: UnitOfWork, row: Row[Any], from_states: Sequence[str], values: Mapping[str, Any]) -> Answer:
    """Move an application on or refuse (状态流转). Raises: Conflict SPECIAL_CASE_STATE."""
    if not await review.move(uow, row.special_case_id, from_states, values):
        raise wrong_state(row)
    return {"type": "SpecialCase", "id": str(row.special_case_id)}
