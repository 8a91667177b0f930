"""Filing lists one by one (清单流转): drafts with every version kept, review inside the hospital, submission, taking back.

A submitted list waits for the next gathering (`gather`), which puts everything that waits into a batch; the batch is judged like any
other. So a list filed alone gets the same verdicts, price and place in the runs as one that came in a file.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from typing import Any

import zstandard
from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.outbox.jobs import enqueue, has_failed, is_queued
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.rules.submission.filing import FiledState, Step, moved
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.failpoints import failpoint
from fenzhi.store.repositories import case_holds
from fenzhi.store.repositories import filing as store
from fenzhi.store.repositories import submission as lists
from fenzhi.store.session import UnitOfWork, new_id

GATHER = "submission.gather_filed"
NATIONAL, ENTRY = "national", "entry"
REASON_MOST = 500
_COMPRESSOR = zstandard.ZstdCompressor(level=3)
"""Used by one thread, the event loop's: making one costs more than compressing a list."""


class ListNotReviewed(Conflict):
    """The area wants a second person of the hospital to review a list before it is submitted (未经院内审核)."""

    code = "LIST_NOT_REVIEWED"


class ListUnchanged(Conflict):
    """A returned list is submitted again without any correction (退回清单未更正)."""

    code = "LIST_UNCHANGED"


class ListBeingJudged(Conflict):
    """The list is in a batch that is being judged at this moment (清单正在质控)."""

    code = "LIST_BEING_JUDGED"


class PersonDiffers(Conflict):
    """The list of this settlement id is another person's (人员编号与清单不符)."""

    code = "LIST_PERSON_DIFFERS"


@dataclass(frozen=True, slots=True)
class Filing:
    """A list to be filed (待填报清单). `original`: the bytes as received; `channel`: how they read."""

    setl_id: str
    person_no: str
    original: bytes
    channel: str
    has_payers: bool


def hidden(secret: str) -> str:
    """A secret as its digest (密钥摘要): enough to tell a repeated order from another, nothing more."""
    return hashlib.sha256(secret.encode()).hexdigest()


def text_place(list_id: uuid.UUID, version: int) -> bytes:
    """The place a list's ciphertext is bound to (密文绑定位置)."""
    return list_id.bytes + version.to_bytes(4, "big")


def opened_text(platform: Platform, row: Row[Any]) -> bytes:
    """The original bytes of a version (取出原文)."""
    packed = platform.keyring.unseal(row.area_id, row.key_id, row.sealed_bytes, text_place(row.list_id, row.version))
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 24)


def no_such_list() -> NotFound:
    """No such list among one's own (清单不存在)."""
    return NotFound("没有该清单。", "No such list.", hint="先上传清单 / file the list first")


def reason_checked(reason: str, where: str = "reason") -> str:
    """A reason of 1 to 500 printable characters (理由). Raises: DataRefused."""
    told = reason.strip()
    if not 1 <= len(told) <= REASON_MOST or not told.isprintable():
        raise DataRefused(
            (
                Refusal(
                    "REASON_SHAPE",
                    where,
                    reason[:40],
                    f"理由须为 1 至 {REASON_MOST} 个可见字符。",
                    f"A reason has 1 to {REASON_MOST} printable characters.",
                    "写明理由，以便对方更正。",
                    "Say why, so that the other side can mend it.",
                ),
            )
        )
    return told


@dataclass(frozen=True, slots=True)
class Filed:
    """A list as filing left it (填报结果)."""

    list_id: uuid.UUID
    version: int
    waits_for: str


async def file(platform: Platform, uow: UnitOfWork, order: Filing, ground: store.Ground | None = None) -> Filed:
    """Keep a list as its hospital's draft, or as a new version of it (填报), in the caller's transaction; the list as it then stands.

    The same content as the newest version is no new version. `ground`: where the caller has looked already.
    Changes: filed_list, filed_text, filed_move. Raises: ListPassed, MoveRefused, PersonDiffers.
    """
    scope = uow.scope
    area_id, hospital_id = scope.area, scope.hospital_id
    assert hospital_id is not None
    ground = ground or await store.ground_for_filing(uow, order.setl_id)
    digest = hashlib.sha256(order.original).digest()
    index = platform.keyring.person_index(area_id, order.person_no)
    waits = "" if order.has_payers or ground.has_record else "settlement_record"
    who = {
        "filed_by": uuid.UUID(scope.account_id) if scope.account_id else None,
        "filed_by_person": uuid.UUID(scope.person_id) if scope.person_id else None,
    }
    found = await store.hold_list(uow, order.setl_id) if ground.is_filed else None
    if found is not None:
        if bytes(found.person_index) != index:
            raise PersonDiffers(
                "该结算号的清单属于另一人员编号。", "The list of this settlement id is another person's.",
                hint="核对 setl_id 与 psn_no / check setl_id and psn_no",
            )  # fmt: skip
        following = moved(FiledState(found.state), Step.FILE)
        if await store.newest_digest(uow, found.list_id, found.version) == digest and following.value == found.state:
            return Filed(found.list_id, found.version, found.waits_for)
        version = await _next_version(uow, hospital_id, order.setl_id, found.version)
        changed = {"state": following.value, "version": version, "waits_for": waits, "reviewed_by_person": None, **who}
        await store.add_text(
            uow, _text_row(platform, uow, found.list_id, found.county_id, version, digest, order.original)
        )
        await store.change_list(uow, found.list_id, **changed)
        await store.note_move(
            uow, found, step=Step.FILE.value, from_state=found.state, to_state=following.value, version=version
        )
        return Filed(found.list_id, version, waits)
    version = ground.accepted_version + 1
    list_id = new_id()
    row = {
        "area_id": area_id,
        "county_id": ground.county_id,
        "hospital_id": hospital_id,
        "list_id": list_id,
        "setl_id": order.setl_id,
        "person_index": index,
        "state": FiledState.DRAFT.value,
        "version": version,
        "channel": order.channel,
        "waits_for": waits,
        **who,
    }
    kept = _text_row(platform, uow, list_id, ground.county_id, version, digest, order.original)
    if not await store.add_list_with_text(uow, row, kept):
        raise Conflict("该清单正在填报，请重试。", "The list is being filed; try again.", code="TRY_AGAIN")
    return Filed(list_id, version, waits)


async def _next_version(uow: UnitOfWork, hospital_id: int, setl_id: str, version: int) -> int:
    """One more than every version filed or accepted so far, whichever way it came."""
    stored = await lists.stored_versions(uow, hospital_id, [setl_id])
    return max([version, *(int(row.version) for row in stored)]) + 1


def _text_row(
    platform: Platform,
    uow: UnitOfWork,
    list_id: uuid.UUID,
    county_id: int | None,
    version: int,
    digest: bytes,
    original: bytes,
) -> dict[str, Any]:
    """A version's text as it is kept: compressed, then encrypted for its place."""
    scope = uow.scope
    packed = _COMPRESSOR.compress(original)
    return {
        "area_id": scope.area,
        "county_id": county_id,
        "hospital_id": scope.hospital_id,
        "list_id": list_id,
        "version": version,
        "sha256": digest,
        "key_id": platform.keyring.key_id,
        "sealed_bytes": platform.keyring.seal(scope.area, packed, text_place(list_id, version)),
        "filed_by": uuid.UUID(scope.account_id) if scope.account_id else None,
    }


async def submit(platform: Platform, uow: UnitOfWork, found: Row[Any], policy: ResolvedPolicy) -> FiledState:
    """Submit a held list for its checks (提交), in the caller's transaction. Submitting twice is submitting once.

    Changes: filed_list, filed_move, job. Raises: ListPassed, ListNotReviewed, ListUnchanged.
    """
    state = FiledState(found.state)
    following = moved(state, Step.SUBMIT)
    if following is state:
        return state
    if (
        state is FiledState.DRAFT
        and policy.has("submission.hospital_review")
        and policy.flag("submission.hospital_review")
    ):
        raise ListNotReviewed(
            "清单尚未经院内第二人审核，不能提交。", "No second person of the hospital has reviewed the list.",
            hint="由医院另一位人员审核后提交 / have another person review it",
        )  # fmt: skip
    version = found.version
    if found.case_id is not None:
        stored = await lists.stored_versions(uow, found.hospital_id, [found.setl_id])
        standing = stored[0] if stored else None
        if standing is not None and standing.version >= version:
            if state is FiledState.RETURNED:
                raise ListUnchanged(
                    "清单被退回后尚未更正，不能原样再次提交。", "The list was returned and has not been corrected since.",
                    hint="先上传更正后的清单 / file the corrected list first",
                )  # fmt: skip
            version = await _again(platform, uow, found, standing.version)
    await store.change_list(
        uow,
        found.list_id,
        state=following.value,
        version=version,
        batch_id=None,
        submitted_at=await uow.now(),
    )
    await store.note_move(
        uow, found, step=Step.SUBMIT.value, from_state=state.value, to_state=following.value, version=version
    )
    await ring_for_gathering(platform, uow, found.hospital_id)
    return following


async def _again(platform: Platform, uow: UnitOfWork, found: Row[Any], standing: int) -> int:
    """The same text under a version of its own: what was taken back after its checks is checked anew."""
    kept = await store.text_of(uow, found.list_id, found.version)
    assert kept is not None
    original = opened_text(platform, kept)
    version = max(int(found.version), standing) + 1
    await store.add_text(
        uow, _text_row(platform, uow, found.list_id, found.county_id, version, bytes(kept.sha256), original)
    )
    return version


async def ring_for_gathering(platform: Platform, uow: UnitOfWork, hospital_id: int) -> None:
    """Have what waits gathered (登记收集作业): one job waits at most; a job that runs already may have looked too early."""
    await store.share_turn(uow, uow.scope.area, hospital_id)
    if not await is_queued(uow, GATHER, hospital_id):
        owner = replace(uow.scope, hospital_id=hospital_id)
        await enqueue(uow, platform.doorbell, GATHER, {"hospital": hospital_id}, scope=owner)
    failpoint("filing.before_commit")


async def take_back(uow: UnitOfWork, found: Row[Any]) -> FiledState:
    """Take a held list back to a draft (撤回): what its checks and grouping said no longer holds.

    Changes: filed_list, filed_move, case_hold. Raises: ListPassed, ListBeingJudged, MoveRefused.
    """
    state = FiledState(found.state)
    following = moved(state, Step.VOID)
    if following is state:
        return state
    if state is FiledState.SUBMITTED and found.batch_id is not None and not await _is_stuck(uow, found.batch_id):
        raise ListBeingJudged(
            "清单正在质控，请稍后再撤回。", "The list is being judged; take it back in a moment.",
            hint="数秒后重试 / try again in some seconds",
        )  # fmt: skip
    if state is FiledState.JUDGED and found.case_id is not None:
        case = await case_holds.standing_case(uow, found.case_id)
        if case is not None and await case_holds.open_hold(uow, found.case_id) is None:
            await case_holds.add_hold(uow, case, kind="voided", reason="医疗机构撤回清单 / taken back by the hospital")
    await store.change_list(uow, found.list_id, state=following.value, reviewed_by_person=None, batch_id=None)
    await store.note_move(
        uow, found, step=Step.VOID.value, from_state=state.value, to_state=following.value, version=found.version
    )
    return following


async def _is_stuck(uow: UnitOfWork, batch_id: uuid.UUID) -> bool:
    """Whether a batch will not be judged: its job ended without doing so."""
    batch = await lists.own_batch(uow, batch_id)
    return batch is not None and batch.state == "sealed" and batch.job_id and await has_failed(uow, batch.job_id)


async def policy_of_today(uow: UnitOfWork) -> ResolvedPolicy:
    """What the area says of lists today (当日政策)."""
    return await resolved_policy(uow, await uow.today())


# Acts of people


async def save_list(platform: Platform, subject: Subject, request: Request, order: Filing) -> Answer:
    """File a list by hand (科室填报): a draft, or a new version of one. Changes: as `file`. Raises: Forbidden, as `file`."""

    async def effect(uow: UnitOfWork) -> Answer:
        found = await file(platform, uow, order)
        return {"type": "FiledList", "id": str(found.list_id)}

    return await act(platform, subject, Duty.FILE_LISTS, request, effect)


async def review_list(
    platform: Platform, subject: Subject, request: Request, list_id: uuid.UUID, *, approved: bool, reason: str = ""
) -> Answer:
    """Review a draft as a second person of the hospital (院内审核): approve it, or send it back with a reason.

    Changes: filed_list, filed_move. Raises: Forbidden, NotFound, SamePerson, MoveRefused, DataRefused.
    """
    subject.scope_for(Duty.SUBMIT_LISTS)
    told = reason.strip() if approved else reason_checked(reason)

    async def effect(uow: UnitOfWork) -> Answer:
        found = await store.hold_list_by_id(uow, list_id)
        if found is None:
            raise no_such_list()
        step = Step.REVIEW if approved else Step.SEND_BACK
        state = FiledState(found.state)
        following = moved(state, step)
        if approved:
            require_second_person(str(found.filed_by_person or ""), uow.scope.person_id)
        await store.change_list(
            uow,
            list_id,
            state=following.value,
            reviewed_by_person=uuid.UUID(uow.scope.person_id) if approved else None,
        )
        await store.note_move(
            uow,
            found,
            step=step.value,
            from_state=state.value,
            to_state=following.value,
            version=found.version,
            reason=told,
        )
        return {"type": "FiledList", "id": str(list_id)}

    return await act(platform, subject, Duty.SUBMIT_LISTS, request, effect)


async def submit_list(platform: Platform, subject: Subject, request: Request, list_id: uuid.UUID) -> Answer:
    """Submit a filed list (提交). Changes and raises: as `submit`, and NotFound."""

    async def effect(uow: UnitOfWork) -> Answer:
        found = await store.hold_list_by_id(uow, list_id)
        if found is None:
            raise no_such_list()
        await submit(platform, uow, found, await policy_of_today(uow))
        return {"type": "FiledList", "id": str(list_id)}

    return await act(platform, subject, Duty.SUBMIT_LISTS, request, effect)


async def take_list_back(platform: Platform, subject: Subject, request: Request, list_id: uuid.UUID) -> Answer:
    """Take a list back to a draft (撤回). Changes and raises: as `take_back`, and NotFound."""

    async def effect(uow: UnitOfWork) -> Answer:
        found = await store.hold_list_by_id(uow, list_id)
        if found is None:
            raise no_such_list()
        await take_back(uow, found)
        return {"type": "FiledList", "id": str(list_id)}

    return await act(platform, subject, Duty.SUBMIT_LISTS, request, effect)
