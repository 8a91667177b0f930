"""Audit queries (审计查询)."""

from __future__ import annotations

import uuid
from datetime import datetime

import strawberry

from fenzhi.services.acts import as_id
from fenzhi.services.audit import lookups
from fenzhi_graphql.audit.types import AuditAnchor, AuditEvent, AuditKind
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size


@strawberry.input(description="Which events; nothing given means all of your scope (审计筛选).")
class AuditEventFilter:
    tenant: str | None = strawberry.field(default=None, description="Tenant that acted (租户).")
    person_id: str | None = strawberry.field(default=None, description="Natural person, as events show it (自然人).")
    kind: AuditKind | None = strawberry.field(default=None, description="What it is (类别).")
    action: str | None = strawberry.field(default=None, description="Operation, exactly as events show it (操作).")
    request_id: str | None = strawberry.field(default=None, description="Request (请求号).")
    case: strawberry.ID | None = strawberry.field(
        default=None, description="A case: who saw it. It may be one that no longer stands (病例)."
    )
    since: datetime | None = strawberry.field(default=None, description="From this moment on (起).")
    until: datetime | None = strawberry.field(default=None, description="Before this moment (止).")


@strawberry.type
class AuditQuery:
    @strawberry.field(
        description="Events of your province or city, newest first (审计列表). Roles: province_audit_administrator, city_audit_administrator."
    )
    async def audit_events(
        self, info: Info, first: int, after: str | None = None, filter: AuditEventFilter | None = None
    ) -> Connection[AuditEvent]:
        context = info.context
        size = page_size(first)
        given = filter or AuditEventFilter()
        wanted = lookups.EventFilter(
            tenant=given.tenant,
            person=None if given.person_id is None else as_id(given.person_id, "personId"),
            kind=None if given.kind is None else str(given.kind.value),
            action=given.action,
            request_id=given.request_id,
            case_id=None if given.case is None else as_id(key_of(given.case, "InpatientCase", "case"), "case"),
            since=given.since,
            until=given.until,
        )
        place = f"auditEvents/{wanted}"
        keys = keys_of(context, place, after)
        before = uuid.UUID(str(keys[0])) if keys else None
        views = await lookups.audit_events(context.platform, context.subject, before, size + 1, wanted)
        return connection(context, place, views, size, AuditEvent.of, lambda view: [str(view.event_id)])

    @strawberry.field(
        description="The latest anchor of the chain, null before the first (最近锚点). Roles: audit administrators."
    )
    async def audit_anchor(self, info: Info) -> AuditAnchor | None:
        view = await lookups.latest_anchor(info.context.platform, info.context.subject)
        return AuditAnchor.of(view) if view is not None else None
