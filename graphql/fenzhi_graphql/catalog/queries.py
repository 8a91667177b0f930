"""Catalog queries (目录查询)."""

from __future__ import annotations

import uuid
from datetime import date

import strawberry

from fenzhi.services.acts import as_id
from fenzhi.services.catalog import lookups
from fenzhi_graphql.catalog.types import (
    AreaOverlay,
    CatalogEdition,
    CodeEntry,
    CodeTable,
    DiseaseGroup,
    ReferenceCost,
    group_in_scope,
    overlay_in_scope,
)
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size


def _key(value: str, type_name: str, where: str) -> uuid.UUID:
    return as_id(key_of(value, type_name, where), where)


@strawberry.type
class CatalogQuery:
    @strawberry.field(description="Code tables of your province, newest first (代码表).")
    async def code_tables(self, info: Info) -> list[CodeTable]:
        context = info.context
        return [CodeTable.of(view) for view in await lookups.code_tables(context.platform, context.subject)]

    @strawberry.field(description="Codes of a table in byte order, by prefix (代码条目).")
    async def code_entries(
        self, info: Info, code_table: strawberry.ID, first: int, after: str | None = None, prefix: str = ""
    ) -> Connection[CodeEntry]:
        context = info.context
        size = page_size(first)
        table_id = _key(code_table, "CodeTable", "codeTable")
        place = f"codeEntries/{table_id}/{prefix}"
        keys = keys_of(context, place, after)
        views = await lookups.code_entries(
            context.platform, context.subject, table_id, prefix, str(keys[0]) if keys else "", size + 1
        )
        return connection(context, place, views, size, CodeEntry.of, lambda view: [view.code])

    @strawberry.field(description="Editions of your province, newest first (目录版本).")
    async def catalog_editions(self, info: Info, first: int, after: str | None = None) -> Connection[CatalogEdition]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "catalogEditions", after)
        last = uuid.UUID(str(keys[0])) if keys else None
        views = await lookups.editions(context.platform, context.subject, last, size + 1)
        return connection(
            context, "catalogEditions", views, size, CatalogEdition.of, lambda view: [str(view.edition_id)]
        )

    @strawberry.field(description="One edition by id, or null when it is not in your scope (目录版本).")
    async def catalog_edition(self, info: Info, id: strawberry.ID) -> CatalogEdition | None:
        context = info.context
        view = await lookups.edition(context.platform, context.subject, _key(id, "CatalogEdition", "id"))
        return CatalogEdition.of(view) if view else None

    @strawberry.field(description="The edition in force on a discharge date, or null (适用目录版本).")
    async def catalog_edition_in_force(self, info: Info, on: date) -> CatalogEdition | None:
        context = info.context
        view = await lookups.edition_in_force(context.platform, context.subject, on)
        return CatalogEdition.of(view) if view else None

    @strawberry.field(description="One disease group by id, or null when it is not in your scope (病种).")
    async def disease_group(self, info: Info, id: strawberry.ID) -> DiseaseGroup | None:
        return await group_in_scope(info, key_of(id, "DiseaseGroup"))

    @strawberry.field(description="Overlays of your pooling area, newest first (市级调整).")
    async def area_overlays(self, info: Info, edition: strawberry.ID | None = None) -> list[AreaOverlay]:
        context = info.context
        edition_id = _key(edition, "CatalogEdition", "edition") if edition else None
        return [AreaOverlay.of(view) for view in await lookups.overlays(context.platform, context.subject, edition_id)]

    @strawberry.field(description="One overlay by id, or null when it is not in your scope (市级调整).")
    async def area_overlay(self, info: Info, id: strawberry.ID) -> AreaOverlay | None:
        return await overlay_in_scope(info, key_of(id, "AreaOverlay"))

    @strawberry.field(description="Reference costs of your area for an edition and year (上年参照费用).")
    async def reference_costs(
        self, info: Info, edition: strawberry.ID, year: int, first: int, after: str | None = None
    ) -> Connection[ReferenceCost]:
        context = info.context
        size = page_size(first)
        edition_id = _key(edition, "CatalogEdition", "edition")
        place = f"referenceCosts/{edition_id}/{year}"
        keys = keys_of(context, place, after)
        last = (str(keys[0]), str(keys[1])) if keys and len(keys) > 1 else ("", "")
        views = await lookups.reference_costs(context.platform, context.subject, edition_id, year, last, size + 1)
        return connection(context, place, views, size, ReferenceCost.of, lambda view: [view.group_code, view.level])
