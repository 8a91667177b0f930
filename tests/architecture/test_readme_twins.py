"""The two READMEs say the same (中英文说明一致): the same requests and answers, the same commands, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
TWINS = {"README.md", "README.zh-CN.md"}


def _blocks(text: str) -> list[str]:
    """Code blocks without comments, which are in the language of the page."""
    return [re.sub(r" +# .*", "", block) for block in re.findall(r"```(?:sh|json)\n(.*?)```", text, re.DOTALL)]


def _words(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def test_the_requests_and_answers_are_the_same() -> None:
    assert len(_blocks(ENGLISH)) > 10
    assert _blocks(ENGLISH) == _blocks(CHINESE)


def test_commands_and_codes_are_the_same() -> None:
    assert {word.replace("COMMAND", "命令") for word in _words(ENGLISH)} == _words(CHINESE)


def test_links_are_the_same() -> None:
    links = [set(re.findall(r"\]\(([^)]+)\)", text)) - TWINS for text in (ENGLISH, CHINESE)]
    assert links[0] == links[1]


def test_links_lead_somewhere() -> None:
    broken = []
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")):
        targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
        broken += [f"{page.name}: {target}" for target in targets if not (page.parent / target).exists()]
    assert broken == []
