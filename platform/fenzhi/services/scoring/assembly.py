"""What one case is grouped and scored by (单病例计分依据): the same dated texts that a run of its month would freeze.

Edition, overlay, level and coefficient are those of the discharge date; policy is that of the last day of the settlement month, and
references are those of the year before it, as in clearing.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.edition import CodeTables
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.grouping.outcome import GroupingOutcome, GroupingReason
from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup, or_provisional, provisional_book
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.scoring.auxiliary_choice import CaseFacts, IcuDayCounting
from fenzhi.rules.scoring.case_adjustment import AdjustmentRules, case_adjustment
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import BlankGroup, HospitalFactor, ScoredCase, score_blank, score_case
from fenzhi.services.catalog import book
from fenzhi.services.catalog.provisional_in_force import ApprovedGroup, approved_groups, in_force
from fenzhi.services.grouping.compiled import scored_book
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.scoring.adjusting import adjustment_rules_of, blank_group_of
from fenzhi.services.scoring.basis import (
    UNASKED_LINES,
    Withheld,
    edition_on,
    frozen_price,
    hospital_terms,
    means_for,
    needs_price,
    outlier_lines_of,
    references_of,
)
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork

NO_RULES = AdjustmentRules()


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
    adjustments: AdjustmentRules = NO_RULES
    blank: BlankGroup | None = None
    provisional: tuple[ProvisionalGroup, ...] = ()
    """Provisional groups in force on the discharge date (临时病种)."""
    agreement_mode: str = ""
    """Payment mode of the agreement in force on the discharge date (协议支付方式)."""

    def group(self, case: InpatientCase) -> GroupingOutcome:
        """The group of the case with the score that applies in the area (入组). Requires: an edition in force."""
        if self.book is None:
            raise ValueError("no edition is in force")
        means = means_for(self.method, self.references)
        outcome = _grouped(self.book, self.overlay, self.overlay_scores, self.method, case, means)
        edition = self.book.edition
        beside = provisional_book(edition, self.provisional) if outcome.reason.is_uncovered else None
        outcome = or_provisional(outcome, case, beside, self.method, self.provisional)
        return replace(outcome, group=self._scored(outcome.group)) if outcome.group is not None else outcome

    def score(
        self,
        case: InpatientCase,
        group: DiseaseGroup,
        cost_fen: int,
        *,
        discharge_way: str | None = None,
        discharge_date: date | None = None,
    ) -> ScoredCase:
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
            adjustment=case_adjustment(
                group,
                facts_of(case, self.book.edition.tables, discharge_way, self.adjustments.icu_counting),
                cost_fen,
                discharge_date,
                self.adjustments,
            ),
        )

    def score_ungrouped(self, case: InpatientCase, reason: GroupingReason, cost_fen: int) -> ScoredCase | None:
        """The points of a case without a group (空白病种计分), None where it stays pending. Requires: an edition."""
        if self.blank is None or self.book is None or not reason.is_uncovered:
            return None
        edition = self.book.edition
        return score_blank(case.case_id, cost_fen, edition.scale, self.blank, edition.points_decimals)

    def _scored(self, group: DiseaseGroup) -> DiseaseGroup:
        score = self.overlay_scores.get(group.group_code)
        return group if score is None else replace(group, score=score)


def _grouped(
    opened: CatalogBook,
    overlay: Row[Any] | None,
    scores: Mapping[str, Decimal],
    method: GroupingMethod,
    case: InpatientCase,
    means: Mapping[str, int] | None = None,
) -> GroupingOutcome:
    if scores and TieBreak.HIGHER_SCORE in method.tie_break:
        opened = scored_book(opened, overlay.overlay_id if overlay is not None else None, scores)
    return group_case(case, opened, method, means)


def facts_of(
    case: InpatientCase,
    tables: CodeTables,
    discharge_way: str | None,
    counting: IcuDayCounting = IcuDayCounting.FULL,
) -> CaseFacts:
    """What factors look at of a case (计分所用事实): other diagnoses only where the tables know them."""
    return CaseFacts(
        age_days=case.age_days,
        los_days=case.los_days,
        birth_weight_g=case.birth_weight_g,
        discharge_way=discharge_way,
        other_diagnoses=tuple(one for one in case.other_diagnoses if one in tables.diagnoses),
        procedures=case.procedures,
        icu_days=counting.days(case.icu_minutes),
        tcm_fen=case.tcm_fen,
    )


def case_of(row: Row[Any]) -> InpatientCase:
    """A stored case as grouping sees it (存储病例转入组病例)."""
    return InpatientCase(
        str(row.case_id),
        row.diagnoses[0] if row.diagnoses else None,
        tuple(row.procedures),
        tuple(row.diagnoses[1:]),
        row.age_days,
        row.birth_weight_g,
        row.los_days,
        row.total_fen,
        icu_minutes=row.icu_minutes,
        tcm_fen=row.tcm_fen,
    )


async def scoring_frame(
    uow: UnitOfWork,
    *,
    area_id: int,
    hospital_id: int,
    insurance: str,
    discharge_date: date,
    settlement_month: int,
    pool_scope: str = "local",
    case: InpatientCase | None = None,
    approved: Sequence[ApprovedGroup] | None = None,
) -> ScoringFrame:
    """Read what a case of a hospital is grouped and scored by (装载计分依据). `settlement_month`: yyyymm.

    With a `case` the frame is for that case alone: of an edition's thousands of references only those of its group are read,
    and provisional groups are asked only where the edition leaves it without a group. `approved`: those of the area, where the caller has
    read them for several frames. Raises: PolicyNotEntered for a choice nobody entered.
    """
    year, month = divmod(settlement_month, 100)
    last_day = date(year, month, calendar.monthrange(year, month)[1])
    policy = await resolved_policy(uow, last_day, area_id=area_id, insurance=insurance)
    price = await frozen_price(uow, policy, (insurance, pool_scope, year)) if needs_price(policy) else None
    lines = outlier_lines_of(policy, price)
    method = grouping_method_of(policy)
    row = await edition_on(uow, discharge_date)
    opened, overlay, scores, references = None, None, dict[str, Decimal](), NO_REFERENCES
    subtypes: Sequence[Row[Any]] = ()
    provisional: tuple[ProvisionalGroup, ...] = ()
    if row is not None:
        opened = await book.load_book(uow, row.edition_id)
        overlay = await catalog.overlay_in_force(uow, area_id, row.edition_id, discharge_date)
        if overlay is not None:
            found = await catalog.overlay_scores(uow, area_id, overlay.overlay_id)
            scores = {one.group_code: one.score for one in found}
        chooses_by_all = TieBreak.NEAREST_COST in method.tie_break or _keeps_blank(policy)
        outcome = None
        if case is not None and not chooses_by_all:
            outcome = _grouped(opened, overlay, scores, method, case)
        group = outcome.group if outcome is not None else None
        if outcome is None or outcome.reason.is_uncovered:
            known = approved if approved is not None else await approved_groups(uow, area_id)
            provisional = in_force(known, discharge_date, row.scale)
        if chooses_by_all or (lines is not None and (case is None or group is not None)):
            code = group.group_code if group is not None else None
            references = await references_of(uow, policy, row, year - 1, area_id=area_id, group=code)
        subtypes = await catalog.subtypes_of(uow, row.edition_id)
    terms = await hospital_terms(uow, area_id, insurance, hospital_id)
    factor, document, withheld = terms.on(hospital_id, discharge_date)
    return ScoringFrame(
        edition=row,
        book=opened,
        overlay=overlay,
        overlay_scores=scores,
        method=method,
        lines=lines or UNASKED_LINES,
        references=references,
        reference_year=year - 1,
        factor=factor,
        coefficient_document=document,
        withheld=Withheld.NO_EDITION if row is None else withheld,
        policy=policy,
        adjustments=adjustment_rules_of(policy, subtypes),
        blank=blank_group_of(policy, references),
        provisional=provisional,
        agreement_mode=next(
            (
                one.payment_mode
                for one in terms.agreements.get(hospital_id, ())
                if one.valid_from <= discharge_date <= one.valid_to
            ),
            "",
        ),
    )


def _keeps_blank(policy: ResolvedPolicy) -> bool:
    return policy.method("scoring.ungrouped_method") == "blank_group"
