"""Job progress as server-sent events (作业进度流)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from fenzhi.rules.refusals import NotFound
from fenzhi.services.jobs import lookups
from fenzhi_graphql.jobs.types import Job, uuid_of
from fenzhi_graphql.paging import key_of


async def job_events(request: Request) -> Response:
    """`GET /v1/jobs/{id}/events`: one `job` event per change, the last one when the job ends."""
    subject = await request.app.state.sign_in.subject(request)
    platform = request.app.state.platform
    job_id = uuid_of(key_of(request.path_params["job_id"], "Job", "job_id"))
    if job_id is None or await lookups.job(platform, subject, job_id) is None:
        raise NotFound("没有该作业。", "No such job.")

    async def events() -> AsyncIterator[str]:
        async for view in lookups.watch(platform, subject, job_id):
            job = Job.of(view)
            data = {
                "id": job.id,
                "kind": job.kind,
                "state": job.state.name,
                "attempt": job.attempt,
                "progressDone": job.progress_done,
                "progressTotal": job.progress_total,
                "errorCode": job.error_code,
                "error": job.error,
                "errorEn": job.error_en,
            }
            yield f"event: job\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def job_routes() -> list[Route]:
    """The paths (路径)."""
    return [Route("/v1/jobs/{job_id}/events", job_events, methods=["GET"])]
