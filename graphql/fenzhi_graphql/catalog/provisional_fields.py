"""Queries and mutations of provisional groups (临时病种)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import date

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.catalog import provisional, provisional_lookups
from fenzhi_graphql.catalog.mutations import edition_id_of
from fenzhi_graphql.catalog.provisional_types import ProvisionalGroup, UnmatchedKind, provisional_in_scope
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size
from fenzhi_graphql.scalars import ExactDecimal, Fen

_KEY = "A fresh random key; the same when retrying (幂等键)."
_GROUP = "A provisional group (临时病种)."


@strawberry.input(description="Put an unmatched kind of case before a panel (提出临时病种).")
class ProvisionalGroupProposeInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    diagnosis: str = strawberry.field(description="Diagnosis of 3, 4 or 6 characters (诊断).")
    procedures: list[str] = strawberry.field(
        description="Procedures, all of them asked for; none: conservative (手术操作)."
    )
    name: str = strawberry.field(description="Name (名称).")
    score: ExactDecimal = strawberry.field(description="Score, in points of the edition's scale (分值).")
    first_day: date = strawberry.field(description="First discharge date (生效日期).")
    last_day: date = strawberry.field(description="Last discharge date (失效日期).")
    specialty: str = strawberry.field(description="Specialty the panel is drawn from (专业).")
    document: str = strawberry.field(description="Document (文件依据).")


@strawberry.input(description="A member's vote (专家表决).")
class ProvisionalVoteInput:
    expert: str = strawberry.field(description="Expert, by code (专家编号).")
    in_favour: bool = strawberry.field(description="For the proposal (赞成).")


@strawberry.input(description="Record the vote of the whole panel (登记专家表决).")
class ProvisionalGroupHearInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    provisional_group: strawberry.ID = strawberry.field(description=_GROUP)
    votes: list[ProvisionalVoteInput] = strawberry.field(description="One vote of every member (表决).")
    sheet_sha256: str = strawberry.field(description="Digest of the signed sheet (表决表摘要).")


@strawberry.input(
    description="Propose that a group ends before its day, or is absorbed by an edition (提请终止或并入)."
)
class ProvisionalGroupEndInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    provisional_group: strawberry.ID = strawberry.field(description=_GROUP)
    last_day: date = strawberry.field(description="Its new last discharge date (终止日).")
    edition: strawberry.ID | None = strawberry.field(
        default=None, description="The edition that absorbs it (并入目录)."
    )
    absorbed_by: str = strawberry.field(default="", description="The group of that edition (并入病种).")
    reason: str = strawberry.field(description="Reason (理由).")
    document: str = strawberry.field(description="Document (文件依据).")


@strawberry.input(
    description="Approve or reject what is waiting: a proposal its panel carried, or an end (审批临时病种)."
)
class ProvisionalGroupDecideInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    provisional_group: strawberry.ID = strawberry.field(description=_GROUP)
    approve: bool = strawberry.field(description="Approve, or reject (批准).")


@strawberry.type(description="The provisional group, or what stood in the way.")
class ProvisionalGroupPayload:
    group: ProvisionalGroup | None = strawberry.field(description="The provisional group (临时病种).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _payload(info: Info, run: Callable[[], Awaitable[Answer]]) -> ProvisionalGroupPayload:
    answer, errors = await answered(run())
    group = await provisional_in_scope(info, str(answer["id"])) if answer is not None else None
    return ProvisionalGroupPayload(group=group, user_errors=errors)


def _id_of(group: strawberry.ID) -> uuid.UUID:
    return as_id(key_of(group, "ProvisionalGroup", "provisionalGroup"), "provisionalGroup")


@strawberry.type
class ProvisionalQuery:
    @strawberry.field(description="Provisional groups, newest first; below the city the approved ones (临时病种).")
    async def provisional_groups(
        self, info: Info, first: int, after: str | None = None
    ) -> Connection[ProvisionalGroup]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "provisionalGroups", after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await provisional_lookups.page(context.platform, context.subject, last, size + 1)
        return connection(
            context, "provisionalGroups", views, size, ProvisionalGroup.of, lambda view: [str(view.provisional_id)]
        )

    @strawberry.field(description="One provisional group by id, or null when it is not in your scope (临时病种).")
    async def provisional_group(self, info: Info, id: strawberry.ID) -> ProvisionalGroup | None:
        return await provisional_in_scope(info, key_of(id, "ProvisionalGroup"))

    @strawberry.field(
        description="Kinds of case that the latest runs of a year left without a group, most cases first "
        "(未入组病例种类). Role: city_settlement_clerk."
    )
    async def unmatched_kinds(self, info: Info, year: int, first: int) -> list[UnmatchedKind]:
        context = info.context
        size = page_size(first)
        found = await provisional_lookups.unmatched_kinds(context.platform, context.subject, year, size)
        return [
            UnmatchedKind(
                diagnosis=row.diagnosis, procedures=list(row.procedures), cases=row.cases, total_fen=Fen(row.total_fen)
            )
            for row in found
        ]


@strawberry.type
class ProvisionalMutation:
    @strawberry.mutation(
        description="Put an unmatched kind of case before a panel drawn by lot (提出临时病种). Role: city_settlement_clerk."
    )
    async def provisional_group_propose(
        self, info: Info, input: ProvisionalGroupProposeInput
    ) -> ProvisionalGroupPayload:
        context = info.context

        async def run() -> Answer:
            order = provisional.NewProvisionalGroup(
                diagnosis=input.diagnosis,
                procedures=tuple(input.procedures),
                name=input.name,
                score=input.score,
                first_day=input.first_day,
                last_day=input.last_day,
                specialty=input.specialty,
                document=input.document,
            )
            described: dict[str, object] = {
                "diagnosis": order.diagnosis,
                "procedures": list(order.procedures),
                "name": order.name,
                "score": str(order.score),
                "first_day": order.first_day.isoformat(),
                "last_day": order.last_day.isoformat(),
                "specialty": order.specialty,
                "document": order.document,
            }
            request = context.request("provisionalGroupPropose", input.idempotency_key, described)
            return await provisional.propose(context.platform, context.subject, request, order)

        return await _payload(info, run)

    @strawberry.mutation(
        description="Record the vote of the whole panel; more than half carry it (登记专家表决). Role: city_settlement_clerk."
    )
    async def provisional_group_hear(self, info: Info, input: ProvisionalGroupHearInput) -> ProvisionalGroupPayload:
        context = info.context

        async def run() -> Answer:
            group = _id_of(input.provisional_group)
            votes = [provisional.PanelVote(one.expert, one.in_favour) for one in input.votes]
            described: dict[str, object] = {
                "group": str(group),
                "votes": [[one.expert, one.in_favour] for one in votes],
                "sheet": input.sheet_sha256,
            }
            request = context.request("provisionalGroupHear", input.idempotency_key, described)
            return await provisional.hear(context.platform, context.subject, request, group, votes, input.sheet_sha256)

        return await _payload(info, run)

    @strawberry.mutation(
        description="Propose that a group ends before its day, or is absorbed by an edition (提请终止或并入). "
        "Role: city_settlement_clerk."
    )
    async def provisional_group_end(self, info: Info, input: ProvisionalGroupEndInput) -> ProvisionalGroupPayload:
        context = info.context

        async def run() -> Answer:
            group = _id_of(input.provisional_group)
            edition = edition_id_of(input.edition) if input.edition is not None else None
            order = provisional.Ending(input.last_day, input.reason, input.document, edition, input.absorbed_by)
            described: dict[str, object] = {
                "group": str(group),
                "last_day": order.last_day.isoformat(),
                "edition": str(edition or ""),
                "absorbed_by": order.absorbed_by,
                "reason": order.reason,
                "document": order.document,
            }
            request = context.request("provisionalGroupEnd", input.idempotency_key, described)
            return await provisional.end(context.platform, context.subject, request, group, order)

        return await _payload(info, run)

    @strawberry.mutation(
        description="Approve or reject what is waiting, as a second person (审批临时病种). Role: city_settlement_approver."
    )
    async def provisional_group_decide(self, info: Info, input: ProvisionalGroupDecideInput) -> ProvisionalGroupPayload:
        context = info.context

        async def run() -> Answer:
            group = _id_of(input.provisional_group)
            described: dict[str, object] = {"group": str(group), "approve": input.approve}
            request = context.request("provisionalGroupDecide", input.idempotency_key, described)
            return await provisional.decide(context.platform, context.subject, request, group, approve=input.approve)

        return await _payload(info, run)
