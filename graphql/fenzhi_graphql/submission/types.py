"""Submission as the API shows it (上报)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from fenzhi.rules.submission.verdict_price import Price
from fenzhi.services.audit.sight import Sight
from fenzhi.services.submission import cases, lookups
from fenzhi.services.submission.batches import Mode, Purpose
from fenzhi.services.submission.verdict_price import PriceBook
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import Job, job_in_scope
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import Connection, connection, global_id, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen
from fenzhi_graphql.sight import Shows


@strawberry.enum(description="What a batch holds (批次用途).")
class BatchPurpose(Enum):
    LISTS = strawberry.enum_value(Purpose.LISTS, description="Settlement lists of a hospital (结算清单).")
    HISTORY = strawberry.enum_value(Purpose.HISTORY, description="Discharges of earlier years (历史病例).")


@strawberry.enum(description="Whether one refused row refuses the whole batch (受理方式).")
class BatchMode(Enum):
    ATOMIC = strawberry.enum_value(Mode.ATOMIC, description="All rows or none (整批受理).")
    PARTIAL = strawberry.enum_value(Mode.PARTIAL, description="Sound rows count, refused rows come back (逐行受理).")


@strawberry.enum(description="State of a batch (批次状态).")
class BatchState(Enum):
    OPEN = strawberry.enum_value("open", description="Takes parts; nothing counts (待上传).")
    SEALED = strawberry.enum_value("sealed", description="Complete, waits for judgement (已封存).")
    JUDGED = strawberry.enum_value("judged", description="Judged; accepted rows count (已判定).")
    REFUSED = strawberry.enum_value("refused", description="Refused as a whole; nothing counts (整批不受理).")
    ABANDONED = strawberry.enum_value("abandoned", description="Given up before the seal (已作废).")


@strawberry.enum(description="What a finding does to its row (严重程度).")
class VerdictSeverity(Enum):
    ERROR = strawberry.enum_value("error", description="The row is refused (不通过).")
    WARNING = strawberry.enum_value("warning", description="The row stands, the finding is recorded (提示).")


@strawberry.type(description="A code with a number of rows (代码计数).")
class CodeCount:
    code: str = strawberry.field(description="Stable code (代码).")
    rows: int = strawberry.field(description="Rows (行数).")


@strawberry.type(description="How the rows of a batch came out (批次计数). rows = accepted + refused + set aside.")
class BatchCounts:
    rows: int = strawberry.field(description="Rows that are not blank (行数).")
    accepted: int = strawberry.field(description="Rows that count (受理行数).")
    refused: int = strawberry.field(description="Rows refused (不受理行数).")
    superseding: int = strawberry.field(
        description="Accepted rows that take the place of an earlier version (更正行数)."
    )
    warnings: int = strawberry.field(description="Findings that only warn (提示数).")
    refused_by_code: list[CodeCount] = strawberry.field(
        description="Refused rows by the first reason, by code (不受理原因)."
    )
    set_aside: list[CodeCount] = strawberry.field(
        description="History rows kept and not used, by reason (历史病例搁置原因)."
    )

    @staticmethod
    def of(counts: Mapping[str, Any]) -> BatchCounts:
        def by_code(name: str) -> list[CodeCount]:
            return [CodeCount(code=code, rows=rows) for code, rows in sorted(counts.get(name, {}).items())]

        return BatchCounts(
            rows=counts["rows"],
            accepted=counts["accepted"],
            refused=counts["refused"],
            superseding=counts["superseding"],
            warnings=counts["warnings"],
            refused_by_code=by_code("refused_by_code"),
            set_aside=by_code("set_aside"),
        )


@strawberry.type(
    description="What a finding costs or endangers, at the budget point value (质控价格). Errors of one list share its price: never add them up."
)
class VerdictPrice:
    points: ExactDecimal | None = strawberry.field(description="Points; null where they cannot be judged (分值).")
    total_cost_fen: Fen | None = strawberry.field(
        description="Points as total cost in fen; null where it cannot be judged (医疗总费用口径金额，分)."
    )
    basic_fund_fen: Fen | None = strawberry.field(
        description="Points as basic fund in fen; null where it cannot be judged (统筹基金口径金额，分)."
    )
    reason_code: str | None = strawberry.field(description="Why it cannot be judged; null where it can (无法判定原因).")
    reason: str = strawberry.field(description="How to read it, or why it cannot be judged, in Chinese (说明).")
    reason_en: str = strawberry.field(description="The same in English.")

    @staticmethod
    def of(price: Price) -> VerdictPrice:
        return VerdictPrice(
            points=ExactDecimal(Decimal(price.points)) if price.points is not None else None,
            total_cost_fen=Fen(price.total_cost_fen) if price.total_cost_fen is not None else None,
            basic_fund_fen=Fen(price.basic_fund_fen) if price.basic_fund_fen is not None else None,
            reason_code=price.why.value if price.why is not None else None,
            reason=price.zh,
            reason_en=price.en,
        )


class PricedPage:
    """Prices of a page of findings, worked out together when the first is asked for."""

    def __init__(self, book: PriceBook, page: Sequence[lookups.VerdictView]) -> None:
        self._book, self._page, self._lock = book, page, asyncio.Lock()
        self._prices: dict[tuple[int, int], Price] = {}

    async def price(self, key: tuple[int, int]) -> VerdictPrice:
        """The price of one finding of the page."""
        async with self._lock:
            if not self._prices:
                prices = await self._book.prices(self._page)
                self._prices = {(v.row_no, v.seq): p for v, p in zip(self._page, prices, strict=True)}
        return VerdictPrice.of(self._prices[key])


@strawberry.type(description="One finding about one row (质控结论).")
class Verdict(Shows):
    row: int = strawberry.field(description="Row of the batch, from 1, blank lines counted (行号).")
    setl_id: str = strawberry.field(description="Settlement id of the row, blank where it could not be read (结算号).")
    rule: str = strawberry.field(description="Quality-control rule, such as Q08 (质控规则).")
    code: str = strawberry.field(description="Stable code; each has a page in docs/refusals (结论代码).")
    severity: VerdictSeverity = strawberry.field(description="What it does to the row (严重程度).")
    path: str = strawberry.field(description="Field, in national names (字段).")
    saw: str = strawberry.field(description="What was seen, shortened (所见内容).")
    message: str = strawberry.field(description="The finding in Chinese (说明).")
    message_en: str = strawberry.field(description="The finding in English.")
    remedy: str = strawberry.field(description="What to do, in Chinese (处理建议).")
    remedy_en: str = strawberry.field(description="What to do, in English.")
    key: strawberry.Private[tuple[int, int]]
    batch_key: strawberry.Private[uuid.UUID]
    priced: strawberry.Private[PricedPage]

    def show(self, sight: Sight) -> None:
        """Its row."""
        sight.row((self.batch_key, self.row))

    @strawberry.field(description="What it costs or endangers (质控价格); worked out when asked for.")
    async def price(self) -> VerdictPrice:
        return await self.priced.price(self.key)

    @staticmethod
    def of(view: lookups.VerdictView, batch_key: uuid.UUID, priced: PricedPage) -> Verdict:
        return Verdict(
            batch_key=batch_key,
            key=(view.row_no, view.seq),
            priced=priced,
            row=view.row_no,
            setl_id=view.setl_id,
            rule=view.rule,
            code=view.code,
            severity=VerdictSeverity(view.severity),
            path=view.path,
            saw=view.saw,
            message=view.zh,
            message_en=view.en,
            remedy=view.remedy_zh,
            remedy_en=view.remedy_en,
        )


@strawberry.type(description="How often a code was given in a batch (结论汇总).")
class VerdictCount:
    rule: str = strawberry.field(description="Quality-control rule (质控规则).")
    code: str = strawberry.field(description="Stable code (结论代码).")
    severity: VerdictSeverity = strawberry.field(description="What it does to a row (严重程度).")
    times: int = strawberry.field(description="Findings (次数).")
    rows: int = strawberry.field(description="Rows with such a finding (行数).")


@strawberry.type(description="A batch of settlement lists or of history (上报批次). Nothing counts before its seal.")
class Batch(Node):
    purpose: BatchPurpose = strawberry.field(description="What it holds (用途).")
    mode: BatchMode = strawberry.field(description="Whether one refused row refuses it (受理方式).")
    state: BatchState = strawberry.field(description="State (状态).")
    label: str = strawberry.field(description="The sender's own words (批次说明).")
    hospital_code: str | None = strawberry.field(
        description="The submitting hospital; null for history, which an area imports (上报机构)."
    )
    parts: int = strawberry.field(description="Parts kept (分片数).")
    bytes: str = strawberry.field(description="Bytes of all parts after inflation, as text (字节数).")
    upload_path: str = strawberry.field(
        description="PUT part n to this path followed by its number, from 1 (分片上传路径)."
    )
    verdicts_path: str = strawberry.field(description="GET streams every verdict as NDJSON (结论下载路径).")
    annotated_path: str = strawberry.field(
        description="GET returns your own workbook or CSV file with its findings marked; ?part=n for another part (批注原表下载路径)."
    )
    created_at: datetime = strawberry.field(description="When it was opened (创建时间).")
    sealed_at: datetime | None = strawberry.field(description="When it was sealed: the time of submission (上报时间).")
    judged_at: datetime | None = strawberry.field(description="When it was judged (判定时间).")
    counts: BatchCounts | None = strawberry.field(description="How its rows came out; null until judged (计数).")
    key: strawberry.Private[uuid.UUID]
    job_key: strawberry.Private[uuid.UUID | None]

    @strawberry.field(description="The job that judges it, once sealed (判定作业).")
    async def job(self, info: Info) -> Job | None:
        return await job_in_scope(info, self.job_key) if self.job_key is not None else None

    @strawberry.field(description="Its verdicts in order of row (质控结论).")
    async def verdicts(
        self, info: Info, first: int, after: str | None = None, severity: VerdictSeverity | None = None
    ) -> Connection[Verdict]:
        context = info.context
        size = page_size(first)
        place = f"verdicts/{self.key}/{severity.value if severity else ''}"
        keys = keys_of(context, place, after)
        last = (int(str(keys[0])), int(str(keys[1]))) if keys else (0, -1)
        views = await lookups.verdicts(
            context.platform, context.subject, self.key, last, str(severity.value) if severity else None, size + 1
        )
        priced = PricedPage(PriceBook(context.platform, context.subject, self.key), views)
        return connection(
            context,
            place,
            views,
            size,
            lambda view: Verdict.of(view, self.key, priced),
            lambda view: [view.row_no, view.seq],
        )

    @strawberry.field(description="Its verdicts by rule and code (结论汇总).")
    async def verdict_summary(self, info: Info) -> list[VerdictCount]:
        context = info.context
        return [
            VerdictCount(
                rule=count.rule,
                code=count.code,
                severity=VerdictSeverity(count.severity),
                times=count.times,
                rows=count.rows,
            )
            for count in await lookups.verdict_summary(context.platform, context.subject, self.key)
        ]

    @staticmethod
    def of(view: lookups.BatchView) -> Batch:
        path = f"/v1/batches/{global_id('Batch', view.batch_id)}"
        return Batch(
            id=global_id("Batch", view.batch_id),
            purpose=BatchPurpose(Purpose(view.purpose)),
            mode=BatchMode(Mode(view.mode)),
            state=BatchState(view.state),
            label=view.label,
            hospital_code=view.hospital_code,
            parts=view.parts,
            bytes=str(view.size),
            upload_path=f"{path}/parts/",
            verdicts_path=f"{path}/verdicts.ndjson",
            annotated_path=f"{path}/annotated.xlsx",
            created_at=view.recorded_at,
            sealed_at=view.sealed_at,
            judged_at=view.judged_at,
            counts=BatchCounts.of(view.counts) if view.counts else None,
            key=view.batch_id,
            job_key=view.job_id,
        )


@strawberry.type(description="One discharge, without personal fields (病例).")
class InpatientCase(Node, Shows):
    hospital_code: str = strawberry.field(description="The hospital (医疗机构).")
    setl_id: str | None = strawberry.field(description="Settlement id; hidden from the province (结算号).")
    version: int = strawberry.field(description="Version of the list (版本).")
    superseded_by: strawberry.ID | None = strawberry.field(
        description="The case of the corrected list that took its place (更正后的病例)."
    )
    insurance: str = strawberry.field(description="employee or resident (险种).")
    pool_scope: str = strawberry.field(description="local or out_of_area (本地或异地).")
    insured_area: str = strawberry.field(description="Division code of the insured area (参保地).")
    admission_date: date = strawberry.field(description="Admission (入院日期).")
    discharge_date: date = strawberry.field(description="Discharge: decides edition and coefficient (出院日期).")
    settlement_date: date = strawberry.field(description="End of the settlement (结算日期).")
    settlement_month: int = strawberry.field(description="Settlement month as yyyymm (结算年月).")
    sex: int = strawberry.field(description="National code of the sex (性别).")
    age_days: int = strawberry.field(description="Age at discharge in days (年龄，天).")
    los_days: int = strawberry.field(description="Length of stay in days (住院天数).")
    total_fen: Fen = strawberry.field(description="Total cost in fen (医疗总费用).")
    basic_fund_fen: Fen = strawberry.field(description="Paid by the basic fund, in fen (统筹基金支付).")
    other_funds_fen: Fen = strawberry.field(description="Paid by other funds, in fen (其他基金支付).")
    account_fen: Fen = strawberry.field(description="Paid from the personal account, in fen (个人账户支付).")
    cash_fen: Fen = strawberry.field(description="Paid in cash, in fen (个人现金支付).")
    diagnoses: list[str] = strawberry.field(description="Diagnosis codes, the principal first (诊断编码).")
    procedures: list[str] = strawberry.field(description="Procedure codes, the main one first (手术操作编码).")
    icu_minutes: int | None = strawberry.field(
        description="Time in intensive care in minutes; null where the list does not say it readably (重症监护合计时长，分钟)."
    )
    discharge_department: str | None = strawberry.field(description="Department of discharge (出院科别).")
    tcm_fen: Fen | None = strawberry.field(
        description="Cost that policy counts as TCM, in fen; null where it names no charge classes (中医药费用，分)."
    )
    own_paid_fen: Fen | None = strawberry.field(
        description="Paid by the patient for what no insurance covers, in fen (个人自费，分)."
    )
    keys: strawberry.Private[tuple[uuid.UUID, ...]]

    def show(self, sight: Sight) -> None:
        """The case, and the one that took its place: it is named."""
        sight.case(*self.keys)

    @staticmethod
    def of(view: cases.CaseView) -> InpatientCase:
        newer = view.superseded_by
        return InpatientCase(
            keys=(view.case_id,) if newer is None else (view.case_id, newer),
            id=global_id("InpatientCase", view.case_id),
            hospital_code=view.hospital_code,
            setl_id=view.setl_id,
            version=view.version,
            superseded_by=global_id("InpatientCase", newer) if newer else None,
            insurance=view.insurance,
            pool_scope=view.pool_scope,
            insured_area=view.insured_area,
            admission_date=view.admission_date,
            discharge_date=view.discharge_date,
            settlement_date=view.settlement_date,
            settlement_month=view.settlement_month,
            sex=view.sex,
            age_days=view.age_days,
            los_days=view.los_days,
            total_fen=Fen(view.total_fen),
            basic_fund_fen=Fen(view.basic_fund_fen),
            other_funds_fen=Fen(view.other_funds_fen),
            account_fen=Fen(view.account_fen),
            cash_fen=Fen(view.cash_fen),
            diagnoses=list(view.diagnoses),
            procedures=list(view.procedures),
            icu_minutes=view.icu_minutes,
            discharge_department=view.discharge_department,
            tcm_fen=None if view.tcm_fen is None else Fen(view.tcm_fen),
            own_paid_fen=None if view.own_paid_fen is None else Fen(view.own_paid_fen),
        )


def _uuid(key: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(key)
    except ValueError:
        return None


async def batch_in_scope(info: Info, key: str) -> Batch | None:
    """A batch of the caller's scope, or none."""
    batch_id, context = _uuid(key), info.context
    view = await lookups.batch(context.platform, context.subject, batch_id) if batch_id else None
    return Batch.of(view) if view is not None else None


async def case_in_scope(info: Info, key: str) -> InpatientCase | None:
    """A case of the caller's scope, or none."""
    case_id, context = _uuid(key), info.context
    view = await cases.case(context.platform, context.subject, case_id) if case_id else None
    return InpatientCase.of(view) if view is not None else None


@finds("Batch")
async def find_batch(info: Info, key: str) -> Batch | None:
    """A batch by id (按标识查批次)."""
    return await batch_in_scope(info, key)


@finds("InpatientCase")
async def find_case(info: Info, key: str) -> InpatientCase | None:
    """A case by id (按标识查病例)."""
    return await case_in_scope(info, key)
