"""The runbook says the same in both languages, and every command, setting, target and file it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from fenzhi.cli.main import app
from fenzhi.settings import SECRETS, Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
ELSEWHERE = {
    *(
        "FENZHI_ADMIN_DATABASE_URL",
        "FENZHI_BACKUP_DATABASE_URL",
        "FENZHI_BACKUP_PASSPHRASE",
        "FENZHI_REQUIRE_ADVISORIES",
    ),
}
"""Variables that a command reads by itself, or that a check reads."""


def halves() -> tuple[str, str]:
    chinese, _, english = TEXT.partition("\n## English\n")
    return chinese.partition("\n## 中文\n")[2], english


def test_both_languages_have_the_same_shape() -> None:
    chinese, english = halves()
    assert chinese and english
    for pattern in (r"^### ", r"^\|", r"^- ", r"^```", r"^\d\. "):
        found = [len(re.findall(pattern, half, re.MULTILINE)) for half in (chinese, english)]
        assert found[0] == found[1], pattern
    codes = [set(re.findall(r"`([^`\n]+)`", half)) for half in (chinese, english)]
    names = [{code for code in found if re.fullmatch(r"[A-Z_]{6,}|FENZHI_\w+", code)} for found in codes]
    assert names[0] == names[1]
    assert re.search(r"[\u3400-\u9fff]", english.replace("医保专网", "")) is None


def test_every_setting_it_names_is_one() -> None:
    known = {f"FENZHI_{name.upper()}" for name in Settings.model_fields} | ELSEWHERE
    known |= {f"FENZHI_{name.upper()}_FILE" for name in SECRETS}
    named = set(re.findall(r"FENZHI_[A-Z_]*[A-Z]", TEXT)) - {"FENZHI_RATE"}
    assert named - known == set()


def test_every_command_it_names_exists() -> None:
    root = get_command(app)
    commands = dict(getattr(root, "commands"))  # noqa: B009
    for words in re.findall(r"(?:`|\s|/bin/)fenzhi ((?:[a-z][a-z-]* ?){1,2})", TEXT):
        first, _, second = words.strip().partition(" ")
        assert first in commands, words
        below = getattr(commands[first], "commands", None)
        assert below is None or second in below, words


def test_every_target_and_file_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE)) <= targets
    for link in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / "docs" / link).exists(), link
    for file in re.findall(r"`((?:helm|docs|tests)/[\w./-]+)`", TEXT):
        assert (ROOT / file).exists(), file
