"""The explanation of a case as the API shows it (病例解释)."""

from __future__ import annotations

import uuid
from datetime import date

import strawberry

from fenzhi.rules.grouping.group_case import InpatientCase
from fenzhi.services.audit.sight import Sight
from fenzhi.services.grouping.preview import PreviewAnswer, PreviewCase
from fenzhi.services.scoring.explain import CaseExplanation, RejectedGroup
from fenzhi.services.scoring.payment import CasePaid
from fenzhi_graphql.clearing.working import Step, StepValue
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal, Fen
from fenzhi_graphql.sight import Shows


@strawberry.type(description="A group of the same diagnosis that did not win (落选病种).")
class RejectedCandidate:
    group_code: str = strawberry.field(description="Group (病种编码).")
    cause: str = strawberry.field(description="Named cause, such as parts_missing (落选原因).")
    zh: str = strawberry.field(description="Why, in Chinese (说明).")
    en: str = strawberry.field(description="Why, in English (英文说明).")
    layer: str = strawberry.field(description="priority, merged, dx_auxiliary or basic (分组层级).")
    missing: str = strawberry.field(
        description="Procedures that would have made it match: / any of, + and; blank otherwise (尚缺手术操作)."
    )

    @staticmethod
    def of(one: RejectedGroup) -> RejectedCandidate:
        return RejectedCandidate(
            group_code=one.group_code, cause=one.cause, zh=one.zh, en=one.en, layer=one.layer, missing=one.missing
        )


@strawberry.type(description="One way the case could have been scored (候选分值).")
class ScoreCandidate:
    name: str = strawberry.field(description="normal, adjusted, outlier, with_added_points or blank_group (候选名称).")
    points: ExactDecimal = strawberry.field(description="Points, rounded once (分值).")


@strawberry.type(description="What one payer of a rare disease pays (罕见病支付方).")
class CasePayer:
    payer: str = strawberry.field(
        description="Payer as policy names it; basic is the basic fund, patient the rest (支付方)."
    )
    fen: Fen = strawberry.field(description="Its part, in fen (支付额，分).")


@strawberry.type(
    description="How a case is paid, by the policy of its day of discharge (支付方式解释). Total control acts on a whole month and shows on the "
    "statement."
)
class CasePaidBy:
    mode: str | None = strawberry.field(
        description="dip, dip_icu_days, single_disease, per_diem, per_diem_points, item, capitation, drg or rare_disease; null where "
        "policy gives none or its terms are missing (支付方式)."
    )
    rests_on: str = strawberry.field(description="Policy parameter that decides, with the row of its table (所依策略).")
    document: str = strawberry.field(description="Its document (政策文件).")
    zh: str = strawberry.field(description="The mode, or why it cannot be judged, in Chinese (说明).")
    en: str = strawberry.field(description="The same in English (英文说明).")
    unjudged: str | None = strawberry.field(description="What the list does not say, where it matters (无法判定原因).")
    refusal: str | None = strawberry.field(description="Code of the refusal, where there is no mode (拒绝码).")
    icu_days: int | None = strawberry.field(
        description="Days in intensive care; null: the list does not say (重症监护天数)."
    )
    cost_fen: Fen | None = strawberry.field(
        description="Cost that is paid beside the points, in fen (分值以外支付的费用，分)."
    )
    fund_fen: Fen | None = strawberry.field(
        description="What the fund pays beside the points, in fen (分值以外基金支付，分)."
    )
    other_fen: Fen | None = strawberry.field(description="What other payers pay of it, in fen (其他支付，分).")
    hospital_fen: Fen | None = strawberry.field(
        description="Borne by the hospital; negative: it keeps it (机构承担，分)."
    )
    payers: list[CasePayer] = strawberry.field(
        description="Payers of a rare disease; they add up to the cost (各方支付)."
    )

    @staticmethod
    def of(paid: CasePaid) -> CasePaidBy:
        one = paid.payment
        return CasePaidBy(
            mode=paid.mode.value if paid.mode is not None else None,
            rests_on=paid.rests_on,
            document=paid.document,
            zh=paid.zh,
            en=paid.en,
            unjudged=paid.unjudged or None,
            refusal=paid.refusal or None,
            icu_days=paid.icu_days,
            cost_fen=None if one is None else Fen(one.cost_fen),
            fund_fen=None if one is None else Fen(one.fund_fen),
            other_fen=None if one is None else Fen(one.other_payers_fen),
            hospital_fen=None if one is None else Fen(one.hospital_fen),
            payers=[CasePayer(payer=payer, fen=Fen(fen)) for payer, fen in paid.payers],
        )


@strawberry.type(description="How a case is grouped and scored, as a run of its month would do it (病例解释).")
class CaseExplain(Shows):
    case: strawberry.ID = strawberry.field(description="The case (病例).")
    disposition: str = strawberry.field(
        description="cleared, pending: with the reason, or beside: and recorded: with the payment mode (入算去向)."
    )
    reason: str = strawberry.field(description="Named reason of the grouping, or of its absence (入组或未入组原因).")
    reason_zh: str = strawberry.field(description="The reason in Chinese (原因说明).")
    reason_en: str = strawberry.field(description="The reason in English (英文说明).")
    paid_by: CasePaidBy | None = strawberry.field(
        description="How it is paid; null where it cannot be paid whatever its group (支付方式)."
    )
    edition_code: str | None = strawberry.field(description="Edition in force on the discharge date (目录版本).")
    group_code: str | None = strawberry.field(description="Group, null when ungrouped (病种编码).")
    group_name: str | None = strawberry.field(description="Words of the group (病种名称).")
    group_kind: str | None = strawberry.field(description="core or comprehensive (病种类型).")
    score: ExactDecimal | None = strawberry.field(
        description="Score of the group in the area, in points of the edition's scale (病种分值)."
    )
    level: str | None = strawberry.field(description="Level of the hospital at discharge (医院等级).")
    coefficient: ExactDecimal | None = strawberry.field(
        description="Hospital coefficient as applied; 1 for a grass-roots group (适用系数)."
    )
    band: str | None = strawberry.field(description="normal, low, high, extreme or cannot_judge (费用区间).")
    is_provisional: bool = strawberry.field(description="To be settled by expert review (待特例单议).")
    cost_ratio: str | None = strawberry.field(
        description="Cost over last year's mean, exact: a decimal or a fraction (费用倍率)."
    )
    outlier_factor: str | None = strawberry.field(
        description="What the score is multiplied by, coefficient included, exact (计分乘数)."
    )
    reference_source: str | None = strawberry.field(description="same_level, all_levels or none (参考均费来源).")
    points: ExactDecimal | None = strawberry.field(
        description="Case points, rounded once; null while the case is pending (病例分值)."
    )
    layer: str | None = strawberry.field(
        description="Layer of the group: priority, merged, dx_auxiliary or basic (分组层级)."
    )
    candidates: list[ScoreCandidate] = strawberry.field(
        description="Every way the case could have been scored (候选分值)."
    )
    chosen: str | None = strawberry.field(description="Name of the candidate taken (所取候选).")
    chosen_zh: str | None = strawberry.field(description="Why it was taken, in Chinese (取值理由).")
    chosen_en: str | None = strawberry.field(description="Why it was taken, in English (英文理由).")
    steps: list[Step] = strawberry.field(description="The working (计算过程).")
    rejected: list[RejectedCandidate] = strawberry.field(description="Candidates that did not win (落选病种).")
    key: strawberry.Private[uuid.UUID]

    def show(self, sight: Sight) -> None:
        """Its case."""
        sight.case(self.key)

    @staticmethod
    def of(found: CaseExplanation) -> CaseExplain:
        return CaseExplain(
            key=found.case_id,
            case=global_id("InpatientCase", found.case_id),
            disposition=found.disposition,
            reason=found.reason,
            reason_zh=found.reason_zh,
            reason_en=found.reason_en,
            paid_by=CasePaidBy.of(found.paid) if found.paid is not None else None,
            edition_code=found.edition_code,
            group_code=found.group_code,
            group_name=found.group_name,
            group_kind=found.group_kind,
            score=ExactDecimal(found.score) if found.score is not None else None,
            level=found.level,
            coefficient=ExactDecimal(found.coefficient) if found.coefficient is not None else None,
            band=found.band,
            is_provisional=found.is_provisional,
            cost_ratio=found.cost_ratio,
            outlier_factor=found.outlier_factor,
            reference_source=found.reference_source,
            points=ExactDecimal(found.points) if found.points is not None else None,
            layer=found.layer,
            candidates=[ScoreCandidate(name=one.name, points=ExactDecimal(one.points)) for one in found.candidates],
            chosen=found.chosen,
            chosen_zh=found.chosen_zh,
            chosen_en=found.chosen_en,
            steps=[
                Step(
                    rule=step.rule,
                    zh=step.zh,
                    en=step.en,
                    values=[StepValue(name=name, value=value) for name, value in step.values],
                    document=step.document,
                )
                for step in found.steps
            ],
            rejected=[RejectedCandidate.of(one) for one in found.rejected],
        )


@strawberry.input(description="A case to be grouped and scored without being stored (待预检病例).")
class GroupingCaseInput:
    case_id: str = strawberry.field(description="Your own name for it, given back (病例标识).")
    insurance: str = strawberry.field(description="Insurance of the pool, such as employee or resident (险种).")
    discharge_date: date = strawberry.field(description="Day of discharge (出院日期).")
    principal_diagnosis: str | None = strawberry.field(default=None, description="Principal diagnosis (主要诊断).")
    procedures: list[str] = strawberry.field(
        default_factory=list, description="Procedures, the main one first (手术操作)."
    )
    other_diagnoses: list[str] = strawberry.field(default_factory=list, description="Other diagnoses (其他诊断).")
    total_fen: Fen = strawberry.field(description="Total cost in fen (医疗总费用，分).")
    age_days: int | None = strawberry.field(default=None, description="Age in days at discharge (日龄).")
    los_days: int | None = strawberry.field(default=None, description="Length of stay in days (住院天数).")
    birth_weight_g: int | None = strawberry.field(default=None, description="Birth weight in grams (出生体重).")
    discharge_way: str | None = strawberry.field(default=None, description="Way of discharge (离院方式).")
    settlement_month: int | None = strawberry.field(
        default=None, description="Month yyyymm whose policy counts; the month of discharge by default (结算月份)."
    )
    icu_minutes: int | None = strawberry.field(
        default=None, description="Minutes in intensive care (重症监护合计时长)."
    )
    tcm_fen: Fen | None = strawberry.field(default=None, description="TCM cost in fen (中医药费用，分).")

    def as_case(self) -> PreviewCase:
        """In the words of the service."""
        case = InpatientCase(
            self.case_id,
            self.principal_diagnosis,
            tuple(self.procedures),
            tuple(self.other_diagnoses),
            self.age_days,
            self.birth_weight_g,
            self.los_days,
            int(self.total_fen),
            self.icu_minutes,
            None if self.tcm_fen is None else int(self.tcm_fen),
        )
        return PreviewCase(
            case, self.insurance, self.discharge_date, int(self.total_fen), self.settlement_month, self.discharge_way
        )


@strawberry.type(description="What a run of its month would say of a case (预检结果). Nothing is stored.")
class GroupingPreview:
    case_id: str = strawberry.field(description="Your own name for the case (病例标识).")
    disposition: str = strawberry.field(description="cleared, or pending: with the reason (入算去向).")
    group_code: str | None = strawberry.field(description="Group, null when ungrouped (病种编码).")
    reason: str = strawberry.field(description="Named reason of the grouping, or of its absence (入组或未入组原因).")
    reason_zh: str = strawberry.field(description="The reason in Chinese (原因说明).")
    reason_en: str = strawberry.field(description="The reason in English (英文说明).")
    diagnosis: str | None = strawberry.field(description="Diagnosis key of the group (病种诊断).")
    kind: str | None = strawberry.field(description="core or comprehensive (病种类型).")
    layer: str | None = strawberry.field(description="priority, merged, dx_auxiliary or basic (分组层级).")
    score: ExactDecimal | None = strawberry.field(description="Score of the group in the area, points (病种分值).")
    level: str | None = strawberry.field(description="Level of the hospital (医院等级).")
    coefficient: ExactDecimal | None = strawberry.field(description="Hospital coefficient as applied (适用系数).")
    band: str | None = strawberry.field(description="normal, low, high, extreme or cannot_judge (费用区间).")
    reference_source: str | None = strawberry.field(description="What the cost was measured against (参考均费来源).")
    points: str | None = strawberry.field(
        description="Case points with the places of the edition, rounded once; null while pending (病例分值)."
    )

    @staticmethod
    def of(found: PreviewAnswer) -> GroupingPreview:
        return GroupingPreview(
            case_id=found.case_id,
            disposition=found.disposition,
            group_code=found.group_code,
            reason=found.reason.value if found.reason is not None else found.disposition.partition(":")[2],
            reason_zh=found.reason_zh,
            reason_en=found.reason_en,
            diagnosis=found.diagnosis,
            kind=found.kind,
            layer=found.layer,
            score=ExactDecimal(found.score) if found.score is not None else None,
            level=found.level,
            coefficient=ExactDecimal(found.coefficient) if found.coefficient is not None else None,
            band=found.band,
            reference_source=found.reference_source,
            points=found.points,
        )
