"""Catalogs as the API shows them (目录)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from fenzhi.services.catalog import comparison, lookups, opinions, preview, withdrawal
from fenzhi_graphql.catalog.adequacy_types import AdequacyReport
from fenzhi_graphql.catalog.desk_types import (
    LISTED_MOST,
    CatalogFinding,
    EditionDifference,
    EditionWithdrawal,
    GroupOpinion,
    OpinionAnswer,
    PreviewRow,
)
from fenzhi_graphql.context import Info
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import Connection, connection, global_id, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen


@strawberry.enum(description="What a code table lists (代码表类型).")
class CodeTableKind(Enum):
    DIAGNOSIS = "diagnosis"
    PROCEDURE = "procedure"
    CROSSWALK = "crosswalk"


@strawberry.enum(description="State of an edition (目录版本状态).")
class EditionState(Enum):
    DRAFT = strawberry.enum_value("draft", description="Being edited (草稿).")
    IN_REVIEW = strawberry.enum_value("in_review", description="Waits for the second person (审核中).")
    PUBLISHED = strawberry.enum_value("published", description="Law from its effective date on; immutable (已发布).")
    WITHDRAWN = strawberry.enum_value("withdrawn", description="No longer law (已撤回).")


@strawberry.enum(description="National grouping rules an edition follows (分组方案版本).")
class GroupingStandard(Enum):
    V1 = strawberry.enum_value("1.0", description="2020: diagnosis with procedures (2020 版).")
    V2 = strawberry.enum_value("2.0", description="2024: main and related procedures (2024 版).")
    V3 = strawberry.enum_value("3.0", description="2026: layers, lists, extensions (2026 版).")


@strawberry.type(description="A code table, imported whole and never changed (代码表).")
class CodeTable(Node):
    kind: CodeTableKind = strawberry.field(
        description="Diagnoses, procedures, or a crosswalk of codes of other editions (类型)."
    )
    version: str = strawberry.field(description="Version (版本号).")
    document: str = strawberry.field(description="Document (文件依据).")
    is_constructed: bool = strawberry.field(description="Whether made up for a demonstration (构造).")
    entries: int = strawberry.field(description="Number of codes (条目数).")
    content_sha256: str = strawberry.field(description="SHA-256 of the imported file, in hex (内容摘要).")

    @staticmethod
    def of(view: lookups.CodeTableView) -> CodeTable:
        return CodeTable(
            id=global_id("CodeTable", view.code_table_id),
            kind=CodeTableKind(view.kind),
            version=view.version,
            document=view.document,
            is_constructed=view.is_constructed,
            entries=view.entries,
            content_sha256=view.content_sha256,
        )


@strawberry.type(description="One code of a table (代码条目).")
class CodeEntry:
    code: str = strawberry.field(description="Code (代码).")
    name: str = strawberry.field(description="Name (名称).")
    is_gray: bool = strawberry.field(description="Whether it is a gray code (灰码).")
    procedure_class: str | None = strawberry.field(
        description="diagnostic, therapeutic or surgical, where the document gives it (手术操作类别)."
    )

    @staticmethod
    def of(view: lookups.CodeEntryView) -> CodeEntry:
        return CodeEntry(code=view.code, name=view.name, is_gray=view.is_gray, procedure_class=view.procedure_class)


@strawberry.type(description="Cases of the history that were not used, by reason (剔除例数).")
class SetAsideCount:
    reason: str = strawberry.field(description="Reason; `intake.` means set aside on import (原因).")
    cases: int = strawberry.field(description="Cases (例数).")


@strawberry.type(description="How the groups of a draft were built from history (测算报告).")
class BuildReport:
    years: list[int] = strawberry.field(description="Years of the history, oldest first (年份).")
    weights: list[int] = strawberry.field(description="Weight of each year (年度权重).")
    basis: str = strawberry.field(description="yearly_means or pooled: what the weights apply to (加权方式).")
    core_threshold: int = strawberry.field(description="Cases from which a core group is formed (核心病种临界值, 例).")
    policy_fingerprint: str = strawberry.field(description="Fingerprint of the policy used (策略指纹).")
    history_cases: int = strawberry.field(description="Cases of these years, set aside ones included (历史病例数).")
    used_cases: int = strawberry.field(description="Cases the groups were built from (使用例数).")
    set_aside: list[SetAsideCount] = strawberry.field(description="Cases not used, by reason (剔除例数).")
    overall_mean_yuan: ExactDecimal = strawberry.field(
        description="Weighted mean cost of all cases used, in yuan, shown with 2 places (总体均费, 元)."
    )
    core_groups: int = strawberry.field(description="Core groups added (核心病种数).")
    comprehensive_groups: int = strawberry.field(description="Comprehensive groups added (综合病种数).")
    groups_left_out: int = strawberry.field(
        description="Built groups whose key an imported group had already (与导入病种重复而未加入的病种数)."
    )
    counted_year: int = strawberry.field(description="Year whose cases each group counts (计数年份).")
    counted_cases: int = strawberry.field(description="Usable cases of that year (该年可用例数).")
    grouped_cases: int = strawberry.field(description="Of these, cases that find a group (入组例数).")
    score_method: str = strawberry.field(description="average_cost, base_disease or standard_quota (分值计算方法).")
    base_group: str = strawberry.field(description="The base group, for base_disease (基准病种).")
    related_sets_merged: int = strawberry.field(
        description="Frequent combinations whose related procedures did not reach the uplift (相关手术操作未单独成组数)."
    )
    missing_years: list[int] = strawberry.field(description="Years without any usable case (缺失年份).")
    groups_lacking_a_year: int = strawberry.field(
        description="Built groups without cases in some year, weighted by the others (缺年病种数)."
    )
    conversion_cases: int | None = strawberry.field(
        description="Cases that match a built and an imported group; null without imported groups (换算例数)."
    )
    conversion_built: ExactDecimal | None = strawberry.field(
        description="Σ built score × n over these cases (测算分值合计)."
    )
    conversion_imported: ExactDecimal | None = strawberry.field(
        description="Σ imported score × n over these cases (导入分值合计)."
    )
    conversion_factor: str | None = strawberry.field(
        description="The exact factor, a fraction such as 880/77 (换算系数)."
    )

    @staticmethod
    def of(report: Mapping[str, Any]) -> BuildReport:
        built, imported = report.get("conversion_built"), report.get("conversion_imported")
        return BuildReport(
            years=list(report["years"]),
            weights=list(report["weights"]),
            basis=report["basis"],
            core_threshold=report["core_threshold"],
            policy_fingerprint=report["policy_fingerprint"],
            history_cases=report["history_cases"],
            used_cases=report["used_cases"],
            set_aside=[SetAsideCount(reason=name, cases=n) for name, n in report["set_aside"].items()],
            overall_mean_yuan=ExactDecimal(lookups.yuan_shown(report["overall_mean_fen"])),
            core_groups=report["core_groups"],
            comprehensive_groups=report["comprehensive_groups"],
            groups_left_out=report["groups_left_out"],
            counted_year=report["counted_year"],
            counted_cases=report["counted_cases"],
            grouped_cases=report["grouped_cases"],
            score_method=report.get("score_method", "average_cost"),
            base_group=report.get("base_group", ""),
            related_sets_merged=report.get("related_sets_merged", 0),
            missing_years=report.get("missing_years", []),
            groups_lacking_a_year=report.get("groups_lacking_a_year", 0),
            conversion_cases=report.get("conversion_cases"),
            conversion_built=ExactDecimal(lookups.exact(built)) if built else None,
            conversion_imported=ExactDecimal(lookups.exact(imported)) if imported else None,
            conversion_factor=report.get("conversion_factor") or None,
        )


@strawberry.type(description="The dated conversion of imported scores to the built scale (分值换算).")
class ScoreConversion:
    factor: str = strawberry.field(description="The exact factor, a fraction (换算系数).")
    groups: int = strawberry.field(description="Groups converted (换算病种数).")
    document: str = strawberry.field(description="Document (文件依据).")
    is_constructed: bool = strawberry.field(description="Whether made up for a demonstration (构造).")
    day: date = strawberry.field(description="Day of the conversion (换算日期).")

    @staticmethod
    def of(kept: Mapping[str, Any]) -> ScoreConversion:
        return ScoreConversion(
            factor=kept["factor"],
            groups=kept["groups"],
            document=kept["document"],
            is_constructed=kept["is_constructed"],
            day=date.fromisoformat(kept["day"]),
        )


@strawberry.type(description="One change of a group's score (分值沿革).")
class ScoreChange:
    score_before: ExactDecimal = strawberry.field(description="Score before, in points of the scale (原分值).")
    score_after: ExactDecimal = strawberry.field(description="Score after, in points of the scale (新分值).")
    kind: str = strawberry.field(description="edit, renormalised or converted (类别).")
    reason: str = strawberry.field(description="Reason or document (理由).")
    recorded_at: datetime = strawberry.field(description="When (时间).")


@strawberry.type(description="A disease group: a diagnosis key with the procedures it asks for, and its score (病种).")
class DiseaseGroup(Node):
    group_code: str = strawberry.field(description="Group code (病种编码).")
    diagnosis: str = strawberry.field(description="Diagnosis key of 3, 4 or all characters (诊断代码).")
    diagnosis_name: str = strawberry.field(description="Name (诊断名称).")
    granularity: int = strawberry.field(description="3, 4, or 6 for a full code (诊断粒度).")
    main_procedures: str = strawberry.field(description="Main procedures: / any of, + and (主要手术操作).")
    main_procedure_names: str = strawberry.field(description="Their names (主要手术操作名称).")
    related_procedures: str = strawberry.field(description="Related procedures: / any of, + and (相关手术操作).")
    related_procedure_names: str = strawberry.field(description="Their names (相关手术操作名称).")
    kind: str = strawberry.field(description="core or comprehensive (病种类型).")
    procedure_class: str | None = strawberry.field(description="Class of a comprehensive group (诊疗方式).")
    level: int = strawberry.field(description="Level in the catalog (目录层级).")
    score: ExactDecimal = strawberry.field(description="Score in points of the edition's scale (病种分值).")
    cases: int | None = strawberry.field(
        description="Last year's cases of the province in this group; null when not counted (上年例数)."
    )
    is_grassroots: bool = strawberry.field(description="Grass-roots group, paid without coefficient (基层病种).")
    is_local_addition: bool = strawberry.field(description="Outside the national library (地方新增病种).")
    source: str = strawberry.field(description="imported, built or converted (来源).")
    row_version: str = strawberry.field(description="Changes whenever a value of the group does (行版本).")
    layer: str = strawberry.field(description="priority, merged, dx_auxiliary or basic (分组层级).")
    more_diagnoses: str = strawberry.field(
        description="Further keys of the principal diagnosis, / between (其他主要诊断)."
    )
    secondary_diagnoses: str = strawberry.field(
        description="Keys other diagnoses must lie under: / any of, + and (次要诊断)."
    )
    facts: str = strawberry.field(
        description="Bands of age in days, birth weight in grams, stay in days, such as age_days:0-28 (取值段)."
    )
    edition_key: strawberry.Private[uuid.UUID]

    @strawberry.field(description="Changes of the score, oldest first; for the province's eyes (分值沿革).")
    async def score_history(self, info: Info) -> list[ScoreChange]:
        context = info.context
        views = await lookups.score_history(context.platform, context.subject, self.edition_key, self.group_code)
        return [
            ScoreChange(
                score_before=ExactDecimal(view.score_before),
                score_after=ExactDecimal(view.score_after),
                kind=view.kind,
                reason=view.reason,
                recorded_at=view.recorded_at,
            )
            for view in views
        ]

    @staticmethod
    def of(view: lookups.GroupView) -> DiseaseGroup:
        return DiseaseGroup(
            id=global_id("DiseaseGroup", f"{view.edition_id}/{view.group_code}"),
            group_code=view.group_code,
            diagnosis=view.diagnosis,
            diagnosis_name=view.diagnosis_name,
            granularity=view.granularity,
            main_procedures=view.main_procedures,
            main_procedure_names=view.main_procedure_names,
            related_procedures=view.related_procedures,
            related_procedure_names=view.related_procedure_names,
            kind=view.kind,
            procedure_class=view.procedure_class,
            level=int(view.level),
            score=ExactDecimal(view.score),
            cases=view.cases,
            is_grassroots=view.is_grassroots,
            is_local_addition=view.is_local_addition,
            source=view.source,
            row_version=view.row_version,
            layer=view.layer,
            more_diagnoses=view.more_diagnoses,
            secondary_diagnoses=view.secondary_diagnoses,
            facts=view.facts,
            edition_key=view.edition_id,
        )


@strawberry.type(description="An edition of the catalog (目录版本).")
class CatalogEdition(Node):
    code: str = strawberry.field(description="Code, unique in the province (版本编码).")
    title: str = strawberry.field(description="Title (名称).")
    state: EditionState = strawberry.field(description="State (状态).")
    effective_from: date = strawberry.field(description="First discharge date it speaks about (生效日期).")
    effective_to: date | None = strawberry.field(description="Last discharge date; null while open (失效日期).")
    scale: int = strawberry.field(description="Scale of the scores (分值基数).")
    points_decimals: int = strawberry.field(description="Decimal places of case points (病例分值小数位).")
    score_decimals: int = strawberry.field(description="Decimal places of scores (病种分值小数位).")
    diagnosis_table_id: strawberry.ID = strawberry.field(description="Diagnosis table (诊断代码表).")
    procedure_table_id: strawberry.ID = strawberry.field(description="Procedure table (手术操作代码表).")
    document: str = strawberry.field(description="Document (文件依据).")
    is_constructed: bool = strawberry.field(description="Whether made up for a demonstration (构造).")
    group_count: int = strawberry.field(description="Number of groups (病种数).")
    content_sha256: str | None = strawberry.field(description="SHA-256 of what was published, in hex (目录指纹).")
    published_at: datetime | None = strawberry.field(description="When it was published (发布时间).")
    standard: GroupingStandard = strawberry.field(
        description="National grouping rules the edition follows (分组方案版本)."
    )
    edition_key: strawberry.Private[uuid.UUID]

    @strawberry.field(
        description="Path of the groups as a workbook: GET it, change it, PUT it back to a draft (目录工作簿路径)."
    )
    def workbook_path(self) -> str:
        return f"/v1/catalog-editions/{self.id}/groups.xlsx"

    @strawberry.field(description="How its groups were built from history; null when imported only (测算报告).")
    async def build_report(self, info: Info) -> BuildReport | None:
        found = await self._report(info, "build")
        return BuildReport.of(found) if found else None

    @strawberry.field(
        description="What the edition says well and what it does not; null when it was not built here (充分性报告)."
    )
    async def adequacy(self, info: Info) -> AdequacyReport | None:
        found = await self._report(info, "adequacy")
        return AdequacyReport.of(found) if found else None

    @strawberry.field(description="How imported scores came to the built scale; null when they did not (分值换算).")
    async def conversion(self, info: Info) -> ScoreConversion | None:
        found = await self._report(info, "conversion")
        return ScoreConversion.of(found) if found else None

    async def _report(self, info: Info, part: str) -> Mapping[str, Any] | None:
        context = info.context
        return await lookups.edition_report(context.platform, context.subject, self.edition_key, part)

    @strawberry.field(
        metadata={"cost": 4_000},
        description="How it differs from an earlier edition by code, or from the one in force the day before it begins; "
        "null without one (版本差异).",
    )
    async def diff(self, info: Info, against: str | None = None) -> EditionDifference | None:
        context = info.context
        found = await comparison.edition_diff(context.platform, context.subject, self.edition_key, against)
        return EditionDifference.of(found) if found else None

    @strawberry.field(
        metadata={"cost": 15_000}, description="Findings by your grouping method, at most 500 (目录检查)."
    )
    async def lint(self, info: Info, first: int) -> list[CatalogFinding]:
        context = info.context
        found = await comparison.edition_lint(context.platform, context.subject, self.edition_key)
        return [CatalogFinding.of(one) for one in found[: max(0, min(first, LISTED_MOST))]]

    @strawberry.field(description="Opinions you may read, newest first, at most 200 (病种意见).")
    async def opinions(self, info: Info, group_code: str | None = None) -> list[GroupOpinion]:
        context = info.context
        views = await opinions.opinions(context.platform, context.subject, self.edition_key, group_code)
        return [GroupOpinion.of(view) for view in views]

    @strawberry.field(description="Answers to opinions on the edition before, given with this one (意见答复).")
    async def opinion_answers(self, info: Info) -> list[OpinionAnswer]:
        context = info.context
        views = await opinions.answers(context.platform, context.subject, self.edition_key)
        return [OpinionAnswer.of(view) for view in views]

    @strawberry.field(description="Its withdrawal, proposed or approved; below the province only approved (目录撤回).")
    async def withdrawal(self, info: Info) -> EditionWithdrawal | None:
        context = info.context
        view = await withdrawal.withdrawal(context.platform, context.subject, self.edition_key)
        return EditionWithdrawal.of(view) if view else None

    @strawberry.field(description="The latest preview by hospital and level, for the province's eyes (影响预演).")
    async def preview(self, info: Info) -> list[PreviewRow]:
        context = info.context
        views = await preview.latest_preview(context.platform, context.subject, self.edition_key)
        return [PreviewRow.of(view) for view in views]

    @strawberry.field(description="Groups in order of their codes, by prefix of the code or words in it (病种).")
    async def groups(
        self, info: Info, first: int, after: str | None = None, prefix: str = "", search: str = ""
    ) -> Connection[DiseaseGroup]:
        context = info.context
        size = page_size(first)
        place = f"groups/{self.edition_key}/{prefix}/{search}"
        keys = keys_of(context, place, after)
        views = await lookups.groups(
            context.platform,
            context.subject,
            self.edition_key,
            prefix=prefix,
            search=search,
            after=str(keys[0]) if keys else "",
            limit=size + 1,
        )
        return connection(context, place, views, size, DiseaseGroup.of, lambda view: [view.group_code])

    @staticmethod
    def of(view: lookups.EditionView) -> CatalogEdition:
        return CatalogEdition(
            id=global_id("CatalogEdition", view.edition_id),
            code=view.code,
            title=view.title,
            state=EditionState(view.state),
            effective_from=view.effective_from,
            effective_to=view.effective_to,
            scale=view.scale,
            points_decimals=view.points_decimals,
            score_decimals=view.score_decimals,
            diagnosis_table_id=global_id("CodeTable", view.diagnosis_table_id),
            procedure_table_id=global_id("CodeTable", view.procedure_table_id),
            document=view.document,
            is_constructed=view.is_constructed,
            group_count=view.groups,
            content_sha256=view.content_sha256,
            published_at=view.published_at,
            standard=GroupingStandard(view.standard),
            edition_key=view.edition_id,
        )


@strawberry.type(description="One score of an overlay (调整后分值).")
class OverlayScore:
    group_code: str = strawberry.field(description="Group code (病种编码).")
    province_score: ExactDecimal = strawberry.field(description="The province's score, in points (省级分值).")
    score: ExactDecimal = strawberry.field(description="The area's score, in points (市级分值).")

    @staticmethod
    def of(view: lookups.OverlayScoreView) -> OverlayScore:
        return OverlayScore(
            group_code=view.group_code,
            province_score=ExactDecimal(view.province_score),
            score=ExactDecimal(view.score),
        )


@strawberry.type(description="A pooling area's own scores over the province's (市级分值调整).")
class AreaOverlay(Node):
    edition_id: strawberry.ID = strawberry.field(description="The edition it lies over (目录版本).")
    state: str = strawberry.field(description="draft, published or withdrawn (状态).")
    effective_from: date = strawberry.field(description="In force from this day (生效日期).")
    document: str = strawberry.field(description="Document (文件依据).")
    is_constructed: bool = strawberry.field(description="Whether made up for a demonstration (构造).")
    reference_year: int = strawberry.field(description="Year whose cases keep the total (例数年份).")
    factor: str = strawberry.field(description="The one exact factor on all scores, a fraction (总分值不变系数).")
    total_before: str = strawberry.field(description="Σ score × n before, exact (调整前总分值).")
    total_after: str = strawberry.field(description="Σ score × n after, with the rounding of scores (调整后总分值).")
    overlay_key: strawberry.Private[uuid.UUID]

    @strawberry.field(
        metadata={"cost": 20_000},
        description="Findings about it, at most 500: unknown groups, limits, changed rows (市级调整检查).",
    )
    async def lint(self, info: Info, first: int) -> list[CatalogFinding]:
        context = info.context
        found = await comparison.overlay_lint(context.platform, context.subject, self.overlay_key)
        return [CatalogFinding.of(one) for one in found[: max(0, min(first, LISTED_MOST))]]

    @strawberry.field(description="The scores that differ from the province's (调整后分值).")
    async def scores(self, info: Info, first: int, after: str | None = None) -> Connection[OverlayScore]:
        context = info.context
        size = page_size(first)
        place = f"overlayScores/{self.overlay_key}"
        keys = keys_of(context, place, after)
        last = str(keys[0]) if keys else ""
        views = await lookups.overlay_scores(context.platform, context.subject, self.overlay_key, last, size + 1)
        return connection(context, place, views, size, OverlayScore.of, lambda view: [view.group_code])

    @staticmethod
    def of(view: lookups.OverlayView) -> AreaOverlay:
        working = view.working
        return AreaOverlay(
            id=global_id("AreaOverlay", view.overlay_id),
            edition_id=global_id("CatalogEdition", view.edition_id),
            state=view.state,
            effective_from=view.effective_from,
            document=view.document,
            is_constructed=view.is_constructed,
            reference_year=int(working["year"]),
            factor=working["factor"],
            total_before=working["total_before"],
            total_after=working["total_after"],
            overlay_key=view.overlay_id,
        )


@strawberry.type(description="Last year's cost and stay of a group at a hospital level (上年参照费用).")
class ReferenceCost:
    group_code: str = strawberry.field(description="Group code (病种编码).")
    level: str = strawberry.field(description="Hospital level; blank for all levels (医院等级).")
    cases: int = strawberry.field(description="Cases (例数).")
    total_fen: Fen = strawberry.field(description="Total cost, in fen (总费用, 分).")
    los_days: int = strawberry.field(description="Days of stay, summed (住院总天数).")

    @staticmethod
    def of(view: lookups.ReferenceView) -> ReferenceCost:
        return ReferenceCost(
            group_code=view.group_code,
            level=view.level,
            cases=view.cases,
            total_fen=Fen(view.total_fen),
            los_days=view.los_days,
        )


def uuid_of(key: str) -> uuid.UUID | None:
    """A UUID from the key of a global id, or none."""
    try:
        return uuid.UUID(key)
    except ValueError:
        return None


@finds("CodeTable")
async def find_code_table(info: Info, key: str) -> CodeTable | None:
    """A code table of the caller's province (按标识查代码表)."""
    wanted = uuid_of(key)
    view = await lookups.code_table(info.context.platform, info.context.subject, wanted) if wanted else None
    return CodeTable.of(view) if view else None


@finds("CatalogEdition")
async def find_edition(info: Info, key: str) -> CatalogEdition | None:
    """An edition of the caller's province (按标识查目录版本)."""
    wanted = uuid_of(key)
    view = await lookups.edition(info.context.platform, info.context.subject, wanted) if wanted else None
    return CatalogEdition.of(view) if view else None


async def group_in_scope(info: Info, key: str) -> DiseaseGroup | None:
    """A group of an edition the caller sees, by the key of its id."""
    edition, _, code = key.partition("/")
    wanted = uuid_of(edition)
    view = await lookups.group(info.context.platform, info.context.subject, wanted, code) if wanted else None
    return DiseaseGroup.of(view) if view else None


@finds("DiseaseGroup")
async def find_group(info: Info, key: str) -> DiseaseGroup | None:
    """A group of an edition the caller sees (按标识查病种)."""
    return await group_in_scope(info, key)


async def overlay_in_scope(info: Info, key: str) -> AreaOverlay | None:
    """An overlay of the caller's area, by the key of its id."""
    wanted = uuid_of(key)
    view = await lookups.overlay(info.context.platform, info.context.subject, wanted) if wanted else None
    return AreaOverlay.of(view) if view else None


@finds("AreaOverlay")
async def find_overlay(info: Info, key: str) -> AreaOverlay | None:
    """An overlay of the caller's area (按标识查市级调整)."""
    return await overlay_in_scope(info, key)
