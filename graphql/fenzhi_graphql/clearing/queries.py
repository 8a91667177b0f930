"""Clearing queries (结算查询)."""

from __future__ import annotations

import strawberry

from fenzhi.services.clearing import lookups
from fenzhi_graphql.clearing.kinds import ClearingKind, ClearingState
from fenzhi_graphql.clearing.runs import ClearingRun, run_in_scope
from fenzhi_graphql.clearing.statements import HospitalStatement
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size


@strawberry.input(description="Which runs are wanted; what is left out is any (结算筛选).")
class ClearingRunFilter:
    year: int | None = strawberry.field(default=None, description="Fund year (年度).")
    kind: ClearingKind | None = strawberry.field(default=None, description="Month or quarter (类型).")
    state: ClearingState | None = strawberry.field(default=None, description="State (状态).")
    insurance: Insurance | None = strawberry.field(default=None, description="Insurance type (险种).")


@strawberry.type
class ClearingQuery:
    @strawberry.field(description="Runs of your scope, newest first; below the city only published ones (结算列表).")
    async def clearing_runs(
        self, info: Info, first: int, after: str | None = None, filter: ClearingRunFilter | None = None
    ) -> Connection[ClearingRun]:
        context = info.context
        size = page_size(first)
        asked = filter or ClearingRunFilter()
        wanted = lookups.RunFilter(
            year=asked.year,
            kind=asked.kind.value if asked.kind else None,
            state=asked.state.value if asked.state else None,
            insurance=asked.insurance.value if asked.insurance else None,
        )
        place = f"clearingRuns/{wanted.year}/{wanted.kind}/{wanted.state}/{wanted.insurance}"
        keys = keys_of(context, place, after)
        before = uuid_of(str(keys[0])) if keys else None
        views = await lookups.runs(context.platform, context.subject, before, size + 1, wanted)
        return connection(context, place, views, size, ClearingRun.of, lambda view: [str(view.run_id)])

    @strawberry.field(description="One run by id, or null when it is not in your scope (结算).")
    async def clearing_run(self, info: Info, id: strawberry.ID) -> ClearingRun | None:
        return await run_in_scope(info, key_of(str(id), "ClearingRun"))

    @strawberry.field(description="One statement by id, or null when it is not in your scope (结算单).")
    async def hospital_statement(self, info: Info, id: strawberry.ID) -> HospitalStatement | None:
        context = info.context
        key = key_of(str(id), "HospitalStatement")
        view = await lookups.statement(context.platform, context.subject, key)
        return HospitalStatement.of(view) if view else None
