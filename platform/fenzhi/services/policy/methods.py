"""Choices of a resolved policy in the words of the rules (政策选定的办法)."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    ExtensionMatch,
    GrayPrincipal,
    GroupingMethod,
    MainPosition,
    RelatedUse,
    TieBreak,
    UnsoundProcedure,
)
from fenzhi.rules.policy.resolved import ResolvedPolicy

E = TypeVar("E", bound=StrEnum)


def grouping_method_of(policy: ResolvedPolicy) -> GroupingMethod:
    """How an area groups (入组办法), from grouping.tie_break, conservative_match, class_of, and what is optional: gray_principal,
    unsound_procedure, extension_match, main_position, basic_related.

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
        unsound_procedure=_optional(policy, "grouping.unsound_procedure", UnsoundProcedure) or UnsoundProcedure.GROUP,
        extension=_optional(policy, "grouping.extension_match", ExtensionMatch),
        main_position=_optional(policy, "grouping.main_position", MainPosition),
        basic_related=_optional(policy, "grouping.basic_related", RelatedUse),
    )


def _optional(policy: ResolvedPolicy, key: str, kind: type[E]) -> E | None:
    return kind(policy.method(key)) if policy.has(key) else None
