"""One case explains itself (病例解释): its group, its points, every step with its document, and why no other group won."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.conjunctions import conjunction_text
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.grouping.outcome import GroupingOutcome
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.scoring.auxiliary_choice import Dimension
from fenzhi.rules.scoring.score_case import ScoredCase, applied_coefficient
from fenzhi.rules.working import Step
from fenzhi.services.acts import Platform, looking
from fenzhi.services.scoring.assembly import ScoringFrame, case_of, scoring_frame
from fenzhi.services.scoring.payment import CasePaid, ModeFrame, disposition_of, mode_frame, paid_by
from fenzhi.store.repositories import cases as store

CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class RejectedGroup:
    """A candidate that did not win (落选病种)."""

    group_code: str
    cause: str
    zh: str
    en: str
    layer: str
    missing: str
    """Procedures that would have made it match, `/` any of, `+` and; blank where something else failed."""


@dataclass(frozen=True, slots=True)
class CandidatePoints:
    """One way the case could have been scored (候选分值)."""

    name: str
    points: Decimal


@dataclass(frozen=True, slots=True)
class CaseExplanation:
    """How a case is grouped and scored (病例解释). `disposition`: `cleared`, or `pending:` with the reason, as in a run."""

    case_id: uuid.UUID
    disposition: str
    reason: str
    reason_zh: str
    reason_en: str
    edition_code: str | None
    group_code: str | None
    group_name: str | None
    group_kind: str | None
    score: Decimal | None
    level: str | None
    coefficient: Decimal | None
    band: str | None
    is_provisional: bool
    cost_ratio: str | None
    """Cost over reference as exact text, a fraction where no decimal is exact."""
    outlier_factor: str | None
    """What the score is multiplied by, the coefficient included, as exact text."""
    reference_source: str | None
    points: Decimal | None
    layer: str | None
    """Layer of the group (分组层级)."""
    candidates: tuple[CandidatePoints, ...]
    chosen: str | None
    """Name of the candidate taken (所取候选)."""
    chosen_zh: str | None
    chosen_en: str | None
    steps: tuple[Step, ...]
    rejected: tuple[RejectedGroup, ...]
    paid: CasePaid | None = None
    """How it is paid; None where it cannot be paid whatever its group (支付方式)."""


async def explain_case(platform: Platform, subject: Subject, case_id: uuid.UUID) -> CaseExplanation | None:
    """Group and score one case by the rules and say how (解释病例), or none in this scope.

    The same texts as a run of its month, so the same group and points. Raises: PolicyNotEntered.
    """
    async with looking(platform, subject, Duty.READ_CASES) as uow:
        row = await store.case_by_id(uow, case_id)
        if row is None:
            return None
        frame = await scoring_frame(
            uow,
            area_id=row.area_id,
            hospital_id=row.hospital_id,
            insurance=row.insurance,
            discharge_date=row.discharge_date,
            settlement_month=row.settlement_month,
            pool_scope=row.pool_scope,
            case=case_of(row),
        )
        modes = await mode_frame(uow, row, frame.agreement_mode, frame.adjustments.icu_counting)
    return explained(row, frame, modes)


def explained(row: Row[Any], frame: ScoringFrame, modes: ModeFrame | None = None) -> CaseExplanation:
    """The explanation of a case over its frame (解释), and with `modes` how it is paid."""
    case = case_of(row)
    outcome = frame.group(case) if frame.book is not None else None
    group = outcome.group if outcome is not None else None
    payable = frame.withheld is None
    scored = None
    if group is not None and frame.factor is not None:
        scored = frame.score(
            case, group, row.total_fen, discharge_way=row.discharge_way, discharge_date=row.discharge_date
        )
    elif outcome is not None and group is None:
        scored = frame.score_ungrouped(case, outcome.reason, row.total_fen)
    steps = [*_frame_steps(row, frame), *(outcome.working if outcome else ()), *(scored.working if scored else ())]
    disposition, reason, zh, en = _disposition(frame, outcome, scored)
    steps += _untold_steps(row, frame, group)
    paid, mode = None, None
    if modes is not None and payable and frame.book is not None and frame.factor is not None:
        places = frame.book.edition.points_decimals
        paid, mode = paid_by(row, modes, group.group_code if group else "", frame.factor.level, places)
    points = _points(frame, scored) if scored is not None and payable else None
    if mode is not None:
        moved = disposition_of(mode)
        if moved is not None:
            disposition, points = moved, None
        elif mode.points is not None:
            disposition, points = CLEARED, _as_points(frame, mode.points)
        elif mode.payment is not None and disposition != CLEARED and paid is not None:
            # A case that waits for its group waits for what comes beside its points.
            paid = replace(paid, payment=None)
    seen = _values(scored, "scoring.cost_outlier")
    return CaseExplanation(
        case_id=row.case_id,
        disposition=disposition,
        reason=reason,
        reason_zh=zh,
        reason_en=en,
        edition_code=frame.edition.code if frame.edition is not None else None,
        group_code=group.group_code if group else None,
        group_name=_name(group) if group else None,
        group_kind=group.kind.value if group else None,
        score=group.score if group else None,
        level=frame.factor.level if frame.factor else None,
        coefficient=applied_coefficient(group, frame.factor) if group and frame.factor else None,
        band=scored.band.value if scored else None,
        is_provisional=bool(scored and scored.provisional),
        cost_ratio=seen.get("ratio") or None,
        outlier_factor=seen.get("multiplier") or None,
        reference_source=scored.reference_source.value if scored else None,
        points=points,
        layer=group.layer.value if group else None,
        candidates=tuple(
            CandidatePoints(one.name, _as_points(frame, one.points))
            for one in (scored.candidates if scored and payable else ())
        ),
        chosen=scored.chosen if scored and payable else None,
        chosen_zh=scored.zh if scored and payable else None,
        chosen_en=scored.en if scored and payable else None,
        steps=tuple(replace(step, document=step.document or _document(step.rule, frame)) for step in steps),
        rejected=tuple(
            RejectedGroup(
                one.group.group_code,
                one.cause.value,
                one.zh,
                one.en,
                one.group.layer.value,
                conjunction_text(one.missing),
            )
            for one in (outcome.rejected if outcome else ())
        ),
        paid=paid,
    )


def _untold_steps(row: Row[Any], frame: ScoringFrame, group: DiseaseGroup | None) -> list[Step]:
    """What factors of the group look at and the list does not say: never taken for zero, and said."""
    if group is None:
        return []
    steps, rules = [], frame.adjustments
    by_icu = any(one.dimension is Dimension.ICU for one in rules.subtypes.get(group.group_code, ()))
    if by_icu and rules.subtype_rules and row.icu_minutes is None:
        steps.append(
            Step(
                "scoring.icu_days_unstated",
                "清单未载明（或无法读取）重症监护时长，监护病房天数分型无法判定，不作为零处理。",
                "The list states no readable ICU time: the subtype by ICU days cannot be judged; it is not taken for zero.",
                (),
                "",
            )
        )
    if rules.tcm is not None and group.group_code in rules.tcm.groups and row.tcm_fen is None:
        steps.append(
            Step(
                "scoring.tcm_cost_unstated",
                "受理时未确定中医药费用，中医优势病种加成无法判定。",
                "TCM cost was not known when the list was taken in: the TCM bonus cannot be judged.",
                (),
                "",
            )
        )
    return steps


def _disposition(
    frame: ScoringFrame, outcome: GroupingOutcome | None, scored: ScoredCase | None
) -> tuple[str, str, str, str]:
    if frame.withheld is not None:
        why = frame.withheld
        return f"pending:{why.value}", why.value, why.zh, why.en
    if outcome is not None and outcome.group is None and scored is not None:
        return CLEARED, outcome.reason.value, outcome.reason.zh, outcome.reason.en
    if outcome is None or outcome.group is None:
        reason = outcome.reason if outcome is not None else None
        if reason is None:
            raise ValueError("an edition in force groups every case or says why not")
        return f"pending:ungrouped:{reason.value}", reason.value, reason.zh, reason.en
    return CLEARED, outcome.reason.value, outcome.reason.zh, outcome.reason.en


def _points(frame: ScoringFrame, scored: ScoredCase) -> Decimal:
    return _as_points(frame, scored.points)


def _as_points(frame: ScoringFrame, points: int) -> Decimal:
    places = frame.book.edition.points_decimals if frame.book is not None else 0
    return Decimal(decimal_places(Fraction(points, 10**places), places))


def _name(group: DiseaseGroup) -> str:
    parts = (group.diagnosis_name or group.diagnosis, group.main_procedure_names, group.related_procedure_names)
    return " / ".join(part for part in parts if part)


def _values(scored: ScoredCase | None, rule: str) -> dict[str, str]:
    steps = scored.working if scored is not None else ()
    return next((dict(step.values) for step in steps if step.rule == rule), {})


def _frame_steps(row: Row[Any], frame: ScoringFrame) -> Sequence[Step]:
    steps = []
    if frame.edition is not None:
        overlay = frame.overlay
        values = [("discharge_date", row.discharge_date.isoformat()), ("edition", frame.edition.code)]
        if overlay is not None:
            values.append(("overlay_from", overlay.effective_from.isoformat()))
        steps.append(
            Step(
                "catalog.edition_in_force",
                "按出院日期确定适用的目录版本。",
                "The discharge date decides the catalog edition.",
                tuple(values),
                "；".join(filter(None, (frame.edition.document, overlay.document if overlay is not None else ""))),
            )
        )
    if frame.factor is not None:
        steps.append(
            Step(
                "registry.coefficient_in_force",
                "按出院日期确定医院等级和系数。",
                "The discharge date decides the hospital's level and coefficient.",
                (("level", frame.factor.level), ("coefficient", format(frame.factor.coefficient, "f"))),
                frame.coefficient_document,
            )
        )
    return steps


_POLICY_OF = {
    "scoring.cost_outlier": "scoring.outlier_method",
    "scoring.auxiliary": "scoring.auxiliary_rules",
    "scoring.age": "scoring.age_factors",
    "scoring.complexity": "scoring.complexity_bands",
    "scoring.tcm_bonus": "scoring.tcm_groups",
    "scoring.uplift": "scoring.model_groups",
    "scoring.new_technology": "scoring.new_technologies",
    "scoring.blank_group": "scoring.ungrouped_method",
}
"""Rule of a step → the policy parameter whose document it rests on (步骤所依参数)."""


def _document(rule: str, frame: ScoringFrame) -> str:
    """The document a step of the rules rests on (步骤依据)."""
    if rule == "grouping.edition_lists" and frame.edition is not None:
        return str(frame.edition.document)
    if rule.startswith("grouping."):
        return str(frame.policy.document("grouping.tie_break"))
    key = _POLICY_OF.get(rule)
    if key is not None and frame.policy.has(key):
        return str(frame.policy.document(key))
    return str(frame.edition.document) if frame.edition is not None else ""
