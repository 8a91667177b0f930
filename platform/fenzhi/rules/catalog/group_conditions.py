"""What a group of edition 3.0 asks for beside its diagnosis and procedures (分组条件): a layer, further diagnoses, facts.

The layers are tried in their order, and a case stays in the first that takes it: priority (先期分组), merged (并项), diagnosis-auxiliary
(诊断辅助细分), basic (基本规则). Editions 1.0 and 2.0 know the basic layer only. A condition is data of the edition, never code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fenzhi.rules.catalog.conjunctions import Conjunction


class GroupLayer(StrEnum):
    """The layer a group belongs to (分组层级). The order is the order in which layers are tried."""

    PRIORITY = "priority"  # 先期分组
    MERGED = "merged"  # 并项
    AUXILIARY = "dx_auxiliary"  # 诊断辅助细分
    BASIC = "basic"  # 基本规则


LAYER_ORDER: tuple[GroupLayer, ...] = tuple(GroupLayer)
LAYER_ZH: Mapping[GroupLayer, str] = {
    GroupLayer.PRIORITY: "先期分组",
    GroupLayer.MERGED: "并项",
    GroupLayer.AUXILIARY: "诊断辅助细分",
    GroupLayer.BASIC: "基本规则",
}

ANY_DIAGNOSIS = "*"
"""The diagnosis of a group that looks at none (不限主要诊断). Layers above the basic one only."""


class CaseFact(StrEnum):
    """A number of the case that a group may ask for (病例事实)."""

    AGE_DAYS = "age_days"  # 入院日龄
    BIRTH_WEIGHT_G = "birth_weight_g"  # 出生体重(克)
    LOS_DAYS = "los_days"  # 住院天数


@dataclass(frozen=True, slots=True)
class FactBand:
    """A band of a fact, both ends included (取值段). None: open at that end."""

    fact: CaseFact
    low: int | None
    high: int | None

    def holds(self, value: int) -> bool:
        """Does the value lie in the band (是否在段内)?"""
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class GroupConditions:
    """Everything a group asks for beside one diagnosis key and its procedures (分组条件)."""

    layer: GroupLayer = GroupLayer.BASIC
    more_diagnoses: tuple[str, ...] = ()
    """Further diagnosis keys of the principal diagnosis (其他主要诊断)."""
    secondary_diagnoses: Conjunction = ()
    """Keys that other diagnoses of the case must lie under: `/` any of, `+` and (次要诊断)."""
    facts: tuple[FactBand, ...] = ()

    @property
    def asked(self) -> bool:
        """Is anything asked for at all (是否有附加条件)?"""
        return self != NO_CONDITIONS


NO_CONDITIONS = GroupConditions()

LAYER_COLUMN = "layer"
MORE_COLUMN = "more_dx"
SECONDARY_COLUMN = "secondary_dx"
FACTS_COLUMN = "facts"
CONDITION_COLUMNS = (LAYER_COLUMN, MORE_COLUMN, SECONDARY_COLUMN, FACTS_COLUMN)
"""Optional columns of a catalog file (分组条件列), together or not at all."""

_BAND = re.compile(r"([a-z_]+):(\d{0,7})-(\d{0,7})", re.ASCII)
_KEY = re.compile(r"[A-Z]\d\d(\.[\dx](\d\d(x\d{3})?)?)?", re.ASCII)
_RANGE = re.compile(r"([A-Z])(\d\d)-([A-Z])(\d\d)", re.ASCII)


def parse_facts(cell: str) -> tuple[FactBand, ...]:
    """The bands of a cell such as `age_days:0-28;birth_weight_g:-749` (取值段单元格).

    Raises: ValueError for another shape, an unknown fact, a fact named twice, or a band that ends before it begins.

    >>> parse_facts("age_days:0-28;birth_weight_g:-749")[1].high
    749
    """
    bands: list[FactBand] = []
    for text in cell.split(";") if cell else ():
        found = _BAND.fullmatch(text)
        if found is None or (not found[2] and not found[3]):
            raise ValueError(f"not a band: {text!r}")
        low, high = (int(end) if end else None for end in (found[2], found[3]))
        if low is not None and high is not None and high < low:
            raise ValueError(f"a band that ends before it begins: {text!r}")
        bands.append(FactBand(CaseFact(found[1]), low, high))
    if len({band.fact for band in bands}) != len(bands):
        raise ValueError(f"a fact named twice: {cell!r}")
    return tuple(bands)


def facts_text(bands: tuple[FactBand, ...]) -> str:
    """The cell of bands (取值段单元格文本)."""
    return ";".join(
        f"{band.fact.value}:{'' if band.low is None else band.low}-{'' if band.high is None else band.high}"
        for band in bands
    )


def parse_diagnosis_conjunction(cell: str) -> Conjunction:
    """Keys of other diagnoses, `/` any of, `+` and, ranges of categories as `C00-C75` (次要诊断单元格).

    Ranges stay as written; `expanded_keys` tells the categories they stand for. Raises: ValueError for what is no key.
    """
    if cell == "":
        return ()
    parts = tuple(tuple(part.split("/")) for part in cell.split("+"))
    for part in parts:
        expanded_keys(part)
    return parts


def expanded_keys(alternatives: tuple[str, ...]) -> frozenset[str]:
    """Diagnosis keys of alternatives, ranges opened (展开诊断区间). Raises: ValueError for what is neither key nor range.

    >>> sorted(expanded_keys(("C76-C78", "C80.0")))
    ['C76', 'C77', 'C78', 'C80.0']
    """
    keys: set[str] = set()
    for text in alternatives:
        if _KEY.fullmatch(text):
            keys.add(text)
            continue
        found = _RANGE.fullmatch(text)
        if found is None or found[1] != found[3] or int(found[4]) < int(found[2]):
            raise ValueError(f"neither a diagnosis key nor a range within one letter: {text!r}")
        keys.update(f"{found[1]}{number:02d}" for number in range(int(found[2]), int(found[4]) + 1))
    return frozenset(keys)


def parse_more_diagnoses(cell: str) -> tuple[str, ...]:
    """Further keys of the principal diagnosis (其他主要诊断单元格), with `/` between them. Raises: ValueError for what is no key."""
    keys = tuple(cell.split("/")) if cell else ()
    expanded_keys(keys)
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key named twice: {cell!r}")
    return keys


def parse_conditions(cells: Mapping[str, str]) -> GroupConditions:
    """The conditions of a row (分组条件). Raises: ValueError naming the cell that cannot be read."""
    layer = cells.get(LAYER_COLUMN, "")
    return GroupConditions(
        GroupLayer(layer) if layer else GroupLayer.BASIC,
        parse_more_diagnoses(cells.get(MORE_COLUMN, "")),
        parse_diagnosis_conjunction(cells.get(SECONDARY_COLUMN, "")),
        parse_facts(cells.get(FACTS_COLUMN, "")),
    )


def condition_cells(conditions: GroupConditions) -> dict[str, str]:
    """The cells that `parse_conditions` reads (分组条件单元格)."""
    return {
        LAYER_COLUMN: conditions.layer.value if conditions.layer is not GroupLayer.BASIC else "",
        MORE_COLUMN: "/".join(conditions.more_diagnoses),
        SECONDARY_COLUMN: "+".join("/".join(part) for part in conditions.secondary_diagnoses),
        FACTS_COLUMN: facts_text(conditions.facts),
    }
