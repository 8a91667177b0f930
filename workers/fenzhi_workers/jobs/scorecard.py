"""Scorecard jobs (评价作业)."""

from __future__ import annotations

from fenzhi.services.acts import Platform
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.scorecard import draft_scorecards


async def draft(_platform: Platform, job: JobInHand) -> None:
    """Draft the scorecards of a quarter (起草)."""
    await draft_scorecards.draft(job)


HANDLERS = {draft_scorecards.DRAFT_JOB: draft}
