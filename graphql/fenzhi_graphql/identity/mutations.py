"""Identity mutations (身份管理): accounts, roles by two persons, clients, issuers, signing out."""

from __future__ import annotations

import uuid

import strawberry

from fenzhi.access.roles import Role
from fenzhi.services.acts import as_id
from fenzhi.services.identity import administration, clients, issuers, lookups
from fenzhi_graphql.context import Context, Info
from fenzhi_graphql.identity.types import Account, ApiClient, RoleGrant, TokenIssuer, issuer_of
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Open an account without any role (开通账号).")
class AccountOpenInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    issuer: str = strawberry.field(description="Issuer of the account's tokens (令牌签发方).")
    subject: str = strawberry.field(description="The issuer's subject (账号主体).")
    person_id: strawberry.ID = strawberry.field(
        description="UUID of the natural person behind the account (自然人标识)."
    )
    display_name: str = strawberry.field(description="Name shown beside acts (显示名).")


@strawberry.input(description="Lock or unlock an account (锁定、解锁账号).")
class AccountLockInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    account_id: strawberry.ID = strawberry.field(description="UUID of the account (账号标识).")


@strawberry.type(description="The account, or what stood in the way.")
class AccountPayload:
    account: Account | None = strawberry.field(description="The account (账号).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Let an account act in a role for a tenant (授权).")
class RoleGrantInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    issuer: str = strawberry.field(description="Issuer of the account's tokens (令牌签发方).")
    subject: str = strawberry.field(description="The issuer's subject (账号主体).")
    tenant: str = strawberry.field(description="Tenant code (租户编码).")
    role: Role = strawberry.field(description="Role (角色).")


@strawberry.input(description="Grant or reject a proposed role (审批授权).")
class RoleGrantStepInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    grant: strawberry.ID = strawberry.field(description="The proposed role (授权申请).")


@strawberry.input(description="End a role of an account (撤销授权).")
class RoleRevokeInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    account_id: strawberry.ID = strawberry.field(description="UUID of the account (账号标识).")
    tenant: str = strawberry.field(description="Tenant code (租户编码).")
    role: Role = strawberry.field(description="Role (角色).")


@strawberry.type(description="The account and the proposed role, or what stood in the way.")
class RolePayload:
    account_id: strawberry.ID | None = strawberry.field(description="UUID of the account (账号标识).")
    grant: RoleGrant | None = strawberry.field(
        default=None, description="What waits for another person, or null when the role is held at once (授权申请)."
    )
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The proposed role as it stands, or what stood in the way.")
class RoleGrantPayload:
    grant: RoleGrant | None = strawberry.field(description="The role (授权申请).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Let tokens of a client act for a tenant (登记客户端).")
class ClientRegisterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    issuer: str = strawberry.field(description="Issuer of its tokens (令牌签发方).")
    client_name: str = strawberry.field(description="The issuer's client_id (客户端编号).")
    name: str = strawberry.field(description="Name (名称).")
    tenant: str = strawberry.field(description="Tenant code; it serves all below it too (租户编码).")


@strawberry.input(description="End a client (停用客户端).")
class ClientEndInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    api_client: strawberry.ID = strawberry.field(description="The client (客户端).")


@strawberry.type(description="The client, or what stood in the way.")
class ClientPayload:
    api_client: ApiClient | None = strawberry.field(description="The client (客户端).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Register an issuer for a province, a city or the platform (登记签发方).")
class IssuerRegisterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    issuer: str = strawberry.field(description="The iss of its tokens (签发方).")
    keys_url: str = strawberry.field(description="Where it publishes its keys: https, on an allowed host (公钥地址).")
    audience: str = strawberry.field(description="The aud of its tokens (受众).")
    tenant: str = strawberry.field(description="Code of a province or city, or operator (租户编码).")
    factor_methods: list[str] = strawberry.field(
        default_factory=list,
        description="amr values that stand for a second factor; blank takes mfa, otp, hwk, sc (双因素方式).",
    )
    factor_classes: list[str] = strawberry.field(
        default_factory=list, description="acr values that stand for a second factor (双因素级别)."
    )


@strawberry.input(description="Put an issuer into use, or end it (启用、停用签发方).")
class IssuerStepInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    token_issuer: strawberry.ID = strawberry.field(description="The issuer (签发方).")


@strawberry.type(description="The issuer, or what stood in the way.")
class IssuerPayload:
    token_issuer: TokenIssuer | None = strawberry.field(description="The issuer (签发方).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="Take your own token back before its end (注销令牌).")
class SignOutInput:
    idempotency_key: str = strawberry.field(description=_KEY)


@strawberry.type(description="Whether the token was taken back.")
class SignOutPayload:
    is_signed_out: bool = strawberry.field(description="True when it was (是否已注销).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type
class IdentityMutation:
    @strawberry.mutation(description="Open an account (开通账号). Roles: system administrators, operator_admin.")
    async def account_open(self, info: Info, input: AccountOpenInput) -> AccountPayload:
        context = info.context

        async def act() -> dict[str, object]:
            person = as_id(str(input.person_id), "personId")
            order = administration.NewAccount(input.issuer, input.subject, person, input.display_name)
            asked: dict[str, object] = {
                "issuer": order.issuer,
                "subject": order.subject,
                "person": str(person),
                "display_name": order.display_name,
            }
            request = context.request("accountOpen", input.idempotency_key, asked)
            return await administration.open_account(context.platform, context.subject, request, order)

        answer, errors = await answered(act())
        return AccountPayload(account=await _account(context, answer), user_errors=errors)

    @strawberry.mutation(
        description="Lock an account; its tokens are refused within seconds (锁定账号). "
        "Roles: security administrators, operator_admin."
    )
    async def account_lock(self, info: Info, input: AccountLockInput) -> AccountPayload:
        return await _lock(info.context, input, is_locked=True)

    @strawberry.mutation(
        description="Unlock an account and forgive its failed sign-ins (解锁账号). "
        "Roles: security administrators, operator_admin."
    )
    async def account_unlock(self, info: Info, input: AccountLockInput) -> AccountPayload:
        return await _lock(info.context, input, is_locked=False)

    @strawberry.mutation(
        description="Propose a role; a security administrator's proposal of a role without power is granted at once (授权). "
        "Roles: system and security administrators, operator_admin for administrators."
    )
    async def role_grant(self, info: Info, input: RoleGrantInput) -> RolePayload:
        context = info.context
        order = administration.NewRole(input.issuer, input.subject, input.tenant, input.role)
        asked: dict[str, object] = {
            "issuer": order.issuer,
            "subject": order.subject,
            "tenant": order.tenant,
            "role": order.role.value,
        }
        request = context.request("roleGrant", input.idempotency_key, asked)
        answer, errors = await answered(administration.propose_role(context.platform, context.subject, request, order))
        grant = await _grant(context, str(answer["grant"])) if answer and answer["grant"] else None
        account_id = strawberry.ID(str(answer["id"])) if answer else None
        return RolePayload(account_id=account_id, grant=grant, user_errors=errors)

    @strawberry.mutation(
        description="Grant a role that another person proposed (审批授权). Roles: security administrators, operator_admin."
    )
    async def role_grant_approve(self, info: Info, input: RoleGrantStepInput) -> RoleGrantPayload:
        return await _decide(info.context, input, is_granted=True)

    @strawberry.mutation(
        description="Reject a proposed role (驳回授权). Roles: security administrators, operator_admin."
    )
    async def role_grant_reject(self, info: Info, input: RoleGrantStepInput) -> RoleGrantPayload:
        return await _decide(info.context, input, is_granted=False)

    @strawberry.mutation(
        description="End a role; every token of the account is stale at once (撤销授权). "
        "Roles: security administrators, operator_admin for administrators."
    )
    async def role_revoke(self, info: Info, input: RoleRevokeInput) -> RolePayload:
        context = info.context

        async def act() -> dict[str, object]:
            account_id = as_id(str(input.account_id), "accountId")
            asked: dict[str, object] = {
                "account": str(account_id),
                "tenant": input.tenant,
                "role": input.role.value,
            }
            request = context.request("roleRevoke", input.idempotency_key, asked)
            return await administration.revoke_role(
                context.platform, context.subject, request, account_id, input.tenant, input.role
            )

        answer, errors = await answered(act())
        return RolePayload(account_id=strawberry.ID(str(answer["id"])) if answer else None, user_errors=errors)

    @strawberry.mutation(
        description="Let tokens of a client act for a tenant and those below it (登记客户端). "
        "Roles: system administrators, operator_admin."
    )
    async def client_register(self, info: Info, input: ClientRegisterInput) -> ClientPayload:
        context = info.context
        order = clients.NewClient(input.issuer, input.client_name, input.name, input.tenant)
        asked: dict[str, object] = {
            "issuer": order.issuer,
            "client_id": order.client_id,
            "name": order.name,
            "tenant": order.tenant,
        }
        request = context.request("clientRegister", input.idempotency_key, asked)
        answer, errors = await answered(clients.register_client(context.platform, context.subject, request, order))
        return ClientPayload(api_client=await _client(context, answer), user_errors=errors)

    @strawberry.mutation(
        description="End a client; its tokens are refused within seconds (停用客户端). "
        "Roles: system administrators, operator_admin."
    )
    async def client_end(self, info: Info, input: ClientEndInput) -> ClientPayload:
        context = info.context

        async def act() -> dict[str, object]:
            client_key = as_id(key_of(input.api_client, "ApiClient", "apiClient"), "apiClient")
            request = context.request("clientEnd", input.idempotency_key, {"client": str(client_key)})
            return await clients.end_client(context.platform, context.subject, request, client_key)

        answer, errors = await answered(act())
        return ClientPayload(api_client=await _client(context, answer), user_errors=errors)

    @strawberry.mutation(
        description="Register an issuer, without effect until another operator approves it (登记签发方). Role: operator_admin."
    )
    async def issuer_register(self, info: Info, input: IssuerRegisterInput) -> IssuerPayload:
        context = info.context
        order = issuers.NewIssuer(
            input.issuer,
            input.keys_url,
            input.audience,
            input.tenant,
            tuple(input.factor_methods),
            tuple(input.factor_classes),
        )
        asked: dict[str, object] = {
            "issuer": order.issuer,
            "keys_url": order.keys_url,
            "audience": order.audience,
            "tenant": order.tenant,
            "factor_methods": list(order.factor_methods),
            "factor_classes": list(order.factor_classes),
        }
        request = context.request("issuerRegister", input.idempotency_key, asked)
        answer, errors = await answered(issuers.propose_issuer(context.platform, context.subject, request, order))
        issuer = await issuer_of(info, str(answer["id"])) if answer else None
        return IssuerPayload(token_issuer=issuer, user_errors=errors)

    @strawberry.mutation(
        description="Put an issuer into use that another operator registered (启用签发方). Role: operator_admin."
    )
    async def issuer_approve(self, info: Info, input: IssuerStepInput) -> IssuerPayload:
        return await _issuer_step(info, input, is_approval=True)

    @strawberry.mutation(
        description="End an issuer; its tokens are refused within seconds (停用签发方). Role: operator_admin."
    )
    async def issuer_end(self, info: Info, input: IssuerStepInput) -> IssuerPayload:
        return await _issuer_step(info, input, is_approval=False)

    @strawberry.mutation(description="Take your own token back before its end (注销令牌). Every role.")
    async def sign_out(self, info: Info, input: SignOutInput) -> SignOutPayload:
        context = info.context
        request = context.request("signOut", input.idempotency_key, {"token": context.subject.token_id})
        answer, errors = await answered(administration.sign_out(context.platform, context.subject, request))
        return SignOutPayload(is_signed_out=answer is not None, user_errors=errors)


async def _account(context: Context, answer: dict[str, object] | None) -> Account | None:
    if answer is None:
        return None
    view = await lookups.account(context.platform, context.subject, uuid.UUID(str(answer["id"])))
    return Account.of(view) if view else None


async def _grant(context: Context, grant_id: str) -> RoleGrant | None:
    view = await lookups.grant(context.platform, context.subject, uuid.UUID(grant_id))
    return RoleGrant.of(view) if view else None


async def _client(context: Context, answer: dict[str, object] | None) -> ApiClient | None:
    if answer is None:
        return None
    view = await lookups.client(context.platform, context.subject, uuid.UUID(str(answer["id"])))
    return ApiClient.of(view) if view else None


async def _lock(context: Context, input: AccountLockInput, *, is_locked: bool) -> AccountPayload:
    async def act() -> dict[str, object]:
        account_id = as_id(str(input.account_id), "accountId")
        operation = "accountLock" if is_locked else "accountUnlock"
        request = context.request(operation, input.idempotency_key, {"account": str(account_id)})
        return await administration.set_lock(
            context.platform, context.subject, request, account_id, is_locked=is_locked
        )

    answer, errors = await answered(act())
    return AccountPayload(account=await _account(context, answer), user_errors=errors)


async def _decide(context: Context, input: RoleGrantStepInput, *, is_granted: bool) -> RoleGrantPayload:
    async def act() -> dict[str, object]:
        grant_id = as_id(key_of(input.grant, "RoleGrant", "grant"), "grant")
        operation = "roleGrantApprove" if is_granted else "roleGrantReject"
        request = context.request(operation, input.idempotency_key, {"grant": str(grant_id)})
        return await administration.decide_role(
            context.platform, context.subject, request, grant_id, is_granted=is_granted
        )

    answer, errors = await answered(act())
    grant = await _grant(context, str(answer["id"])) if answer else None
    return RoleGrantPayload(grant=grant, user_errors=errors)


async def _issuer_step(info: Info, input: IssuerStepInput, *, is_approval: bool) -> IssuerPayload:
    context = info.context

    async def act() -> dict[str, object]:
        issuer_id = as_id(key_of(input.token_issuer, "TokenIssuer", "tokenIssuer"), "tokenIssuer")
        operation = "issuerApprove" if is_approval else "issuerEnd"
        request = context.request(operation, input.idempotency_key, {"issuer": str(issuer_id)})
        step = issuers.approve_issuer if is_approval else issuers.end_issuer
        return await step(context.platform, context.subject, request, issuer_id)

    answer, errors = await answered(act())
    return IssuerPayload(token_issuer=await issuer_of(info, str(answer["id"])) if answer else None, user_errors=errors)
