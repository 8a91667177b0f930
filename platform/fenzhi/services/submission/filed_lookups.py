"""Filed lists as their readers see them (清单台账查询), without personal fields."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.submission.filing import FiledState, stas_type
from fenzhi.services.acts import Platform, looking
from fenzhi.services.submission import filing
from fenzhi.services.submission.gather import line_of
from fenzhi.services.submission.list_changes import Change, changes
from fenzhi.store.repositories import filing as store

MOVES_MOST = 200


@dataclass(frozen=True, slots=True)
class FiledView:
    """A filed list (清单台账行)."""

    list_id: uuid.UUID
    setl_id: str
    hospital_code: str
    state: FiledState
    stas_type: str
    version: int
    channel: str
    waits_for: str
    returns: int
    batch_id: uuid.UUID | None
    case_id: uuid.UUID | None
    submitted_at: datetime | None
    judged_at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class MoveView:
    """One step of a list (流转记录)."""

    step: str
    from_state: str
    to_state: str
    version: int
    reason: str
    recorded_at: datetime


def _view(row: Row[Any]) -> FiledView:
    state = FiledState(row.state)
    return FiledView(
        list_id=row.list_id,
        setl_id=row.setl_id,
        hospital_code=row.hospital_code,
        state=state,
        stas_type=stas_type(state),
        version=row.version,
        channel=row.channel,
        waits_for=row.waits_for,
        returns=row.returns,
        batch_id=row.batch_id,
        case_id=row.case_id,
        submitted_at=row.submitted_at,
        judged_at=row.judged_at,
        recorded_at=row.recorded_at,
    )


async def filed_list(platform: Platform, subject: Subject, list_id: uuid.UUID) -> FiledView | None:
    """One filed list, or none in this scope (清单). Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        row = await store.list_by_id(uow, list_id)
        return None if row is None else _view(row)


async def filed_lists(
    platform: Platform, subject: Subject, state: FiledState | None, after: uuid.UUID | None, limit: int
) -> Sequence[FiledView]:
    """One page of the scope's filed lists in order of filing (清单列表). Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        return [_view(row) for row in await store.lists_after(uow, state, after, limit)]


async def moves(platform: Platform, subject: Subject, list_id: uuid.UUID) -> Sequence[MoveView]:
    """The steps of a list, oldest first (流转记录). Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        return [
            MoveView(row.step, row.from_state, row.to_state, row.version, row.reason, row.recorded_at)
            for row in await store.moves_of(uow, list_id, MOVES_MOST)
        ]


async def version_changes(platform: Platform, subject: Subject, list_id: uuid.UUID) -> tuple[Change, ...]:
    """What the newest version changed of the one before (版本差异), for the hospital that filed it; nothing for a first version.

    Personal fields are named, their values are not shown. Raises: Forbidden.
    """
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        found = await store.list_by_id(uow, list_id)
        if found is None:
            return ()
        newer = await store.text_of(uow, list_id, found.version)
        older = await store.text_before(uow, list_id, found.version)
    if newer is None or older is None:
        return ()
    before = line_of(filing.opened_text(platform, older), 0)
    after = line_of(filing.opened_text(platform, newer), 0)
    return changes(before, after)
