"""Gather what hospitals submitted list by list into batches (收集提交的清单), and settle each list by what became of it.

Two short transactions and a batch between them: the gathering takes the waiting lists of one hospital into one sealed batch; the batch
is judged like any other; its end moves each list to passed, or on to the bureau, or back to its hospital.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Row

from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.submission.filing import FiledState
from fenzhi.services.acts import Platform
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.submission.batches import JUDGE_BATCH
from fenzhi.services.submission.filing import GATHER, opened_text
from fenzhi.services.submission.national.message import canonical_line, decoded, with_record
from fenzhi.services.submission.parts import ReceivedPart, received_part
from fenzhi.store.failpoints import failpoint
from fenzhi.store.repositories import filing as store
from fenzhi.store.repositories import settlement_records
from fenzhi.store.repositories import submission as lists
from fenzhi.store.session import UnitOfWork, new_id

GATHERED_MOST = 2_000
"""Lists of one gathered batch; more wait for the next."""
LABEL = "逐单提交 / submitted one by one"


async def gather_filed(platform: Platform, job: JobInHand) -> None:
    """Take the waiting lists of a hospital into a sealed batch and have it judged (收集).

    Changes, all at once: batch, batch_part, filed_list, job. Raises: Fenced.
    """
    hospital_id = int(str(job.payload["hospital"]))
    result: dict[str, Any] = {}
    async with job.finishing(result) as uow:
        owner = replace(uow.scope, hospital_id=hospital_id)
        await store.take_turn(uow, uow.scope.area, hospital_id)
        waiting = await store.waiting_lists(uow, hospital_id, GATHERED_MOST)
        result["lists"] = len(waiting)
        if waiting:
            records = await settlement_records.newest_records(uow, hospital_id, [row.setl_id for row in waiting])
            paid = {row.setl_id: row.payers for row in records}
            batch_id, first = new_id(), waiting[0]
            part = await asyncio.to_thread(_part, platform, batch_id, waiting, paid)
            judged_by = await enqueue(
                uow, platform.doorbell, JUDGE_BATCH, {"batch": str(batch_id), "rows": len(waiting)}, scope=owner
            )
            await _add_batch(uow, batch_id, first, part, judged_by)
            await store.take_lists(uow, [row.list_id for row in waiting], batch_id)
            result["batch"] = str(batch_id)
        if len(waiting) == GATHERED_MOST:
            await enqueue(uow, platform.doorbell, GATHER, {"hospital": hospital_id}, scope=owner)
        failpoint("filing.gathered")


def _part(
    platform: Platform, batch_id: uuid.UUID, waiting: Sequence[Row[Any]], paid: Mapping[str, Mapping[str, Any]]
) -> ReceivedPart:
    lines = []
    for row in waiting:
        line = line_of(opened_text(platform, row), row.version)
        record = paid.get(row.setl_id)
        lines.append(with_record(line, record) if record is not None else line)
    return received_part(platform, waiting[0].area_id, batch_id, 1, b"".join(line + b"\n" for line in lines))


def line_of(original: bytes, version: int) -> bytes:
    """The canonical list of a filed text (原文转规范清单): a national message, or a canonical list already."""
    message = decoded(original)
    if "input" not in message:
        return msgspec.json.encode({**msgspec.json.decode(original), "version": version})
    return canonical_line(message["input"], message, version)


async def _add_batch(
    uow: UnitOfWork, batch_id: uuid.UUID, first: Row[Any], part: ReceivedPart, judged_by: uuid.UUID
) -> None:
    place = {"area_id": first.area_id, "county_id": first.county_id, "hospital_id": first.hospital_id}
    await lists.add_batch(
        uow,
        {
            **place,
            "batch_id": batch_id,
            "province_id": uow.scope.province,
            "purpose": "lists",
            "mode": "partial",
            "state": "sealed",
            "label": LABEL,
            "parts": 1,
            "bytes": part.size,
            "job_id": judged_by,
            "sealed_at": await uow.now(),
        },
    )
    await lists.add_part(
        uow,
        {
            **place,
            "batch_id": batch_id,
            "part_no": part.part_no,
            "sha256": part.sha256,
            "bytes": part.size,
            "key_id": part.key_id,
            "sealed_bytes": part.sealed,
        },
    )


async def settle_filed(uow: UnitOfWork, batch: Row[Any]) -> None:
    """Move the filed lists of a judged batch to what became of them (质控结果入账), in the transaction of the judgement.

    A list that passed its checks has passed, unless the area has its bureaus review every list.
    """
    policy = await resolved_policy(uow, batch.received_on)
    reviewed = policy.has("submission.bureau_review") and policy.flag("submission.bureau_review")
    await store.settle_lists(uow, batch.batch_id, FiledState.JUDGED if reviewed else FiledState.PASSED)
