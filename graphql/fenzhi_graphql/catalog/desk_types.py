"""The catalog desk as the API shows it (目录维护): differences, findings, opinions, answers, previews."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import strawberry

from fenzhi.rules.catalog.edition_diff import GroupChange
from fenzhi.rules.catalog.lint import LintFinding
from fenzhi.services.catalog.comparison import ComparedEditions
from fenzhi.services.catalog.lookups import exact
from fenzhi.services.catalog.opinions import AnswerView, OpinionView
from fenzhi.services.catalog.preview import PreviewView
from fenzhi.services.catalog.withdrawal import WithdrawalView
from fenzhi_graphql.scalars import ExactDecimal

LISTED_MOST = 500


@strawberry.enum(description="What became of the opinions on a group (意见处理结果).")
class OpinionOutcome(Enum):
    ADOPTED = strawberry.enum_value("adopted", description="Taken over (采纳).")
    PARTLY_ADOPTED = strawberry.enum_value("partly_adopted", description="Taken over in part (部分采纳).")
    NOT_ADOPTED = strawberry.enum_value("not_adopted", description="Not taken over (未采纳).")


@strawberry.type(description="One value of a group, before and after (字段变化).")
class GroupFieldChange:
    field: str = strawberry.field(description="Field, in the names of the catalog file (字段).")
    before: str = strawberry.field(description="Before (原值).")
    after: str = strawberry.field(description="After (新值).")


@strawberry.type(description="A group of both editions that differs (病种变化).")
class GroupDifference:
    group_code: str = strawberry.field(description="Group code now (病种编码).")
    before_code: str = strawberry.field(description="Group code before (原编码).")
    score_change: ExactDecimal | None = strawberry.field(
        description="Change of the score in percent, 2 places; null where it did not change (分值变化, %)."
    )
    changes: list[GroupFieldChange] = strawberry.field(description="What differs (变化).")

    @staticmethod
    def of(one: GroupChange) -> GroupDifference:
        return GroupDifference(
            group_code=one.group_code,
            before_code=one.before_code,
            score_change=None if one.score_change is None else ExactDecimal(exact(one.score_change)),
            changes=[GroupFieldChange(field=c.field, before=c.before, after=c.after) for c in one.changes],
        )


@strawberry.type(description="Two editions compared (版本差异); lists hold at most 500.")
class EditionDifference:
    against: str = strawberry.field(description="Code of the earlier edition (比较版本).")
    added_count: int = strawberry.field(description="Groups added (新增病种数).")
    removed_count: int = strawberry.field(description="Groups removed (取消病种数).")
    changed_count: int = strawberry.field(description="Groups changed (变化病种数).")
    unchanged_count: int = strawberry.field(description="Groups left as they were (未变病种数).")
    added: list[str] = strawberry.field(description="Codes of the groups added (新增病种).")
    removed: list[str] = strawberry.field(description="Codes of the groups removed (取消病种).")
    changed: list[GroupDifference] = strawberry.field(description="Groups that differ (变化病种).")

    @staticmethod
    def of(found: ComparedEditions) -> EditionDifference:
        diff = found.diff
        return EditionDifference(
            against=found.before_code,
            added_count=len(diff.added),
            removed_count=len(diff.removed),
            changed_count=len(diff.changed),
            unchanged_count=diff.unchanged,
            added=[one.group_code for one in diff.added[:LISTED_MOST]],
            removed=[one.group_code for one in diff.removed[:LISTED_MOST]],
            changed=[GroupDifference.of(one) for one in diff.changed[:LISTED_MOST]],
        )


@strawberry.type(description="One finding of a lint (检查发现): nothing is refused by it.")
class CatalogFinding:
    code: str = strawberry.field(description="What was found (发现代码).")
    group_code: str = strawberry.field(description="Group code (病种编码).")
    other: str = strawberry.field(description="The other group, blank where there is none (另一病种).")
    witness: list[str] = strawberry.field(description="Procedures of a case that shows it (示例病例手术操作).")
    message: str = strawberry.field(description="In Chinese (中文说明).")
    message_en: str = strawberry.field(description="In English.")
    remedy: str = strawberry.field(description="What to do, in Chinese (处理建议).")
    remedy_en: str = strawberry.field(description="What to do, in English.")

    @staticmethod
    def of(one: LintFinding) -> CatalogFinding:
        return CatalogFinding(
            code=one.code,
            group_code=one.group_code,
            other=one.other,
            witness=list(one.witness),
            message=one.zh,
            message_en=one.en,
            remedy=one.remedy_zh,
            remedy_en=one.remedy_en,
        )


@strawberry.type(description="What a hospital says of a group (病种意见).")
class GroupOpinion:
    group_code: str = strawberry.field(description="Group code (病种编码).")
    opinion: str = strawberry.field(description="The opinion (意见).")
    cases: int | None = strawberry.field(description="Own cases it rests on (依据例数).")
    recorded_at: datetime = strawberry.field(description="When (时间).")

    @staticmethod
    def of(view: OpinionView) -> GroupOpinion:
        return GroupOpinion(
            group_code=view.group_code, opinion=view.opinion, cases=view.cases, recorded_at=view.recorded_at
        )


@strawberry.type(description="The answer to every opinion on a group, given with this edition (意见答复).")
class OpinionAnswer:
    group_code: str = strawberry.field(description="Group code in the edition the opinions were about (病种编码).")
    outcome: OpinionOutcome = strawberry.field(description="What became of them (处理结果).")
    answer: str = strawberry.field(description="The answer (答复).")
    opinions: int = strawberry.field(description="How many opinions it answers (意见数).")
    recorded_at: datetime = strawberry.field(description="When (时间).")

    @staticmethod
    def of(view: AnswerView) -> OpinionAnswer:
        return OpinionAnswer(
            group_code=view.group_code,
            outcome=OpinionOutcome(view.outcome),
            answer=view.answer,
            opinions=view.opinions,
            recorded_at=view.recorded_at,
        )


@strawberry.type(description="An edition taken back, or proposed to be (目录撤回).")
class EditionWithdrawal:
    state: str = strawberry.field(description="proposed or approved (状态).")
    reason: str = strawberry.field(description="Why (理由).")
    document: str = strawberry.field(description="Document (文件依据).")

    @staticmethod
    def of(view: WithdrawalView) -> EditionWithdrawal:
        return EditionWithdrawal(state=view.state, reason=view.reason, document=view.document)


@strawberry.type(description="A hospital's cases of a year under this edition and the one in force (影响预演).")
class PreviewRow:
    hospital_code: str = strawberry.field(description="Hospital (机构编号).")
    level: str = strawberry.field(description="Level at discharge (等级).")
    cases: int = strawberry.field(description="Cases (例数).")
    moved: int = strawberry.field(description="Cases whose group changes (改组例数).")
    grouped_before: int = strawberry.field(description="Cases in a group before (原入组例数).")
    grouped_after: int = strawberry.field(description="Cases in a group after (新入组例数).")
    points_before: ExactDecimal = strawberry.field(description="Σ score before, without coefficients (原分值合计).")
    points_after: ExactDecimal = strawberry.field(description="Σ score after, without coefficients (新分值合计).")

    @staticmethod
    def of(view: PreviewView) -> PreviewRow:
        return PreviewRow(
            hospital_code=view.hospital_code,
            level=view.level,
            cases=view.cases,
            moved=view.moved,
            grouped_before=view.grouped_before,
            grouped_after=view.grouped_after,
            points_before=ExactDecimal(view.points_before),
            points_after=ExactDecimal(view.points_after),
        )
