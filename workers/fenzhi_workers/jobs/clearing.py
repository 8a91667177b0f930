"""Clearing jobs (结算作业)."""

from __future__ import annotations

from fenzhi.services.acts import Platform
from fenzhi.services.clearing import compute, runs
from fenzhi.services.jobs.execution import JobInHand


async def compute_run(_platform: Platform, job: JobInHand) -> None:
    """Compute a month or quarter run (计算结算)."""
    await compute.compute_run(job)


HANDLERS = {runs.COMPUTE_JOB: compute_run}
