"""Batches (上报批次): created, filled part by part, sealed in one act. Nothing counts before the seal."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.submission.ownership import BatchNotOpen, duty_of, open_batch
from fenzhi.services.submission.parts import PARTS_MOST, keep_received, received_part
from fenzhi.store.repositories import registry
from fenzhi.store.repositories import submission as store
from fenzhi.store.session import UnitOfWork, new_id

JUDGE_BATCH = "submission.judge_batch"
LISTS_MOST = 100
"""Typed lists of one mutation; more go by upload."""


class Purpose(StrEnum):
    """What a batch holds (批次用途)."""

    LISTS = "lists"
    HISTORY = "history"


class Mode(StrEnum):
    """Whether one refused row refuses the batch (受理方式)."""

    ATOMIC = "atomic"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class NewBatch:
    """An order for a batch (新建批次)."""

    purpose: Purpose
    mode: Mode
    label: str = ""


def _duty(purpose: Purpose) -> Duty:
    return Duty.SUBMIT_LISTS if purpose is Purpose.LISTS else Duty.IMPORT_HISTORY


def _checked(order: NewBatch) -> None:
    faults: list[Refusal] = []
    if len(order.label) > 200 or not order.label.isprintable():
        faults.append(
            Refusal(
                "LABEL_SHAPE",
                "label",
                order.label[:40],
                "批次说明至多 200 个可见字符。",
                "A label has at most 200 printable characters.",
                "缩短批次说明。",
                "Shorten the label.",
            )
        )
    if order.purpose is Purpose.HISTORY and order.mode is Mode.ATOMIC:
        faults.append(
            Refusal(
                "MODE_OF_HISTORY",
                "mode",
                order.mode.value,
                "历史病例逐行登记，不可用的按原因搁置，不能整批受理。",
                "History is kept row by row, set aside with a reason where it cannot be used; it has no atomic mode.",
                "使用 PARTIAL。",
                "Use PARTIAL.",
            )
        )
    if faults:
        raise DataRefused(tuple(faults))


async def create_batch(platform: Platform, subject: Subject, request: Request, order: NewBatch) -> Answer:
    """Open a batch for parts (新建批次). Changes: batch. Raises: Forbidden, DataRefused."""
    subject.scope_for(_duty(order.purpose))
    _checked(order)

    async def effect(uow: UnitOfWork) -> Answer:
        return {"type": "Batch", "id": str(await _open(uow, order))}

    return await act(platform, subject, _duty(order.purpose), request, effect)


async def _open(uow: UnitOfWork, order: NewBatch) -> uuid.UUID:
    scope, batch_id = uow.scope, new_id()
    county_id = scope.county_id
    if scope.hospital_id is not None:
        hospital = await registry.hospital_by_id(uow, scope.hospital_id)
        county_id = hospital.county_id if hospital is not None else county_id
    await store.add_batch(
        uow,
        {
            "batch_id": batch_id,
            "province_id": scope.province,
            "area_id": scope.area,
            "county_id": county_id,
            "hospital_id": scope.hospital_id,
            "purpose": order.purpose.value,
            "mode": order.mode.value,
            "state": "open",
            "label": order.label,
            "created_by": uuid.UUID(scope.account_id),
        },
    )
    return batch_id


async def seal_batch(
    platform: Platform, subject: Subject, request: Request, batch_id: uuid.UUID, parts: int, rows: int | None = None
) -> Answer:
    """Seal a batch and have it judged (封存批次): all parts 1 to `parts` must be there and no other.

    `rows`: where stated, a batch that turns out to hold another number of rows is refused whole.

    Changes: batch, job; both commit together. Raises: Forbidden, NotFound, BatchNotOpen, DataRefused.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        await open_batch(uow, batch_id, hold=True)
        _checked_parts(await store.part_numbers(uow, batch_id), parts)
        await _seal(platform, uow, batch_id, rows)
        return {"type": "Batch", "id": str(batch_id)}

    return await act(platform, subject, duty_of(subject), request, effect)


async def _seal(platform: Platform, uow: UnitOfWork, batch_id: uuid.UUID, rows: int | None) -> None:
    job_id = await enqueue(uow, platform.doorbell, JUDGE_BATCH, {"batch": str(batch_id), "rows": rows})
    if not await store.move_batch(uow, batch_id, "open", state="sealed", sealed_at=func.now(), job_id=job_id):
        raise BatchNotOpen("批次不是待上传状态，不能封存。", "The batch is not open and cannot be sealed.")


def _checked_parts(kept: list[int], stated: int) -> None:
    missing = sorted(set(range(1, min(stated, PARTS_MOST) + 1)) - set(kept))
    beyond = [number for number in kept if number > stated]
    faults: list[Refusal] = []
    if not 1 <= stated <= PARTS_MOST:
        faults.append(
            Refusal(
                "PARTS_COUNT",
                "parts",
                str(stated),
                f"分片数须为 1 至 {PARTS_MOST}。",
                f"A batch has 1 to {PARTS_MOST} parts.",
                "填写实际上传的分片数。",
                "State the number of parts uploaded.",
            )
        )
    if missing:
        faults.append(
            Refusal(
                "PARTS_MISSING",
                "parts",
                ",".join(map(str, missing[:20])),
                "有分片尚未上传。",
                "Parts are missing.",
                "补传缺少的分片后再封存。",
                "Upload the missing parts, then seal.",
            )
        )
    if beyond:
        faults.append(
            Refusal(
                "PARTS_BEYOND",
                "parts",
                ",".join(map(str, beyond[:20])),
                "已上传的分片多于所报分片数。",
                "More parts were uploaded than stated.",
                "核对分片数；多传的分片不能删除，可作废本批次后重报。",
                "Check the number; a superfluous part cannot be removed, abandon the batch and submit again.",
            )
        )
    if faults:
        raise DataRefused(tuple(faults))


async def abandon_batch(platform: Platform, subject: Subject, request: Request, batch_id: uuid.UUID) -> Answer:
    """Give up a batch that was not sealed (作废批次); its parts stay unread. Changes: batch. Raises: NotFound, BatchNotOpen."""

    async def effect(uow: UnitOfWork) -> Answer:
        await open_batch(uow, batch_id, hold=True)
        await store.move_batch(uow, batch_id, "open", state="abandoned")
        return {"type": "Batch", "id": str(batch_id)}

    return await act(platform, subject, duty_of(subject), request, effect)


async def submit_lists(
    platform: Platform, subject: Subject, request: Request, order: NewBatch, lines: list[bytes]
) -> Answer:
    """A batch, its single part and its seal in one act (直接上报), for up to 100 lists given as canonical NDJSON lines.

    Changes: batch, batch_part, job. Raises: Forbidden, DataRefused.
    """
    subject.scope_for(Duty.SUBMIT_LISTS)
    _checked(order)
    if not 1 <= len(lines) <= LISTS_MOST:
        raise DataRefused(
            (
                Refusal(
                    "LISTS_COUNT",
                    "lists",
                    str(len(lines)),
                    f"一次直接上报 1 至 {LISTS_MOST} 份清单。",
                    f"One mutation takes 1 to {LISTS_MOST} lists.",
                    "更多清单请分片上传。",
                    "Upload more lists as parts of a batch.",
                ),
            )
        )

    async def effect(uow: UnitOfWork) -> Answer:
        batch_id = await _open(uow, order)
        part = received_part(platform, uow.scope.area, batch_id, 1, b"".join(line + b"\n" for line in lines))
        await keep_received(uow, batch_id, part)
        await _seal(platform, uow, batch_id, len(lines))
        return {"type": "Batch", "id": str(batch_id)}

    return await act(platform, subject, Duty.SUBMIT_LISTS, request, effect)
