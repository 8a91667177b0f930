"""Provisional groups before their panel (临时病种): proposed, heard, decided by a second person, ended or absorbed by an edition."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.catalog.disease_group import diagnosis_keys
from fenzhi.rules.catalog.edition import score_has_places
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.provisional_groups import granularity_of
from fenzhi.rules.refusals import Conflict, NotFound, Refusal
from fenzhi.rules.review.panel import draw_panel
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog.book import edition_row, load_book
from fenzhi.services.catalog.faults import document_faults, fault, reason_faults, refuse
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.review.experts import as_expert
from fenzhi.services.scoring.basis import edition_on
from fenzhi.store.repositories import catalog, provisional, review
from fenzhi.store.session import UnitOfWork, new_id

PROCEDURES_MOST = 10
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TYPE = "ProvisionalGroup"


@dataclass(frozen=True, slots=True)
class NewProvisionalGroup:
    """A kind of case to be put before a panel (临时病种提案). Units: points; days, both included."""

    diagnosis: str
    procedures: tuple[str, ...]
    name: str
    score: Decimal
    first_day: date
    last_day: date
    specialty: str
    document: str


@dataclass(frozen=True, slots=True)
class PanelVote:
    """A member's vote (专家表决)."""

    expert: str
    in_favour: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """An order to end a group before its last day (终止或并入目录). With an edition it is absorbed by a group of it."""

    last_day: date
    reason: str
    document: str
    edition_id: uuid.UUID | None = None
    absorbed_by: str = ""


def _order_faults(order: NewProvisionalGroup) -> list[Refusal]:
    faults = document_faults(order.document)
    if granularity_of(order.diagnosis) is None:
        faults.append(
            fault(
                ("PROVISIONAL_DIAGNOSIS", "diagnosis", order.diagnosis),
                ("诊断须为类目、亚目或全码。", "The diagnosis is a category, a subcategory or a full code."),
                ("填写如 I63、I63.9、I63.900 的编码。", "Give a code such as I63, I63.9 or I63.900."),
            )
        )
    codes = order.procedures
    if len(codes) > PROCEDURES_MOST or len(set(codes)) != len(codes):
        faults.append(
            fault(
                ("PROVISIONAL_PROCEDURES", "procedures", " ".join(codes)),
                (
                    f"手术操作至多 {PROCEDURES_MOST} 个，不得重复。",
                    f"At most {PROCEDURES_MOST} procedures, none of them twice.",
                ),
                ("核对手术操作。", "Check the procedures."),
            )
        )
    if not 1 <= len(order.name.strip()) <= 100:
        faults.append(
            fault(
                ("PROVISIONAL_NAME", "name", order.name),
                ("须有名称，不超过 100 字。", "A name is needed, of at most 100 characters."),
                ("填写病种名称。", "Give the kind of case a name."),
            )
        )
    if not order.score.is_finite() or order.score <= 0:
        faults.append(
            fault(
                ("PROVISIONAL_SCORE", "score", str(order.score)),
                ("分值须大于 0。", "The score is above zero."),
                ("填写大于 0 的分值。", "Give a score above zero."),
            )
        )
    if order.last_day < order.first_day:
        faults.append(_days(order, "失效日期早于生效日期。", "The last day is before the first."))
    return faults


def _days(order: NewProvisionalGroup, zh: str, en: str) -> Refusal:
    return fault(
        ("PROVISIONAL_DAYS", "lastDay", f"{order.first_day}..{order.last_day}"),
        (zh, en),
        ("更正有效期。", "Correct the days."),
    )


async def propose(platform: Platform, clerk: Subject, request: Request, order: NewProvisionalGroup) -> Answer:
    """Put an unmatched kind of case before a panel drawn by lot (提出临时病种). Seed and panel are recorded with it.

    The kind must occur among the area's cases and be left without a group by the edition in force on the first day, by the area's own
    choices. Policy: catalog.provisional_panel_size, provisional_most_days, grouping.*. Changes: provisional_group (append-only).
    Raises: DataRefused with every fault, PolicyNotEntered, TooFewExperts, Conflict PROVISIONAL_NO_EDITION, PROVISIONAL_KIND_MATCHED,
    PROVISIONAL_NO_CASES, PANEL_SIZE_EVEN.
    """
    clerk.scope_for(Duty.EDIT_OVERLAY)
    refuse(_order_faults(order))

    async def effect(uow: UnitOfWork) -> Answer:
        edition = await edition_on(uow, order.first_day)
        if edition is None:
            raise Conflict(
                "生效日期没有适用的目录版本。",
                "No edition is in force on the first day.",
                code="PROVISIONAL_NO_EDITION",
            )
        policy = await resolved_policy(uow, order.first_day)
        longest = "catalog.provisional_most_days"
        most = policy.integer(longest) if policy.has(longest) else None
        faults = []
        if most is not None and order.last_day > order.first_day + timedelta(days=most - 1):
            faults.append(_days(order, f"有效期不得超过 {most} 天。", f"At most {most} days may be in force."))
        book = await load_book(uow, edition.edition_id)
        faults += _against(order, book, edition.score_decimals)
        refuse(faults)
        if not _uncovered(order, book, policy):
            raise Conflict(
                "目录已有病种收治该类病例，无须临时病种。",
                "The edition in force groups such cases already.",
                code="PROVISIONAL_KIND_MATCHED",
                hint="用 unmatchedKinds 查询未入组的病例种类 / unmatchedKinds lists what is left without a group",
            )
        found = await provisional.cases_of_kind(uow, order.diagnosis, order.procedures, await uow.today())
        if found is None or found.cases == 0:
            raise Conflict("本统筹区没有该类病例。", "The area has no case of this kind.", code="PROVISIONAL_NO_CASES")
        size = policy.integer("catalog.provisional_panel_size")
        if size % 2 == 0:
            raise Conflict("专家组人数须为单数。", "A panel has an odd number of members.", code="PANEL_SIZE_EVEN")
        provisional_id = new_id()
        seed = sha256(f"{secrets.token_hex(32)}\n{provisional_id}".encode()).hexdigest()
        experts = [as_expert(one) for one in await review.active_experts(uow)]
        panel = draw_panel(seed, experts, size=size, hospital="", specialty=order.specialty)
        await provisional.lock(uow, uuid.UUID(int=uow.scope.area))
        row = {
            "provisional_id": provisional_id,
            "group_code": f"LS{await provisional.count(uow) + 1:04d}",
            "diagnosis": order.diagnosis,
            "procedures": list(order.procedures),
            "name": order.name.strip(),
            "score": order.score,
            "scale": edition.scale,
            "edition_id": edition.edition_id,
            "first_day": order.first_day,
            "last_day": order.last_day,
            "cases": found.cases,
            "total_fen": found.total_fen,
            "document": order.document.strip(),
            "seed": seed,
            "panel": list(panel.members),
            "proposed_by_person": uuid.UUID(uow.scope.person_id),
        }
        await provisional.add_group(uow, row)
        return {"type": _TYPE, "id": str(provisional_id)}

    return await act(platform, clerk, Duty.EDIT_OVERLAY, request, effect)


def _against(order: NewProvisionalGroup, book: CatalogBook, places: int) -> list[Refusal]:
    """Faults that only the edition tells: unknown codes, too many places."""
    tables = book.edition.tables
    faults = []
    unknown = [one for one in order.procedures if not tables.knows_procedure(one)]
    if not tables.knows_diagnosis(order.diagnosis):
        unknown = [order.diagnosis, *unknown]
    if unknown:
        faults.append(
            fault(
                ("PROVISIONAL_CODE_UNKNOWN", "diagnosis", " ".join(unknown)),
                ("编码不在目录所用的代码表内。", "The code tables of the edition do not know a code."),
                ("使用代码表内的编码。", "Use codes of the code tables."),
            )
        )
    if not score_has_places(order.score, places):
        faults.append(
            fault(
                ("PROVISIONAL_SCORE", "score", str(order.score)),
                (f"分值小数位超过目录的 {places} 位。", f"The score has more than the edition's {places} decimals."),
                ("按目录的小数位填写。", "Give it with the edition's decimals."),
            )
        )
    return faults


def _uncovered(order: NewProvisionalGroup, book: CatalogBook, policy: Any) -> bool:
    """Does the edition leave any diagnosis under the key with these procedures without a group (是否目录未覆盖)?"""
    method = grouping_method_of(policy)
    codes = (
        code
        for code in book.edition.tables.diagnoses
        if code.startswith(order.diagnosis[:3]) and order.diagnosis in {key for _, key in diagnosis_keys(code)}
    )
    return any(
        group_case(InpatientCase("", code, order.procedures), book, method).reason.is_uncovered for code in codes
    )


async def hear(
    platform: Platform,
    clerk: Subject,
    request: Request,
    provisional_id: uuid.UUID,
    votes: Sequence[PanelVote],
    sheet_sha256: str,
) -> Answer:
    """Record the vote of the whole panel with the digest of the signed sheet (登记专家表决); more than half carry it.

    Changes: provisional_vote, provisional_act (append-only). Raises: NotFound, DataRefused, Conflict PROVISIONAL_STATE.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row, acts = await _locked(uow, provisional_id)
        _expect(acts, None)
        faults = []
        if sorted(one.expert for one in votes) != sorted(row.panel):
            faults.append(
                fault(
                    ("PROVISIONAL_PANEL", "votes", " ".join(one.expert for one in votes)),
                    ("须登记每位专家的一票，且只登记一票。", "Every member of the panel votes once."),
                    (f"专家组为 {'、'.join(row.panel)}。", f"The panel is {', '.join(row.panel)}."),
                )
            )
        if _DIGEST.fullmatch(sheet_sha256) is None:
            faults.append(
                fault(
                    ("PROVISIONAL_SHEET", "sheetSha256", sheet_sha256),
                    ("须附签字表决表的 SHA-256 摘要。", "The SHA-256 digest of the signed sheet is needed."),
                    ("填写 64 位小写十六进制摘要。", "Give 64 small hexadecimal digits."),
                )
            )
        refuse(faults)
        await provisional.add_votes(
            uow,
            [
                {"provisional_id": provisional_id, "expert_code": one.expert, "in_favour": one.in_favour}
                for one in votes
            ],
        )
        carried = 2 * sum(one.in_favour for one in votes) > len(votes)
        await _add(uow, acts, provisional_id, "carried" if carried else "refused", sheet_sha256=sheet_sha256)
        return {"type": _TYPE, "id": str(provisional_id)}

    return await act(platform, clerk, Duty.EDIT_OVERLAY, request, effect)


async def end(platform: Platform, clerk: Subject, request: Request, provisional_id: uuid.UUID, order: Ending) -> Answer:
    """Propose that an approved group ends, or is absorbed by a group of a published edition (提请终止或并入).

    Absorbed, its last day is at most the day before the edition begins. Finished runs keep what they have. Changes: provisional_act
    (append-only). Raises: NotFound, DataRefused with every fault, Conflict PROVISIONAL_STATE, PROVISIONAL_NOT_ABSORBED.
    """
    clerk.scope_for(Duty.EDIT_OVERLAY)
    refuse([*document_faults(order.document), *reason_faults(order.reason)])

    async def effect(uow: UnitOfWork) -> Answer:
        row, acts = await _locked(uow, provisional_id)
        _expect(acts, "approved", "end_rejected")
        if not row.first_day <= order.last_day < row.last_day:
            refuse(
                [
                    fault(
                        ("PROVISIONAL_DAYS", "lastDay", order.last_day.isoformat()),
                        (
                            "终止日须在有效期内且早于失效日期。",
                            "The new last day lies within its days, before the old one.",
                        ),
                        ("更正终止日。", "Correct the day."),
                    )
                ]
            )
        if order.edition_id is not None:
            edition = await edition_row(uow, order.edition_id)
            known = {one.group_code for one in await catalog.groups(uow, edition.edition_id)}
            if (
                edition.state != "published"
                or order.absorbed_by not in known
                or order.last_day >= edition.effective_from
            ):
                raise Conflict(
                    "须为已发布目录中的病种，且终止日早于该目录生效日期。",
                    "It is absorbed by a group of a published edition, and ends before that edition begins.",
                    code="PROVISIONAL_NOT_ABSORBED",
                )
        await _add(
            uow,
            acts,
            provisional_id,
            "end_proposed",
            last_day=order.last_day,
            edition_id=order.edition_id,
            absorbed_by=order.absorbed_by if order.edition_id is not None else None,
            reason=order.reason.strip(),
            document=order.document.strip(),
        )
        return {"type": _TYPE, "id": str(provisional_id)}

    return await act(platform, clerk, Duty.EDIT_OVERLAY, request, effect)


async def decide(
    platform: Platform, approver: Subject, request: Request, provisional_id: uuid.UUID, *, approve: bool
) -> Answer:
    """Approve or reject what is waiting, as a second person (审批临时病种): a proposal its panel carried, or an end.

    Changes: provisional_act (append-only). Raises: SamePerson, NotFound, Conflict PROVISIONAL_STATE.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row, acts = await _locked(uow, provisional_id)
        _expect(acts, "carried", "end_proposed")
        waiting = acts[-1]
        is_end = waiting.act == "end_proposed"
        first = waiting.person if is_end else row.proposed_by_person
        if approve:
            require_second_person(str(first), uow.scope.person_id)
            if not is_end:
                require_second_person(str(waiting.person), uow.scope.person_id)
        named = ("end_rejected", "ended") if is_end else ("rejected", "approved")
        more = {name: getattr(waiting, name) for name in ("last_day", "edition_id", "absorbed_by")} if is_end else {}
        await _add(
            uow,
            acts,
            provisional_id,
            named[approve],
            first_person=first,
            document=waiting.document if is_end else row.document,
            reason=waiting.reason,
            **more,
        )
        return {"type": _TYPE, "id": str(provisional_id)}

    return await act(platform, approver, Duty.APPROVE_OVERLAY, request, effect)


async def _locked(uow: UnitOfWork, provisional_id: uuid.UUID) -> tuple[Row[Any], Sequence[Row[Any]]]:
    row = await provisional.by_id(uow, provisional_id)
    if row is None:
        raise NotFound(
            "没有该临时病种。",
            "No such provisional group.",
            code="PROVISIONAL_NOT_FOUND",
            hint="用 provisionalGroups 查询 / list them with provisionalGroups",
        )
    await provisional.lock(uow, provisional_id)
    return row, await provisional.acts(uow, [provisional_id])


def _expect(acts: Sequence[Row[Any]], *wanted: str | None) -> None:
    last = acts[-1].act if acts else None
    if last not in wanted:
        raise Conflict(
            "该临时病种当前状态不能办理此事项。",
            "The provisional group is not in a state for this step.",
            code="PROVISIONAL_STATE",
            hint="刷新后查看办理记录 / look at its acts again",
        )


async def _add(uow: UnitOfWork, acts: Sequence[Row[Any]], provisional_id: uuid.UUID, name: str, **more: Any) -> None:
    row = {
        "provisional_id": provisional_id,
        "place": len(acts) + 1,
        "act": name,
        "first_person": None,
        "person": uuid.UUID(uow.scope.person_id),
        "sheet_sha256": "",
        "last_day": None,
        "edition_id": None,
        "absorbed_by": None,
        "reason": "",
        "document": "",
    }
    await provisional.add_act(uow, row | more)
