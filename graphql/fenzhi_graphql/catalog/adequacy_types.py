"""The adequacy report as the API shows it (充分性报告)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import strawberry

from fenzhi.rules.catalog import adequacy as rules
from fenzhi.services.catalog.adequacy import adequacy_kept
from fenzhi.services.catalog.lookups import exact, shown_cv, shown_ratio, yuan_shown
from fenzhi_graphql.scalars import ExactDecimal


def _ratio(value: Fraction | None) -> ExactDecimal | None:
    return None if value is None else ExactDecimal(exact(shown_ratio(value)))


@strawberry.type(description="Cases of one chapter of diagnoses (专科).")
class AdequacySpecialty:
    chapter: str = strawberry.field(description="First letter of the diagnoses; P is newborns (诊断章).")
    cases: int = strawberry.field(description="Cases used (例数).")
    grouped: int = strawberry.field(description="Of these, cases in a group (入组例数).")
    groups: int = strawberry.field(description="Groups (病种数).")
    ungrouped_share: ExactDecimal = strawberry.field(description="Share without a group, 4 places (未入组占比).")


@strawberry.type(description="What a group rests on (病种依据).")
class AdequacyGroup:
    group_code: str = strawberry.field(description="Group code (病种编码).")
    cases: int = strawberry.field(description="Cases over the years (例数).")
    mean_yuan: ExactDecimal = strawberry.field(description="Weighted mean cost, in yuan, 2 places (均费, 元).")
    cv: ExactDecimal | None = strawberry.field(description="Coefficient of variation, 4 places (变异系数).")
    weight: ExactDecimal = strawberry.field(description="Its mean over that of all, 4 places (相对权重).")


@strawberry.type(description="A group whose weight differs from the edition before (变动病种).")
class AdequacyMove:
    group_code: str = strawberry.field(description="Group code (病种编码).")
    before: ExactDecimal | None = strawberry.field(description="Weight before, 4 places (原权重).")
    after: ExactDecimal | None = strawberry.field(description="Weight now, 4 places (新权重).")
    own: ExactDecimal | None = strawberry.field(description="Its mean now over its mean then (自身费用变化).")
    overall: ExactDecimal | None = strawberry.field(description="The mean of all now over then (总体费用变化).")
    why: str = strawberry.field(description="added, removed, own_cost or overall_cost (变动原因).")


@strawberry.type(description="What an edition built from history says well and what it does not (充分性报告).")
class AdequacyReport:
    cases: int = strawberry.field(description="Cases used (例数).")
    grouped: int = strawberry.field(description="Of these, cases in a group (入组例数).")
    ungrouped_share: ExactDecimal = strawberry.field(description="Share without a group, 4 places (未入组占比).")
    newborn_ungrouped_share: ExactDecimal | None = strawberry.field(
        description="Share of newborns without a group; null without newborns (新生儿未入组占比)."
    )
    cv_limit: ExactDecimal = strawberry.field(description="CV above which a group is called wide (变异系数提示值).")
    wide_groups: int = strawberry.field(description="Groups above it (超过提示值的病种数).")
    moved_groups: int | None = strawberry.field(
        description="Groups that moved; null without an edition before (变动病种数)."
    )
    specialties: list[AdequacySpecialty] = strawberry.field(description="By chapter (各专科).")
    kept: strawberry.Private[rules.Adequacy]

    @strawberry.field(description="The widest groups, at most 100 (费用离散的病种).")
    def wide(self, first: int) -> list[AdequacyGroup]:
        return [_group(one) for one in self.kept.wide[: max(0, min(first, 100))]]

    @strawberry.field(description="The groups that moved most, at most 100 (变动最大的病种).")
    def moved(self, first: int) -> list[AdequacyMove]:
        listed = (self.kept.moved or ())[: max(0, min(first, 100))]
        return [
            AdequacyMove(
                group_code=one.group_code,
                before=_ratio(one.before),
                after=_ratio(one.after),
                own=_ratio(one.own),
                overall=_ratio(one.overall),
                why=one.why,
            )
            for one in listed
        ]

    @strawberry.field(description="One group's figures, or null (病种依据).")
    def group(self, group_code: str) -> AdequacyGroup | None:
        return next((_group(one) for one in self.kept.groups if one.group_code == group_code), None)

    @staticmethod
    def of(kept: Mapping[str, Any]) -> AdequacyReport:
        report = adequacy_kept(kept)
        newborns = report.newborns
        return AdequacyReport(
            cases=report.cases,
            grouped=report.grouped,
            ungrouped_share=ExactDecimal(exact(shown_ratio(report.ungrouped_share))),
            newborn_ungrouped_share=_ratio(newborns.ungrouped_share) if newborns else None,
            cv_limit=ExactDecimal(exact(shown_ratio(report.cv_limit))),
            wide_groups=len(report.wide),
            moved_groups=None if report.moved is None else len(report.moved),
            specialties=[
                AdequacySpecialty(
                    chapter=one.chapter,
                    cases=one.cases,
                    grouped=one.grouped,
                    groups=one.groups,
                    ungrouped_share=ExactDecimal(exact(shown_ratio(one.ungrouped_share))),
                )
                for one in report.specialties
            ],
            kept=report,
        )


def _group(one: rules.GroupFigures) -> AdequacyGroup:
    return AdequacyGroup(
        group_code=one.group_code,
        cases=one.cases,
        mean_yuan=ExactDecimal(yuan_shown(str(one.mean_fen))),
        cv=None if one.cv_squared is None else ExactDecimal(exact(shown_cv(one.cv_squared))),
        weight=ExactDecimal(exact(shown_ratio(one.weight))),
    )
