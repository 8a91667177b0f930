"""The version of a row (行版本): what a downloaded row said, so that an upload can tell whether it still says so."""

from __future__ import annotations

import hashlib

from fenzhi.rules.catalog.catalog_text import cells_of
from fenzhi.rules.catalog.disease_group import DiseaseGroup


def row_version(group: DiseaseGroup) -> str:
    """Twelve hexadecimal digits that change whenever a value of the group does (行版本).

    A score that gained or lost trailing zeros has changed: its text is what people read.
    """
    cells = cells_of(group) | {"local": "1" if group.local_addition else "0"}
    text = "\x1f".join(f"{name}={value}" for name, value in sorted(cells.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
