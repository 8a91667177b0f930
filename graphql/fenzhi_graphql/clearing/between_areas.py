"""Clearing between areas as the API shows it (区域间异地就医清算): statements, each area's side, the claims on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from fenzhi.access.subject import Subject
from fenzhi.services.acts import Answer, Platform, Request
from fenzhi.services.clearing import between_areas
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import Connection, connection, global_id, key_of, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen, exact_points

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.enum(
    description="What areas clear (区域间清算类型): a quarter, year to date (季度累计), or the year (年度)."
)
class InterAreaKind(Enum):
    QUARTER = "quarter"
    YEAR = "year"


@strawberry.enum(description="State (状态): draft 草稿, published 已公布 (never changes), voided 已作废.")
class InterAreaState(Enum):
    DRAFT = "draft"
    PUBLISHED = "published"
    VOIDED = "voided"


@strawberry.type(description="One area against one other, year to date (一方对一方).")
class InterAreaSide:
    area_code: str = strawberry.field(description="The area whose side it is (统筹区).")
    counterpart: str = strawberry.field(description="The other area (对方统筹区).")
    cases: int = strawberry.field(description="Cases behind both amounts (病例数).")
    receivable_fen: Fen = strawberry.field(description="What it receives of the other, in fen (应收，分).")
    payable_fen: Fen = strawberry.field(description="What it pays to the other, in fen (应付，分).")
    net_fen: Fen = strawberry.field(description="Receivable − payable, in fen (净额，分).")


@strawberry.type(description="Cases of people insured outside the province, not cleared here (省外参保病例).")
class InsuredOutside:
    insured_area: str = strawberry.field(description="Division code (参保地区划).")
    cases: int = strawberry.field(description="How many (病例数).")
    amount_fen: Fen = strawberry.field(description="What the areas of treatment promised for them, in fen (金额，分).")


@strawberry.type(
    description="A claim on an area for a case treated elsewhere (异地申请); a change since the statement before, year to date."
)
class InterAreaClaim:
    claim_id: str = strawberry.field(description="Number of the claim (申请编号).")
    insured_area: str = strawberry.field(description="The area that pays (参保统筹区).")
    treatment_area: str = strawberry.field(description="The area of treatment (就医统筹区).")
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    settlement_month: int = strawberry.field(description="Settlement month, yyyymm (结算月份).")
    points: ExactDecimal = strawberry.field(description="Points of the case; 0 where a claim is taken back (分值).")
    amount_fen: Fen = strawberry.field(description="What is claimed, in fen; negative is taken back (金额，分).")

    @staticmethod
    def of(row: Any) -> InterAreaClaim:
        return InterAreaClaim(
            claim_id=str(row.claim_id),
            insured_area=row.area_code,
            treatment_area=row.treatment_area,
            hospital_code=row.hospital_code,
            settlement_month=row.settlement_month,
            points=exact_points(row.points, row.points_decimals),
            amount_fen=Fen(row.amount_fen),
        )


@strawberry.type(description="What the areas of a province owe one another, year to date (区域间异地就医清算).")
class AreaClearing(Node):
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    year: int = strawberry.field(description="Fund year (年度).")
    kind: InterAreaKind = strawberry.field(description="Quarter or year (类型).")
    period: int = strawberry.field(description="Quarter 1–4, or 1 for the year (期次).")
    state: InterAreaState = strawberry.field(description="State (状态).")
    published_at: datetime | None = strawberry.field(description="When it was published (公布时间).")
    receivable_fen: Fen = strawberry.field(description="Σ receivable of the sides you see, in fen (应收合计，分).")
    payable_fen: Fen = strawberry.field(description="Σ payable of the sides you see, in fen (应付合计，分).")
    unexplained_fen: Fen | None = strawberry.field(
        description="Σ receivable − Σ payable of all areas: 0. Province only (未解释金额，分)."
    )
    sides: list[InterAreaSide] = strawberry.field(
        description="Sides, by area and counterpart; a city sees its own (各方清算)."
    )
    outside: list[InsuredOutside] = strawberry.field(
        description="Insured outside the province; province only (省外参保)."
    )
    view: strawberry.Private[between_areas.BetweenView]

    @strawberry.field(description="The claims on you, in order of entry; the province sees all (申请明细).")
    async def claims(self, info: Info, first: int, after: str | None = None) -> Connection[InterAreaClaim]:
        context = info.context
        size = page_size(first)
        place = f"interAreaClaims/{self.view.statement_id}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        rows = await between_areas.claims_on(context.platform, context.subject, self.view.statement_id, last, size + 1)
        return connection(context, place, rows, size, InterAreaClaim.of, lambda row: [str(row.claim_id)])

    @staticmethod
    def of(view: between_areas.BetweenView) -> AreaClearing:
        row = view.row
        receivable, payable = sum(s.receivable_fen for s in view.sides), sum(s.payable_fen for s in view.sides)
        outside = row.working["outside"] if view.sees_all else ()
        return AreaClearing(
            id=global_id("AreaClearing", view.statement_id),
            insurance=Insurance(row.insurance),
            year=row.year,
            kind=InterAreaKind(row.kind),
            period=row.period,
            state=InterAreaState(row.state),
            published_at=row.published_at,
            receivable_fen=Fen(receivable),
            payable_fen=Fen(payable),
            unexplained_fen=Fen(receivable - payable) if view.sees_all else None,
            sides=[
                InterAreaSide(
                    area_code=s.area,
                    counterpart=s.counterpart,
                    cases=s.cases,
                    receivable_fen=Fen(s.receivable_fen),
                    payable_fen=Fen(s.payable_fen),
                    net_fen=Fen(s.receivable_fen - s.payable_fen),
                )
                for s in view.sides
            ],
            outside=[InsuredOutside(insured_area=code, cases=n, amount_fen=Fen(fen)) for code, n, fen in outside],
            view=view,
        )


async def statement_in_scope(info: Info, key: str) -> AreaClearing | None:
    """A statement between areas of the caller's province (区域间清算)."""
    found = uuid_of(key)
    if found is None:
        return None
    view = await between_areas.between_areas_by_id(info.context.platform, info.context.subject, found)
    return AreaClearing.of(view) if view else None


@finds("AreaClearing")
async def find_statement(info: Info, key: str) -> AreaClearing | None:
    """As `statement_in_scope` (按标识查区域间清算)."""
    return await statement_in_scope(info, key)


@strawberry.type
class BetweenAreasQuery:
    @strawberry.field(
        description="Statements between areas, newest first; a city sees published ones with its own sides (区域间清算列表). "
        "Roles: city, province settlement."
    )
    async def area_clearings(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[AreaClearing]:
        context = info.context
        size = page_size(first)
        place = f"areaClearings/{year}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await between_areas.between_areas(context.platform, context.subject, last, size + 1, year=year)
        return connection(context, place, views, size, AreaClearing.of, lambda view: [str(view.statement_id)])

    @strawberry.field(description="One statement between areas (区域间清算); null outside your province.")
    async def area_clearing(self, info: Info, id: strawberry.ID) -> AreaClearing | None:
        return await statement_in_scope(info, key_of(str(id), "AreaClearing", "id"))


@strawberry.input(description="Work out what the areas of the province owe one another for a period (发起区域间清算).")
class AreaClearingStartInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    year: int = strawberry.field(description="Fund year (年度).")
    kind: InterAreaKind = strawberry.field(description="Quarter or year (类型).")
    period: int = strawberry.field(description="Quarter 1–4, or 1 for the year (期次).")


@strawberry.type(description="The job that works out the draft, or what stood in the way.")
class AreaClearingStartPayload:
    job_id: strawberry.ID | None = strawberry.field(description="The job (作业).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Decide a draft between areas (办理区域间清算草稿).")
class AreaClearingDecideInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    clearing: strawberry.ID = strawberry.field(description="The statement (区域间清算).")


@strawberry.type(description="The statement, or what stood in the way.")
class AreaClearingPayload:
    clearing: AreaClearing | None = strawberry.field(description="The statement (区域间清算).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


Decided = Callable[[Platform, Subject, Request, str], Awaitable[Answer]]


async def _decide(info: Info, input: AreaClearingDecideInput, operation: str, step: Decided) -> AreaClearingPayload:
    context = info.context

    async def act() -> Answer:
        key = key_of(str(input.clearing), "AreaClearing", "clearing")
        request = context.request(operation, input.idempotency_key, {"clearing": key})
        return await step(context.platform, context.subject, request, key)

    answer, errors = await answered(act())
    shown = await statement_in_scope(info, str(answer["id"])) if answer else None
    return AreaClearingPayload(clearing=shown, user_errors=errors)


@strawberry.type
class BetweenAreasMutation:
    @strawberry.mutation(
        description="Work out what the areas of the province owe one another, from their published out-of-area clearings of a period, "
        "year to date (发起区域间清算); the job leaves a draft. Role: province_settlement_clerk."
    )
    async def area_clearing_start(self, info: Info, input: AreaClearingStartInput) -> AreaClearingStartPayload:
        context = info.context
        order = between_areas.ClearBetween(input.insurance.value, input.year, input.kind.value, input.period)
        request = context.request("areaClearingStart", input.idempotency_key, order.plain())
        answer, errors = await answered(
            between_areas.start_between_areas(context.platform, context.subject, request, order)
        )
        return AreaClearingStartPayload(job_id=global_id("Job", answer["id"]) if answer else None, user_errors=errors)

    @strawberry.mutation(
        description="Publish a draft, as another person: every area sees its side, and its books follow (公布区域间清算). "
        "Role: province_settlement_approver."
    )
    async def area_clearing_publish(self, info: Info, input: AreaClearingDecideInput) -> AreaClearingPayload:
        return await _decide(info, input, "areaClearingPublish", between_areas.publish_between_areas)

    @strawberry.mutation(description="Void a draft (作废区域间清算草稿). Role: province_settlement_clerk.")
    async def area_clearing_void(self, info: Info, input: AreaClearingDecideInput) -> AreaClearingPayload:
        return await _decide(info, input, "areaClearingVoid", between_areas.void_between_areas)
