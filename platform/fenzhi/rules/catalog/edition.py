"""Code tables and catalog editions (代码表与目录版本).

An edition is a published, immutable text with an effective range. Which edition speaks about a case is decided by its
discharge date (出院日期) and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, ProcedureClass, diagnosis_keys, distinct_key
from fenzhi.rules.catalog.edition_lists import NO_LISTS, CatalogStandard, EditionLists
from fenzhi.rules.catalog.group_conditions import GroupLayer
from fenzhi.rules.quantities import points_decimals
from fenzhi.rules.refusals import Refusal


@dataclass(frozen=True, slots=True)
class ProcedureEntry:
    """A procedure code of the insurance edition (手术操作代码条目)."""

    procedure_class: ProcedureClass | None = None
    """Imported class; None where the import gave none, and then none is guessed."""
    is_gray: bool = False

    def __post_init__(self) -> None:
        if self.procedure_class is ProcedureClass.CONSERVATIVE:
            raise ValueError("a procedure is never conservative: conservative means that there is none")


@dataclass(frozen=True)
class CodeTables:
    """The code tables an edition is read against (代码表).

    Shape: `diagnoses` maps a full code to its gray flag (灰码), `procedures` a code to its entry.
    """

    diagnoses: Mapping[str, bool]
    procedures: Mapping[str, ProcedureEntry]
    _keys: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = frozenset(key for code in self.diagnoses for _, key in diagnosis_keys(code))
        object.__setattr__(self, "_keys", keys)

    def knows_diagnosis(self, key: str) -> bool:
        """Does any code of the table lie under this key, full or shortened (诊断是否在代码表内)?"""
        return key in self._keys

    def knows_procedure(self, code: str) -> bool:
        """Is the procedure in the table (手术操作是否在代码表内)?"""
        return code in self.procedures


@dataclass(frozen=True)
class Edition:
    """A published catalog (目录版本): immutable, in force from one date until another.

    Units: scores in points of `scale` with `score_places` decimals; case points in units of 10^-`points_decimals`.
    """

    edition_id: str
    scale: int
    score_places: int
    groups: tuple[DiseaseGroup, ...]
    tables: CodeTables
    effective_from: date
    effective_to: date | None = None
    """Last day in force (含当日); None while no end is known."""
    standard: CatalogStandard = CatalogStandard.V2
    """Whose rules of grouping the edition follows, where policy names no other choice (分组方案版本)."""
    lists: EditionLists = NO_LISTS

    @property
    def points_decimals(self) -> int:
        """Decimal places of case points under this edition (病例分值小数位)."""
        return points_decimals(self.scale)

    def in_force_on(self, day: date) -> bool:
        """Does the edition speak about a case discharged that day (出院日是否适用)?"""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


def edition_in_force(editions: Iterable[Edition], discharge_date: date) -> Edition | None:
    """The edition in force on the discharge date (适用目录版本), or None when there is none.

    Requires: effective ranges that do not overlap. Raises: ValueError when two do.
    """
    found = [edition for edition in editions if edition.in_force_on(discharge_date)]
    if len(found) > 1:
        names = ", ".join(sorted(edition.edition_id for edition in found))
        raise ValueError(f"more than one edition in force on {discharge_date}: {names}")
    return found[0] if found else None


def score_has_places(score: Decimal, places: int) -> bool:
    """Is the score written within the declared decimals (分值小数位是否合规)?

    >>> score_has_places(Decimal("205.5"), 1), score_has_places(Decimal("205.55"), 1)
    (True, False)
    """
    exponent = score.as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= places


def check_edition(edition: Edition) -> tuple[Refusal, ...]:
    """Every fault that keeps an edition from being published (目录发布前检查), all at once.

    Refuses: group_code_duplicated, group_key_ambiguous, score_not_positive, score_places, procedure_class_misplaced,
    effective_range.
    """
    refusals: list[Refusal] = []
    codes: set[str] = set()
    keys: dict[tuple[object, ...], str] = {}
    if edition.effective_to is not None and edition.effective_to < edition.effective_from:
        refusals.append(
            Refusal(
                "effective_range",
                edition.edition_id,
                f"{edition.effective_from}..{edition.effective_to}",
                "目录的失效日期早于生效日期。",
                "The edition ends before it begins.",
                "更正生效区间。",
                "Correct the effective range.",
            )
        )
    for group in edition.groups:
        refusals.extend(group_faults(group, edition.score_places, group.group_code))
        if group.group_code in codes:
            refusals.append(duplicated_code(group.group_code, group.group_code))
        codes.add(group.group_code)
        key = distinct_key(group)
        if key in keys:
            refusals.append(ambiguous_key(group.group_code, group.group_code, keys[key]))
        keys.setdefault(key, group.group_code)
    return tuple(refusals)


def group_faults(group: DiseaseGroup, score_places: int, where: str) -> tuple[Refusal, ...]:
    """Faults of one group by itself (单个病种检查).

    A group above the basic layer may name a class: its cases are those whose deciding procedure is of that class.
    Refuses: score_not_positive, score_places, procedure_class_misplaced, condition_misplaced, group_takes_everything.
    """
    refusals: list[Refusal] = []
    if group.score <= 0:
        refusals.append(
            Refusal(
                "score_not_positive",
                where,
                str(group.score),
                "病种分值必须大于 0。",
                "A group's score must be above zero.",
                "填写大于 0 的分值。",
                "Enter a score above zero.",
            )
        )
    if not score_has_places(group.score, score_places):
        refusals.append(
            Refusal(
                "score_places",
                where,
                str(group.score),
                f"分值小数位超过目录声明的 {score_places} 位。",
                f"The score has more than the declared {score_places} decimals.",
                "按声明的小数位公布分值。",
                "Publish the score with the declared decimals.",
            )
        )
    above = group.layer is not GroupLayer.BASIC
    if not above and (group.conditions.asked or group.granularity is Granularity.ANY):
        refusals.append(
            Refusal(
                "condition_misplaced",
                where,
                group.diagnosis,
                "只有先期分组、并项和诊断辅助细分病种可附条件或不限诊断。",
                "Only groups above the basic layer may have conditions or take any diagnosis.",
                "填写分组层级，或删除条件。",
                "Name the layer, or take the conditions away.",
            )
        )
    if above and group.granularity is Granularity.ANY and not group.parts and not group.conditions.facts:
        refusals.append(
            Refusal(
                "group_takes_everything",
                where,
                group.group_code,
                "不限诊断的病种须有手术操作或取值段，否则收入全部病例。",
                "A group of any diagnosis needs procedures or facts, or it takes every case.",
                "补充手术操作或取值段。",
                "Give it procedures or facts.",
            )
        )
    comprehensive = group.kind == "comprehensive"
    if above:
        if comprehensive:
            refusals.append(_misplaced(where, group))
        return tuple(refusals)
    if comprehensive != (group.procedure_class is not None) or (comprehensive and group.parts):
        refusals.append(_misplaced(where, group))
    return tuple(refusals)


def _misplaced(where: str, group: DiseaseGroup) -> Refusal:
    return Refusal(
        "procedure_class_misplaced",
        where,
        str(group.procedure_class or ""),
        "综合病种须有诊疗方式且不列手术操作；核心病种不得有诊疗方式。",
        "A comprehensive group has a procedure class and lists no procedures; a core group has no class.",
        "更正病种类型、诊疗方式或手术操作。",
        "Correct the kind, the class or the procedures.",
    )


def duplicated_code(where: str, code: str) -> Refusal:
    """A group code used twice (病种编码重复)."""
    return Refusal(
        "group_code_duplicated",
        where,
        code,
        "病种编码重复。",
        "The group code is used twice.",
        "每个病种使用唯一编码。",
        "Give every group its own code.",
    )


def ambiguous_key(where: str, code: str, other: str) -> Refusal:
    """Two groups that ask for the same diagnosis and procedures (病种匹配条件重复)."""
    return Refusal(
        "group_key_ambiguous",
        where,
        code,
        f"与病种 {other} 的诊断和手术操作完全相同。",
        f"Asks for the same diagnosis and procedures as group {other}.",
        "合并或删除其中一个。",
        "Merge the two or remove one.",
    )
