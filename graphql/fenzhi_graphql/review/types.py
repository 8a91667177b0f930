"""Special-case review as the API shows it (特例单议): applications, panels, votes, cycles, experts."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import Enum

import strawberry

from fenzhi.services.audit.sight import Sight
from fenzhi.services.review import cycles, experts, lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal, Fen
from fenzhi_graphql.sight import Shows


@strawberry.enum(
    description="Why a case is special (申请理由): high_cost 费用高, long_stay 住院时间长, new_drug_or_technology 新药耗新技术, "
    "critical_and_complex 复杂危重症, multidisciplinary 多学科联合诊疗, child_or_newborn 儿童与新生儿, multiple_injury 多器官损伤, burn 烧伤, "
    "infectious_disease 传染病. The area's policy says which it hears."
)
class SpecialCaseReason(Enum):
    HIGH_COST = "high_cost"
    LONG_STAY = "long_stay"
    NEW_DRUG_OR_TECHNOLOGY = "new_drug_or_technology"
    CRITICAL_AND_COMPLEX = "critical_and_complex"
    MULTIDISCIPLINARY = "multidisciplinary"
    CHILD_OR_NEWBORN = "child_or_newborn"
    MULTIPLE_INJURY = "multiple_injury"
    BURN = "burn"
    INFECTIOUS_DISEASE = "infectious_disease"


@strawberry.enum(
    description="Where an application stands (申请状态): applied 已申请, waiting 顺延一期, lapsed 失效, ineligible 不符合条件, admitted 已受理, "
    "hearing 评审中, refused 不属于特例, voted 已表决, valued 已拟定结果, approved 结果已批准, paid 池外已拨付."
)
class SpecialCaseState(Enum):
    APPLIED = "applied"
    WAITING = "waiting"
    LAPSED = "lapsed"
    INELIGIBLE = "ineligible"
    ADMITTED = "admitted"
    HEARING = "hearing"
    REFUSED = "refused"
    VOTED = "voted"
    VALUED = "valued"
    APPROVED = "approved"
    PAID = "paid"


@strawberry.enum(description="What a panel decided (评审结论): item 按项目付费, adjusted 调整分值, refused 不属于特例.")
class SpecialCaseVerdict(Enum):
    ITEM = "item"
    ADJUSTED = "adjusted"
    REFUSED = "refused"


@strawberry.enum(description="Where an award is paid from (资金来源): in_score 折算分值参与分配, off_pool 池外支付.")
class SpecialCaseFunding(Enum):
    IN_SCORE = "in_score"
    OFF_POOL = "off_pool"


@strawberry.enum(
    description="A choice of a vote (表决选项): step one yes 是, no 否, abstain 弃权; step two item 按项目付费, adjusted 调整分值."
)
class VoteChoice(Enum):
    YES = "yes"
    NO = "no"
    ABSTAIN = "abstain"
    ITEM = "item"
    ADJUSTED = "adjusted"


@strawberry.type(description="A piece of material and the digest of its bytes (材料及摘要).")
class CaseEvidence:
    title: str = strawberry.field(description="What it is (材料名称).")
    sha256: str = strawberry.field(description="SHA-256 of its bytes, 64 hex digits (摘要).")


@strawberry.type(description="A line of the log of a draw; with seed and candidates anyone draws again (抽取记录).")
class PanelDraw:
    round: int = strawberry.field(description="Round: 1, or 2 after an appeal or a vote without majority (轮次).")
    place: int = strawberry.field(description="Place in the log, from 1 (序号).")
    expert_code: str = strawberry.field(description="Code of the expert drawn (专家编码).")
    redraw_of: str = strawberry.field(description="Whose seat the expert took, blank in the first draw (替换专家).")
    reason: str = strawberry.field(description="Why that member left (回避理由).")
    seed: str = strawberry.field(description="Seed: lots are in order of SHA-256 of seed, line feed, code (随机种子).")
    candidates: list[str] = strawberry.field(description="Codes that could be drawn, in order of their lot (候选名单).")
    recorded_at: datetime = strawberry.field(description="When it was drawn (抽取时间).")


@strawberry.type(description="A vote as it stands on the signed sheet (表决票).")
class PanelVote:
    round: int = strawberry.field(description="Round (轮次).")
    step: int = strawberry.field(description="1: whether it is special; 2: how it is paid (步骤).")
    expert_code: str = strawberry.field(description="Code of the expert (专家编码).")
    choice: VoteChoice = strawberry.field(description="The choice (表决).")
    sheet_sha256: str = strawberry.field(description="SHA-256 of the signed sheet (表决票摘要).")


@strawberry.type(description="How a case is heard: of the city alone (评审过程).")
class CaseHearing:
    draws: list[PanelDraw] = strawberry.field(description="The log of the draws, in order (抽取记录).")
    votes: list[PanelVote] = strawberry.field(description="The votes, by round and step (表决记录).")


@strawberry.type(description="An application for special-case review (特例单议申请).")
class SpecialCase(Node, Shows):
    key: strawberry.Private[uuid.UUID]
    case_key: strawberry.Private[uuid.UUID]
    area_code: str = strawberry.field(description="Code of the pooling area (统筹区).")
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    case_id: strawberry.ID = strawberry.field(description="The case (病例).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year its outcome enters (年度).")
    specialty: str = strawberry.field(description="Specialty of the experts to draw (专业).")
    reasons: list[SpecialCaseReason] = strawberry.field(description="Reasons given (申请理由).")
    evidence: list[CaseEvidence] = strawberry.field(description="Material with digests (材料).")
    statement: str = strawberry.field(description="The hospital's word (申请说明).")
    state: SpecialCaseState = strawberry.field(description="State (状态).")
    cycle: int | None = strawberry.field(description="The cycle that decided last about admission (评审周期).")
    cycles_waited: int = strawberry.field(description="Cycles it waited, at most 1 (顺延期数).")
    round: int = strawberry.field(description="Round of hearing, 1 or 2 (轮次).")
    cost_fen: Fen | None = strawberry.field(description="Cost of the case as judged, in fen (医疗总费用，分).")
    payment_standard_fen: Fen | None = strawberry.field(
        description="Its points at the budget point value, in fen (支付标准，分)."
    )
    why_zh: str = strawberry.field(description="Why it waits, lapsed or is not eligible, in Chinese (理由).")
    why_en: str = strawberry.field(description="The same in English (理由，英文).")
    verdict: SpecialCaseVerdict | None = strawberry.field(description="What the panel decided (评审结论).")
    decided_on: date | None = strawberry.field(description="Day of the decision (评审日期).")
    appeal_due_on: date | None = strawberry.field(description="Last day to appeal, by working days (申诉截止日).")
    appeal: str | None = strawberry.field(description="Why the hospital appealed (申诉理由).")
    funding: SpecialCaseFunding | None = strawberry.field(
        description="Where it is paid from; below the city once approved (资金来源)."
    )
    award_fen: Fen | None = strawberry.field(
        description="Award in fen: cost in score, payment off pool; below the city once approved (核定金额，分)."
    )
    award_points: ExactDecimal | None = strawberry.field(
        description="Points the case has instead of its own; below the city once approved (核定分值)."
    )
    document: str | None = strawberry.field(description="Document of the outcome (文件依据).")
    approved_at: datetime | None = strawberry.field(description="When the outcome was approved (批准时间).")
    paid_on: date | None = strawberry.field(description="Day the off-pool award was paid (拨付日期).")
    recorded_at: datetime = strawberry.field(description="When it was applied for (申请时间).")

    def show(self, sight: Sight) -> None:
        """The case it is about."""
        sight.case(self.case_key)

    @strawberry.field(description="Draws and votes; empty for anybody but the city (评审过程).")
    async def hearing(self, info: Info) -> CaseHearing:
        drawn, cast = await lookups.hearing_of(info.context.platform, info.context.subject, self.key)
        return CaseHearing(
            draws=[
                PanelDraw(
                    round=d.round,
                    place=d.place,
                    expert_code=d.expert_code,
                    redraw_of=d.redraw_of,
                    reason=d.reason,
                    seed=d.seed,
                    candidates=list(d.candidates),
                    recorded_at=d.recorded_at,
                )
                for d in drawn
            ],
            votes=[
                PanelVote(
                    round=v.round,
                    step=v.step,
                    expert_code=v.expert_code,
                    choice=VoteChoice(v.choice),
                    sheet_sha256=v.sheet_sha256,
                )
                for v in cast
            ],
        )

    @staticmethod
    def of(view: lookups.SpecialCaseView) -> SpecialCase:
        def fen(amount: int | None) -> Fen | None:
            return None if amount is None else Fen(amount)

        return SpecialCase(
            id=global_id("SpecialCase", view.special_case_id),
            key=view.special_case_id,
            area_code=view.area_code,
            hospital_code=view.hospital_code,
            case_id=global_id("InpatientCase", view.case_id),
            case_key=view.case_id,
            insurance=Insurance(view.insurance),
            pool_scope=PoolScope(view.pool_scope),
            year=view.year,
            specialty=view.specialty,
            reasons=[SpecialCaseReason(one) for one in view.reasons],
            evidence=[CaseEvidence(title=title, sha256=digest) for title, digest in view.evidence],
            statement=view.statement,
            state=SpecialCaseState(view.state),
            cycle=view.cycle,
            cycles_waited=view.cycles_waited,
            round=view.round,
            cost_fen=fen(view.cost_fen),
            payment_standard_fen=fen(view.payment_standard_fen),
            why_zh=view.why_zh,
            why_en=view.why_en,
            verdict=SpecialCaseVerdict(view.verdict) if view.verdict else None,
            decided_on=view.decided_on,
            appeal_due_on=view.appeal_due_on,
            appeal=view.appeal,
            funding=SpecialCaseFunding(view.funding) if view.funding else None,
            award_fen=fen(view.award_fen),
            award_points=None if view.award_points is None else ExactDecimal(view.award_points),
            document=view.document,
            approved_at=view.approved_at,
            paid_on=view.paid_on,
            recorded_at=view.recorded_at,
        )


@strawberry.type(description="An expert of the area's list, by code and without a name (专家).")
class ReviewExpert(Node):
    area_code: str = strawberry.field(description="Code of the pooling area (统筹区).")
    code: str = strawberry.field(description="Code of the expert (专家编码).")
    hospital_code: str = strawberry.field(description="Own institution, never judged (所在机构).")
    specialties: list[str] = strawberry.field(description="Specialties (专业).")
    recused_from: list[str] = strawberry.field(description="Other institutions never judged (回避机构).")
    document: str = strawberry.field(description="Document of the appointment (文件依据).")
    is_active: bool = strawberry.field(description="Whether the expert may be drawn (是否在库).")
    recorded_at: datetime = strawberry.field(description="When entered (录入时间).")

    @staticmethod
    def of(view: experts.ExpertView) -> ReviewExpert:
        return ReviewExpert(
            id=global_id("ReviewExpert", view.expert_id),
            area_code=view.area_code,
            code=view.code,
            hospital_code=view.hospital_code,
            specialties=list(view.specialties),
            recused_from=list(view.recused_from),
            document=view.document,
            is_active=view.is_active,
            recorded_at=view.recorded_at,
        )


@strawberry.type(description="A closed cycle and the public statistics of the year to it (评审周期与公开统计).")
class ReviewCycle:
    area_code: str = strawberry.field(description="Code of the pooling area (统筹区).")
    year: int = strawberry.field(description="Year (年度).")
    cycle: int = strawberry.field(description="Cycle of the year: a month or a quarter by policy (周期).")
    last_day: date = strawberry.field(description="Its last day (截止日).")
    discharges: int = strawberry.field(
        description="The area's discharges of the year to that day, both insurances (年初至今出院病例数)."
    )
    cap: int = strawberry.field(description="Applications that may be admitted in the year so far (数量上限).")
    admitted_before: int = strawberry.field(description="Admitted in earlier cycles of the year (此前已受理).")
    applied: int = strawberry.field(description="New applications (本期申请).")
    admitted: int = strawberry.field(description="Admitted (本期受理).")
    waiting: int = strawberry.field(description="Left waiting one cycle (顺延).")
    lapsed: int = strawberry.field(description="Lapsed (失效).")
    ineligible: int = strawberry.field(description="Not eligible (不符合条件).")
    passed_to_date: int = strawberry.field(description="Outcomes approved in the year so far (年内已批准结果).")
    off_pool_to_date_fen: Fen = strawberry.field(
        description="Awarded beside the pool in the year so far, in fen (年内池外支付，分)."
    )
    fund_paid_to_date_fen: Fen = strawberry.field(
        description="Paid to hospitals on statements in the year so far, in fen (年内已拨付，分)."
    )

    @staticmethod
    def of(view: cycles.CycleView) -> ReviewCycle:
        return ReviewCycle(
            area_code=view.area_code,
            year=view.year,
            cycle=view.cycle,
            last_day=view.last_day,
            discharges=view.discharges,
            cap=view.cap,
            admitted_before=view.admitted_before,
            applied=view.applied,
            admitted=view.admitted,
            waiting=view.waiting,
            lapsed=view.lapsed,
            ineligible=view.ineligible,
            passed_to_date=view.passed_to_date,
            off_pool_to_date_fen=Fen(view.off_pool_to_date_fen),
            fund_paid_to_date_fen=Fen(view.fund_paid_to_date_fen),
        )


@strawberry.type(description="An expert's year: workload and consistency (专家工作量与一致率).")
class ReviewerYear:
    expert_code: str = strawberry.field(description="Code of the expert (专家编码).")
    panels: int = strawberry.field(description="Panels sat on (参评专家组数).")
    votes: int = strawberry.field(description="First-step votes on cases decided (已决病例首步表决数).")
    agreed: int = strawberry.field(description="Of these, votes as the panel decided (与结论一致数).")


async def special_case_in_scope(info: Info, key: str) -> SpecialCase | None:
    """An application of the caller's scope."""
    found = uuid_of(key)
    view = await lookups.special_case(info.context.platform, info.context.subject, found) if found else None
    return SpecialCase.of(view) if view else None


@finds("SpecialCase")
async def find_special_case(info: Info, key: str) -> SpecialCase | None:
    """An application of the caller's scope (按标识查特例单议)."""
    return await special_case_in_scope(info, key)


async def expert_in_scope(info: Info, key: str) -> ReviewExpert | None:
    """An expert of the caller's scope."""
    found = uuid_of(key)
    view = await experts.expert(info.context.platform, info.context.subject, found) if found else None
    return ReviewExpert.of(view) if view else None


@finds("ReviewExpert")
async def find_expert(info: Info, key: str) -> ReviewExpert | None:
    """An expert of the caller's scope (按标识查专家)."""
    return await expert_in_scope(info, key)
