"""The disease group (病种): a diagnosis key with the procedures it asks for, and its score.

A group is found by its diagnosis at one of three granularities (3-character category, 4-character subcategory, full code)
and by its procedures. A core group (核心病种) names its procedures; a comprehensive group (综合病种) gathers what is left of a
category by the class of the procedure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum

from fenzhi.rules.catalog.conjunctions import Conjunction
from fenzhi.rules.catalog.group_conditions import ANY_DIAGNOSIS, NO_CONDITIONS, GroupConditions, GroupLayer


class GroupKind(StrEnum):
    """How a group was formed (病种类型)."""

    CORE = "core"  # 核心病种
    COMPREHENSIVE = "comprehensive"  # 综合病种


class ProcedureClass(StrEnum):
    """Class of a procedure or of a comprehensive group (诊疗方式), imported and never guessed."""

    CONSERVATIVE = "conservative"  # 保守治疗(内科诊疗组)
    DIAGNOSTIC = "diagnostic"  # 诊断性操作
    THERAPEUTIC = "therapeutic"  # 治疗性操作
    SURGICAL = "surgical"  # 手术


CLASS_ORDER: tuple[ProcedureClass, ...] = (
    ProcedureClass.CONSERVATIVE,
    ProcedureClass.DIAGNOSTIC,
    ProcedureClass.THERAPEUTIC,
    ProcedureClass.SURGICAL,
)
"""From the lightest to the heaviest (由轻到重)."""

CLASS_RANK: dict[ProcedureClass, int] = {one: rank for rank, one in enumerate(CLASS_ORDER)}


class Granularity(IntEnum):
    """How many characters of the diagnosis a group keys on (诊断粒度); 6 stands for a full code, 0 for any diagnosis."""

    ANY = 0
    CATEGORY = 3
    SUBCATEGORY = 4
    FULL = 6


_SHAPE = {
    Granularity.ANY: re.compile(re.escape(ANY_DIAGNOSIS)),
    Granularity.CATEGORY: re.compile(r"[A-Z]\d\d", re.ASCII),
    Granularity.SUBCATEGORY: re.compile(r"[A-Z]\d\d\.[\dx]", re.ASCII),
    Granularity.FULL: re.compile(r"[A-Z]\d\d\.[\dx]\d\d(x\d{3})?(\+[A-Z]\d\d(\.\d)?\*)?", re.ASCII),
}


@dataclass(frozen=True, slots=True)
class DiseaseGroup:
    """One group of a catalog (病种), in the words of the catalog.

    Units: `score` in points of the edition's scale, with the places it was published with.
    """

    group_code: str
    diagnosis: str
    granularity: Granularity
    score: Decimal
    main_procedures: Conjunction = ()
    related_procedures: Conjunction = ()
    kind: GroupKind = GroupKind.CORE
    procedure_class: ProcedureClass | None = None
    """Set for comprehensive groups only."""
    grassroots: bool = False
    level: int = 2
    sequence: str = ""
    diagnosis_name: str = ""
    main_procedure_names: str = ""
    related_procedure_names: str = ""
    local_addition: bool = False
    """Outside the national library (地方新增病种): flagged, reported, its share limited."""
    conditions: GroupConditions = NO_CONDITIONS
    """Layer and what else is asked for; editions 1.0 and 2.0 ask for nothing else (分组条件)."""

    @property
    def layer(self) -> GroupLayer:
        """The layer the group belongs to (分组层级)."""
        return self.conditions.layer

    @property
    def diagnoses(self) -> tuple[str, ...]:
        """Every key of the principal diagnosis that the group takes (主要诊断范围)."""
        return (self.diagnosis, *self.conditions.more_diagnoses)

    @property
    def parts(self) -> Conjunction:
        """Everything the group asks for: main parts, then related ones (全部手术操作要求)."""
        return self.main_procedures + self.related_procedures

    @property
    def is_conservative(self) -> bool:
        """Is it a core group that asks for no procedure (保守治疗组)?"""
        return (
            self.kind is GroupKind.CORE
            and not self.main_procedures
            and not self.related_procedures
            and self.layer is GroupLayer.BASIC
        )


def has_diagnosis_shape(text: str, granularity: Granularity) -> bool:
    """Has the text the shape of a diagnosis key of that granularity (诊断代码格式)? `x` fills an unused fourth place.

    >>> has_diagnosis_shape("A35.x", Granularity.SUBCATEGORY), has_diagnosis_shape("A15-A16", Granularity.CATEGORY)
    (True, False)
    """
    return _SHAPE[granularity].fullmatch(text) is not None


def diagnosis_keys(code: str) -> tuple[tuple[Granularity, str], ...]:
    """The keys a full code is looked up by, from specific to general (诊断匹配顺序).

    Shape: the code as it stands, without its asterisk part (星号), without its extension (扩展码), the 4-character
    subcategory, the 3-character category; repetitions are left out. The filler `x` belongs to the subcategory.

    >>> [key for _, key in diagnosis_keys("A01.000x005+J17.0*")]
    ['A01.000x005+J17.0*', 'A01.000x005', 'A01.000', 'A01.0', 'A01']
    >>> [key for _, key in diagnosis_keys("A35.x00")]
    ['A35.x00', 'A35.x', 'A35']
    """
    dagger = code.partition("+")[0]
    ordered = (
        (Granularity.FULL, code),
        (Granularity.FULL, dagger),
        (Granularity.FULL, dagger[:7]),
        (Granularity.SUBCATEGORY, dagger[:5]),
        (Granularity.CATEGORY, dagger[:3]),
    )
    seen: dict[str, Granularity] = {}
    for granularity, key in ordered:
        seen.setdefault(key, granularity)
    return tuple((granularity, key) for key, granularity in seen.items())


def distinct_key(group: DiseaseGroup) -> tuple[object, ...]:
    """What no two groups of an edition may share (病种唯一键): order and repetition of codes do not count."""
    return (
        group.diagnosis,
        group.kind,
        group.procedure_class,
        frozenset(frozenset(part) for part in group.main_procedures),
        frozenset(frozenset(part) for part in group.related_procedures),
        _asked(group),
    )


def procedure_key(group: DiseaseGroup) -> tuple[object, ...]:
    """What decides which cases a group matches (匹配条件): main and related are asked for alike."""
    parts = frozenset(frozenset(part) for part in group.parts)
    return (group.diagnosis, group.kind, group.procedure_class, parts, _asked(group))


def _asked(group: DiseaseGroup) -> tuple[object, ...]:
    asked = group.conditions
    return (
        asked.layer,
        frozenset(asked.more_diagnoses),
        frozenset(frozenset(part) for part in asked.secondary_diagnoses),
        frozenset(asked.facts),
    )
