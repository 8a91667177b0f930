"""Groups written in a dialect (按方言写出目录)."""

from __future__ import annotations

from collections.abc import Iterable

from fenzhi.rules.catalog.catalog_text import CLASS_COLUMN, COLUMNS
from fenzhi.rules.catalog.dialect_records import quoted
from fenzhi.rules.catalog.dialects import Dialect, procedures_cell
from fenzhi.rules.catalog.disease_group import DiseaseGroup, GroupKind
from fenzhi.rules.catalog.group_conditions import CONDITION_COLUMNS, condition_cells


def write_dialect(groups: Iterable[DiseaseGroup], dialect: Dialect) -> bytes:
    """A catalog of these groups in a dialect (按方言写出目录): UTF-8 CSV under the platform's own headers.

    What is written reads back, in the same dialect, as the same groups.
    """
    listed = tuple(groups)
    conditions = CONDITION_COLUMNS if any(group.conditions.asked for group in listed) else ()
    lines = [",".join((*COLUMNS, CLASS_COLUMN, *conditions))]
    for group in listed:
        asked = condition_cells(group.conditions)
        cells = (
            group.sequence,
            group.group_code,
            group.diagnosis,
            group.diagnosis_name,
            str(int(group.granularity)),
            procedures_cell(group.main_procedures, dialect),
            group.main_procedure_names,
            procedures_cell(group.related_procedures, dialect),
            group.related_procedure_names,
            dialect.kind_words[0 if group.kind is GroupKind.CORE else 1],
            str(group.level),
            format(group.score, "f"),
            "1" if group.grassroots else "0",
            group.procedure_class.value if group.procedure_class else "",
            *(asked[name] for name in conditions),
        )
        lines.append(",".join(quoted(cell) for cell in cells))
    return ("\n".join(lines) + "\n").encode()
