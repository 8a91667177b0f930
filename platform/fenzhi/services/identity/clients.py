"""Clients (客户端): the programs through which a tenant's people and systems come, registered by its system administrator."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import NotFound
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.identity.reach import refuse_faults, tenant_ids, text_fault
from fenzhi.store.repositories import identity, registry
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class NewClient:
    """An order to register a client (客户端登记单): the issuer's `client_id` and the tenant it serves, with all below it."""

    issuer: str
    client_id: str
    name: str
    tenant: str


async def register_client(platform: Platform, administrator: Subject, request: Request, order: NewClient) -> Answer:
    """Let tokens of a client act for a tenant and those below it (登记客户端). Changes: api_client. Raises: NotFound, DataRefused."""
    administrator.scope_for(Duty.OPEN_ACCOUNTS)
    refuse_faults(
        text_fault("issuer", order.issuer, 200),
        text_fault("clientId", order.client_id, 200),
        text_fault("name", order.name, 200),
    )

    async def effect(uow: UnitOfWork) -> Answer:
        kind = await _kind_of(uow, order.tenant)
        ids = await tenant_ids(uow, administrator, order.tenant, kind)
        client_key = await identity.add_client(
            uow,
            {
                "issuer": order.issuer,
                "client_id": order.client_id,
                "name": order.name,
                "tenant": order.tenant,
                "registered_by": uuid.UUID(uow.scope.account_id),
                **ids,
            },
        )
        return {"type": "ApiClient", "id": str(client_key)}

    return await act(platform, administrator, Duty.OPEN_ACCOUNTS, request, effect)


async def _kind_of(uow: UnitOfWork, tenant: str) -> TenantKind:
    """The level of a tenant that the scope sees. Raises: NotFound."""
    for kind, find in (
        (TenantKind.PROVINCE, registry.province_by_code),
        (TenantKind.CITY, registry.area_by_code),
        (TenantKind.COUNTY, registry.county_by_code),
        (TenantKind.HOSPITAL, registry.hospital_by_code),
    ):
        if await find(uow, tenant) is not None:
            return kind
    if tenant == "operator":
        return TenantKind.OPERATOR
    raise NotFound(f"没有该租户：{tenant}。", f"No such tenant: {tenant}.")


async def end_client(platform: Platform, administrator: Subject, request: Request, client_key: uuid.UUID) -> Answer:
    """End a client; its tokens are refused within seconds (停用客户端). Changes: api_client. Raises: NotFound."""

    async def effect(uow: UnitOfWork) -> Answer:
        if await identity.end_client(uow, client_key) == 0:
            raise NotFound("没有该客户端。", "No such client.", code="CLIENT_NOT_FOUND")
        return {"type": "ApiClient", "id": str(client_key)}

    return await act(platform, administrator, Duty.OPEN_ACCOUNTS, request, effect)
