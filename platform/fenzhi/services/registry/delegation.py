"""Asking for the delegation before a county settles (委托核验): by the policy in force on the day of the act."""

from __future__ import annotations

from fenzhi.access.scope import DatabaseRole
from fenzhi.rules.fund.delegation import DelegatedDuty, policy_delegates
from fenzhi.rules.refusals import Forbidden
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import registry
from fenzhi.store.session import UnitOfWork


async def require_delegation(uow: UnitOfWork, duty: DelegatedDuty) -> None:
    """Refuse a county what its city does not leave to it today (核验委托); a city needs none.

    Policy: delegation.counties, else the registry's flag. Raises: Forbidden SETTLEMENT_NOT_DELEGATED.
    """
    if uow.scope.role is not DatabaseRole.COUNTY:
        return
    row = await registry.county_by_code(uow, uow.scope.tenant)
    registered = row is not None and row.is_delegated
    policy = await resolved_policy(uow, await uow.today())
    if not policy_delegates(policy, uow.scope.tenant, duty, registered):
        raise Forbidden(
            "本县未受市级委托结算。",
            "The city has not delegated settlement to this county.",
            code="SETTLEMENT_NOT_DELEGATED",
        )
