"""Identity as the API shows it (身份): accounts, grants, clients, issuers."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import Enum

import strawberry

from fenzhi.access.roles import Role
from fenzhi.rules.refusals import DataRefused
from fenzhi.services.acts import as_id
from fenzhi.services.identity import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id

strawberry.enum(Role, name="Role", description="A role in one tenant (角色).")


@strawberry.enum(description="How far a proposed role is (授权状态).")
class GrantState(Enum):
    PROPOSED = "proposed"
    GRANTED = "granted"
    REJECTED = "rejected"


@strawberry.enum(description="How far the registration of an issuer is (签发方状态).")
class IssuerState(Enum):
    PROPOSED = "proposed"
    ACTIVE = "active"
    ENDED = "ended"


@strawberry.type(description="A role that an account holds in a tenant (成员资格).")
class Membership:
    tenant: str = strawberry.field(description="Tenant code (租户编码).")
    role: Role = strawberry.field(description="Role (角色).")
    granted_at: datetime = strawberry.field(description="Since when (授权时点).")


@strawberry.type(description="An account: a subject of an issuer, and the natural person behind it (账号).")
class Account(Node):
    uuid: strawberry.ID = strawberry.field(description="UUID of the account, for roleRevoke and the locks (账号标识).")
    issuer: str = strawberry.field(description="Issuer of its tokens (令牌签发方).")
    subject: str = strawberry.field(description="The issuer's subject (账号主体).")
    person_id: strawberry.ID = strawberry.field(description="UUID of the natural person (自然人标识).")
    display_name: str = strawberry.field(description="Name shown beside acts (显示名).")
    is_locked: bool = strawberry.field(description="Whether an administrator has locked it (是否锁定).")
    memberships: list[Membership] = strawberry.field(description="The roles it holds (现有角色).")

    @staticmethod
    def of(view: lookups.AccountView) -> Account:
        return Account(
            id=global_id("Account", view.account_id),
            uuid=strawberry.ID(str(view.account_id)),
            issuer=view.issuer,
            subject=view.subject,
            person_id=strawberry.ID(str(view.person_id)),
            display_name=view.display_name,
            is_locked=view.is_locked,
            memberships=[
                Membership(tenant=m.tenant, role=Role(m.role), granted_at=m.granted_at) for m in view.memberships
            ],
        )


@strawberry.type(description="A role proposed by one administrator, granted or rejected by another (授权申请).")
class RoleGrant(Node):
    account_id: strawberry.ID = strawberry.field(description="UUID of the account (账号标识).")
    tenant: str = strawberry.field(description="Tenant code (租户编码).")
    role: Role = strawberry.field(description="Role (角色).")
    state: GrantState = strawberry.field(description="State (状态).")
    proposed_by: strawberry.ID = strawberry.field(description="UUID of the proposer's account (提请账号).")
    proposed_at: datetime = strawberry.field(description="When it was proposed (提请时点).")
    decided_by: strawberry.ID | None = strawberry.field(description="UUID of the decider's account (审批账号).")
    decided_at: datetime | None = strawberry.field(description="When it was decided (审批时点).")

    @staticmethod
    def of(view: lookups.GrantView) -> RoleGrant:
        return RoleGrant(
            id=global_id("RoleGrant", view.grant_id),
            account_id=strawberry.ID(str(view.account_id)),
            tenant=view.tenant,
            role=Role(view.role),
            state=GrantState(view.state),
            proposed_by=strawberry.ID(str(view.proposed_by)),
            proposed_at=view.proposed_at,
            decided_by=strawberry.ID(str(view.decided_by)) if view.decided_by else None,
            decided_at=view.decided_at,
        )


@strawberry.type(description="A program whose tokens may act for a tenant and those below it (客户端).")
class ApiClient(Node):
    issuer: str = strawberry.field(description="Issuer of its tokens (令牌签发方).")
    client_id: str = strawberry.field(description="The issuer's client_id (客户端编号).")
    name: str = strawberry.field(description="Name (名称).")
    tenant: str = strawberry.field(description="Tenant code (租户编码).")
    ended_at: datetime | None = strawberry.field(description="When it was ended (停用时点).")

    @staticmethod
    def of(view: lookups.ClientView) -> ApiClient:
        return ApiClient(
            id=global_id("ApiClient", view.client_key),
            issuer=view.issuer,
            client_id=view.client_id,
            name=view.name,
            tenant=view.tenant,
            ended_at=view.ended_at,
        )


@strawberry.type(description="An issuer whose tokens are believed for one province, one city or the platform (签发方).")
class TokenIssuer(Node):
    issuer: str = strawberry.field(description="The iss of its tokens (签发方).")
    keys_url: str = strawberry.field(description="Where it publishes its keys (公钥地址).")
    audience: str = strawberry.field(description="The aud of its tokens (受众).")
    tenant: str = strawberry.field(description="Province or city it vouches for, or operator (租户编码).")
    factor_methods: list[str] = strawberry.field(description="amr values that stand for a second factor (双因素方式).")
    factor_classes: list[str] = strawberry.field(description="acr values that do (双因素级别).")
    state: IssuerState = strawberry.field(description="State (状态).")

    @staticmethod
    def of(view: lookups.IssuerView) -> TokenIssuer:
        return TokenIssuer(
            id=global_id("TokenIssuer", view.issuer_id),
            issuer=view.issuer,
            keys_url=view.keys_url,
            audience=view.audience,
            tenant=view.tenant,
            factor_methods=list(view.factor_methods),
            factor_classes=list(view.factor_classes),
            state=IssuerState(view.state),
        )


def _uuid(key: str) -> uuid.UUID | None:
    try:
        return as_id(key, "id")
    except DataRefused:
        return None


@finds("Account")
async def find_account(info: Info, key: str) -> Account | None:
    """An account within the caller's reach (按标识查账号)."""
    account_id = _uuid(key)
    view = await lookups.account(info.context.platform, info.context.subject, account_id) if account_id else None
    return Account.of(view) if view else None


@finds("RoleGrant")
async def find_grant(info: Info, key: str) -> RoleGrant | None:
    """A proposed or decided role within the caller's reach (按标识查授权申请)."""
    grant_id = _uuid(key)
    view = await lookups.grant(info.context.platform, info.context.subject, grant_id) if grant_id else None
    return RoleGrant.of(view) if view else None


@finds("ApiClient")
async def find_client(info: Info, key: str) -> ApiClient | None:
    """A client within the caller's reach (按标识查客户端)."""
    client_key = _uuid(key)
    view = await lookups.client(info.context.platform, info.context.subject, client_key) if client_key else None
    return ApiClient.of(view) if view else None


@finds("TokenIssuer")
async def find_issuer(info: Info, key: str) -> TokenIssuer | None:
    """An issuer, for the operator (按标识查签发方)."""
    return await issuer_of(info, key)


async def issuer_of(info: Info, key: str) -> TokenIssuer | None:
    """The issuer of a key, or none (签发方)."""
    views = await lookups.issuers(info.context.platform, info.context.subject)
    return next((TokenIssuer.of(view) for view in views if str(view.issuer_id) == key), None)
