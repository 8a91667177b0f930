"""Scorecard jobs (评价作业)."""

from __future__ import annotations

from fenzhi.services.acts import Platform
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.scorecard import draft_scorecards, quality_league


async def draft(_platform: Platform, job: JobInHand) -> None:
    """Draft the scorecards of a quarter (起草)."""
    await draft_scorecards.draft(job)


async def draft_league(_platform: Platform, job: JobInHand) -> None:
    """Draft the league of data quality of a month (起草排名)."""
    await quality_league.draft_league(job)


HANDLERS = {draft_scorecards.DRAFT_JOB: draft, quality_league.LEAGUE_JOB: draft_league}
