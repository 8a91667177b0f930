"""Catalog jobs (目录作业)."""

from __future__ import annotations

from fenzhi.services.acts import Platform
from fenzhi.services.catalog import build, preview, reference_costs, regrouping
from fenzhi.services.jobs.execution import JobInHand


async def build_edition(_platform: Platform, job: JobInHand) -> None:
    """Build a draft's groups and scores from history (测算目录)."""
    await build.build(job)


async def compute_references(_platform: Platform, job: JobInHand) -> None:
    """Compute an area's reference costs (计算参照费用)."""
    await reference_costs.compute_reference_costs(job)


async def preview_edition(_platform: Platform, job: JobInHand) -> None:
    """Work a year's cases under a draft and under the edition in force (影响预演)."""
    await preview.preview(job)


async def regroup_year(_platform: Platform, job: JobInHand) -> None:
    """Group a year's cases of an area under another edition (重新入组)."""
    await regrouping.regroup(job)


HANDLERS = {
    build.BUILD_JOB: build_edition,
    reference_costs.REFERENCE_JOB: compute_references,
    preview.PREVIEW_JOB: preview_edition,
    regrouping.REGROUP_JOB: regroup_year,
}
