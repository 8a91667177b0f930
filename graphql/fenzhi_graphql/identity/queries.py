"""Identity queries (身份查询), for administrators and the operator."""

from __future__ import annotations

import strawberry

from fenzhi.services.identity import lookups
from fenzhi_graphql.context import Context, Info
from fenzhi_graphql.identity.types import Account, ApiClient, RoleGrant, TokenIssuer
from fenzhi_graphql.paging import Connection, connection, keys_of, page_size


def _after(context: Context, place: str, cursor: str | None) -> str:
    keys = keys_of(context, place, cursor)
    return str(keys[0]) if keys else ""


@strawberry.type
class IdentityQuery:
    @strawberry.field(
        description="Accounts within your reach (账号列表). Roles: system and security administrators, operator."
    )
    async def accounts(self, info: Info, first: int, after: str | None = None) -> Connection[Account]:
        context = info.context
        size = page_size(first)
        last = _after(context, "accounts", after)
        views = await lookups.accounts(context.platform, context.subject, last, size + 1)
        return connection(context, "accounts", views, size, Account.of, lambda view: [str(view.account_id)])

    @strawberry.field(
        description="Proposed and decided roles within your reach, newest first (授权申请). "
        "Roles: system and security administrators, operator."
    )
    async def role_grants(self, info: Info, first: int, after: str | None = None) -> Connection[RoleGrant]:
        context = info.context
        size = page_size(first)
        last = _after(context, "roleGrants", after)
        views = await lookups.grants(context.platform, context.subject, last, size + 1)
        return connection(context, "roleGrants", views, size, RoleGrant.of, lambda view: [str(view.grant_id)])

    @strawberry.field(
        description="Clients within your reach (客户端). Roles: system and security administrators, operator."
    )
    async def api_clients(self, info: Info, first: int, after: str | None = None) -> Connection[ApiClient]:
        context = info.context
        size = page_size(first)
        last = _after(context, "apiClients", after)
        views = await lookups.clients(context.platform, context.subject, last, size + 1)
        return connection(context, "apiClients", views, size, ApiClient.of, lambda view: [str(view.client_key)])

    @strawberry.field(description="Registered issuers (签发方). Role: operator_admin.")
    async def token_issuers(self, info: Info) -> list[TokenIssuer]:
        context = info.context
        return [TokenIssuer.of(view) for view in await lookups.issuers(context.platform, context.subject)]
