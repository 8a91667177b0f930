"""A run as the API shows it (结算): what it came to, what it was computed from, its counties and its statements."""

from __future__ import annotations

from datetime import datetime

import strawberry

from fenzhi.services.clearing import lookups
from fenzhi.services.clearing.surplus import surplus_of
from fenzhi_graphql.clearing.kinds import ClearingKind, ClearingState
from fenzhi_graphql.clearing.statements import HospitalStatement
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import Connection, connection, global_id, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen, exact_points


@strawberry.type(description="A named account of a run and its total (账户).")
class ClearingAccount:
    name: str = strawberry.field(description="Stable name, such as deposit (账户代码).")
    zh: str = strawberry.field(description="Name in Chinese (中文名称).")
    en: str = strawberry.field(description="Name in English (英文名称).")
    fen: Fen = strawberry.field(description="Total of the run, in fen; a draw is negative (金额，分).")


@strawberry.type(description="How many cases wait, and why (待处理病例).")
class PendingReason:
    reason: str = strawberry.field(
        description="Why they are not in this run, such as ungrouped:no_group_for_diagnosis (原因)."
    )
    cases: int = strawberry.field(description="How many (病例数).")


@strawberry.type(description="A law of conservation that was checked (守恒校验).")
class ConservationLaw:
    name: str = strawberry.field(description="The law in words (守恒律).")
    unexplained_fen: Fen = strawberry.field(
        description="What it leaves unexplained, in fen: 0, or the run had stopped (未解释金额，分)."
    )


@strawberry.type(description="Money set aside for a mode, and what it paid (单列资金).")
class ClearingPurse:
    name: str = strawberry.field(description="single_disease, per_diem, item, icu_days or rare_disease (单列项目).")
    paid_fen: Fen = strawberry.field(description="Paid, in fen (支付额，分).")
    set_aside_fen: Fen = strawberry.field(description="Set aside by the budget in force, in fen (单列预算，分).")
    from_pool_fen: Fen = strawberry.field(
        description="Beyond it, out of the fund before the point value, in fen (超出额，分)."
    )


@strawberry.type(description="What a run came to (结算汇总).")
class ClearingSummary:
    pool_fen: Fen = strawberry.field(description="What there was to share, in fen (可分配基金，分).")
    draws_fen: Fen = strawberry.field(description="Drawn from accounts, in fen (账户支出，分).")
    gross_fen: Fen = strawberry.field(description="Σ gross of the hospitals, in fen (应付合计，分).")
    returns_fen: Fen = strawberry.field(description="Returned to accounts, in fen (账户收入，分).")
    unexplained_fen: Fen = strawberry.field(
        description="pool + draws − gross − returns, in fen: 0, or the run had stopped (未解释金额，分)."
    )
    accounts: list[ClearingAccount] = strawberry.field(description="Every account with its total (账户).")
    laws: list[ConservationLaw] = strawberry.field(description="The laws that were checked (守恒校验).")
    cases: int = strawberry.field(description="Cases cleared (入算病例数).")
    pending_cases: int = strawberry.field(description="Cases on a named list (待处理病例数).")
    pending: list[PendingReason] = strawberry.field(description="The named lists (待处理名单).")
    points: ExactDecimal = strawberry.field(description="Points of the run (总分值).")
    cost_fen: Fen = strawberry.field(description="Total cost of the cleared cases, in fen (医疗总费用，分).")
    booked_fen: Fen = strawberry.field(description="Basic fund booked by the cleared cases, in fen (记账统筹基金，分).")
    fund_ratio: str = strawberry.field(
        description="φ as an exact fraction: of last year for a month, of the run for a quarter (基金支付比例)."
    )
    purses: list[ClearingPurse] = strawberry.field(description="Modes beside the points and their money (单列资金).")
    point_value_printed: str = strawberry.field(
        description="Yuan per point as printed, rounded; what is paid is apportioned (公布点值，元/分)."
    )


@strawberry.type(
    description="What a run was computed from (结算清单): the same manifest gives the same result, byte for byte."
)
class ClearingManifest:
    sha256: str = strawberry.field(description="SHA-256 of the manifest, in hex (清单摘要).")
    result_sha256: str = strawberry.field(description="SHA-256 of the result, in hex (结果摘要).")
    case_count: int = strawberry.field(description="Cases frozen, pending ones included (冻结病例数).")
    case_root: str = strawberry.field(description="Merkle root of the case set, in hex (病例集摘要).")
    editions: list[str] = strawberry.field(description="Catalog editions with their content digest (目录版本).")
    policy_fingerprint: str = strawberry.field(description="Fingerprint of the policy values in force (策略指纹).")
    rules_version: str = strawberry.field(description="Version of the rules (规则版本).")
    deductions: int = strawberry.field(description="Approved deductions taken into account (计入扣款笔数).")
    payments: int = strawberry.field(description="Payments taken into account (计入拨付笔数).")


@strawberry.type(description="Surplus or overspend of one hospital (机构结余).")
class HospitalSurplus:
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    cleared_fen: Fen = strawberry.field(description="Cleared, in fen (清算额，分).")
    booked_after_audit_fen: Fen = strawberry.field(description="Booked less deductions, in fen (审核后记账，分).")
    balance_fen: Fen = strawberry.field(description="Cleared − booked after audit; negative is overspend (结余，分).")


@strawberry.type(description="The surplus statement of a year, of the hospitals you see (结余与超支情况).")
class SurplusStatement:
    pool_fen: Fen | None = strawberry.field(
        description="What the region had to share; null below the city (可分配基金，分)."
    )
    cleared_fen: Fen = strawberry.field(description="Σ cleared, in fen (清算额合计，分).")
    booked_after_audit_fen: Fen = strawberry.field(description="Σ booked after audit, in fen (审核后记账合计，分).")
    surplus_hospitals: int = strawberry.field(description="How many keep a surplus (结余机构数).")
    hospitals: list[HospitalSurplus] = strawberry.field(description="By hospital code (各机构).")


@strawberry.type(description="The statements of one county's hospitals in a run (县级结算汇总).")
class CountyTotal:
    county_code: str = strawberry.field(description="County, blank for the city's own hospitals (县).")
    hospitals: int = strawberry.field(description="How many hospitals (机构数).")
    gross_fen: Fen = strawberry.field(description="Σ gross, in fen (应付合计，分).")
    deductions_fen: Fen = strawberry.field(description="Σ audit deductions, in fen (审核扣款合计，分).")
    payable_fen: Fen = strawberry.field(description="Σ payable, in fen (应拨付合计，分).")
    transfer_fen: Fen = strawberry.field(description="Σ transfers of the run, in fen (本次拨付合计，分).")
    paid_fen: Fen = strawberry.field(
        description="Recorded as paid on this run, net of returns, in fen (已拨付合计，分)."
    )


@strawberry.type(description="One month pre-settled, one quarter or the year cleared of a fund pool (结算).")
class ClearingRun(Node):
    area_code: str = strawberry.field(description="Code of the pooling area (统筹区).")
    kind: ClearingKind = strawberry.field(description="Month, quarter or year (类型).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    period: int = strawberry.field(description="Month 1–12, quarter 1–4, or 1 for the year (期次).")
    state: ClearingState = strawberry.field(description="State (状态).")
    job_id: strawberry.ID | None = strawberry.field(description="The job that computes it (作业).")
    error: str | None = strawberry.field(description="Why it stopped, with the law and account named (中止原因).")
    started_at: datetime = strawberry.field(description="When it was started (发起时间).")
    as_known_at: datetime | None = strawberry.field(
        description="What was known up to this moment is in it (数据截止时点)."
    )
    computed_at: datetime | None = strawberry.field(description="When it was computed (计算时间).")
    approved_at: datetime | None = strawberry.field(description="When it was approved (审批时间).")
    published_at: datetime | None = strawberry.field(description="When it was published (公布时间).")
    summary: ClearingSummary | None = strawberry.field(description="What it came to, once computed (汇总).")
    manifest: ClearingManifest | None = strawberry.field(description="What it was computed from, once computed (清单).")
    view: strawberry.Private[lookups.RunView]

    @strawberry.field(description="Year only: the surplus statement (结余与超支情况).")
    async def surplus(self, info: Info) -> SurplusStatement | None:
        found = await surplus_of(info.context.platform, info.context.subject, self.view.run_id)
        if found is None:
            return None
        return SurplusStatement(
            pool_fen=None if found.pool_fen is None else Fen(found.pool_fen),
            cleared_fen=Fen(found.cleared_fen),
            booked_after_audit_fen=Fen(found.booked_after_audit_fen),
            surplus_hospitals=found.surplus_hospitals,
            hospitals=[
                HospitalSurplus(
                    hospital_code=one.hospital_code,
                    cleared_fen=Fen(one.cleared_fen),
                    booked_after_audit_fen=Fen(one.booked_after_audit_fen),
                    balance_fen=Fen(one.balance_fen),
                )
                for one in found.hospitals
            ],
        )

    @strawberry.field(
        description="What it came to by county, and what was paid on it so far; a county sees its own (县级结算汇总)."
    )
    async def county_totals(self, info: Info) -> list[CountyTotal]:
        views = await lookups.county_totals(info.context.platform, info.context.subject, self.view.run_id)
        return [
            CountyTotal(
                county_code=v.county_code,
                hospitals=v.hospitals,
                gross_fen=Fen(v.gross_fen),
                deductions_fen=Fen(v.deductions_fen),
                payable_fen=Fen(v.payable_fen),
                transfer_fen=Fen(v.transfer_fen),
                paid_fen=Fen(v.paid_fen),
            )
            for v in views
        ]

    @strawberry.field(description="Statements you may see, in order of hospital code (结算单).")
    async def statements(self, info: Info, first: int, after: str | None = None) -> Connection[HospitalStatement]:
        context = info.context
        size = page_size(first)
        place = f"statements/{self.view.run_id}"
        keys = keys_of(context, place, after)
        views = await lookups.statements(
            context.platform, context.subject, self.view.run_id, str(keys[0]) if keys else "", size + 1
        )
        return connection(context, place, views, size, HospitalStatement.of, lambda view: [view.row.hospital_code])

    @staticmethod
    def of(view: lookups.RunView) -> ClearingRun:
        return ClearingRun(
            id=global_id("ClearingRun", view.run_id),
            area_code=view.area_code,
            kind=ClearingKind(view.kind),
            insurance=Insurance(view.insurance),
            pool_scope=PoolScope(view.pool_scope),
            year=view.year,
            period=view.period,
            state=ClearingState(view.state),
            job_id=global_id("Job", view.job_id) if view.job_id else None,
            error=view.error,
            started_at=view.started_at,
            as_known_at=view.as_known_at,
            computed_at=view.computed_at,
            approved_at=view.approved_at,
            published_at=view.published_at,
            summary=_summary(view),
            manifest=_manifest(view),
            view=view,
        )


def _summary(view: lookups.RunView) -> ClearingSummary | None:
    s = view.summary
    if not s:
        return None
    return ClearingSummary(
        pool_fen=Fen(s["pool_fen"]),
        draws_fen=Fen(s["draws_fen"]),
        gross_fen=Fen(s["gross_fen"]),
        returns_fen=Fen(s["returns_fen"]),
        unexplained_fen=Fen(s["unexplained_fen"]),
        accounts=[ClearingAccount(name=a["name"], zh=a["zh"], en=a["en"], fen=Fen(a["fen"])) for a in s["accounts"]],
        laws=[ConservationLaw(name=law["name"], unexplained_fen=Fen(law["unexplained_fen"])) for law in s["laws"]],
        cases=s["cases"],
        pending_cases=s["pending_cases"],
        pending=[PendingReason(reason=reason, cases=n) for reason, n in sorted(s["pending"].items())],
        points=exact_points(s["points"], s["points_decimals"]),
        cost_fen=Fen(s["cost_fen"]),
        booked_fen=Fen(s["booked_fen"]),
        fund_ratio=s["fund_ratio"],
        purses=[
            ClearingPurse(
                name=one["name"],
                paid_fen=Fen(one["paid_fen"]),
                set_aside_fen=Fen(one["set_aside_fen"]),
                from_pool_fen=Fen(one["from_pool_fen"]),
            )
            for one in s.get("purses", ())
        ],
        point_value_printed=s["point_value_printed"],
    )


def _manifest(view: lookups.RunView) -> ClearingManifest | None:
    m = view.manifest
    if not m or view.manifest_sha256 is None or view.result_sha256 is None:
        return None
    return ClearingManifest(
        sha256=view.manifest_sha256,
        result_sha256=view.result_sha256,
        case_count=m["cases"]["count"],
        case_root=m["cases"]["root"],
        editions=[f"{one['code']}:{one['sha256']}" for one in m["editions"]],
        policy_fingerprint=view.policy_fingerprint or "",
        rules_version=view.rules_version or "",
        deductions=len(m["deductions"]),
        payments=len(m["payments"]),
    )


async def run_in_scope(info: Info, key: str) -> ClearingRun | None:
    """A run of the caller's scope."""
    found = uuid_of(key)
    view = await lookups.run(info.context.platform, info.context.subject, found) if found else None
    return ClearingRun.of(view) if view else None


@finds("ClearingRun")
async def find_run(info: Info, key: str) -> ClearingRun | None:
    """A run of the caller's scope (按标识查结算)."""
    return await run_in_scope(info, key)
