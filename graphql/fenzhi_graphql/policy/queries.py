"""Policy queries (政策查询)."""

from __future__ import annotations

import uuid
from datetime import date

import strawberry

from fenzhi.services.policy import lookups, proposals
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import Connection, connection, keys_of, page_size
from fenzhi_graphql.policy.types import PolicyDefinition, PolicyEntry, PolicyInForce, PolicyState


@strawberry.type
class PolicyQuery:
    @strawberry.field(description="What is in force on a day for your province and area (当日生效政策).")
    async def policy_in_force(self, info: Info, on: date, insurance: str = "") -> PolicyInForce:
        context = info.context
        return PolicyInForce.of(await lookups.policy_in_force(context.platform, context.subject, on, insurance))

    @strawberry.field(description="Every policy parameter there is (参数清单).")
    async def policy_definitions(self, info: Info) -> list[PolicyDefinition]:
        return [PolicyDefinition.of(field) for field in await lookups.policy_definitions(info.context.subject)]

    @strawberry.field(description="Entries of your own layer, newest first (政策参数条目).")
    async def policy_entries(
        self, info: Info, first: int, after: str | None = None, state: PolicyState | None = None
    ) -> Connection[PolicyEntry]:
        context = info.context
        size = page_size(first)
        place = f"policyEntries/{state.value if state else ''}"
        keys = keys_of(context, place, after)
        views = await proposals.entries(
            context.platform,
            context.subject,
            state=state.value if state else None,
            after=uuid.UUID(str(keys[0])) if keys else None,
            limit=size + 1,
        )
        return connection(context, place, views, size, PolicyEntry.of, lambda view: [str(view.policy_id)])
