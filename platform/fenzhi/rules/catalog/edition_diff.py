"""What changed between two editions (目录版本差异): groups added, removed, recoded, changed, with their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fenzhi.rules.catalog.conjunctions import conjunction_text
from fenzhi.rules.catalog.disease_group import DiseaseGroup, distinct_key
from fenzhi.rules.quantities import decimal_places


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value of a group, before and after (字段变化)."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A group of both editions that differs (病种变化). `score_change` is after ÷ before − 1 in percent, two decimals."""

    group_code: str
    before_code: str
    changes: tuple[FieldChange, ...]
    score_change: str | None


@dataclass(frozen=True, slots=True)
class EditionDiff:
    """Two editions compared (版本差异): every group of either is in exactly one of the four, or unchanged."""

    added: tuple[DiseaseGroup, ...]
    removed: tuple[DiseaseGroup, ...]
    changed: tuple[GroupChange, ...]
    unchanged: int


_FIELDS: tuple[tuple[str, Callable[[DiseaseGroup], str]], ...] = (
    ("diagnosis", lambda group: group.diagnosis),
    ("main_procedures", lambda group: conjunction_text(group.main_procedures)),
    ("related_procedures", lambda group: conjunction_text(group.related_procedures)),
    ("kind", lambda group: group.kind.value),
    ("procedure_class", lambda group: group.procedure_class.value if group.procedure_class else ""),
    ("score", lambda group: format(group.score, "f")),
    ("grassroots", lambda group: "1" if group.grassroots else "0"),
    ("level", lambda group: str(group.level)),
    ("diagnosis_name", lambda group: group.diagnosis_name),
    ("main_procedure_names", lambda group: group.main_procedure_names),
    ("related_procedure_names", lambda group: group.related_procedure_names),
)


def diff_editions(before: Sequence[DiseaseGroup], after: Sequence[DiseaseGroup]) -> EditionDiff:
    """The difference of two editions (版本差异). Groups pair by code, then by diagnosis and procedures (recoded ones).

    A score that only gained or lost trailing zeros is unchanged. Requires: group codes unique within each edition.
    """
    old = {group.group_code: group for group in before}
    unpaired_new = [group for group in after if group.group_code not in old]
    new_codes = {group.group_code for group in after}
    old_by_key = {distinct_key(group): group for group in before if group.group_code not in new_codes}
    pairs: list[tuple[DiseaseGroup, DiseaseGroup]] = [
        (old[group.group_code], group) for group in after if group.group_code in old
    ]
    added: list[DiseaseGroup] = []
    recoded: set[str] = set()
    for group in unpaired_new:
        twin = old_by_key.pop(distinct_key(group), None)
        if twin is None:
            added.append(group)
        else:
            pairs.append((twin, group))
            recoded.add(twin.group_code)
    removed = tuple(group for group in before if group.group_code not in new_codes and group.group_code not in recoded)
    changed = [change for earlier, later in pairs if (change := _change(earlier, later)) is not None]
    return EditionDiff(tuple(added), removed, tuple(changed), len(pairs) - len(changed))


def _change(before: DiseaseGroup, after: DiseaseGroup) -> GroupChange | None:
    changes = [
        FieldChange(name, was, now)
        for name, read in _FIELDS
        if (was := read(before)) != (now := read(after)) and not (name == "score" and before.score == after.score)
    ]
    if before.group_code != after.group_code:
        changes.insert(0, FieldChange("group_code", before.group_code, after.group_code))
    if not changes:
        return None
    moved = None
    if before.score != after.score and before.score > 0:
        moved = decimal_places((Fraction(after.score) / Fraction(before.score) - 1) * 100, 2)
    return GroupChange(after.group_code, before.group_code, tuple(changes), moved)
