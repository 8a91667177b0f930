"""Queries of filed lists (清单流转查询)."""

from __future__ import annotations

import uuid

import strawberry

from fenzhi.rules.submission.filing import FiledState
from fenzhi.services.submission import filed_lookups, returns
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size
from fenzhi_graphql.submission.filing_types import (
    CaseHold,
    FiledList,
    FiledListState,
    filed_list_in_scope,
)


@strawberry.type
class FilingQuery:
    @strawberry.field(description="Lists filed one by one, in order of filing (清单台账).")
    async def filed_lists(
        self, info: Info, first: int, after: str | None = None, state: FiledListState | None = None
    ) -> Connection[FiledList]:
        context = info.context
        size = page_size(first)
        place = f"filedLists/{state.value if state else ''}"
        keys = keys_of(context, place, after)
        last = uuid.UUID(str(keys[0])) if keys else None
        wanted = FiledState(state.value) if state else None
        views = await filed_lookups.filed_lists(context.platform, context.subject, wanted, last, size + 1)
        return connection(context, place, views, size, FiledList.of, lambda view: [str(view.list_id)])

    @strawberry.field(description="One filed list by id, or null when it is not in your scope (清单).")
    async def filed_list(self, info: Info, id: strawberry.ID) -> FiledList | None:
        return await filed_list_in_scope(info, key_of(id, "FiledList"))

    @strawberry.field(description="Cases that enter no run, returned or taken back, oldest first (暂不结算病例).")
    async def case_holds(
        self, info: Info, first: int, after: str | None = None, only_open: bool = True
    ) -> Connection[CaseHold]:
        context = info.context
        size = page_size(first)
        place = f"caseHolds/{only_open}"
        keys = keys_of(context, place, after)
        last = uuid.UUID(str(keys[0])) if keys else None
        views = await returns.holds(context.platform, context.subject, only_open=only_open, after=last, limit=size + 1)
        return connection(context, place, views, size, CaseHold.of, lambda view: [str(view.hold_id)])
