"""Point value jobs (点值作业)."""

from __future__ import annotations

from fenzhi.services.acts import Platform
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.point_value import budget


async def compute_budget(_platform: Platform, job: JobInHand) -> None:
    """Compute a budget point value (测算预算点值)."""
    await budget.compute_budget_point_value(job)


HANDLERS = {budget.BUDGET_JOB: compute_budget}
