"""The area's list of experts (专家库): entered by code, without names, with what each may not judge."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.rules.review.panel import Expert
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.fund.faults import text_fault
from fenzhi.store.repositories import review
from fenzhi.store.session import UnitOfWork

_CODE = re.compile(r"[0-9A-Za-z\-]{1,40}")
_WORD = re.compile(r"[\w\-·（）()]{1,40}")
LIST_MOST = 50


@dataclass(frozen=True, slots=True)
class EnterExpert:
    """An order to enter an expert (录入专家). `recused_from`: hospitals the expert may not judge besides the own one."""

    code: str
    hospital: str
    specialties: tuple[str, ...]
    recused_from: tuple[str, ...]
    document: str


@dataclass(frozen=True, slots=True)
class ExpertView:
    """An expert of an area's list (专家)."""

    expert_id: uuid.UUID
    area_code: str
    code: str
    hospital_code: str
    specialties: tuple[str, ...]
    recused_from: tuple[str, ...]
    document: str
    is_active: bool
    recorded_at: datetime


def _view(row: Row[Any]) -> ExpertView:
    return ExpertView(
        row.expert_id,
        row.area_code,
        row.code,
        row.hospital_code,
        tuple(row.specialties),
        tuple(row.recused_from),
        row.document,
        row.is_active,
        row.recorded_at,
    )


def as_expert(row: Row[Any]) -> Expert:
    """A stored expert in the words of the rules (专家)."""
    return Expert(row.code, row.hospital_code, frozenset(row.specialties), frozenset(row.recused_from))


def word_fault(code: str, where: str, value: str, zh: str, en: str) -> list[Refusal]:
    """A fault of a code or short word (编码校验)."""
    if _WORD.fullmatch(value):
        return []
    return [Refusal(code, where, value[:60], f"{zh}须为 1 至 40 个字母、数字或汉字。", f"{en} has 1 to 40 letters or digits.",
                    "核对后重试。", "Check it.")]  # fmt: skip


def _faults(order: EnterExpert) -> list[Refusal]:
    found = text_fault("DOCUMENT_MISSING", "document", order.document, "依据文件", "The document")
    if not _CODE.fullmatch(order.code):
        found.append(Refusal("EXPERT_CODE_SHAPE", "code", order.code[:60], "专家编码须为 1 至 40 位字母或数字，不得为姓名。",
                             "An expert's code has 1 to 40 letters or digits; it is not a name.", "使用专家库编码。",
                             "Use the code of the list."))  # fmt: skip
    if not 1 <= len(order.specialties) <= LIST_MOST or len(order.recused_from) > LIST_MOST:
        found.append(Refusal("EXPERT_LISTS_COUNT", "specialties", str(len(order.specialties)),
                             f"专业须为 1 至 {LIST_MOST} 项，回避机构至多 {LIST_MOST} 家。",
                             f"Give 1 to {LIST_MOST} specialties and at most {LIST_MOST} hospitals.", "核对名单。",
                             "Check the lists."))  # fmt: skip
    for number, word in enumerate(order.specialties):
        found += word_fault("SPECIALTY_SHAPE", f"specialties.{number}", word, "专业", "A specialty")
    for number, word in enumerate((order.hospital, *order.recused_from)):
        found += word_fault("HOSPITAL_CODE_SHAPE", f"hospitals.{number}", word, "机构编码", "An institution code")
    return found


async def enter_expert(platform: Platform, clerk: Subject, request: Request, order: EnterExpert) -> Answer:
    """Enter an expert of the area's list (录入专家). The own hospital may lie in another area.

    Changes: review_expert. Raises: DataRefused with every fault at once, Conflict EXPERT_EXISTS.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        expert_id = await review.add_expert(
            uow,
            {
                "code": order.code,
                "hospital_code": order.hospital,
                "specialties": sorted(set(order.specialties)),
                "recused_from": sorted(set(order.recused_from)),
                "document": order.document,
                "entered_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        if expert_id is None:
            raise Conflict(
                f"专家编码 {order.code} 已存在。", f"Expert {order.code} exists already.", code="EXPERT_EXISTS"
            )
        return {"type": "ReviewExpert", "id": str(expert_id)}

    return await act(platform, clerk, Duty.RUN_REVIEW, request, effect)


async def retire_expert(platform: Platform, clerk: Subject, request: Request, expert_id: str) -> Answer:
    """Take an expert off the list (专家出库): no later draw finds the expert; panels drawn stand.

    Changes: review_expert. Raises: NotFound, Conflict EXPERT_RETIRED.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        key = as_id(expert_id, "expert")
        if await review.expert_by_id(uow, key) is None:
            raise NotFound("没有该专家。", "No such expert.")
        if not await review.retire_expert(uow, key):
            raise Conflict("该专家已出库。", "The expert is off the list already.", code="EXPERT_RETIRED")
        return {"type": "ReviewExpert", "id": str(key)}

    return await act(platform, clerk, Duty.RUN_REVIEW, request, effect)


async def experts(platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int) -> Sequence[ExpertView]:
    """One page of the area's experts (专家列表)."""
    async with looking(platform, subject, Duty.RUN_REVIEW) as uow:
        return [_view(row) for row in await review.experts(uow, after, limit)]


async def expert(platform: Platform, subject: Subject, expert_id: uuid.UUID) -> ExpertView | None:
    """One expert, or none in this scope (专家)."""
    async with looking(platform, subject, Duty.RUN_REVIEW) as uow:
        row = await review.expert_by_id(uow, expert_id)
        return None if row is None else _view(row)
