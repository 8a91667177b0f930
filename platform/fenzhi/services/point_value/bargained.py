"""A bargained point value (协商点值): what the parties settled, within its space; beyond it a higher level approves."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from fractions import Fraction

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.point_value.point_value_methods import bargained_point_value
from fenzhi.rules.quantities import decimal_places
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.fund.faults import pool_faults, text_fault
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import point_value
from fenzhi.store.session import UnitOfWork

_PLACES = 6


async def propose_bargained(
    platform: Platform,
    clerk: Subject,
    request: Request,
    pool: tuple[str, str, int],
    value: Decimal,
    document: str,
    higher_approval: str,
) -> Answer:
    """Enter the point value the parties of a pool settled (录入协商点值), in yuan per point of total cost; it counts once approved.

    Policy: point_value.bargaining_space around the approved budget point value, edges inclusive. Changes: point_value (draft).
    Raises: DataRefused, HigherApprovalNeeded, PolicyNotEntered, Conflict POINT_VALUE_NOT_APPROVED.
    """
    faults = pool_faults(*pool) + text_fault("DOCUMENT_MISSING", "document", document, "依据文件", "The document")
    exponent = value.as_tuple().exponent
    if value <= 0 or not isinstance(exponent, int) or exponent < -_PLACES:
        faults.append(
            Refusal("POINT_VALUE_RANGE", "value", str(value), f"点值须大于 0，至多 {_PLACES} 位小数。",
                    f"A point value is above 0 and has at most {_PLACES} decimals.", "核对协商结果。", "Check what was settled.")
        )  # fmt: skip

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        base_row = await point_value.budget_in_force(uow, pool)
        if base_row is None:
            raise Conflict(
                "没有已批准的预算点值。", "There is no approved budget point value.", code="POINT_VALUE_NOT_APPROVED"
            )
        insurance, pool_scope, year = pool
        policy = await resolved_policy(uow, date(year, 1, 1), insurance=insurance)
        space = policy.fraction("point_value.bargaining_space")
        base = PointValue(
            base_row.fund_fen,
            base_row.cost_fen,
            base_row.booked_fen,
            base_row.points,
            base_row.points_decimals,
            Basis(base_row.basis),
        )
        settled = bargained_point_value(base, Fraction(value), space, higher_approval.strip())
        point_value_id = await point_value.add(
            uow,
            {
                "insurance": insurance,
                "pool_scope": pool_scope,
                "year": year,
                "kind": "bargained",
                "basis": settled.basis.value,
                "fund_fen": settled.fund_fen,
                "cost_fen": settled.cost_fen,
                "booked_fen": settled.booked_fen,
                "points": settled.points,
                "points_decimals": settled.points_decimals,
                "edition_id": base_row.edition_id,
                "state": "draft",
                "working": {
                    "last_year": base_row.working["last_year"],
                    "steps": [
                        {
                            "rule": "point_value.bargained",
                            "zh": "协商点值：以预算点值为基础，在浮动空间内协商确定；超出须上级批准。",
                            "en": "Bargained: settled around the budget point value within its space; beyond it a higher level approves.",
                            "values": [
                                ["base", decimal_places(base.exact(), 6)],
                                ["space", str(space)],
                                ["settled", str(value)],
                                ["higher_approval", higher_approval.strip()],
                            ],
                            "document": document,
                        }
                    ],
                },
                "proposed_by": uuid.UUID(uow.scope.account_id),
                "proposed_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "PointValue", "id": str(point_value_id)}

    return await act(platform, clerk, Duty.PROPOSE_BUDGET, request, effect)
