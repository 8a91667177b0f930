"""An edition opened at the right page (目录索引): its groups by diagnosis key."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fenzhi.rules.catalog.disease_group import DiseaseGroup, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.grouping.opened_book import OpenedBook


class CatalogBook:
    """The groups of an edition by diagnosis key (目录索引), so that one case looks only at its own candidates.

    Requires: an edition without faults (`check_edition`); a doubled group code raises ValueError here.
    """

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.tables: CodeTables = edition.tables
        by_code: dict[str, DiseaseGroup] = {}
        self._opened: dict[GroupingMethod, OpenedBook] = {}
        operative: dict[str, list[DiseaseGroup]] = {}
        conservative: dict[str, DiseaseGroup] = {}
        comprehensive: dict[str, dict[ProcedureClass, DiseaseGroup]] = {}
        for group in edition.groups:
            if by_code.setdefault(group.group_code, group) is not group:
                raise ValueError(f"group code used twice: {group.group_code}")
            if group.kind is GroupKind.COMPREHENSIVE:
                of_key = comprehensive.setdefault(group.diagnosis, {})
                if group.procedure_class is None or group.procedure_class in of_key:
                    raise ValueError(f"comprehensive group without a class of its own: {group.group_code}")
                of_key[group.procedure_class] = group
            elif group.is_conservative:
                if group.diagnosis in conservative:
                    raise ValueError(f"two conservative groups for {group.diagnosis}")
                conservative[group.diagnosis] = group
            else:
                for key in group.diagnoses:
                    operative.setdefault(key, []).append(group)
        self.by_code: Mapping[str, DiseaseGroup] = MappingProxyType(by_code)
        self._operative = {
            key: tuple(sorted(found, key=lambda group: group.group_code.encode())) for key, found in operative.items()
        }
        self._conservative = conservative
        self._comprehensive = comprehensive

    def opened(self, method: GroupingMethod) -> OpenedBook:
        """What the groups ask for under a method (按入组办法打开), kept for the next case."""
        found = self._opened.get(method)
        if found is None:
            found = self._opened[method] = OpenedBook(self.edition, method)
        return found

    def operative(self, key: str) -> tuple[DiseaseGroup, ...]:
        """Core groups of a diagnosis key that ask for procedures (手术操作组), by group code."""
        return self._operative.get(key, ())

    def conservative(self, key: str) -> DiseaseGroup | None:
        """The core group of a diagnosis key that asks for none (保守治疗组)."""
        return self._conservative.get(key)

    def comprehensive(self, key: str) -> Mapping[ProcedureClass, DiseaseGroup]:
        """Comprehensive groups of a diagnosis key by class (综合病种)."""
        return self._comprehensive.get(key, {})

    def procedure_class(self, code: str) -> ProcedureClass | None:
        """The imported class of a procedure (手术操作类别), or None where there is none."""
        return self.tables.procedures.get(code, _UNKNOWN).procedure_class


_UNKNOWN = ProcedureEntry()
