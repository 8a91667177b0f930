"""No two tests open tenants under the same codes: they share a database, in whatever order they run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
OPENED = re.compile(r"\b(?:open_\w+|full_year|suqian)\(\s*world,\s*\"(\w\w)(?:0000)?\"")


def stems() -> Counter[str]:
    return Counter(
        found[1]
        for path in sorted((TESTS / "api").glob("test_*.py")) + sorted((TESTS / "security").glob("test_*.py"))
        for found in OPENED.finditer(path.read_text(encoding="utf-8"))
    )


def test_every_place_is_opened_once() -> None:
    found = stems()
    assert len(found) > 50
    assert [stem for stem, times in found.items() if times > 1] == []
