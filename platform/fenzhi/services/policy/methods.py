"""Choices of a resolved policy in the words of the rules (政策选定的办法)."""

from __future__ import annotations

from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    GrayPrincipal,
    GroupingMethod,
    TieBreak,
)
from fenzhi.rules.policy.resolved import ResolvedPolicy


def grouping_method_of(policy: ResolvedPolicy) -> GroupingMethod:
    """How an area groups (入组办法), from grouping.tie_break, conservative_match, class_of and gray_principal.

    The group code, always the last comparator, is the rule's own. Raises: PolicyNotEntered.
    """
    gray = GrayPrincipal.UNGROUPED
    if policy.has("grouping.gray_principal"):
        gray = GrayPrincipal(policy.method("grouping.gray_principal"))
    return GroupingMethod(
        tie_break=tuple(TieBreak(name) for name in policy.list("grouping.tie_break") if name != "group_code"),
        conservative_match=ConservativeMatch(policy.method("grouping.conservative_match")),
        comprehensive_class=ComprehensiveClass(policy.method("grouping.class_of")),
        gray_principal=gray,
    )
