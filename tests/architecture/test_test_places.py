"""No two tests open tenants under the same codes: they share a database, in whatever order they run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
OPENS = re.compile(r"async def (\w+)\(\s*world: \w+,\s*(?:stem|code|prefix)\b")


def sources() -> list[str]:
    files = [path for room in ("api", "security", "builders") for path in sorted((TESTS / room).glob("*.py"))]
    return [path.read_text(encoding="utf-8") for path in files]


def stems() -> Counter[str]:
    """How often each is opened, by whatever is defined as taking the world and a stem."""
    texts = sources()
    names = {"suqian", "full_year"} | {name for text in texts for name in OPENS.findall(text)}
    opened = re.compile(rf"\b(?:open_\w+|{'|'.join(sorted(names))})\(\s*world,\s*\"(\w\w)(?:0000)?\"")
    return Counter(found[1] for text in texts for found in opened.finditer(text))


def test_every_place_is_opened_once() -> None:
    found = stems()
    assert len(found) > 50
    assert [stem for stem, times in found.items() if times > 1] == []
