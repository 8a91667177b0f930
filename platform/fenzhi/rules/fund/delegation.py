"""Settlement by delegation (委托县级结算): which county may record payments and decide deductions of its hospitals, from which day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict


class DelegatedDuty(StrEnum):
    """What a city may leave to a county (可委托事项). Scores and coefficients it never leaves."""

    PAYMENT = "payment"  # 登记拨付
    DEDUCTION = "deduction"  # 审批审核扣款


class DelegationUnreadable(Conflict):
    """A row of the delegation table that does not read (委托表无法识别)."""

    code = "DELEGATION_UNREADABLE"


def is_delegated(rows: Iterable[Mapping[str, str]], county: str, duty: DelegatedDuty) -> bool:
    """Whether the table leaves a duty to a county (是否委托): any row that names it, or names none.

    Policy: delegation.counties. Raises: DelegationUnreadable.

    >>> is_delegated([{"county": "990122", "duties": "payment"}], "990122", DelegatedDuty.PAYMENT)
    True
    """
    found = False
    for place, row in enumerate(rows, start=1):
        try:
            duties = {DelegatedDuty(text) for text in row["duties"].split("|") if text}
            named = row["county"]
        except (ValueError, KeyError) as error:
            raise DelegationUnreadable(
                f"委托表第 {place} 行无法识别：{dict(row)}。",
                f"Row {place} of the delegation table does not read: {dict(row)}.",
            ) from error
        found = found or (named in ("", county) and duty in duties)
    return found


def policy_delegates(policy: ResolvedPolicy, county: str, duty: DelegatedDuty, registered: bool) -> bool:
    """Whether a duty is a county's on the day the policy is resolved for (按策略判定委托).

    `registered`: what the registry says, which counts where the area enters no table. Raises: DelegationUnreadable.
    """
    if not policy.has("delegation.counties"):
        return registered
    return is_delegated(policy.table("delegation.counties"), county, duty)
