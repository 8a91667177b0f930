"""How many special cases an area may hear (特例单议数量上限): five in a thousand discharges, of the area as a whole.

The cap counts what is admitted, so a refusal frees nothing. Who comes too late in a cycle waits for the next, once; it
then lapses with a reason, and nothing waits over the end of the year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction


class Admission(StrEnum):
    """What became of an application (申请处理结果)."""

    ADMITTED = "admitted"  # 受理
    WAITING = "waiting"  # 超出上限，顺延一期
    LAPSED = "lapsed"  # 顺延后仍超出，失效


@dataclass(frozen=True, slots=True)
class Application:
    """An application that is eligible (申请). `cycles_waited` is 0 for a new one."""

    application_id: str
    applied_at: datetime
    cycles_waited: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one application, and why (处理结果与理由)."""

    application_id: str
    admission: Admission
    zh: str = ""
    en: str = ""


def special_case_cap(discharges_to_date: int, ratio: Fraction) -> int:
    """floor(ratio × the area's DIP discharges of the year to date, both insurances) (特例单议数量上限).

    Policy: special_case.cap_ratio. Never computed per hospital: the floors of small hospitals would add up to nothing.

    >>> special_case_cap(450, Fraction("0.005")), special_case_cap(123_456, Fraction("0.005"))
    (2, 617)
    """
    if discharges_to_date < 0:
        raise ValueError("fewer than no discharges")
    return ratio.numerator * discharges_to_date // ratio.denominator


def admit(
    applications: Sequence[Application], cap: int, admitted_earlier: int, *, last_cycle_of_year: bool = False
) -> tuple[Decision, ...]:
    """Who of a cycle is heard (受理): in order of application, ties by id in bytes order, up to what the cap leaves.

    `admitted_earlier`: of earlier cycles of the year, refused ones included. An application waits one cycle and no
    longer; in the last cycle of the year nobody waits. Shape: one decision per application, in that order.
    """
    left = max(0, cap - admitted_earlier)
    decisions: list[Decision] = []
    for one in sorted(applications, key=lambda one: (one.applied_at, one.application_id)):
        if left:
            left -= 1
            decisions.append(Decision(one.application_id, Admission.ADMITTED))
        elif one.cycles_waited or last_cycle_of_year:
            why_zh, why_en = ("不跨年顺延", "nothing waits over the end of the year") if last_cycle_of_year else (
                "已顺延一期", "it has waited one cycle")  # fmt: skip
            decisions.append(
                Decision(
                    one.application_id,
                    Admission.LAPSED,
                    f"超出统筹区特例单议数量上限 {cap} 例，{why_zh}，申请失效。",
                    f"Beyond the area's cap of {cap}, and {why_en}: the application lapses.",
                )
            )
        else:
            decisions.append(
                Decision(
                    one.application_id,
                    Admission.WAITING,
                    f"超出统筹区特例单议数量上限 {cap} 例，顺延至下一期。",
                    f"Beyond the area's cap of {cap}: the application waits for the next cycle.",
                )
            )
    return tuple(decisions)
