"""Queries of events and webhooks (事件与推送查询)."""

from __future__ import annotations

import strawberry

from fenzhi.rules.events.kinds import EventKind as Kind
from fenzhi.services.acts import as_id
from fenzhi.services.events import notices, webhooks
from fenzhi_graphql.context import Info
from fenzhi_graphql.events.types import (
    EventKind,
    TenantEvent,
    WebhookDelivery,
    WebhookDeliveryState,
    WebhookEndpoint,
)
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size


@strawberry.type
class EventQuery:
    @strawberry.field(
        description="What happened and concerns your tenant, in the order in which it became visible (事件). Keep the last cursor: "
        "what comes later never lies before it."
    )
    async def events(
        self, info: Info, first: int, after: str | None = None, kinds: list[EventKind] | None = None
    ) -> Connection[TenantEvent]:
        context = info.context
        size = page_size(first)
        wanted = [Kind(kind.value) for kind in kinds or ()]
        keys = keys_of(context, "events", after)
        last = int(str(keys[0])) if keys else 0
        views = await notices.events(context.platform, context.subject, last, size + 1, wanted)
        return connection(context, "events", views, size, TenantEvent.of, lambda view: [view.seq])

    @strawberry.field(
        description="The addresses your tenant's events are sent to (推送地址列表). "
        "Role: hospital_submitter, integration_developer, county_auditor, county_settlement_clerk, city_settlement_clerk."
    )
    async def webhook_endpoints(self, info: Info) -> list[WebhookEndpoint]:
        views = await webhooks.endpoints(info.context.platform, info.context.subject)
        return [WebhookEndpoint.of(view) for view in views]

    @strawberry.field(description="The log of what was sent, the newest first, dead letters included (推送日志).")
    async def webhook_deliveries(
        self,
        info: Info,
        first: int,
        after: str | None = None,
        webhook_endpoint: strawberry.ID | None = None,
        state: WebhookDeliveryState | None = None,
    ) -> Connection[WebhookDelivery]:
        context = info.context
        size = page_size(first)
        key = key_of(webhook_endpoint, "WebhookEndpoint", "webhookEndpoint") if webhook_endpoint else ""
        place = f"webhookDeliveries/{key}/{state.value if state else ''}"
        keys = keys_of(context, place, after)
        views = await webhooks.deliveries(
            context.platform,
            context.subject,
            uuid_of(str(keys[0])) if keys else None,
            size + 1,
            endpoint_id=as_id(key, "webhookEndpoint") if key else None,
            state=state.value if state else "",
        )
        return connection(context, place, views, size, WebhookDelivery.of, lambda view: [str(view.delivery_id)])
