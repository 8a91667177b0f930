"""One natural person with two roles (一人两岗), for trying every four-eyes step."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import httpx
from sqlalchemy import text

from builders.world import Client, World
from fenzhi.access.development_issuer import CLIENT, ISSUER, issue_development_token
from fenzhi.access.roles import Role
from fenzhi.access.scope import AUTHENTICATION_SCOPE
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.flow.identity import grant_role
from fenzhi.rules.refusals import Conflict
from fenzhi.services.identity.administration import NewAccount, add_first_operator
from fenzhi.services.registry.accounts import development_account, development_subject
from fenzhi.store.session import Database


async def place_of(database: Database, tenant: str) -> str:
    """The province or city whose administrators manage a tenant's accounts."""
    query = """
    select p.code from pooling_area p join county c using (area_id) where c.code = :tenant
    union select p.code from pooling_area p join hospital h using (area_id) where h.code = :tenant
    """
    async with database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        return str(await uow.scalar(text(query), {"tenant": tenant}) or tenant)


def cast_of(world: World) -> Cast:
    """The world's users as the command line's flow knows them."""

    async def make(tenant: str, role: Role) -> str:
        subject, epoch = await development_account(world.platform.database, tenant, role)
        return issue_development_token(world.key, subject, tenant, role.value, epoch).token

    transport = httpx.ASGITransport(app=world.app, raise_app_exceptions=False)
    return Cast(httpx.AsyncClient(transport=transport, base_url="http://fenzhi.test"), make)


def client_with(world: World, token: str, **headers: Any) -> Client:
    """A client that sends one token."""
    transport = httpx.ASGITransport(app=world.app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {token}", **headers}
    return Client(httpx.AsyncClient(transport=transport, base_url="http://fenzhi.test", headers=headers))


async def same_person(world: World, tenant: str, first: Role, second: Role) -> Client:
    """A client of the person who holds the development account of the first role, acting in the second role."""
    database = world.platform.database
    subject = development_subject(tenant, first)
    await grant_role(cast_of(world), await place_of(database, tenant), tenant, second, issuer=ISSUER, subject=subject)
    _subject, epoch = await development_account(database, tenant, first)
    return client_with(world, issue_development_token(world.key, subject, tenant, second.value, epoch).token)


async def second_operator(world: World) -> Client:
    """A client of another operator than the development account's, so that what one proposes the other may grant."""
    order = NewAccount(
        ISSUER, "dev:operator:second", uuid.uuid5(uuid.NAMESPACE_URL, "fenzhi:second-operator"), "second"
    )
    with suppress(Conflict):  # It is there already.
        await add_first_operator(world.platform.database, order, CLIENT)
    token = issue_development_token(world.key, order.subject, "operator", Role.OPERATOR_ADMIN.value, 0).token
    return client_with(world, token)
