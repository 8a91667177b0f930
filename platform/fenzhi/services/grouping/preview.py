"""Lists grouped and scored without storing them (入组预检): what a run of their month would say, by the bulk engine a run uses.

At most a hundred at a time, none of them kept. Every answer is worked by the one-case rules as well, and the two must agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.engine.compiled_book import CompiledBook
from fenzhi.engine.engine import Engine
from fenzhi.engine.graded_editions import EditionPlan
from fenzhi.engine.scoring_plan import plan_scoring
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase
from fenzhi.rules.grouping.outcome import GroupingReason
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.refusals import DataRefused, InvariantBroken, NotFound, Refusal
from fenzhi.rules.scoring.score_case import ScoredCase, applied_coefficient
from fenzhi.services.acts import Platform, looking
from fenzhi.services.catalog.provisional_in_force import approved_groups
from fenzhi.services.grouping.compiled import compiled_for
from fenzhi.services.scoring.assembly import ScoringFrame, scoring_frame
from fenzhi.services.scoring.basis import means_for
from fenzhi.services.scoring.provisional import provisional_plan
from fenzhi.store.repositories import registry

LISTS_MOST = 100
_EDITION = "preview"


@dataclass(frozen=True, slots=True)
class PreviewCase:
    """One case to be grouped and scored (待预检病例). Units: fen, days, grams."""

    case: InpatientCase
    insurance: str
    discharge_date: date
    total_fen: int
    settlement_month: int | None = None
    """yyyymm; None is the month of discharge."""
    discharge_way: str | None = None

    @property
    def month(self) -> int:
        """The month whose policy counts (结算月份)."""
        return self.settlement_month or self.discharge_date.year * 100 + self.discharge_date.month


@dataclass(frozen=True, slots=True)
class PreviewAnswer:
    """What a run would say of a case (预检结果); points as decimal text with the places of the edition."""

    case_id: str
    disposition: str
    group_code: str | None
    reason: GroupingReason | None
    reason_zh: str
    reason_en: str
    diagnosis: str | None
    kind: str | None
    layer: str | None
    score: Decimal | None
    level: str | None
    coefficient: Decimal | None
    band: str | None
    reference_source: str | None
    points: str | None


async def preview_cases(
    platform: Platform, subject: Subject, hospital_code: str, cases: Sequence[PreviewCase]
) -> list[PreviewAnswer]:
    """Group and score cases of a hospital without storing them (入组预检), in the order given.

    Raises: DataRefused for none, too many, an impossible cost or month; NotFound for a hospital outside the scope; PolicyNotEntered.
    """
    _refuse_impossible(cases)
    frames: dict[tuple[str, date, int], ScoringFrame] = {}
    async with looking(platform, subject, Duty.READ_CASES) as uow:
        hospital = await registry.hospital_by_code(uow, hospital_code)
        if hospital is None:
            raise NotFound(
                "没有该医院。",
                "No such hospital.",
                code="HOSPITAL_NOT_FOUND",
                hint="核对机构编号 / check the institution's code",
            )
        approved = await approved_groups(uow, hospital.area_id)
        for one in cases:
            key = (one.insurance, one.discharge_date, one.month)
            if key not in frames:
                frames[key] = await scoring_frame(
                    uow,
                    area_id=hospital.area_id,
                    hospital_id=hospital.hospital_id,
                    insurance=one.insurance,
                    discharge_date=one.discharge_date,
                    settlement_month=one.month,
                    approved=approved,
                )
    return await asyncio.to_thread(_answers, platform.memory_limit_mb, frames, cases)


def _refuse_impossible(cases: Sequence[PreviewCase]) -> None:
    faults = []
    if not 1 <= len(cases) <= LISTS_MOST:
        faults.append(
            Refusal(
                "PREVIEW_COUNT",
                "cases",
                str(len(cases)),
                "每次预检 1 至 100 例。",
                "A preview takes 1 to 100 cases.",
                "分次预检。",
                "Ask in several times.",
            )
        )
    for place, one in enumerate(cases):
        if one.total_fen < 0:
            faults.append(
                Refusal(
                    "PREVIEW_COST",
                    f"cases.{place}.totalFen",
                    str(one.total_fen),
                    "费用不得为负。",
                    "A cost is not below zero.",
                    "更正费用后重试。",
                    "Correct the cost and try again.",
                )
            )
        year, month = divmod(one.month, 100)
        if not (2000 <= year <= 2099 and 1 <= month <= 12):
            faults.append(
                Refusal(
                    "PREVIEW_MONTH",
                    f"cases.{place}.settlementMonth",
                    str(one.month),
                    "月份须为 yyyymm。",
                    "A month is written yyyymm.",
                    "更正月份后重试。",
                    "Correct the month and try again.",
                )
            )
    if faults:
        raise DataRefused(tuple(faults))


def _answers(
    memory_limit_mb: int, frames: Mapping[tuple[str, date, int], ScoringFrame], cases: Sequence[PreviewCase]
) -> list[PreviewAnswer]:
    found: dict[int, PreviewAnswer] = {}
    with Engine(memory_limit=f"{memory_limit_mb}MB", threads=1) as engine:
        for key, frame in frames.items():
            mine = [
                (place, one) for place, one in enumerate(cases) if (one.insurance, one.discharge_date, one.month) == key
            ]
            if frame.withheld is not None or frame.factor is None or frame.book is None:
                why = frame.withheld
                for place, one in mine:
                    found[place] = _withheld(
                        one, why.value if why else "", why.zh if why else "", why.en if why else ""
                    )
                continue
            rows = _engine_rows(engine, frame, [one for _, one in mine])
            for (place, one), row in zip(mine, rows, strict=True):
                found[place] = _answer(frame, one, row)
    return [found[place] for place in range(len(cases))]


def _opened(frame: ScoringFrame) -> tuple[CatalogBook, CompiledBook]:
    """The book with the area's scores, and the same compiled."""
    assert frame.book is not None
    overlay = frame.overlay.overlay_id if frame.overlay is not None else None
    means = means_for(frame.method, frame.references)
    return compiled_for(frame.book, overlay, frame.overlay_scores, frame.method, means)


def _engine_rows(engine: Engine, frame: ScoringFrame, cases: Sequence[PreviewCase]) -> list[dict[str, Any]]:
    assert frame.factor is not None
    book, compiled = _opened(frame)
    plan = plan_scoring(
        compiled, factors=[frame.factor], references=frame.references, lines=frame.lines, blank=frame.blank
    )
    counting = frame.adjustments.icu_counting
    table = pa.table(
        {
            "principal_diagnosis": pa.array([one.case.principal_diagnosis for one in cases], pa.string()),
            "procedures": pa.array([list(one.case.procedures) for one in cases], pa.list_(pa.string())),
            "other_diagnoses": pa.array([list(one.case.other_diagnoses) for one in cases], pa.list_(pa.string())),
            "age_days": pa.array([one.case.age_days for one in cases], pa.int64()),
            "los_days": pa.array([one.case.los_days for one in cases], pa.int64()),
            "icu_days": pa.array([counting.days(one.case.icu_minutes) for one in cases], pa.int64()),
            "tcm_fen": pa.array([one.case.tcm_fen for one in cases], pa.int64()),
            "birth_weight_g": pa.array([one.case.birth_weight_g for one in cases], pa.int64()),
            "discharge_way": pa.array([one.discharge_way for one in cases], pa.string()),
            "discharge_date": pa.array([one.discharge_date for one in cases], pa.date32()),
            "cost_fen": pa.array([one.total_fen for one in cases], pa.int64()),
            "factor": pa.array([0] * len(cases), pa.int32()),
        }
    )
    beside = provisional_plan(book.edition, frame.provisional, frame.method, factors=[frame.factor], lines=frame.lines)
    table = table.append_column("edition_id", pa.repeat(pa.scalar(_EDITION), table.num_rows))
    rows: list[dict[str, Any]] = engine.grade(
        table, {_EDITION: EditionPlan(plan, frame.adjustments, beside)}
    ).to_pylist()
    return rows


def _answer(frame: ScoringFrame, one: PreviewCase, row: Mapping[str, Any]) -> PreviewAnswer:
    assert frame.book is not None and frame.factor is not None
    case = replace(one.case, cost_fen=one.total_fen)
    outcome = frame.group(case)
    group = outcome.group
    scored: ScoredCase | None
    if group is not None:
        scored = frame.score(
            case, group, one.total_fen, discharge_way=one.discharge_way, discharge_date=one.discharge_date
        )
    else:
        scored = frame.score_ungrouped(case, outcome.reason, one.total_fen)
    said = (row["group_code"], row["reason"], row["band"], row["points"])
    rules = (
        group.group_code if group else None,
        outcome.reason.value,
        scored.band.value if scored else None,
        scored.points if scored else None,
    )
    if said != rules:
        raise InvariantBroken("the bulk engine says what the rules say", account=case.case_id, detail=f"{said} {rules}")
    places = frame.book.edition.points_decimals
    return PreviewAnswer(
        case.case_id,
        "cleared" if scored is not None else f"pending:ungrouped:{outcome.reason.value}",
        group.group_code if group else None,
        outcome.reason,
        outcome.reason.zh,
        outcome.reason.en,
        group.diagnosis if group else None,
        group.kind.value if group else None,
        group.layer.value if group else None,
        group.score if group else None,
        frame.factor.level if group else None,
        applied_coefficient(group, frame.factor) if group else None,
        scored.band.value if scored else None,
        scored.reference_source.value if scored else None,
        decimal_places(Fraction(scored.points, 10**places), places) if scored else None,
    )


def _withheld(one: PreviewCase, reason: str, zh: str, en: str) -> PreviewAnswer:
    nothing = (None,) * 9
    return PreviewAnswer(one.case.case_id, f"pending:{reason}", None, None, zh, en, *nothing)
