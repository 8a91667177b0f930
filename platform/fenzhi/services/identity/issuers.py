"""Issuers (令牌签发方): registered by one operator, put into use by another; each vouches for its own province or area only."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.access.tokens import SECOND_FACTOR_METHODS
from fenzhi.rules.refusals import Conflict, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.identity.reach import refuse_faults, text_fault
from fenzhi.services.registry.accounts import DEVELOPMENT_ISSUER, OPERATOR_TENANT
from fenzhi.store.repositories import identity, registry
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class NewIssuer:
    """An order to register an issuer (签发方登记单).

    `tenant` is the province or city it vouches for, or the operator for the whole platform; `keys_url` is where it publishes its keys.
    Empty factor lists take the platform's own (`amr` mfa, otp, hwk, sc).
    """

    issuer: str
    keys_url: str
    audience: str
    tenant: str
    factor_methods: tuple[str, ...] = ()
    factor_classes: tuple[str, ...] = ()


def _checked(order: NewIssuer, hosts: KeyHosts) -> None:
    faults = [*text_fault("issuer", order.issuer, 200), *text_fault("audience", order.audience, 200)]
    if order.issuer == DEVELOPMENT_ISSUER:
        faults.append(
            Refusal(
                "ISSUER_RESERVED",
                "issuer",
                order.issuer,
                "开发签发方不可登记。",
                "The development issuer cannot be registered.",
                "登记正式签发方。",
                "Register a real issuer.",
            )
        )
    if not hosts.allows(order.keys_url):
        faults.append(
            Refusal(
                "KEYS_URL_NOT_ALLOWED",
                "keysUrl",
                order.keys_url[:100],
                "公钥地址须为 https，且主机在部署允许的名单内。",
                "The address of the keys must be https on a host that the deployment allows.",
                "由部署方将主机加入 FENZHI_JWKS_HOSTS。",
                "Have the host added to FENZHI_JWKS_HOSTS.",
            )
        )
    for where, texts in (("factorMethods", order.factor_methods), ("factorClasses", order.factor_classes)):
        if len(texts) > 20:
            faults += text_fault(where, "", 20)
        for one in texts:
            faults += text_fault(where, one, 200)
    refuse_faults(faults)


async def propose_issuer(platform: Platform, operator: Subject, request: Request, order: NewIssuer) -> Answer:
    """Register an issuer, without effect until a second operator approves it (登记签发方). Changes: token_issuer.

    Raises: Forbidden, DataRefused, NotFound for the tenant, Conflict ALREADY_EXISTS for an issuer that lives.
    """
    operator.scope_for(Duty.ONBOARD_TENANTS)
    _checked(order, platform.key_hosts)

    async def effect(uow: UnitOfWork) -> Answer:
        province = await registry.province_by_code(uow, order.tenant)
        area = await registry.area_by_code(uow, order.tenant)
        if province is None and area is None and order.tenant != OPERATOR_TENANT:
            raise NotFound(f"没有该省或市：{order.tenant}。", f"No such province or city: {order.tenant}.")
        found = province if province is not None else area
        issuer_id = await identity.add_issuer(
            uow,
            {
                "issuer": order.issuer,
                "keys_url": order.keys_url,
                "audience": order.audience,
                "tenant": order.tenant,
                "province_id": None if found is None else found.province_id,
                "area_id": None if area is None else area.area_id,
                "factor_methods": list(order.factor_methods or sorted(SECOND_FACTOR_METHODS)),
                "factor_classes": list(order.factor_classes),
            },
        )
        return {"type": "TokenIssuer", "id": str(issuer_id)}

    return await act(platform, operator, Duty.ONBOARD_TENANTS, request, effect)


async def approve_issuer(platform: Platform, operator: Subject, request: Request, issuer_id: uuid.UUID) -> Answer:
    """Put a registered issuer into use, as another person (启用签发方). Raises: NotFound, SamePerson, Conflict, SecondFactorRequired."""
    operator.scope_for(Duty.ONBOARD_TENANTS)

    async def effect(uow: UnitOfWork) -> Answer:
        row = await identity.issuer_by_id(uow, issuer_id)
        if row is None:
            raise _no_such_issuer()
        require_second_person(str(row.proposed_by_person), uow.scope.person_id)
        if await identity.approve_issuer(uow, issuer_id) == 0:
            raise Conflict("该签发方已启用或已停用。", "The issuer is in use or has ended.", code="ISSUER_DECIDED")
        return {"type": "TokenIssuer", "id": str(issuer_id)}

    return await act(platform, operator, Duty.GRANT_ROLES, request, effect)


async def end_issuer(platform: Platform, operator: Subject, request: Request, issuer_id: uuid.UUID) -> Answer:
    """End an issuer; its tokens are refused within seconds (停用签发方). Raises: NotFound."""

    async def effect(uow: UnitOfWork) -> Answer:
        if await identity.end_issuer(uow, issuer_id) == 0:
            raise _no_such_issuer()
        return {"type": "TokenIssuer", "id": str(issuer_id)}

    return await act(platform, operator, Duty.ONBOARD_TENANTS, request, effect)


def _no_such_issuer() -> NotFound:
    return NotFound("没有该签发方。", "No such issuer.", code="ISSUER_NOT_FOUND")
