"""What grouping answers (入组结果): a group or a reason, and why no other candidate won."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fenzhi.rules.catalog.conjunctions import Conjunction
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.group_conditions import GroupLayer
from fenzhi.rules.working import Working


class GroupingReason(StrEnum):
    """Why a case is in its group, or in none (入组或未入组原因). The order is the engine's code."""

    CORE_MATCHED = "core_matched"
    CONSERVATIVE_MATCHED = "conservative_matched"
    CONSERVATIVE_FALLBACK = "conservative_fallback"
    COMPREHENSIVE_MATCHED = "comprehensive_matched"
    PRINCIPAL_DIAGNOSIS_MISSING = "principal_diagnosis_missing"
    PRINCIPAL_DIAGNOSIS_UNKNOWN = "principal_diagnosis_unknown"
    PRINCIPAL_DIAGNOSIS_GRAY = "principal_diagnosis_gray"
    NO_GROUP_FOR_DIAGNOSIS = "no_group_for_diagnosis"
    NO_GROUP_FOR_PROCEDURES = "no_group_for_procedures"
    PROCEDURE_CLASS_UNKNOWN = "procedure_class_unknown"
    PRIORITY_MATCHED = "priority_matched"
    MERGED_MATCHED = "merged_matched"
    AUXILIARY_MATCHED = "auxiliary_matched"
    PRINCIPAL_DIAGNOSIS_EXCLUDED = "principal_diagnosis_excluded"
    PROCEDURE_UNKNOWN = "procedure_unknown"
    PROCEDURE_GRAY = "procedure_gray"
    CASE_FACT_MISSING = "case_fact_missing"
    PROVISIONAL_MATCHED = "provisional_matched"

    @property
    def grouped(self) -> bool:
        """Did the case find a group (是否入组)?"""
        return self in _GROUPED

    @property
    def is_uncovered(self) -> bool:
        """Is the case sound and the catalog without a group for it (目录未覆盖)? Only such a case may be scored as a blank group."""
        return self in _UNCOVERED

    @property
    def zh(self) -> str:
        """The reason in Chinese (中文说明)."""
        return _TEXTS[self][0]

    @property
    def en(self) -> str:
        """The reason in English."""
        return _TEXTS[self][1]


REASONS: tuple[GroupingReason, ...] = tuple(GroupingReason)

MATCHED: dict[GroupLayer, GroupingReason] = {
    GroupLayer.PRIORITY: GroupingReason.PRIORITY_MATCHED,
    GroupLayer.MERGED: GroupingReason.MERGED_MATCHED,
    GroupLayer.AUXILIARY: GroupingReason.AUXILIARY_MATCHED,
    GroupLayer.BASIC: GroupingReason.CORE_MATCHED,
}
"""The reason of a case that a group of a layer took (各层入组原因)."""

_GROUPED = frozenset(
    (
        *MATCHED.values(),
        GroupingReason.CONSERVATIVE_MATCHED,
        GroupingReason.CONSERVATIVE_FALLBACK,
        GroupingReason.COMPREHENSIVE_MATCHED,
        GroupingReason.PROVISIONAL_MATCHED,
    )
)
_UNCOVERED = frozenset((GroupingReason.NO_GROUP_FOR_DIAGNOSIS, GroupingReason.NO_GROUP_FOR_PROCEDURES))

_TEXTS: dict[GroupingReason, tuple[str, str]] = {
    GroupingReason.CORE_MATCHED: (
        "诊断与手术操作匹配核心病种。",
        "Diagnosis and procedures match a core group.",
    ),
    GroupingReason.CONSERVATIVE_MATCHED: (
        "无手术操作，按诊断入保守治疗组。",
        "No procedures: the conservative group of the diagnosis.",
    ),
    GroupingReason.CONSERVATIVE_FALLBACK: (
        "手术操作未匹配任何核心病种，按政策入保守治疗组。",
        "No core group matches the procedures: the conservative group, as policy allows.",
    ),
    GroupingReason.COMPREHENSIVE_MATCHED: (
        "未匹配核心病种，按类目和诊疗方式入综合病种。",
        "No core group matches: the comprehensive group of category and procedure class.",
    ),
    GroupingReason.PRINCIPAL_DIAGNOSIS_MISSING: ("没有主要诊断，未入组。", "Ungrouped: no principal diagnosis."),
    GroupingReason.PRINCIPAL_DIAGNOSIS_UNKNOWN: (
        "主要诊断不在代码表内，未入组。",
        "Ungrouped: the code table does not know the principal diagnosis.",
    ),
    GroupingReason.PRINCIPAL_DIAGNOSIS_GRAY: (
        "主要诊断为灰码，未入组。",
        "Ungrouped: the principal diagnosis is a gray code.",
    ),
    GroupingReason.NO_GROUP_FOR_DIAGNOSIS: (
        "目录中没有该诊断的病种，未入组。",
        "Ungrouped: the catalog has no group for this diagnosis.",
    ),
    GroupingReason.NO_GROUP_FOR_PROCEDURES: (
        "该诊断有病种，但手术操作均不匹配，未入组。",
        "Ungrouped: the diagnosis has groups, none of which matches the procedures.",
    ),
    GroupingReason.PROCEDURE_CLASS_UNKNOWN: (
        "手术操作没有导入诊疗方式，不能判定综合病种，未入组。",
        "Ungrouped: the procedure has no imported class, so no comprehensive group can be told.",
    ),
    GroupingReason.PRIORITY_MATCHED: ("符合先期分组条件。", "The conditions of a priority group hold."),
    GroupingReason.MERGED_MATCHED: ("符合并项条件。", "The conditions of a merged group hold."),
    GroupingReason.AUXILIARY_MATCHED: (
        "符合诊断辅助细分条件。",
        "The conditions of a diagnosis-auxiliary group hold.",
    ),
    GroupingReason.PRINCIPAL_DIAGNOSIS_EXCLUDED: (
        "该诊断不可作为主要诊断，未入组。",
        "Ungrouped: the edition excludes this principal diagnosis.",
    ),
    GroupingReason.PROCEDURE_UNKNOWN: (
        "有手术操作不在代码表内，先对照编码再入组，未入组。",
        "Ungrouped: a procedure is in no code table; map it first.",
    ),
    GroupingReason.PROCEDURE_GRAY: ("有手术操作为灰码，未入组。", "Ungrouped: a procedure is a gray code."),
    GroupingReason.CASE_FACT_MISSING: (
        "病种要求的病例事实(日龄、出生体重或住院天数)缺失，不能判定，未入组。",
        "Ungrouped: a fact that a group asks for (age, birth weight, stay) is missing.",
    ),
    GroupingReason.PROVISIONAL_MATCHED: (
        "目录没有病种，按有效期内的临时病种入组。",
        "The edition has no group: a provisional group in force takes the case.",
    ),
}


class RejectionCause(StrEnum):
    """Why a candidate did not win (候选病种落选原因)."""

    PARTS_MISSING = "parts_missing"
    HAS_PROCEDURES = "has_procedures"
    CLASS_DIFFERS = "class_differs"
    MORE_GENERAL_KEY = "more_general_key"
    LESS_SPECIFIC = "less_specific"
    CORE_WON = "core_won"
    MAIN_DIFFERS = "main_differs"
    SECONDARY_MISSING = "secondary_missing"
    FACT_OUTSIDE = "fact_outside"
    FACT_MISSING = "fact_missing"
    EARLIER_LAYER = "earlier_layer"


@dataclass(frozen=True, slots=True)
class RejectedCandidate:
    """A group of the same diagnosis that did not win (落选候选病种), and what would have made it match."""

    group: DiseaseGroup
    cause: RejectionCause
    zh: str
    en: str
    missing: Conjunction = ()
    """Parts the case's procedures leave unmet (尚缺的手术操作)."""


@dataclass(frozen=True, slots=True)
class GroupingOutcome:
    """One case, grouped or not (入组结果)."""

    case_id: str
    group: DiseaseGroup | None
    reason: GroupingReason
    working: Working
    rejected: tuple[RejectedCandidate, ...]
