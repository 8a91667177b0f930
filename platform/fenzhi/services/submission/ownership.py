"""Whose batch it is (批次归属): a hospital adds to its own batches, a city to its own history."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.store.repositories import submission as store
from fenzhi.store.session import UnitOfWork


class BatchNotOpen(Conflict):
    """The batch takes no more parts (批次已封存或已作废)."""

    code = "BATCH_NOT_OPEN"


def duty_of(subject: Subject) -> Duty:
    """The duty by which a subject adds to batches (上报职责): a city imports history, everybody else submits lists."""
    return Duty.IMPORT_HISTORY if subject.may(Duty.IMPORT_HISTORY) else Duty.SUBMIT_LISTS


def no_such_batch() -> NotFound:
    """No such batch among one's own (批次不存在), whoever else may have it."""
    return NotFound("没有该批次。", "No such batch.")


async def open_batch(uow: UnitOfWork, batch_id: uuid.UUID, *, hold: bool) -> Row[Any]:
    """An own batch that still takes parts (待上传批次), held until the transaction ends or only looked at.

    Raises: NotFound, BatchNotOpen.
    """
    found = await (store.hold_own_batch if hold else store.own_batch)(uow, batch_id)
    if found is None:
        raise no_such_batch()
    if found.state != "open":
        raise BatchNotOpen(
            "批次已封存或作废，不再接收分片，也不能再封存或作废。",
            "The batch is sealed or abandoned: it takes no more parts and cannot be sealed or abandoned again.",
            state=found.state,
        )
    return found
