"""Who saw whom (查阅留痕): one event per answer that carries a patient's field or a case, written before the answer leaves."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform
from fenzhi.store.repositories import audit
from fenzhi.store.repositories import submission as store
from fenzhi.store.session import UnitOfWork

Row = tuple[uuid.UUID, int]
"""A row of a batch: batch and number."""
_CLASSES = ("case", "list", "personal")
_ROWS = uuid.UUID("6d5b6a3e-5e0f-5a57-9c52-3a1f6f0b7c11")


def row_subject(batch_id: uuid.UUID, row_no: int) -> uuid.UUID:
    """The name of a row of a batch as a subject of the audit (上报行标识): a list that was refused has no case id."""
    return uuid.uuid5(_ROWS, f"{batch_id}/{row_no}")


@dataclass(slots=True)
class Sight:
    """What one answer shows (一次查阅): cases by id, rows of lists by batch and number, and by which operations."""

    cases: set[uuid.UUID] = field(default_factory=set)
    rows: set[Row] = field(default_factory=set)
    operations: set[str] = field(default_factory=set)
    field_class: str = ""

    def case(self, *case_ids: uuid.UUID) -> None:
        """Cases without personal fields."""
        self.cases.update(case_ids)
        self._at_least("case")

    def row(self, *rows: Row) -> None:
        """Rows of lists: what was found about them, or what they say."""
        self.rows.update(rows)
        self._at_least("list")

    def personal(self) -> None:
        """The answer carries personal fields as well."""
        self._at_least("personal")

    @property
    def is_empty(self) -> bool:
        """Whether it shows nobody."""
        return not self.cases and not self.rows

    def _at_least(self, wanted: str) -> None:
        order = ("", *_CLASSES)
        if order.index(wanted) > order.index(self.field_class):
            self.field_class = wanted


async def witness(platform: Platform, subject: Subject, sight: Sight, request_id: str, *, purpose: str = "") -> None:
    """Write down what an answer shows (登记查阅); nothing for an answer that shows nobody.

    The caller sends the answer only after this returned. Changes: audit_event. Raises: Unavailable.
    """
    if sight.is_empty:
        return
    async with platform.database.unit_of_work(subject.witness_scope()) as uow:
        await audit.note(
            uow,
            role=subject.role.value,
            kind="sight",
            action=",".join(sorted(sight.operations)),
            object_type="",
            object_id="",
            request_id=request_id,
            purpose=purpose,
            field_class=sight.field_class,
            subjects=sight.cases | await _subjects_of(uow, sight.rows),
        )


async def _subjects_of(uow: UnitOfWork, rows: set[Row]) -> set[uuid.UUID]:
    """Rows as subjects: the case that a row became, or the row itself where it became none."""
    found: set[uuid.UUID] = set()
    for batch_id in {batch for batch, _ in rows}:
        wanted = sorted(row_no for batch, row_no in rows if batch == batch_id)
        became = await store.cases_of_rows(uow, batch_id, wanted)
        found |= {became.get(row_no) or row_subject(batch_id, row_no) for row_no in wanted}
    return found
