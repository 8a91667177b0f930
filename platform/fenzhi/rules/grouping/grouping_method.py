"""The choices a policy makes about grouping (入组办法).

The national text leaves the last tie to the area ("local decides"); what an area decides is a list of named comparators.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TieBreak(StrEnum):
    """What makes one matching group better than another (择优规则)."""

    MOST_PARTS = "most_parts"  # 组合项多者优先
    MOST_MATCHED = "most_matched"  # 匹配手术操作多者优先
    MAIN_MATCHED = "main_matched"  # 主要手术操作相符者优先
    HIGHER_SCORE = "higher_score"  # 分值高者优先
    CORE_FIRST = "core_first"  # 核心病种优先


class ConservativeMatch(StrEnum):
    """Which cases a core group without procedures may take (保守治疗组适用范围)."""

    STRICT = "strict"  # 仅无手术操作病例
    FALLBACK = "fallback"  # 手术操作均不匹配时亦可


class ComprehensiveClass(StrEnum):
    """Which procedure decides the comprehensive group (综合病种诊疗方式取值)."""

    MAIN = "main"  # 主要手术操作
    HIGHEST = "highest"  # 级别最高的手术操作


class GrayPrincipal(StrEnum):
    """What becomes of a case whose principal diagnosis is gray (主要诊断为灰码)."""

    UNGROUPED = "ungrouped"  # 不入组
    GROUP = "group"  # 照常入组


@dataclass(frozen=True, slots=True)
class GroupingMethod:
    """How an area groups (入组办法), by named choices.

    The comparators are asked in their order; the group code in byte order is always the last, so that no tie is left.
    """

    tie_break: tuple[TieBreak, ...] = (TieBreak.MOST_PARTS, TieBreak.MOST_MATCHED)
    conservative_match: ConservativeMatch = ConservativeMatch.STRICT
    comprehensive_class: ComprehensiveClass = ComprehensiveClass.MAIN
    gray_principal: GrayPrincipal = GrayPrincipal.UNGROUPED

    def __post_init__(self) -> None:
        if len(set(self.tie_break)) != len(self.tie_break):
            raise ValueError("a comparator is listed twice")
