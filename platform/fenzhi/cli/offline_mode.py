"""How a case of a file would be paid (离线支付方式): the mode by the table of the choices, by the rule that runs ask; no amounts, which need payers."""

from __future__ import annotations

from datetime import date
from typing import Any

from fenzhi.rules.payment_modes.case_modes import Unjudged
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, ModeRule, NoMode, asks_department, mode_of

TABLE = "payment_mode.table"
"""The parameter that decides (所依参数), the only one of the payment modes that offline commands take."""
AGREEMENT = "dip"
"""The agreement that offline cases are taken to be under (协议支付方式)."""


def mode_line(
    rules: tuple[ModeRule, ...], group_code: str | None, level: str, discharged: date | None, principal: str | None
) -> dict[str, Any]:
    """The mode of one case as a JSON object (支付方式说明); a file of cases does not say the department.

    `by_points`: whether the points shown are what pays it; null where the mode cannot be told.
    """
    facts = ModeFacts(group_code or "", level, None, AGREEMENT, discharged, principal or "")
    if asks_department(facts, rules):
        return {
            "mode": None,
            "by_points": None,
            "rests_on": TABLE,
            "zh": Unjudged.DEPARTMENT.zh,
            "en": Unjudged.DEPARTMENT.en,
        }
    try:
        mode = mode_of(facts, rules)
    except NoMode as refused:
        return {"mode": None, "by_points": None, "rests_on": TABLE, "zh": refused.zh, "en": refused.en}
    place = next(number for number, rule in enumerate(rules, start=1) if rule.fits(facts))
    return {
        "mode": mode.value,
        "by_points": mode.shares_pool,
        "rests_on": f"{TABLE} #{place}",
        "zh": mode.zh,
        "en": mode.value.replace("_", " "),
    }
