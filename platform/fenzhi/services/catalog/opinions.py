"""Opinions of hospitals on groups (病种意见): given, answered with the next edition, read with it by everybody it concerns."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.book import edition_not_found, edition_row
from fenzhi.services.catalog.faults import fault, refuse
from fenzhi.services.catalog.lookups import sees_edition
from fenzhi.store.repositories import catalog, catalog_desk
from fenzhi.store.session import UnitOfWork, new_id

TEXT_MOST = 2_000
LISTED_MOST = 200


@dataclass(frozen=True, slots=True)
class OpinionView:
    """One opinion (意见)."""

    opinion_id: uuid.UUID
    group_code: str
    opinion: str
    cases: int | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class AnswerView:
    """The answer to the opinions on a group (意见答复)."""

    group_code: str
    outcome: str
    answer: str
    opinions: int
    recorded_at: datetime


def _text_faults(text: str, where: str) -> list[Refusal]:
    if 1 <= len(text.strip()) <= TEXT_MOST and not any(ord(sign) < 32 and sign not in "\n\t" for sign in text):
        return []
    return [
        fault(
            ("OPINION_TEXT", where, text[:40]),
            (f"须为 1 至 {TEXT_MOST} 字的文字。", f"A text of 1 to {TEXT_MOST} characters."),
            ("写明意见及依据。", "Say what is meant and why."),
        )
    ]


async def give_opinion(
    platform: Platform,
    submitter: Subject,
    request: Request,
    edition_id: uuid.UUID,
    group_code: str,
    opinion: str,
    cases: int | None,
) -> Answer:
    """Say what a hospital thinks of a group of a published edition (提出病种意见). `cases`: own cases it rests on, or None.

    Changes: group_opinion, which only grows. Raises: DataRefused, Conflict EDITION_NOT_PUBLISHED, NotFound.
    """
    submitter.scope_for(Duty.GIVE_OPINION)
    faults = _text_faults(opinion, "opinion")
    if cases is not None and not 0 <= cases <= 10_000_000:
        faults.append(
            fault(
                ("OPINION_CASES", "cases", str(cases)),
                ("例数须为非负整数。", "A number of cases is not negative."),
                ("核对例数。", "Check it."),
            )
        )
    refuse(faults)

    async def effect(uow: UnitOfWork) -> Answer:
        row = await edition_row(uow, edition_id)
        if row.state != "published":
            raise Conflict("目录版本尚未发布。", "The edition is not published.", code="EDITION_NOT_PUBLISHED")
        if await catalog.group_by_code(uow, edition_id, group_code) is None:
            raise _no_group()
        opinion_id = new_id()
        await catalog_desk.add_opinion(
            uow,
            {
                "opinion_id": opinion_id,
                "edition_id": edition_id,
                "group_code": group_code,
                "opinion": opinion.strip(),
                "cases": cases,
                "given_by": uuid.UUID(uow.scope.account_id),
                "given_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "GroupOpinion", "id": str(opinion_id)}

    return await act(platform, submitter, Duty.GIVE_OPINION, request, effect)


def _no_group() -> NotFound:
    return NotFound(
        "该版本没有这个病种。",
        "The edition has no such group.",
        code="GROUP_NOT_FOUND",
        hint="核对病种编码 / check the group code",
    )


async def answer_opinions(
    platform: Platform,
    editor: Subject,
    request: Request,
    edition_id: uuid.UUID,
    group_code: str,
    next_code: str,
    outcome: str,
    answer: str,
) -> Answer:
    """Answer every opinion on a group, with the next edition (答复病种意见): read by all once that edition is published.

    Changes: opinion_answer. Raises: DataRefused, Conflict NO_OPINIONS, OPINIONS_ANSWERED, EDITION_NOT_DRAFT, NotFound.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse(_text_faults(answer, "answer"))

    async def effect(uow: UnitOfWork) -> Answer:
        await edition_row(uow, edition_id)
        following = await catalog.edition_by_code(uow, next_code)
        if following is None:
            raise edition_not_found()
        if following.state not in ("draft", "in_review") or following.edition_id == edition_id:
            raise Conflict(
                "答复须随尚未发布的下一版。",
                "An answer goes with a next edition that is not published yet.",
                code="EDITION_NOT_DRAFT",
                hint="先起草下一版 / draft the next edition first",
            )
        count = await catalog_desk.opinion_count(uow, uow.scope.area_ids, edition_id, group_code)
        if count == 0:
            raise Conflict(
                "该病种没有意见。",
                "There are no opinions on this group.",
                code="NO_OPINIONS",
                hint="只答复有意见的病种 / answer groups that have opinions",
            )
        if await catalog_desk.answered(uow, edition_id, following.edition_id, group_code):
            raise Conflict(
                "该病种的意见已随该版答复。",
                "The opinions on this group were answered with that edition.",
                code="OPINIONS_ANSWERED",
                hint="在下一版中补充答复 / add to it with a later edition",
            )
        await catalog_desk.add_answer(
            uow,
            {
                "answer_id": new_id(),
                "edition_id": edition_id,
                "next_edition_id": following.edition_id,
                "group_code": group_code,
                "outcome": outcome,
                "answer": answer.strip(),
                "opinions": count,
                "answered_by": uuid.UUID(uow.scope.account_id),
                "answered_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "CatalogEdition", "id": str(following.edition_id)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


async def opinions(
    platform: Platform, subject: Subject, edition_id: uuid.UUID, group_code: str | None
) -> Sequence[OpinionView]:
    """The opinions on an edition's groups that the subject may read, newest first (病种意见): a hospital its own."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.edition_by_id(uow, edition_id)
        if row is None or not sees_edition(subject, row.state):
            return []
        areas = uow.scope.area_ids or ((uow.scope.area_id,) if uow.scope.area_id is not None else ())
        rows = await catalog_desk.opinions(uow, areas, edition_id, group_code, LISTED_MOST)
        return [OpinionView(one.opinion_id, one.group_code, one.opinion, one.cases, one.recorded_at) for one in rows]


async def answers(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> Sequence[AnswerView]:
    """The answers given with an edition (意见答复): for whoever sees the edition."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.edition_by_id(uow, edition_id)
        if row is None or not sees_edition(subject, row.state):
            return []
        rows = await catalog_desk.answers(uow, edition_id)
        return [AnswerView(one.group_code, one.outcome, one.answer, one.opinions, one.recorded_at) for one in rows]
