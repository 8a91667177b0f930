"""An edition opened with a method (按入组办法打开的目录): what each group really asks for, once the method's choices are made.

The method decides whether a base code stands for its extensions, whether the main procedure of a group must be the main one of the case and
whether related procedures of the basic layer are asked for; the edition's lists take procedures out of main parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fenzhi.rules.catalog.disease_group import CLASS_RANK, DiseaseGroup, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.catalog.group_conditions import ANY_DIAGNOSIS, LAYER_ORDER, FactBand, GroupLayer, expanded_keys
from fenzhi.rules.grouping.grouping_method import ExtensionMatch, GroupingMethod, MainPosition, RelatedUse

Part = frozenset[str]


@dataclass(frozen=True, slots=True)
class AskedGroup:
    """What a group asks of a case under one method (病种的入组要求)."""

    group: DiseaseGroup
    layer_rank: int
    """0 is tried first."""
    parts: tuple[Part, ...]
    """Procedures that satisfy each part, extensions included (各组合项可接受的手术操作)."""
    main: Part
    """Procedures that satisfy a main part (可作主要手术操作的代码)."""
    needs_main: bool
    """The case's own main procedure must be among `main` (须为病例主要手术操作)."""
    listed: Part
    """Codes exactly as the catalog lists them (目录原码)."""
    secondary: tuple[Part, ...]
    """Diagnosis keys that satisfy each secondary part (次要诊断)."""
    facts: tuple[FactBand, ...]
    procedure_class: ProcedureClass | None
    """Of a group above the basic layer: the class its cases must be of (须具备的诊疗方式)."""
    class_rank: int
    """Class of the group: its own, or the heaviest of the procedures it lists (病种诊疗方式)."""

    @property
    def asks(self) -> int:
        """How many conditions the group has (条件数): parts, secondary parts and facts."""
        return len(self.parts) + len(self.secondary) + len(self.facts)

    @property
    def related_first(self) -> bool:
        """A merged group that names related procedures comes before one that does not (并项：列相关手术操作者优先)."""
        return self.group.layer is GroupLayer.MERGED and bool(self.group.related_procedures)


class OpenedBook:
    """The groups of an edition as one method asks for them (按入组办法打开的目录), by diagnosis key.

    `operative` holds core groups of every layer that ask for anything beside the diagnosis, by group code; those of the basic layer
    that ask for nothing are `conservative`, and comprehensive ones stand by class.
    """

    def __init__(self, edition: Edition, method: GroupingMethod) -> None:
        self.edition = edition
        self.method = method.under(edition.standard)
        self._extended = _extensions(edition) if self.method.extension is ExtensionMatch.BASE else None
        operative: dict[str, list[AskedGroup]] = {}
        asked_of: dict[str, AskedGroup] = {}
        for group in edition.groups:
            if group.kind is GroupKind.COMPREHENSIVE:
                continue
            asked = self._asked(group)
            asked_of[group.group_code] = asked
            if group.is_conservative:
                continue
            for key in group.diagnoses:
                operative.setdefault(key, []).append(asked)
        self.asked_of: Mapping[str, AskedGroup] = asked_of
        self._operative = {
            key: tuple(sorted(found, key=lambda one: (one.layer_rank, one.group.group_code.encode())))
            for key, found in operative.items()
        }
        self.layered = any(group.layer is not GroupLayer.BASIC for group in edition.groups)

    def operative(self, key: str) -> tuple[AskedGroup, ...]:
        """Core groups of a key that ask for anything (有要求的病种), by layer and group code."""
        return self._operative.get(key, ())

    def of_any_diagnosis(self) -> tuple[AskedGroup, ...]:
        """Groups that look at no diagnosis (不限主要诊断的病种)."""
        return self._operative.get(ANY_DIAGNOSIS, ())

    def accepted(self, code: str) -> Part:
        """The procedures of a case that a code of the catalog accepts (目录代码可接受的手术操作).

        Policy: grouping.extension_match. With `base`, a base code accepts its extensions, an extension itself and its base.
        """
        if self._extended is None:
            return frozenset((code,))
        base = self.edition.lists.base_of(code)
        if base == code:
            return frozenset((code, *self._extended.get(code, ())))
        return frozenset((code, base))

    def _asked(self, group: DiseaseGroup) -> AskedGroup:
        lists = self.edition.lists
        basic = group.layer is GroupLayer.BASIC
        related = group.related_procedures
        if basic and self.method.basic_related is RelatedUse.IGNORED and group.main_procedures:
            related = ()
        main_parts = tuple(
            frozenset().union(*(self.accepted(code) for code in part)) - lists.not_main
            for part in group.main_procedures
        )
        related_parts = tuple(frozenset().union(*(self.accepted(code) for code in part)) for part in related)
        main = frozenset().union(*main_parts)
        listed = frozenset(code for part in (*group.main_procedures, *related) for code in part)
        wanted = None if basic else group.procedure_class
        return AskedGroup(
            group,
            LAYER_ORDER.index(group.layer),
            main_parts + related_parts,
            main,
            bool(main_parts) and self.method.main_position is MainPosition.CASE_MAIN,
            listed,
            tuple(expanded_keys(part) for part in group.conditions.secondary_diagnoses),
            group.conditions.facts,
            wanted,
            self._class_rank(group, listed),
        )

    def _class_rank(self, group: DiseaseGroup, listed: Iterable[str]) -> int:
        if group.procedure_class is not None:
            return CLASS_RANK[group.procedure_class]
        entries = (self.edition.tables.procedures.get(code) for code in listed)
        ranks = (
            CLASS_RANK[one.procedure_class] for one in entries if one is not None and one.procedure_class is not None
        )
        return max(ranks, default=0)


def _extensions(edition: Edition) -> dict[str, tuple[str, ...]]:
    """Base code → the extensions the tables and the catalog know (基本码 → 扩展码)."""
    lists = edition.lists
    known = set(edition.tables.procedures)
    known.update(code for group in edition.groups for part in group.parts for code in part)
    found: dict[str, list[str]] = {}
    for code in sorted(known):
        base = lists.base_of(code)
        if base != code:
            found.setdefault(base, []).append(code)
    return {base: tuple(codes) for base, codes in found.items()}
