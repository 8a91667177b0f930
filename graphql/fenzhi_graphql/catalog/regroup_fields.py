"""Queries and mutations of regrouping (重新入组)."""

from __future__ import annotations

from datetime import date

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.catalog import regroup_tasks, regrouping
from fenzhi_graphql.catalog.mutations import CatalogJobPayload, edition_id_of, job_payload
from fenzhi_graphql.catalog.regroup_types import Regrouping, RegroupTask, regrouping_in_scope
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.outcomes import answered
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Group a year's cases of your city under another edition (重新入组).")
class CasesRegroupInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    edition: strawberry.ID = strawberry.field(description="A published edition (已发布的目录).")
    year: int = strawberry.field(description="Settlement year of the cases (结算年度).")
    policy_on: date | None = strawberry.field(
        default=None,
        description="Day whose policy speaks; null: the later of the year's last day and the edition's first (政策日期).",
    )


@strawberry.input(description="Do a regrouping again from what was known then (重演重新入组).")
class RegroupingReplayInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    regrouping: strawberry.ID = strawberry.field(description="A regrouping (重新入组记录).")


@strawberry.type
class RegroupQuery:
    @strawberry.field(description="Regroupings of your cities, newest first; none below the city (重新入组记录).")
    async def regroupings(self, info: Info, first: int, after: str | None = None) -> Connection[Regrouping]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "regroupings", after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await regrouping.page(context.platform, context.subject, last, size + 1)
        return connection(context, "regroupings", views, size, Regrouping.of, lambda view: [str(view.regrouping_id)])

    @strawberry.field(description="One regrouping by id, or null when it is not in your scope (重新入组记录).")
    async def regrouping(self, info: Info, id: strawberry.ID) -> Regrouping | None:
        return await regrouping_in_scope(info, key_of(id, "Regrouping"))

    @strawberry.field(description="Regroup tasks of your cities, newest first; none below the city (重新入组任务).")
    async def regroup_tasks(self, info: Info, first: int, after: str | None = None) -> Connection[RegroupTask]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "regroupTasks", after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await regroup_tasks.page(context.platform, context.subject, last, size + 1)
        return connection(context, "regroupTasks", views, size, RegroupTask.of, lambda view: [str(view.task_id)])


@strawberry.type
class RegroupMutation:
    @strawberry.mutation(
        description="Group a year's cases of your city under another edition, as a job; what runs said stays "
        "(重新入组). Role: city_settlement_clerk."
    )
    async def cases_regroup(self, info: Info, input: CasesRegroupInput) -> CatalogJobPayload:
        context = info.context

        async def run() -> Answer:
            edition_id = edition_id_of(input.edition)
            order: dict[str, object] = {
                "edition": str(edition_id),
                "year": input.year,
                "policy_on": input.policy_on.isoformat() if input.policy_on else "",
            }
            request = context.request("casesRegroup", input.idempotency_key, order)
            return await regrouping.start_regrouping(
                context.platform, context.subject, request, edition_id, input.year, input.policy_on
            )

        answer, errors = await answered(run())
        return await job_payload(info, answer, errors)

    @strawberry.mutation(
        description="Do a regrouping again from what was known then, as a job; only its digests are kept "
        "(重演重新入组). Role: city_settlement_clerk."
    )
    async def regrouping_replay(self, info: Info, input: RegroupingReplayInput) -> CatalogJobPayload:
        context = info.context

        async def run() -> Answer:
            regrouping_id = as_id(key_of(input.regrouping, "Regrouping", "regrouping"), "regrouping")
            request = context.request("regroupingReplay", input.idempotency_key, {"regrouping": str(regrouping_id)})
            return await regrouping.start_replay(context.platform, context.subject, request, regrouping_id)

        answer, errors = await answered(run())
        return await job_payload(info, answer, errors)
