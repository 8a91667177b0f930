"""Job queries (作业查询)."""

from __future__ import annotations

import strawberry

from fenzhi.services.jobs import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import Job, JobState, job_in_scope, uuid_of
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size


@strawberry.type
class JobsQuery:
    @strawberry.field(description="One job by id, or null when it is not in your scope (作业).")
    async def job(self, info: Info, id: strawberry.ID) -> Job | None:
        return await job_in_scope(info, uuid_of(key_of(id, "Job")))

    @strawberry.field(description="Jobs of your scope, newest first (作业列表).")
    async def jobs(
        self, info: Info, first: int, after: str | None = None, state: JobState | None = None
    ) -> Connection[Job]:
        context = info.context
        size = page_size(first)
        wanted = str(state.value) if state else None
        place = f"jobs/{wanted or ''}"
        keys = keys_of(context, place, after)
        before = uuid_of(str(keys[0])) if keys else None
        views = await lookups.jobs_before(context.platform, context.subject, before, wanted, size + 1)
        return connection(context, place, views, size, Job.of, lambda view: [str(view.job_id)])
