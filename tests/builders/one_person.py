"""One natural person with two roles (一人两岗), for trying every four-eyes step."""

from __future__ import annotations

import uuid

import httpx

from builders.world import Client, World, new_key
from fenzhi.access.development_issuer import ISSUER, issue_development_token
from fenzhi.access.roles import Role
from fenzhi.services.registry.accounts import development_account, development_subject

_GRANT = "mutation($i: RoleGrantInput!) { roleGrant(input: $i) { userErrors { code } } }"


async def same_person(world: World, tenant: str, first: Role, second: Role) -> Client:
    """A client of the person who holds the development account of the first role, acting in the second role."""
    subject = development_subject(tenant, first)
    _subject, epoch = await development_account(world.platform.database, tenant, first)
    operator = await world.client("operator", Role.OPERATOR_ADMIN)
    order = {
        "idempotencyKey": new_key(),
        "issuer": ISSUER,
        "subject": subject,
        "personId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"fenzhi:{subject}")),
        "displayName": subject,
        "tenant": tenant,
        "role": second.name,
    }
    answer = await operator.gql(_GRANT, {"i": order})
    assert answer["roleGrant"]["userErrors"] == []
    token = issue_development_token(world.key, subject, tenant, second.value, epoch).token
    transport = httpx.ASGITransport(app=world.app, raise_app_exceptions=False)
    return Client(
        httpx.AsyncClient(
            transport=transport, base_url="http://fenzhi.test", headers={"authorization": f"Bearer {token}"}
        )
    )
