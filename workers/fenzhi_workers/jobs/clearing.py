"""Clearing jobs (结算作业)."""

from __future__ import annotations

from fenzhi.services.acts import Platform
from fenzhi.services.clearing import between_areas, compute, runs
from fenzhi.services.jobs.execution import JobInHand


async def compute_run(_platform: Platform, job: JobInHand) -> None:
    """Compute a month or quarter run (计算结算)."""
    await compute.compute_run(job)


async def clear_between_areas(_platform: Platform, job: JobInHand) -> None:
    """Work out the claims between a province's areas (计算区域间清算)."""
    await between_areas.clear_between_areas(job)


HANDLERS = {runs.COMPUTE_JOB: compute_run, between_areas.BETWEEN_JOB: clear_between_areas}
