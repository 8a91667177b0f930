"""Mutations of webhooks (推送地址变更)."""

from __future__ import annotations

import uuid

import strawberry

from fenzhi.rules.events.kinds import EventKind as Kind
from fenzhi.services.acts import Answer, as_id
from fenzhi.services.events import webhooks
from fenzhi.services.submission.filing import hidden
from fenzhi_graphql.context import Info
from fenzhi_graphql.events.types import EventKind, WebhookEndpoint, endpoint_in_scope
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of

_KEY = "A fresh random key; the same when retrying (幂等键)."
_SECRET = "32 to 200 random printable ASCII characters that messages are signed with (签名密钥). Never shown again."
_ENDPOINT = "The address (推送地址)."
_ROLES = (
    "Role: hospital_submitter, integration_developer, county_auditor, county_settlement_clerk, city_settlement_clerk."
)


@strawberry.input(description="Register an address for your tenant's events (登记推送地址).")
class WebhookRegisterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    url: str = strawberry.field(description="https on a host that the operator allows (地址).")
    secret: str = strawberry.field(description=_SECRET)
    kinds: list[EventKind] = strawberry.field(
        default_factory=list, description="Kinds to hear of; empty for all, later ones included (种类)."
    )
    note: str = strawberry.field(default="", description="Your own note, up to 200 characters (备注).")


@strawberry.input(description="Give an address a new secret (轮换签名密钥).")
class WebhookRotateInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint: strawberry.ID = strawberry.field(description=_ENDPOINT)
    secret: str = strawberry.field(description=_SECRET)
    overlap_hours: int = strawberry.field(
        description="Hours through which messages are signed under the old one as well, 0 to 168 (新旧密钥并用小时数)."
    )


@strawberry.input(description="One step of an address (推送地址操作).")
class WebhookStepInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint: strawberry.ID = strawberry.field(description=_ENDPOINT)


@strawberry.type(description="The address, or what stood in the way.")
class WebhookPayload:
    webhook_endpoint: WebhookEndpoint | None = strawberry.field(description=_ENDPOINT)
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _payload(info: Info, answer: Answer | None, errors: list[UserError]) -> WebhookPayload:
    found = await endpoint_in_scope(info, str(answer["id"])) if answer else None
    return WebhookPayload(webhook_endpoint=found, user_errors=errors)


def _endpoint_id(given: str) -> uuid.UUID:
    return as_id(key_of(given, "WebhookEndpoint", "webhookEndpoint"), "webhookEndpoint")


@strawberry.type
class EventMutation:
    @strawberry.mutation(description=f"Register an address for your tenant's events (登记推送地址). {_ROLES}")
    async def webhook_register(self, info: Info, input: WebhookRegisterInput) -> WebhookPayload:
        context = info.context
        order = webhooks.NewWebhook(
            input.url, input.secret, tuple(dict.fromkeys(Kind(kind.value) for kind in input.kinds)), input.note
        )
        request = context.request(
            "webhookRegister",
            input.idempotency_key,
            {
                "url": order.url,
                "secret": hidden(order.secret),
                "kinds": [kind.value for kind in order.kinds],
                "note": order.note,
            },
        )
        made = webhooks.register(context.platform, context.subject, request, order)
        return await _payload(info, *await answered(made))

    @strawberry.mutation(
        description=f"Give an address a new secret; the old one goes on through the overlap (轮换签名密钥). {_ROLES}"
    )
    async def webhook_rotate(self, info: Info, input: WebhookRotateInput) -> WebhookPayload:
        context = info.context

        async def act() -> Answer:
            endpoint_id = _endpoint_id(input.webhook_endpoint)
            order = {"endpoint": str(endpoint_id), "secret": hidden(input.secret), "overlap": input.overlap_hours}
            request = context.request("webhookRotate", input.idempotency_key, order)
            return await webhooks.rotate(
                context.platform, context.subject, request, endpoint_id, input.secret, input.overlap_hours
            )

        return await _payload(info, *await answered(act()))

    @strawberry.mutation(
        description=f"Disable an address for good; what is on its way to it is dropped (停用推送地址). {_ROLES}"
    )
    async def webhook_disable(self, info: Info, input: WebhookStepInput) -> WebhookPayload:
        context = info.context

        async def act() -> Answer:
            endpoint_id = _endpoint_id(input.webhook_endpoint)
            request = context.request("webhookDisable", input.idempotency_key, {"endpoint": str(endpoint_id)})
            return await webhooks.disable(context.platform, context.subject, request, endpoint_id)

        return await _payload(info, *await answered(act()))

    @strawberry.mutation(
        description=f"Send a trial message, signed and retried like any other; see webhookDeliveries (测试推送). {_ROLES}"
    )
    async def webhook_test_send(self, info: Info, input: WebhookStepInput) -> WebhookPayload:
        context = info.context

        async def act() -> Answer:
            endpoint_id = _endpoint_id(input.webhook_endpoint)
            request = context.request("webhookTestSend", input.idempotency_key, {"endpoint": str(endpoint_id)})
            return await webhooks.try_out(context.platform, context.subject, request, endpoint_id)

        return await _payload(info, *await answered(act()))
