"""Catalog jobs (目录作业)."""

from __future__ import annotations

from fenzhi.services.acts import Platform
from fenzhi.services.catalog import build, reference_costs
from fenzhi.services.jobs.execution import JobInHand


async def build_edition(_platform: Platform, job: JobInHand) -> None:
    """Build a draft's groups and scores from history (测算目录)."""
    await build.build(job)


async def compute_references(_platform: Platform, job: JobInHand) -> None:
    """Compute an area's reference costs (计算参照费用)."""
    await reference_costs.compute_reference_costs(job)


HANDLERS = {build.BUILD_JOB: build_edition, reference_costs.REFERENCE_JOB: compute_references}
