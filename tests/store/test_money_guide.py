"""The guide to money names what exists (资金说明与实现一致): every policy key and every file."""

from __future__ import annotations

import re
from pathlib import Path

from fenzhi.store.policy_files import national_policy

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "money.md").read_text(encoding="utf-8")
RULES = ROOT / "platform" / "fenzhi" / "rules"


def test_every_file_the_guide_names_exists() -> None:
    named = set(re.findall(r"`([a-z_]+/[a-z_]+\.py)`", GUIDE))
    assert len(named) >= 25
    assert [name for name in sorted(named) if not (RULES / name).is_file()] == []


def test_every_policy_key_the_guide_names_exists() -> None:
    keys = {field.key for field in national_policy().fields}
    prefixes = {key.split(".")[0] for key in keys}
    named = {name for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", GUIDE) if name.split(".")[0] in prefixes}
    named = {name for name in named if not name.endswith((".py", ".yaml", "_"))}
    assert len(named) >= 25
    assert sorted(named - keys) == []
