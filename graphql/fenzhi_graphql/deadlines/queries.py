"""Queries of clocks and calendars (期限查询)."""

from __future__ import annotations

import strawberry

from fenzhi.services.deadlines import calendars, clocks
from fenzhi_graphql.context import Info
from fenzhi_graphql.deadlines.types import Deadline, LegalClock, WorkingCalendar
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.paging import Connection, connection, keys_of, page_size


@strawberry.type
class DeadlineQuery:
    @strawberry.field(description="The deadline ledger as of today, in order of entry (时限台账).")
    async def deadlines(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        year: int | None = None,
        clock: LegalClock | None = None,
    ) -> Connection[Deadline]:
        context = info.context
        size = page_size(first)
        name = clock.value if clock else ""
        place = f"deadlines/{year}/{name}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await clocks.page(context.platform, context.subject, last, size + 1, year=year, clock=name)
        return connection(context, place, views, size, Deadline.of, lambda view: [str(view.deadline_id)])

    @strawberry.field(description="Working calendars by year; below the province approved ones (放假安排列表).")
    async def working_calendars(self, info: Info) -> list[WorkingCalendar]:
        context = info.context
        return [WorkingCalendar.of(view) for view in await calendars.calendars(context.platform, context.subject)]
