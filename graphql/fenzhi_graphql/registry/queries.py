"""Registry queries (机构查询)."""

from __future__ import annotations

import strawberry

from fenzhi.services.registry import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size
from fenzhi_graphql.registry.types import County, Hospital, PoolingArea


@strawberry.type
class RegistryQuery:
    @strawberry.field(description="Pooling areas of your scope (统筹区).")
    async def pooling_areas(self, info: Info) -> list[PoolingArea]:
        context = info.context
        return [PoolingArea.of(view) for view in await lookups.areas(context.platform, context.subject)]

    @strawberry.field(description="Counties of your scope (县区).")
    async def counties(self, info: Info) -> list[County]:
        context = info.context
        return [County.of(view) for view in await lookups.counties(context.platform, context.subject)]

    @strawberry.field(description="Hospitals of your scope, in order of registration (医院列表).")
    async def hospitals(self, info: Info, first: int, after: str | None = None) -> Connection[Hospital]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "hospitals", after)
        last = int(str(keys[0])) if keys else 0
        views = await lookups.hospitals(context.platform, context.subject, last, size + 1)
        return connection(context, "hospitals", views, size, Hospital.of, lambda view: [view.hospital_id])

    @strawberry.field(description="One hospital by id, or null when it is not in your scope (医院).")
    async def hospital(self, info: Info, id: strawberry.ID) -> Hospital | None:
        context = info.context
        view = await lookups.hospital(context.platform, context.subject, int(key_of(id, "Hospital")))
        return Hospital.of(view) if view else None
