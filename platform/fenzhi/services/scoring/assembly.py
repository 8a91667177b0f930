"""What one case is grouped and scored by (单病例计分依据): the same dated texts that a run of its month would freeze.

Edition, overlay, level and coefficient are those of the discharge date; policy is that of the last day of the settlement month, and
references are those of the year before it, as in clearing.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES, MeanCost, ReferenceCosts
from fenzhi.rules.editions import NothingInForce
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.grouping.outcome import GroupingOutcome
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import HospitalFactor, ScoredCase, score_case
from fenzhi.services.catalog import book
from fenzhi.services.clearing.grading import outlier_lines_of
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog, registry
from fenzhi.store.session import UnitOfWork

_UNASKED_LINES = OutlierLines(Decimal("0.5"), Decimal(2), None)
"""Where policy rescores nothing there are no references either, so no line is ever asked."""


class Withheld(StrEnum):
    """Why a case cannot be paid whatever its group (不予结算原因)."""

    NO_EDITION = "no_edition"
    NO_STANDING = "no_standing"
    NO_COEFFICIENT = "no_coefficient"
    NO_AGREEMENT = "no_agreement"

    @property
    def zh(self) -> str:
        """In Chinese (中文说明)."""
        return _WITHHELD[self][0]

    @property
    def en(self) -> str:
        """In English."""
        return _WITHHELD[self][1]


_WITHHELD = {
    Withheld.NO_EDITION: ("出院日没有生效的目录版本。", "No catalog edition was in force on the day of discharge."),
    Withheld.NO_STANDING: (
        "出院日没有登记医院等级。",
        "No level of the hospital was registered on the day of discharge.",
    ),
    Withheld.NO_COEFFICIENT: (
        "出院日没有该险种的医疗机构系数。",
        "No coefficient of the hospital for this insurance on the day of discharge.",
    ),
    Withheld.NO_AGREEMENT: (
        "出院日没有该险种的医保服务协议。",
        "No agreement of the hospital for this insurance on the day of discharge.",
    ),
}


@dataclass(frozen=True)
class ScoringFrame:
    """Everything one case is grouped and scored by (计分依据)."""

    edition: Row[Any] | None
    book: CatalogBook | None
    overlay: Row[Any] | None
    overlay_scores: dict[str, Decimal]
    method: GroupingMethod
    lines: OutlierLines
    references: ReferenceCosts
    reference_year: int
    factor: HospitalFactor | None
    coefficient_document: str
    withheld: Withheld | None
    policy: ResolvedPolicy

    def group(self, case: InpatientCase) -> GroupingOutcome:
        """The group of the case with the score that applies in the area (入组). Requires: an edition in force."""
        if self.book is None:
            raise ValueError("no edition is in force")
        opened = self.book
        if self.overlay_scores and TieBreak.HIGHER_SCORE in self.method.tie_break:
            opened = CatalogBook(replace(opened.edition, groups=tuple(map(self._scored, opened.edition.groups))))
        outcome = group_case(case, opened, self.method)
        return replace(outcome, group=self._scored(outcome.group)) if outcome.group is not None else outcome

    def score(self, case: InpatientCase, group: DiseaseGroup, cost_fen: int) -> ScoredCase:
        """The points of the case in its group (计分). Requires: an edition and a factor. Units: fen."""
        if self.book is None or self.factor is None:
            raise ValueError("no edition or no coefficient is in force")
        return score_case(
            group,
            case_id=case.case_id,
            cost_fen=cost_fen,
            factor=self.factor,
            references=self.references,
            lines=self.lines,
            points_decimals=self.book.edition.points_decimals,
        )

    def _scored(self, group: DiseaseGroup) -> DiseaseGroup:
        score = self.overlay_scores.get(group.group_code)
        return group if score is None else replace(group, score=score)


async def scoring_frame(
    uow: UnitOfWork, *, area_id: int, hospital_id: int, insurance: str, discharge_date: date, settlement_month: int
) -> ScoringFrame:
    """Read what a case of a hospital is grouped and scored by (装载计分依据). `settlement_month`: yyyymm.

    Raises: PolicyNotEntered for a choice nobody entered.
    """
    year, month = divmod(settlement_month, 100)
    last_day = date(year, month, calendar.monthrange(year, month)[1])
    policy = await resolved_policy(uow, last_day, area_id=area_id, insurance=insurance)
    lines = outlier_lines_of(policy)
    method = grouping_method_of(policy)
    row = await _edition_on(uow, discharge_date)
    opened, overlay, scores, references = None, None, dict[str, Decimal](), NO_REFERENCES
    if row is not None:
        opened = await book.load_book(uow, row.edition_id)
        overlay = await catalog.overlay_in_force(uow, area_id, row.edition_id, discharge_date)
        if overlay is not None:
            found = await catalog.overlay_scores(uow, area_id, overlay.overlay_id)
            scores = {one.group_code: one.score for one in found}
        if lines is not None:
            same_level = policy.method("scoring.reference") == "same_level_last_year"
            references = await _references(uow, row, area_id, year - 1, same_level=same_level)
    factor, document, withheld = await _factor(uow, area_id, hospital_id, insurance, discharge_date)
    return ScoringFrame(
        edition=row,
        book=opened,
        overlay=overlay,
        overlay_scores=scores,
        method=method,
        lines=lines or _UNASKED_LINES,
        references=references,
        reference_year=year - 1,
        factor=factor,
        coefficient_document=document,
        withheld=Withheld.NO_EDITION if row is None else withheld,
        policy=policy,
    )


async def _edition_on(uow: UnitOfWork, day: date) -> Row[Any] | None:
    try:
        return await book.edition_for(uow, day)
    except NothingInForce:
        return None


async def _references(
    uow: UnitOfWork, edition: Row[Any], area_id: int, year: int, *, same_level: bool
) -> ReferenceCosts:
    found = await book.references(uow, edition.edition_id, year, area_id=area_id)
    return ReferenceCosts(
        {key: MeanCost(one.total_fen, one.n) for key, one in found.items() if key[1] and same_level},
        {code: MeanCost(one.total_fen, one.n) for (code, level), one in found.items() if not level},
    )


async def _factor(
    uow: UnitOfWork, area_id: int, hospital_id: int, insurance: str, day: date
) -> tuple[HospitalFactor | None, str, Withheld | None]:
    level = registry.in_force(await registry.standings(uow, area_id, hospital_id), day)
    if level is None:
        return None, "", Withheld.NO_STANDING
    coefficients = await registry.coefficients(uow, area_id, hospital_id)
    coefficient = registry.in_force([row for row in coefficients if row.insurance == insurance], day)
    if coefficient is None:
        return None, "", Withheld.NO_COEFFICIENT
    factor = HospitalFactor(level.level, coefficient.coefficient)
    agreements = await registry.agreements(uow, area_id, hospital_id)
    covered = any(row.insurance == insurance and row.valid_from <= day <= row.valid_to for row in agreements)
    return factor, coefficient.document, None if covered else Withheld.NO_AGREEMENT
