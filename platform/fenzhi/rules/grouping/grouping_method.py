"""The choices a policy makes about grouping (入组办法).

The national text leaves the last tie to the area ("local decides"); what an area decides is a list of named comparators. What the national
text itself changed from edition to edition follows the edition, unless policy names a choice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fenzhi.rules.catalog.edition_lists import CatalogStandard


class TieBreak(StrEnum):
    """What makes one matching group better than another (择优规则)."""

    MOST_PARTS = "most_parts"  # 组合项多者优先
    MOST_MATCHED = "most_matched"  # 匹配手术操作多者优先
    MAIN_MATCHED = "main_matched"  # 主要手术操作相符者优先
    HIGHER_SCORE = "higher_score"  # 分值高者优先
    CORE_FIRST = "core_first"  # 核心病种优先
    NEAREST_COST = "nearest_cost"  # 次均费用最接近者优先
    COMPLETE_MATCH = "complete_match"  # 无多余手术操作者优先
    FULL_CODE = "full_code"  # 全码匹配多者优先
    CLASS_LADDER = "class_ladder"  # 手术、治疗性、诊断性、保守依次优先，同类非基层后于核心
    CLASS_MATCHED = "class_matched"  # 诊疗方式与病例最高类别相符者优先


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


class UnsoundProcedure(StrEnum):
    """What becomes of a case with a gray procedure, or one that no code table knows (手术操作为灰码或不在代码表)."""

    UNGROUPED = "ungrouped"  # 不入组
    GROUP = "group"  # 照常入组，并在计算过程中列明


class ExtensionMatch(StrEnum):
    """Do a procedure and its extensions stand for each other (扩展码匹配)?"""

    EXACT = "exact"  # 逐码相同
    BASE = "base"  # 目录基本码接受任一扩展码；目录扩展码接受同一扩展码或基本码


class MainPosition(StrEnum):
    """Which procedure may be the main one of a group (主要手术操作取值)."""

    ANY = "any"  # 病例任一手术操作
    CASE_MAIN = "case_main"  # 仅病例主要手术操作


class RelatedUse(StrEnum):
    """Does the basic layer ask for related procedures (基本规则是否要求相关手术操作)?"""

    ASKED = "asked"  # 要求
    IGNORED = "ignored"  # 不要求


@dataclass(frozen=True, slots=True)
class GroupingMethod:
    """How an area groups (入组办法), by named choices. None: as the standard of the edition has it (`under`).

    The comparators are asked in their order; the group code in byte order is always the last, so that no tie is left.
    """

    tie_break: tuple[TieBreak, ...] = (TieBreak.MOST_PARTS, TieBreak.MOST_MATCHED)
    conservative_match: ConservativeMatch = ConservativeMatch.STRICT
    comprehensive_class: ComprehensiveClass = ComprehensiveClass.MAIN
    gray_principal: GrayPrincipal = GrayPrincipal.UNGROUPED
    unsound_procedure: UnsoundProcedure = UnsoundProcedure.GROUP
    extension: ExtensionMatch | None = None
    main_position: MainPosition | None = None
    basic_related: RelatedUse | None = None

    def __post_init__(self) -> None:
        if len(set(self.tie_break)) != len(self.tie_break):
            raise ValueError("a comparator is listed twice")

    def under(self, standard: CatalogStandard) -> GroupingMethod:
        """The method with every choice made (按分组方案版本补全).

        Edition 3.0: base codes accept extensions, only the case's main procedure is a main one, the basic layer asks for no related
        procedures. Editions 1.0 and 2.0: codes as listed, any procedure of the case, related procedures asked for.
        """
        third = standard is CatalogStandard.V3
        return replace(
            self,
            extension=self.extension or (ExtensionMatch.BASE if third else ExtensionMatch.EXACT),
            main_position=self.main_position or (MainPosition.CASE_MAIN if third else MainPosition.ANY),
            basic_related=self.basic_related or (RelatedUse.IGNORED if third else RelatedUse.ASKED),
        )
