"""Filed lists and holds in GraphQL (清单流转类型)."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import Enum

import strawberry

from fenzhi.rules.submission.filing import FiledState as State
from fenzhi.services.audit.sight import Sight
from fenzhi.services.submission import filed_lookups, returns
from fenzhi_graphql.context import Info
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.sight import Shows


@strawberry.enum(description="How a filed list stands (清单状态).")
class FiledListState(Enum):
    DRAFT = State.DRAFT.value
    REVIEWED = State.REVIEWED.value
    SUBMITTED = State.SUBMITTED.value
    JUDGED = State.JUDGED.value
    PASSED = State.PASSED.value
    REJECTED = State.REJECTED.value
    RETURNED = State.RETURNED.value


@strawberry.type(description="One step of a list (流转记录).")
class FiledMove:
    step: str = strawberry.field(
        description="What was done: file, review, submit, void, accept, reject, pass, return … (动作)."
    )
    from_state: str = strawberry.field(description="State before; blank for the first (原状态).")
    to_state: str = strawberry.field(description="State after (新状态).")
    version: int = strawberry.field(description="Version of the list it concerned (版本).")
    reason: str = strawberry.field(description="The reason given, where one was (理由).")
    recorded_at: datetime = strawberry.field(description="When (时点).")


@strawberry.type(
    description="One place at which a version differs from the one before (版本差异). Personal values are masked."
)
class ListChange:
    path: str = strawberry.field(description="Place in the list, such as diseinfo[0].diag_code (位置).")
    before: str = strawberry.field(description="Before; blank where it was not there (原值).")
    after: str = strawberry.field(description="After; blank where it is no longer there (新值).")


@strawberry.type(description="A list filed one by one, and how it stands (清单台账).")
class FiledList(Node, Shows):
    id: strawberry.ID = strawberry.field(description="Opaque id (全局标识).")
    setl_id: str = strawberry.field(description="Settlement id (结算号).")
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    state: FiledListState = strawberry.field(description="How it stands (状态).")
    stas_type: str = strawberry.field(
        description="The national word: 0 draft, 1 submitted, 2 passed, 3 rejected (清单状态)."
    )
    version: int = strawberry.field(description="Version of its newest text (版本).")
    channel: str = strawberry.field(description="national or entry: how it came (来源).")
    waits_for: str = strawberry.field(
        description="settlement_record while its payers are missing: it is not priced until they come; else blank (等待)."
    )
    returns: int = strawberry.field(description="How often a bureau returned it (退回次数).")
    batch_id: strawberry.ID | None = strawberry.field(description="The batch it was last judged in (质控批次).")
    case_id: strawberry.ID | None = strawberry.field(description="The case it became, once accepted (病例).")
    submitted_at: datetime | None = strawberry.field(description="When it was last submitted (提交时点).")
    judged_at: datetime | None = strawberry.field(description="When it was last judged (质控时点).")
    recorded_at: datetime = strawberry.field(description="When it was first filed (首次填报时点).")
    key: strawberry.Private[uuid.UUID]
    case_key: strawberry.Private[uuid.UUID | None]

    def show(self, sight: Sight) -> None:
        """The case that it became, or the list itself before it is one."""
        sight.case(self.case_key or self.key)

    @staticmethod
    def of(view: filed_lookups.FiledView) -> FiledList:
        return FiledList(
            case_key=view.case_id,
            id=global_id("FiledList", view.list_id),
            setl_id=view.setl_id,
            hospital_code=view.hospital_code,
            state=FiledListState(view.state.value),
            stas_type=view.stas_type,
            version=view.version,
            channel=view.channel,
            waits_for=view.waits_for,
            returns=view.returns,
            batch_id=global_id("Batch", view.batch_id) if view.batch_id else None,
            case_id=global_id("InpatientCase", view.case_id) if view.case_id else None,
            submitted_at=view.submitted_at,
            judged_at=view.judged_at,
            recorded_at=view.recorded_at,
            key=view.list_id,
        )

    @strawberry.field(description="Its steps, oldest first (流转记录).")
    async def moves(self, info: Info) -> list[FiledMove]:
        context = info.context
        return [
            FiledMove(
                step=one.step,
                from_state=one.from_state,
                to_state=one.to_state,
                version=one.version,
                reason=one.reason,
                recorded_at=one.recorded_at,
            )
            for one in await filed_lookups.moves(context.platform, context.subject, self.key)
        ]

    @strawberry.field(
        description="What its newest version changed of the one before, for the hospital itself (版本差异)."
    )
    async def changes(self, info: Info) -> list[ListChange]:
        context = info.context
        context.sight.personal()
        return [
            ListChange(path=one.path, before=one.before, after=one.after)
            for one in await filed_lookups.version_changes(context.platform, context.subject, self.key)
        ]


@strawberry.type(description="A case that enters no run until it is corrected or released (暂不结算病例).")
class CaseHold(Node, Shows):
    id: strawberry.ID = strawberry.field(description="Opaque id (全局标识).")
    case_id: strawberry.ID = strawberry.field(description="The case (病例).")
    setl_id: str = strawberry.field(description="Settlement id (结算号).")
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    kind: str = strawberry.field(
        description="returned by a bureau, voided by its hospital, or frozen by a finding (类别)."
    )
    reason: str = strawberry.field(description="Why (理由).")
    due_on: date | None = strawberry.field(
        description="Last day of the correction, or of the bureau's decision on a frozen case; none for voided (截止日)."
    )
    held_at: datetime = strawberry.field(description="Since when (起始时点).")
    state: str = strawberry.field(description="open, overdue, corrected or released (状态).")
    corrected_by: strawberry.ID | None = strawberry.field(description="The case that took its place (更正后病例).")
    ended_at: datetime | None = strawberry.field(description="When it ended (结束时点).")
    kept: bool | None = strawberry.field(description="Whether the correction came within the window (是否按期更正).")
    keys: strawberry.Private[tuple[uuid.UUID, ...]]

    def show(self, sight: Sight) -> None:
        """The case, and the one that took its place."""
        sight.case(*self.keys)

    @staticmethod
    def of(view: returns.HoldView) -> CaseHold:
        return CaseHold(
            keys=(view.case_id, view.corrected_by) if view.corrected_by else (view.case_id,),
            id=global_id("CaseHold", view.hold_id),
            case_id=global_id("InpatientCase", view.case_id),
            setl_id=view.setl_id,
            hospital_code=view.hospital_code,
            kind=view.kind,
            reason=view.reason,
            due_on=view.due_on,
            held_at=view.held_at,
            state=view.state,
            corrected_by=global_id("InpatientCase", view.corrected_by) if view.corrected_by else None,
            ended_at=view.ended_at,
            kept=view.kept,
        )


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


async def filed_list_in_scope(info: Info, key: str) -> FiledList | None:
    """A filed list of the caller's scope, or none."""
    list_id, context = _uuid(key), info.context
    view = await filed_lookups.filed_list(context.platform, context.subject, list_id) if list_id else None
    return FiledList.of(view) if view is not None else None


async def case_hold_in_scope(info: Info, key: str) -> CaseHold | None:
    """A hold of the caller's scope, or none."""
    hold_id, context = _uuid(key), info.context
    view = await returns.hold(context.platform, context.subject, hold_id) if hold_id else None
    return CaseHold.of(view) if view is not None else None


@finds("FiledList")
async def _filed_list_node(info: Info, key: str) -> Node | None:
    return await filed_list_in_scope(info, key)


@finds("CaseHold")
async def _case_hold_node(info: Info, key: str) -> Node | None:
    return await case_hold_in_scope(info, key)
