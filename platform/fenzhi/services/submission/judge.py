"""Judge a sealed batch (批次判定): every row gets an outcome, accepted lists become cases, all in one transaction.

Nothing is judged before the seal and nothing counts before the end: rows wait in temporary tables of the finishing transaction, part
by part and chunk by chunk, so that memory holds one part. Batches of one hospital are judged one after another, by a lock held to the
end; which version of a list stands therefore never depends on who ran first inside a batch.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, func

from fenzhi.rules.events.kinds import EventKind
from fenzhi.rules.refusals import Conflict, InvariantBroken
from fenzhi.rules.submission.verdict import Severity
from fenzhi.services.acts import Platform
from fenzhi.services.events.notices import Notice, announce, tell_hospital
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.submission.check_book import Submitter, submitter
from fenzhi.services.submission.freezing import FREEZING_RULES, freeze_cases
from fenzhi.services.submission.gather import settle_filed
from fenzhi.services.submission.judge_history import RULE as HISTORY_RULE
from fenzhi.services.submission.judge_history import judge_history
from fenzhi.services.submission.judged_rows import KnownLists, Tally
from fenzhi.services.submission.judging_desk import Desk, Order, Staged, Wanted
from fenzhi.services.submission.judging_desks import OF_THIS_PROCESS, DeskJudging
from fenzhi.services.submission.parts import sealed_part
from fenzhi.store.failpoints import failpoint
from fenzhi.store.keyring import Keyring
from fenzhi.store.repositories import submission as store
from fenzhi.store.repositories.events import own_area
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.submission import (
    case_personal,
    case_supersession,
    inpatient_case,
    intake_row,
    list_key,
    verdict,
)
from fenzhi.telemetry.metrics import count_verdicts

ATOMIC_REFUSED = "ATOMIC_BATCH_REFUSED"
"""A sound row of an atomic batch in which another row was refused."""
ROWS_NOT_AS_STATED = "ROWS_NOT_AS_STATED"
"""A row of a batch that holds another number of rows than its sender stated at the seal."""
_COUNTED = (inpatient_case, case_personal, list_key, case_supersession)


class BatchNotSealed(Conflict):
    """The batch waits for no judgement (批次不在待判定状态)."""

    code = "BATCH_NOT_SEALED"


async def judge_batch(platform: Platform, job: JobInHand) -> None:
    """Judge the batch of a job (判定批次), lists or history.

    Changes, all at once: intake_row, verdict, inpatient_case, case_personal, list_key, case_supersession or history_discharge, batch,
    job. A batch in which one row is refused counts for nothing when it is atomic; its verdicts stay to be read.
    Raises: BatchNotSealed, PolicyNotEntered, Fenced.
    """
    batch_id = uuid.UUID(str(job.payload["batch"]))
    stated_rows = job.payload.get("rows")
    result: dict[str, Any] = {}
    tally = Tally()
    async with job.finishing(result) as uow:
        found = await store.sealed_batch(uow, batch_id)
        if found is None:
            raise BatchNotSealed("批次不在待判定状态。", "The batch waits for no judgement.")
        await store.take_turn(uow, found.area_id, found.hospital_id)
        is_for_a_desk = OF_THIS_PROCESS.takes(found.bytes)
        if found.purpose == "history":
            counts, state = await judge_history(platform, job, uow, found), "judged"
        else:
            tally, state = await _judge_lists(platform, job, uow, found, stated_rows, is_for_a_desk)
            counts = tally.answer()
            await settle_filed(uow, found)
            if state == "judged" and any(rule in FREEZING_RULES for rule, _ in tally.findings):
                await freeze_cases(uow, found)
        await store.move_batch(uow, batch_id, "sealed", state=state, counts=counts, judged_at=func.now())
        result.update(counts, state=state)
        await _tell(uow, found, state, counts)
        failpoint("submission.before_commit")
    failpoint("submission.after_commit")
    if set_aside := counts.get("set_aside"):
        tally.findings[HISTORY_RULE, Severity.WARNING.value] += sum(set_aside.values())
    count_verdicts(tally.findings, accepted=counts["accepted"], refused=counts["refused"])


async def _tell(uow: UnitOfWork, batch: Row[Any], state: str, counts: dict[str, Any]) -> None:
    """The hospital, or the city whose history it is, hears that the verdicts are there."""
    facts = {name: str(counts[name]) for name in ("rows", "accepted", "refused") if name in counts} | {"state": state}
    if batch.hospital_id is not None:
        return await tell_hospital(uow, batch.hospital_id, EventKind.BATCH_JUDGED, "Batch", batch.batch_id, **facts)
    area = await own_area(uow)
    if area is not None:
        await announce(uow, [Notice(area.code, EventKind.BATCH_JUDGED, "Batch", str(batch.batch_id), facts)])


async def _judge_lists(
    platform: Platform, job: JobInHand, uow: UnitOfWork, found: Row[Any], stated_rows: int | None, is_for_a_desk: bool
) -> tuple[Tally, str]:
    of_whom = await submitter(uow, found.hospital_id, found.received_on)
    await store.open_staging(uow, (intake_row, verdict, *_COUNTED))
    tally, first_row = Tally(), 0
    numbers = await store.part_numbers(uow, found.batch_id)
    async with _judging(platform, job, of_whom, found, is_for_a_desk) as judging:
        for number in numbers:
            kept = await sealed_part(uow, found.batch_id, number)
            span = await judging.part(number, kept.key_id, kept.sealed_bytes)
            while (wanted := await judging.read()) is not None:
                known = await _known(uow, found.hospital_id, wanted.setl_ids)
                staged = await judging.judge(known, number, first_row)
                tally = staged.tally
                for table in (intake_row, verdict, *_COUNTED):
                    await store.stage_octets(uow, table, staged.octets.get(table.name, b""))
            first_row += span
            await job.progress(number, len(numbers))
            failpoint("submission.mid_judge")
    reason = ""
    if stated_rows is not None and stated_rows != tally.rows:
        reason = ROWS_NOT_AS_STATED
    elif found.mode == "atomic" and tally.refused:
        reason = ATOMIC_REFUSED
    if reason:
        changed = await store.refuse_staged(uow, reason)
        tally.refused, tally.accepted, tally.superseding = tally.rows, 0, 0
        tally.refused_by_code[reason] += changed
    await store.release(uow, intake_row)
    await store.release(uow, verdict)
    if not reason:
        for table in _COUNTED:
            await store.release(uow, table)
    if tally.accepted + tally.refused != tally.rows:
        raise InvariantBroken("every row is accepted or refused", detail=str(tally.answer()))
    return tally, "refused" if reason else "judged"


class _HereJudging:
    """A batch that is judged in threads of this process (本进程判定): a small one, or any where no desk is open."""

    def __init__(self, keyring: Keyring, batch_id: uuid.UUID) -> None:
        self.desk = Desk(keyring)
        self._batch_id = batch_id

    async def part(self, number: int, key_id: str, sealed: bytes) -> int:
        return await asyncio.to_thread(self.desk.part, self._batch_id, number, key_id, sealed)

    async def read(self) -> Wanted | None:
        return await asyncio.to_thread(self.desk.read, self._batch_id)

    async def judge(self, known: KnownLists, number: int, first_row: int) -> Staged:
        return await asyncio.to_thread(self.desk.judge, self._batch_id, known, number, first_row)


@asynccontextmanager
async def _judging(
    platform: Platform, job: JobInHand, of_whom: Submitter, found: Row[Any], is_for_a_desk: bool
) -> AsyncIterator[DeskJudging | _HereJudging]:
    """Where the batch is judged (判定场所): the answers are the same."""
    order = Order(of_whom, (), found.batch_id, found.sealed_at, job.claimed.tenant)
    if is_for_a_desk:
        async with OF_THIS_PROCESS.judging(order) as judging:
            yield judging
    else:
        here = _HereJudging(platform.keyring, found.batch_id)
        here.desk.begin(order)
        yield here


async def _known(uow: UnitOfWork, hospital_id: int, setl_ids: list[str]) -> KnownLists:
    known = KnownLists()
    known.note_stored(await store.stored_versions(uow, hospital_id, setl_ids))
    known.note_staged(await store.staged_rows(uow, setl_ids))
    return known
