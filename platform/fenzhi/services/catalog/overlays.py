"""A city's own scores over the province's (市级分值调整), within the province's limits, the total of its own cases kept."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.catalog.score_edits import EditLimits, lay_over
from fenzhi.rules.refusals import Conflict, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog.book import edition_row, group_of, references
from fenzhi.services.catalog.faults import document_faults, fault, refuse
from fenzhi.services.catalog.scores import EDITS_MOST, ScoreEdit
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork, new_id


@dataclass(frozen=True, slots=True)
class NewOverlay:
    """An order for an overlay (市级调整单)."""

    edition_id: uuid.UUID
    effective_from: date
    scores: tuple[ScoreEdit, ...]
    document: str
    is_constructed: bool = False


def _faults(order: NewOverlay) -> list[Refusal]:
    faults = document_faults(order.document)
    codes: Sequence[str] = [one.group_code for one in order.scores]
    if not 1 <= len(codes) <= EDITS_MOST or len(set(codes)) != len(codes):
        faults.append(
            fault(
                ("OVERLAY_SCORES_COUNT", "scores", str(len(codes))),
                (f"须调整 1 至 {EDITS_MOST} 个病种，不得重复。", f"Adjust 1 to {EDITS_MOST} groups, none twice."),
                ("核对调整清单。", "Check the list."),
            )
        )
    return faults


async def draft_overlay(platform: Platform, clerk: Subject, request: Request, order: NewOverlay) -> Answer:
    """Draft a city's scores over a published edition (起草市级调整).

    One factor on all scores keeps Σ score × n over the area's own cases of the year before the effective date
    (money-rules 16). Changes: area_overlay, area_overlay_score. Raises: DataRefused with every fault, PolicyNotEntered,
    Conflict EDITION_NOT_PUBLISHED, OVERLAY_OUTSIDE_EDITION, REFERENCE_COSTS_MISSING, NotFound.
    """
    clerk.scope_for(Duty.EDIT_OVERLAY)
    refuse(_faults(order))

    async def effect(uow: UnitOfWork) -> Answer:
        row = await edition_row(uow, order.edition_id)
        if row.state != "published":
            raise Conflict("目录版本尚未发布。", "The edition is not published.", code="EDITION_NOT_PUBLISHED")
        ended = row.effective_to is not None and order.effective_from > row.effective_to
        if order.effective_from < row.effective_from or ended:
            raise Conflict(
                "生效日期不在目录版本的生效区间内。",
                "The effective date lies outside the edition's range.",
                code="OVERLAY_OUTSIDE_EDITION",
            )
        limit = (await resolved_policy(uow, order.effective_from)).decimal("catalog.overlay_score_limit_ratio")
        year = order.effective_from.year - 1
        cases = {
            code: one.n for (code, level), one in (await references(uow, row.edition_id, year)).items() if not level
        }
        if not cases:
            raise Conflict(
                f"{year} 年的参照费用尚未计算，不能核定总分值。",
                f"The reference costs of {year} have not been computed: no total to keep.",
                code="REFERENCE_COSTS_MISSING",
                hint="先执行 referenceCostsCompute / run referenceCostsCompute first",
            )
        groups = [group_of(one) for one in await catalog.groups(uow, row.edition_id)]
        revision = lay_over(
            groups,
            {one.group_code: one.score for one in order.scores},
            cases=cases,
            score_places=row.score_decimals,
            limits=EditLimits(down=min(limit, Decimal(1)), up=limit),
        )
        refuse(revision.refusals)
        pairs = zip(groups, revision.groups, strict=True)
        scores = [(one.group_code, one.score, two.score) for one, two in pairs if one.score != two.score]
        overlay_id = new_id()
        overlay = {
            "overlay_id": overlay_id,
            "edition_id": row.edition_id,
            "state": "draft",
            "effective_from": order.effective_from,
            "document": order.document.strip(),
            "is_constructed": order.is_constructed,
            "working": {
                "year": year,
                "cases": sum(cases.values()),
                "asked": {one.group_code: str(one.score) for one in order.scores},
                "factor": str(revision.factor),
                "total_before": str(revision.total_before),
                "total_after": str(revision.total_after),
            },
            "drafted_by": uuid.UUID(uow.scope.account_id),
            "drafted_by_person": uuid.UUID(uow.scope.person_id),
        }
        await catalog.add_overlay(uow, overlay, scores)
        return {"type": "AreaOverlay", "id": str(overlay_id)}

    return await act(platform, clerk, Duty.EDIT_OVERLAY, request, effect)


async def publish_overlay(platform: Platform, approver: Subject, request: Request, overlay_id: uuid.UUID) -> Answer:
    """Publish an overlay as a second person (发布市级调整).

    Changes: area_overlay. Raises: SamePerson, NotFound, Conflict OVERLAY_NOT_DRAFT.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await catalog.overlay_by_id(uow, overlay_id)
        if row is None:
            raise NotFound("没有该市级调整。", "No such overlay.", code="OVERLAY_NOT_FOUND")
        if row.state == "draft":
            require_second_person(str(row.drafted_by_person), uow.scope.person_id)
        if row.state != "draft" or await catalog.publish_overlay(uow, overlay_id) != 1:
            raise Conflict("该市级调整不是草稿。", "The overlay is no draft.", code="OVERLAY_NOT_DRAFT")
        return {"type": "AreaOverlay", "id": str(overlay_id)}

    return await act(platform, approver, Duty.APPROVE_OVERLAY, request, effect)
