"""The two-step vote (两步表决): first whether the case is special, then, if it is, how it is paid.

Each step is decided by more than half of the members, abstentions counted against. A step nobody can win any more is
decided at once; a step that is still open says how many votes it waits for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fenzhi.rules.refusals import Conflict


class StepOne(StrEnum):
    """Whether the case is special (是否属于特例)."""

    YES = "yes"
    NO = "no"
    ABSTAIN = "abstain"


class Verdict(StrEnum):
    """Where a vote stands (表决结果)."""

    OPEN = "open"  # 未表决完
    REFUSED = "refused"  # 不属于特例
    ITEM = "item"  # 按项目付费
    ADJUSTED = "adjusted"  # 调整分值
    NO_MAJORITY = "no_majority"  # 付费方式未过半，重议


class VoteRefused(Conflict):
    """A vote by somebody who may not, or on a step that is not open (表决无效)."""

    code = "VOTE_REFUSED"


@dataclass(frozen=True, slots=True)
class VoteResult:
    """Where the vote stands, and how many it waits for (表决结果)."""

    verdict: Verdict
    waiting_for: int = 0


def decide(members: tuple[str, ...], first: Mapping[str, StepOne], second: Mapping[str, Verdict]) -> VoteResult:
    """The verdict of a panel (两步表决). Policy: special_case.panel_size, by majority of the members.

    `second` holds ITEM or ADJUSTED and counts only after the first step said yes. Raises: VoteRefused.

    >>> decide(("a", "b", "c"), {"a": StepOne.YES, "b": StepOne.YES}, {"a": Verdict.ITEM, "c": Verdict.ITEM}).verdict
    <Verdict.ITEM: 'item'>
    """
    for voter in sorted({*first, *second} - set(members)):
        raise VoteRefused(f"{voter} 不在专家组中。", f"{voter} is not on the panel.", expert=voter)
    if any(choice not in (Verdict.ITEM, Verdict.ADJUSTED) for choice in second.values()):
        raise VoteRefused("第二步只在按项目付费与调整分值之间表决。", "The second step chooses item or adjusted.")
    needed = len(members) // 2 + 1
    yes = sum(choice is StepOne.YES for choice in first.values())
    waiting = len(members) - len(first)
    if yes < needed:
        if second:
            raise VoteRefused("第一步未通过，不能表决付费方式。", "The first step has not passed: there is no second.")
        return VoteResult(Verdict.REFUSED) if yes + waiting < needed else VoteResult(Verdict.OPEN, waiting)
    counts = Counter(second.values())
    for choice in (Verdict.ITEM, Verdict.ADJUSTED):
        if counts[choice] >= needed:
            return VoteResult(choice)
    waiting = len(members) - len(second)
    reachable = max(counts[Verdict.ITEM], counts[Verdict.ADJUSTED]) + waiting >= needed
    return VoteResult(Verdict.OPEN, waiting) if reachable else VoteResult(Verdict.NO_MAJORITY)
