"""Submission queries (上报查询)."""

from __future__ import annotations

import uuid
from datetime import date

import strawberry

from fenzhi.services.submission import cases, lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size
from fenzhi_graphql.submission.types import Batch, InpatientCase, batch_in_scope, case_in_scope


@strawberry.input(description="Which cases; nothing given means all of your scope (病例筛选).")
class CaseFilter:
    settlement_month: int | None = strawberry.field(default=None, description="Settlement month as yyyymm (结算年月).")
    insurance: str | None = strawberry.field(default=None, description="employee or resident (险种).")
    setl_id: str | None = strawberry.field(
        default=None, description="Settlement id; a province may not ask by it (结算号)."
    )
    hospital: str | None = strawberry.field(default=None, description="Institution code (机构编码).")


@strawberry.type
class SubmissionQuery:
    @strawberry.field(description="Batches of your scope, newest first (批次列表).")
    async def batches(self, info: Info, first: int, after: str | None = None) -> Connection[Batch]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "batches", after)
        before = uuid.UUID(str(keys[0])) if keys else None
        views = await lookups.batches(context.platform, context.subject, before, size + 1)
        return connection(context, "batches", views, size, Batch.of, lambda view: [str(view.batch_id)])

    @strawberry.field(description="One batch by id, or null when it is not in your scope (批次).")
    async def batch(self, info: Info, id: strawberry.ID) -> Batch | None:
        return await batch_in_scope(info, key_of(id, "Batch"))

    @strawberry.field(description="Cases of your scope in order of discharge, without personal fields (病例列表).")
    async def cases(
        self, info: Info, first: int, after: str | None = None, filter: CaseFilter | None = None
    ) -> Connection[InpatientCase]:
        context = info.context
        size = page_size(first)
        wanted = filter or CaseFilter()
        place = f"cases/{wanted.settlement_month}/{wanted.insurance}/{wanted.setl_id}/{wanted.hospital}"
        keys = keys_of(context, place, after)
        last = (date.fromisoformat(str(keys[0])), uuid.UUID(str(keys[1]))) if keys else None
        views = await cases.cases(
            context.platform,
            context.subject,
            cases.CaseFilter(wanted.settlement_month, wanted.insurance, wanted.setl_id, wanted.hospital),
            last,
            size + 1,
        )
        return connection(
            context,
            place,
            views,
            size,
            InpatientCase.of,
            lambda view: [view.discharge_date.isoformat(), str(view.case_id)],
        )

    @strawberry.field(description="One case by id, or null when it is not in your scope (病例).")
    async def inpatient_case(self, info: Info, id: strawberry.ID) -> InpatientCase | None:
        return await case_in_scope(info, key_of(id, "InpatientCase"))
