"""Jobs as the API shows them (作业)."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import Enum

import strawberry

from fenzhi.services.jobs import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id


@strawberry.enum(description="State of a job (作业状态).")
class JobState(Enum):
    QUEUED = strawberry.enum_value("queued", description="Waits for a worker (排队).")
    RUNNING = strawberry.enum_value("running", description="In a worker's hands (执行中).")
    DONE = strawberry.enum_value("done", description="Ended well (完成).")
    REFUSED = strawberry.enum_value(
        "refused", description="Ended with a typed reason; will not be tried again (被拒绝)."
    )
    DEAD = strawberry.enum_value("dead", description="Out of attempts; somebody must look (终止).")


@strawberry.type(description="Long work carried out by a worker (作业).")
class Job(Node):
    kind: str = strawberry.field(description="What is done, such as clearing.compute (类型).")
    state: JobState = strawberry.field(description="State (状态).")
    attempt: int = strawberry.field(description="How many times a worker took it up (尝试次数).")
    max_attempts: int = strawberry.field(description="How many times it may be taken up (最多尝试次数).")
    progress_done: int = strawberry.field(description="Steps done (已完成).")
    progress_total: int = strawberry.field(description="Steps in all; 0 while unknown (总数).")
    error_code: str | None = strawberry.field(description="Stable code of the reason it ended badly (错误代码).")
    error: str | None = strawberry.field(description="The reason in Chinese (错误说明).")
    error_en: str | None = strawberry.field(description="The reason in English.")
    created_at: datetime = strawberry.field(description="When it was wanted (登记时间).")
    started_at: datetime | None = strawberry.field(description="When a worker first took it up (开始时间).")
    finished_at: datetime | None = strawberry.field(description="When it ended (结束时间).")

    @staticmethod
    def of(view: lookups.JobView) -> Job:
        return Job(
            id=global_id("Job", view.job_id),
            kind=view.kind,
            state=JobState(view.state),
            attempt=view.attempt,
            max_attempts=view.max_attempts,
            progress_done=view.done,
            progress_total=view.total,
            error_code=view.error_code,
            error=view.error_zh,
            error_en=view.error_en,
            created_at=view.recorded_at,
            started_at=view.started_at,
            finished_at=view.finished_at,
        )


def uuid_of(key: str) -> uuid.UUID | None:
    """A UUID from the key of a global id, or none."""
    try:
        return uuid.UUID(key)
    except ValueError:
        return None


async def job_in_scope(info: Info, job_id: uuid.UUID | None) -> Job | None:
    """A job of the caller's scope."""
    if job_id is None:
        return None
    view = await lookups.job(info.context.platform, info.context.subject, job_id)
    return Job.of(view) if view else None


@finds("Job")
async def find_job(info: Info, key: str) -> Job | None:
    """A job of the caller's scope (按标识查作业)."""
    return await job_in_scope(info, uuid_of(key))
