"""A published edition taken back (目录撤回与回退): proposed by one person, approved by another; the one before speaks again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.refusals import Conflict
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.book import edition_row
from fenzhi.services.catalog.faults import document_faults, moved, reason_faults, refuse
from fenzhi.services.catalog.regroup_tasks import RuleChange, open_tasks
from fenzhi.store.repositories import catalog, catalog_desk
from fenzhi.store.session import UnitOfWork, new_id


async def propose_withdrawal(
    platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID, reason: str, document: str
) -> Answer:
    """Propose to take a published edition back (提议撤回目录). Nothing changes until a second person approves.

    Changes: edition_withdrawal. Raises: DataRefused, Conflict EDITION_NOT_PUBLISHED, WITHDRAWAL_PROPOSED, NotFound.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse([*reason_faults(reason), *document_faults(document)])

    async def effect(uow: UnitOfWork) -> Answer:
        await catalog.lock_publishing(uow)
        row = await edition_row(uow, edition_id)
        if row.state != "published":
            raise _not_published(row.state)
        if await catalog_desk.withdrawal_of(uow, edition_id) is not None:
            raise Conflict(
                "该版本已有撤回提议。",
                "A withdrawal of this edition is proposed already.",
                code="WITHDRAWAL_PROPOSED",
                hint="由另一人审批 / another person approves it",
            )
        await catalog_desk.add_withdrawal(
            uow,
            {
                "withdrawal_id": new_id(),
                "edition_id": edition_id,
                "state": "proposed",
                "reason": reason.strip(),
                "document": document.strip(),
                "proposed_by": uuid.UUID(uow.scope.account_id),
                "proposed_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "CatalogEdition", "id": str(edition_id)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


async def approve_withdrawal(platform: Platform, approver: Subject, request: Request, edition_id: uuid.UUID) -> Answer:
    """Take an edition back as a second person (审批撤回). The edition before it speaks for its whole range again.

    Cases grouped by it keep what they have: finished runs name their edition. Changes: catalog_edition, edition_withdrawal, regroup_task.
    Raises: SamePerson, Conflict WITHDRAWAL_NOT_PROPOSED, EDITION_WITHOUT_PREDECESSOR, NotFound.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        published = await catalog.lock_publishing(uow)
        row = await edition_row(uow, edition_id)
        proposal = await catalog_desk.withdrawal_of(uow, edition_id)
        if proposal is None or proposal.state != "proposed":
            raise Conflict(
                "该版本没有待审批的撤回提议。",
                "No withdrawal of this edition waits for approval.",
                code="WITHDRAWAL_NOT_PROPOSED",
                hint="先由编辑提议撤回 / an editor proposes it first",
            )
        require_second_person(str(proposal.proposed_by_person), uow.scope.person_id)
        if row.state != "published":
            raise _not_published(row.state)
        day_before = row.effective_from - timedelta(days=1)
        before = next((one for one in published if one.effective_to == day_before), None)
        if before is None:
            raise Conflict(
                "该版本之前没有可恢复的版本，撤回后这段日期将没有目录。",
                "No edition stands before it: its days would have no catalog.",
                code="EDITION_WITHOUT_PREDECESSOR",
                hint="先发布一个自同日或更早生效的版本 / publish an edition of an earlier day first",
            )
        if await catalog.change_edition(uow, edition_id, "published", {"state": "withdrawn"}) != 1:
            raise moved()
        ends = {"effective_to": row.effective_to}
        if await catalog.change_edition(uow, before.edition_id, "published", ends) != 1:
            raise moved()
        if await catalog_desk.approve_withdrawal(uow, edition_id, before.edition_id) != 1:
            raise moved()
        change = RuleChange(
            "withdrawal", proposal.withdrawal_id, before.edition_id, row.effective_from, proposal.document
        )
        await open_tasks(uow, change)
        return {"type": "CatalogEdition", "id": str(edition_id)}

    return await act(platform, approver, Duty.APPROVE_CATALOG, request, effect)


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """A withdrawal (目录撤回)."""

    state: str
    reason: str
    document: str


async def withdrawal(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> WithdrawalView | None:
    """The withdrawal of an edition that the subject may see (目录撤回)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog_desk.withdrawal_of(uow, edition_id)
        if row is None or (row.state != "approved" and subject.tenant_kind is not TenantKind.PROVINCE):
            return None
        return WithdrawalView(row.state, row.reason, row.document)


def _not_published(state: str) -> Conflict:
    return Conflict(
        f"只有已发布的版本可以撤回（当前状态 {state}）。",
        f"Only a published edition is taken back ({state}).",
        code="EDITION_NOT_PUBLISHED",
    )
