"""Hearing a case (评审): the panel by lot, recusals drawn again and logged, the two-step vote."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.deadlines.legal_clocks import Clock, answer_deadline
from fenzhi.rules.deadlines.working_days import policy_working_days
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.rules.review.panel import Drawn, NotOnPanel, Panel, draw_panel, order_of, redraw
from fenzhi.rules.review.vote import StepOne, Verdict, VoteRefused, decide
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.fund.faults import text_fault
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.review.applications import found_case, moved, wrong_state
from fenzhi.services.review.experts import as_expert
from fenzhi.store.repositories import review
from fenzhi.store.session import UnitOfWork

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LAST_ROUND = 2


@dataclass(frozen=True, slots=True)
class Ballot:
    """A vote as it stands on the signed sheet (表决票). `step` 1: yes, no, abstain; 2: item, adjusted."""

    expert: str
    step: int
    choice: str
    sheet_sha256: str


async def draw(platform: Platform, clerk: Subject, request: Request, special_case: str) -> Answer:
    """Draw the panel of an admitted case by lot (抽取专家组), once a round.

    The seed is made by the server in the moment of the draw, from 256 random bits and the application, and is recorded with the
    candidates: nobody chooses it, and anyone repeats the draw. A second round hears the case before other experts.
    Policy: special_case.panel_size. Changes: special_case_draw (append-only), special_case admitted → hearing.
    Raises: NotFound, Conflict SPECIAL_CASE_STATE, TooFewExperts, PANEL_SIZE_EVEN, PolicyNotEntered.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await found_case(uow, special_case)
        answer = await moved(uow, row, ("admitted",), {"state": "hearing"})
        policy = await resolved_policy(uow, await uow.today(), insurance=row.insurance)
        size = policy.integer("special_case.panel_size")
        if size % 2 == 0:
            raise Conflict("专家组人数须为单数。", "A panel has an odd number of members.", code="PANEL_SIZE_EVEN")
        heard = {line.expert_code for line in await review.draws(uow, row.special_case_id)}
        stored = {one.code: one for one in await review.active_experts(uow) if one.code not in heard}
        pool = [as_expert(one) for one in stored.values()]
        seed = sha256(f"{secrets.token_hex(32)}\n{row.special_case_id}\n{row.round}".encode()).hexdigest()
        panel = draw_panel(seed, pool, size=size, hospital=row.hospital_code, specialty=row.specialty)
        free = [one.expert_id for one in pool if one.may_judge(row.hospital_code, row.specialty)]
        await review.add_draws(uow, [_line(row, stored, panel.seed, line, free) for line in panel.log])
        return answer

    return await act(platform, clerk, Duty.RUN_REVIEW, request, effect)


def _line(row: Row[Any], stored: dict[str, Row[Any]], seed: str, line: Drawn, free: Sequence[str]) -> dict[str, Any]:
    return {
        "special_case_id": row.special_case_id,
        "round": row.round,
        "place": line.place,
        "expert_id": stored[line.expert_id].expert_id,
        "expert_code": line.expert_id,
        "redraw_of": line.redraw_of,
        "reason": line.reason,
        "seed": seed,
        "candidates": order_of(seed, free),
    }


def panel_of(lines: Sequence[Row[Any]], round_: int) -> Panel:
    """The panel that a log leads to (由抽取记录得专家组)."""
    log = tuple(Drawn(r.place, r.expert_code, r.redraw_of, r.reason) for r in lines if r.round == round_)
    members: list[str] = []
    for line in log:
        if line.redraw_of:
            members[members.index(line.redraw_of)] = line.expert_id
        else:
            members.append(line.expert_id)
    return Panel(next((r.seed for r in lines if r.round == round_), ""), tuple(members), log)


async def recuse(
    platform: Platform, clerk: Subject, request: Request, special_case: str, expert: str, reason: str
) -> Answer:
    """Replace a member who recuses or is challenged, by the next lot of the same draw (回避重抽); logged with the reason.

    Changes: special_case_draw. Raises: NotFound, DataRefused, NotOnPanel, TooFewExperts, Conflict SPECIAL_CASE_STATE, EXPERT_HAS_VOTED.
    """
    faults = text_fault("REASON_MISSING", "reason", reason, "回避理由", "The reason")

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        row = await found_case(uow, special_case)
        answer = await moved(uow, row, ("hearing",), {"state": "hearing"})
        lines = await review.draws(uow, row.special_case_id)
        panel = panel_of(lines, row.round)
        if any(v.expert_code == expert and v.round == row.round for v in await review.votes(uow, row.special_case_id)):
            raise Conflict("该专家已表决，不能回避。", "The expert has voted already.", code="EXPERT_HAS_VOTED")
        heard = {line.expert_code for line in lines if line.round != row.round}
        stored = {one.code: one for one in await review.active_experts(uow) if one.code not in heard}
        pool = [as_expert(one) for one in stored.values()]
        after = redraw(panel, pool, leaving=expert, reason=reason, hospital=row.hospital_code, specialty=row.specialty)
        free = [one.expert_id for one in pool if one.may_judge(row.hospital_code, row.specialty)]
        await review.add_draws(uow, [_line(row, stored, panel.seed, after.log[-1], free)])
        return answer

    return await act(platform, clerk, Duty.RUN_REVIEW, request, effect)


async def record_vote(
    platform: Platform, clerk: Subject, request: Request, special_case: str, ballot: Ballot
) -> Answer:
    """Record a vote of a panel member with the digest of the signed sheet (登记表决); it never changes.

    The first step asks whether the case is special, the second how it is paid; each is decided by more than half of the members. A
    refusal opens the clock of appeal in working days; a second step without a majority is heard anew, once.
    Policy: deadline.appeal_working_days, working_calendar. Changes: special_case_vote, special_case.
    Raises: NotFound, DataRefused, VoteRefused, NotOnPanel, Conflict SPECIAL_CASE_STATE, VOTE_TWICE, CALENDAR_NOT_PUBLISHED.
    """
    faults = _ballot_faults(ballot)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        row = await found_case(uow, special_case)
        answer = await moved(uow, row, ("hearing",), {"state": "hearing"})
        panel = panel_of(await review.draws(uow, row.special_case_id), row.round)
        if ballot.expert not in panel.members:
            raise NotOnPanel(
                f"专家 {ballot.expert} 不在本次专家组中。",
                f"Expert {ballot.expert} is not on the panel.",
                expert=ballot.expert,
            )
        before = await _result(uow, row, panel)
        if ballot.step == 2 and before[0] < len(panel.members) // 2 + 1:
            raise VoteRefused("第一步未通过，不能表决付费方式。", "The first step has not passed: there is no second.")
        stored = await review.add_vote(
            uow,
            {
                "special_case_id": row.special_case_id,
                "round": row.round,
                "step": ballot.step,
                "expert_code": ballot.expert,
                "choice": ballot.choice,
                "sheet_sha256": ballot.sheet_sha256,
            },
        )
        if not stored:
            raise Conflict("该专家在本步已表决。", "The expert has voted on this step.", code="VOTE_TWICE")
        _, verdict = await _result(uow, row, panel)
        await _conclude(uow, row, verdict)
        return answer

    return await act(platform, clerk, Duty.RUN_REVIEW, request, effect)


def _ballot_faults(ballot: Ballot) -> list[Refusal]:
    found = []
    allowed = {1: ("yes", "no", "abstain"), 2: ("item", "adjusted")}.get(ballot.step, ())
    if ballot.choice not in allowed:
        found.append(Refusal("VOTE_CHOICE", "choice", f"{ballot.step}/{ballot.choice}"[:60],
                             "第一步表决是、否或弃权，第二步表决按项目付费或调整分值。",
                             "The first step votes yes, no or abstain, the second item or adjusted.", "核对表决票。",
                             "Check the sheet."))  # fmt: skip
    if not _DIGEST.fullmatch(ballot.sheet_sha256):
        found.append(Refusal("EVIDENCE_DIGEST", "sheetSha256", ballot.sheet_sha256[:70],
                             "表决票摘要须为 64 位小写十六进制 SHA-256。", "A digest is a SHA-256 in 64 lower-case hex digits.",
                             "按表决票原件重新计算摘要。", "Compute it over the sheet."))  # fmt: skip
    return found


async def _result(uow: UnitOfWork, row: Row[Any], panel: Panel) -> tuple[int, Verdict]:
    """How many said yes in the first step, and where the vote stands."""
    cast = [vote for vote in await review.votes(uow, row.special_case_id) if vote.round == row.round]
    first = {vote.expert_code: StepOne(vote.choice) for vote in cast if vote.step == 1}
    second = {vote.expert_code: Verdict(vote.choice) for vote in cast if vote.step == 2}
    yes = sum(choice is StepOne.YES for choice in first.values())
    return yes, decide(panel.members, first, second).verdict


async def _conclude(uow: UnitOfWork, row: Row[Any], verdict: Verdict) -> None:
    if verdict is Verdict.OPEN:
        return
    today = await uow.today()
    if verdict in (Verdict.ITEM, Verdict.ADJUSTED):
        values: dict[str, Any] = {"state": "voted", "verdict": verdict.value, "decided_on": today}
    elif verdict is Verdict.NO_MAJORITY and row.round < _LAST_ROUND:
        values = {"state": "admitted", "round": row.round + 1}
    else:
        due = await _appeal_due(uow, row, today) if row.round < _LAST_ROUND else None
        values = {"state": "refused", "verdict": Verdict.REFUSED.value, "decided_on": today, "appeal_due_on": due}
    if not await review.move(uow, row.special_case_id, ("hearing",), values):
        raise wrong_state(row)


async def _appeal_due(uow: UnitOfWork, row: Row[Any], today: date) -> date:
    policy = await resolved_policy(uow, today, insurance=row.insurance)
    days = policy.integer("deadline.appeal_working_days")
    found = answer_deadline(Clock.APPEAL, today, days, policy_working_days(policy))
    if found.ends is None:
        raise Conflict(
            f"{found.unpublished_year} 年的放假安排尚未录入，无法计算申诉期限。",
            f"The calendar of {found.unpublished_year} has not been entered, so the clock of appeal cannot be counted.",
            code="CALENDAR_NOT_PUBLISHED",
        )
    return found.ends


def workload_key(line: Row[Any]) -> tuple[uuid.UUID, int]:
    """Case and round of a line (病例与轮次)."""
    return (line.special_case_id, line.round)
