"""Drafting the scorecards of a quarter (考核评价起草): wanted by a clerk, drafted by a worker, approved by a second person, published."""

from __future__ import annotations

import uuid
from datetime import date
from fractions import Fraction
from typing import Any

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.rules.scorecard.indicators import HospitalPeriod, Indicator, RatioTerm, indicators_of
from fenzhi.rules.scorecard.traffic_light import Light, OverallRule, light_limits, lights_of, overall_light
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog import book
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import quality_league, registry, scorecard
from fenzhi.store.session import UnitOfWork, new_id

DRAFT_JOB = "scorecard.draft"
_VALUE_PLACES = 4


class NothingPublished(Conflict):
    """The quarter has no published clearing to judge by (当季尚无已公布清算)."""

    code = "QUARTER_NOT_PUBLISHED"


class ScorecardsExist(Conflict):
    """The quarter has scorecards already (当季评价已存在)."""

    code = "SCORECARDS_EXIST"


class NothingToMove(Conflict):
    """No scorecard of the quarter is in the state that the step needs (没有可处理的评价)."""

    code = "SCORECARDS_NOT_READY"


def _checked(year: int, quarter: int) -> None:
    if not 2000 <= year <= 2100 or not 1 <= quarter <= 4:
        raise DataRefused(
            (
                Refusal(
                    "PERIOD_RANGE", "quarter", f"{year}Q{quarter}", "年度或季度不在范围内。", "Year or quarter out of range.",
                    "季度为 1 至 4。", "A quarter is 1 to 4.",
                ),
            )
        )  # fmt: skip


async def want_drafts(platform: Platform, clerk: Subject, request: Request, year: int, quarter: int) -> Answer:
    """Want the scorecards of a published quarter drafted (申请起草). Changes: job.

    Raises: NothingPublished, ScorecardsExist, Forbidden.
    """
    clerk.scope_for(Duty.DRAFT_SCORECARD)
    _checked(year, quarter)

    async def effect(uow: UnitOfWork) -> Answer:
        if not await scorecard.published_quarter_runs(uow, year, quarter):
            raise NothingPublished("当季尚无已公布的清算。", "The quarter has no published clearing.")
        if await scorecard.exists(uow, year, quarter):
            raise ScorecardsExist(
                "当季评价已存在。", "The quarter has scorecards already.", hint="先撤回草稿 / withdraw the drafts first"
            )
        job_id = await enqueue(uow, platform.doorbell, DRAFT_JOB, {"year": year, "quarter": quarter})
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, clerk, Duty.DRAFT_SCORECARD, request, effect)


async def draft(job: JobInHand) -> None:
    """Draft one scorecard per hospital from the quarter's published runs (起草). Changes: scorecard, scorecard_indicator.

    Policy: scorecard.indicators, scorecard.lights, scorecard.overall_light, as in force on the last day of the quarter.
    Raises: NothingPublished, PolicyNotEntered.
    """
    year, quarter = int(job.payload["year"]), int(job.payload["quarter"])
    result: dict[str, Any] = {}
    async with job.finishing(result) as uow:
        runs = await scorecard.published_quarter_runs(uow, year, quarter)
        if not runs:
            raise NothingPublished("当季尚无已公布的清算。", "The quarter has no published clearing.")
        if await scorecard.exists(uow, year, quarter):
            raise ScorecardsExist("当季评价已存在。", "The quarter has scorecards already.")
        last_day = date(year, quarter * 3, {1: 31, 2: 30, 3: 30, 4: 31}[quarter])
        policy = await resolved_policy(uow, last_day)
        codes, limits = policy.list("scorecard.indicators"), light_limits(policy)
        rule = OverallRule(policy.method("scorecard.overall_light"))
        run_ids = [run.run_id for run in runs]
        cards, lines = [], []
        for hospital_id, county_id, period in await _periods(uow, run_ids, year, quarter, last_day):
            found = indicators_of(period, codes)
            lights = lights_of(found, limits)
            card_id = new_id()
            place = {
                "area_id": uow.scope.area,
                "county_id": county_id,
                "hospital_id": hospital_id,
                "scorecard_id": card_id,
            }
            cards.append(
                place
                | {
                    "year": year,
                    "quarter": quarter,
                    "state": "draft",
                    "light": overall_light(lights.values(), rule).value,
                    "run_ids": [str(run_id) for run_id in run_ids],
                    "policy_fingerprint": policy.fingerprint(),
                    "job_id": job.claimed.job_id,
                    "drafted_by": uuid.UUID(job.scope.account_id),
                    "drafted_by_person": uuid.UUID(job.scope.person_id),
                }
            )
            lines += [
                place | {"seq": seq} | _line(one, lights.get(one.code, Light.GREY))
                for seq, one in enumerate(found, start=1)
            ]
        await scorecard.record(uow, cards, lines)
        result["scorecards"] = len(cards)


async def _periods(
    uow: UnitOfWork, run_ids: list[uuid.UUID], year: int, quarter: int, last_day: date
) -> list[tuple[int, int | None, HospitalPeriod]]:
    """What was counted for every hospital of the area in the quarter."""
    first, last = year * 100 + quarter * 3 - 2, year * 100 + quarter * 3
    counts = await scorecard.counts_by_hospital(uow, run_ids, first, last)
    groups = await scorecard.sums_by_group(uow, run_ids, first, last)
    uploads = await scorecard.first_uploads(uow, first, last)
    earlier = await scorecard.costs_of_history(uow, year - 1, quarter * 3 - 2, quarter * 3)
    quality: dict[int, list[Fraction]] = {}
    for row in await quality_league.scores_of_months(uow, first, last):
        score = Fraction(int(row.score_numerator), int(row.score_denominator))
        quality.setdefault(row.hospital, []).append(score)
    levels: dict[int, str] = {}
    for row in await registry.standings(uow, uow.scope.area):
        if row.effective_from <= last_day or row.hospital_id not in levels:
            levels[row.hospital_id] = row.level
    references = {
        edition: await book.references(uow, edition, year - 1) for edition in {row.edition_id for row in groups}
    }
    scales = {edition: (await book.load_book(uow, edition)).edition.scale for edition in references}
    terms: dict[int, tuple[list[RatioTerm], list[RatioTerm], Fraction]] = {}
    for row in groups:
        cost, time, score = terms.get(row.hospital_id, ([], [], Fraction(0)))
        known = references[row.edition_id]
        reference = known.get((row.group_code, levels.get(row.hospital_id, ""))) or known.get((row.group_code, ""))
        if reference is not None:
            cost.append(RatioTerm(int(row.cost_fen), row.cases, reference.total_fen, reference.n))
            time.append(RatioTerm(int(row.los_days), row.cases, reference.los_days, reference.n))
        weight = Fraction(row.score) * row.cases / scales[row.edition_id]
        terms[row.hospital_id] = (cost, time, score + weight)
    periods = []
    for row in counts:
        cost, time, score = terms.get(row.hospital_id, ([], [], Fraction(0)))
        judged, passed = uploads.get(row.hospital_id, (0, 0))
        earlier_cost, earlier_cases = earlier.get(row.hospital_id, (0, 0))
        period = HospitalPeriod(
            cases=row.cases,
            grouped_cases=row.grouped,
            score_sum=score,
            score_scale=1,
            cost_fen=int(row.cost_fen),
            high_outliers=row.high,
            low_outliers=row.low,
            lists_first_judged=judged,
            lists_first_passed=passed,
            cost_terms=tuple(cost),
            time_terms=tuple(time),
            earlier_cost_fen=earlier_cost,
            earlier_cases=earlier_cases,
            quality_scores=tuple(quality.get(row.hospital_id, ())),
        )
        periods.append((row.hospital_id, row.county_id, period))
    return periods


def _line(one: Indicator, light: Light) -> dict[str, Any]:
    value = decimal_places(one.value, _VALUE_PLACES) if one.value is not None else ""
    return {
        "code": one.code,
        "zh": one.zh,
        "en": one.en,
        "formula": one.formula,
        "unit": one.unit,
        "numerator": decimal_places(one.numerator, 6),
        "denominator": decimal_places(one.denominator, 6),
        "value": value,
        "light": light.value,
        "reason": f"{one.reason_zh} {one.reason_en}".strip(),
    }


async def approve(platform: Platform, approver: Subject, request: Request, year: int, quarter: int) -> Answer:
    """Approve every drafted scorecard of a quarter (审批), by a person who drafted none of them. Changes: scorecard."""
    approver.scope_for(Duty.APPROVE_SCORECARD)
    _checked(year, quarter)

    async def effect(uow: UnitOfWork) -> Answer:
        drafts = await scorecard.drafted(uow, year, quarter, "draft")
        for row in drafts:
            require_second_person(str(row.drafted_by_person), uow.scope.person_id)
        return {
            "type": "Scorecards",
            "id": f"{year}Q{quarter}",
            "moved": _moved(await scorecard.approve(uow, year, quarter)),
        }

    return await act(platform, approver, Duty.APPROVE_SCORECARD, request, effect)


async def publish(platform: Platform, approver: Subject, request: Request, year: int, quarter: int) -> Answer:
    """Publish every approved scorecard of a quarter to its hospital and county (公布). Changes: scorecard."""
    approver.scope_for(Duty.APPROVE_SCORECARD)
    _checked(year, quarter)

    async def effect(uow: UnitOfWork) -> Answer:
        return {
            "type": "Scorecards",
            "id": f"{year}Q{quarter}",
            "moved": _moved(await scorecard.publish(uow, year, quarter)),
        }

    return await act(platform, approver, Duty.APPROVE_SCORECARD, request, effect)


async def withdraw(platform: Platform, clerk: Subject, request: Request, year: int, quarter: int) -> Answer:
    """Withdraw drafts or approved scorecards of a quarter, so that they can be drafted anew (撤回). Published ones stay."""
    clerk.scope_for(Duty.DRAFT_SCORECARD)
    _checked(year, quarter)

    async def effect(uow: UnitOfWork) -> Answer:
        moved = _moved(await scorecard.withdraw(uow, year, quarter))
        return {"type": "Scorecards", "id": f"{year}Q{quarter}", "moved": moved}

    return await act(platform, clerk, Duty.DRAFT_SCORECARD, request, effect)


def _moved(count: int) -> int:
    if count == 0:
        raise NothingToMove(
            "当季没有处于所需状态的评价。", "No scorecard of the quarter is in the state this step needs."
        )
    return count
