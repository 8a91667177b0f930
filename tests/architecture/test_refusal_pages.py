"""Generated pages say what the source says (生成的文档与源码一致); every code a user can meet has its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from fenzhi.cli.documents.codes import GOOD_NEWS, NOT_CODES, codes_of
from fenzhi.cli.documents.pages import generated
from fenzhi.cli.documents.refusal_pages import lacking, refusal_files
from fenzhi.cli.documents.rule_map import mapped_rules, rule_map
from fenzhi.cli.documents.settings_page import settings_page
from fenzhi.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MEND = "`make docs` writes the page; words that the source does not say belong into docs/refusals/reasons.yaml"


def test_every_code_has_a_page() -> None:
    pages = {path.stem for path in (ROOT / "docs/refusals").glob("*.md")}
    assert sorted(set(codes_of(ROOT)) - pages) == [], MEND


def test_every_page_has_a_code() -> None:
    """A page of a code that nobody gives any more misleads whoever looks for help."""
    pages = {path.stem for path in (ROOT / "docs/refusals").glob("*.md")} - {"README"}
    assert sorted(pages - set(codes_of(ROOT))) == []


def test_every_code_says_what_to_do() -> None:
    assert lacking(ROOT) == []


def test_every_page_is_current() -> None:
    pages = refusal_files(ROOT)
    stale = [n for n, text in pages.items() if (ROOT / "docs/refusals" / n).read_text(encoding="utf-8") != text]
    assert stale == [], MEND


def test_the_rule_map_is_current() -> None:
    assert (ROOT / "docs/rule-map.md").read_text(encoding="utf-8") == rule_map(ROOT), "make docs"


def test_the_settings_page_is_current() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == settings_page(), "make docs"


def test_the_scan_sees_each_way_a_code_is_given(tmp_path: Path) -> None:
    """A class, a keyword, a positional argument of some function, a row of a table, an inherited code."""
    room = tmp_path / "platform" / "fenzhi" / "services"
    room.mkdir(parents=True)
    (room / "shown.py").write_text(
        "class Taken(Conflict):\n    code = 'SEAT_TAKEN'\n    http_status = 410\n"
        "class Conflict(FenzhiError):\n    code = 'CONFLICT'\n"
        "def raised():\n"
        "    raise Taken('座位已占。', 'The seat is taken.', hint='换一个 / choose another')\n"
        "    raise Conflict('满员。', 'No seat is left.', code='ALL_FULL')\n"
        "    fault('SEAT_RANGE', 'seat', f'座位须为 1 至 {most}。', f'Seats are 1 to {most}.', ('核对。', 'Check it.'))\n"
        "ROWS = {'1': ('SEAT_LOCKED', '座位已锁。', 'The seat is locked.')}\n",
        encoding="utf-8",
    )
    found = codes_of(tmp_path)
    assert list(found) == ["ALL_FULL", "CONFLICT", "SEAT_LOCKED", "SEAT_RANGE", "SEAT_TAKEN"]
    assert found["SEAT_TAKEN"].says == [("座位已占。", "The seat is taken.")]
    assert found["SEAT_TAKEN"].mends == [("换一个", "choose another")]
    assert found["SEAT_TAKEN"].http_status == 410
    assert found["ALL_FULL"].says == [("满员。", "No seat is left.")]
    assert found["SEAT_RANGE"].says == [("座位须为 1 至 {most}。", "Seats are 1 to {most}.")]
    assert found["SEAT_RANGE"].mends == [("核对。", "Check it.")]
    assert found["SEAT_LOCKED"].says == [("座位已锁。", "The seat is locked.")]


def test_words_excused_from_being_codes_are_still_in_the_source() -> None:
    """An excuse outlives its word too easily."""
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("platform", "graphql", "workers", "migrations")
        for path in (ROOT / folder).rglob("*.py")
        if "documents" not in path.parts
    )
    assert sorted(word for word in NOT_CODES | GOOD_NEWS if word not in text) == []


def test_the_rule_map_names_document_function_and_golden_case() -> None:
    rules = {f"{rule.module}.{rule.name}": rule for rule in mapped_rules(ROOT)}
    assert "deposit.rate" in rules["clearing.deposit.deposit_target"].policy
    row = next(line for line in rule_map(ROOT).splitlines() if "`clearing.deposit.deposit_target`" in line)
    assert "按病种付费医疗保障经办管理规程" in row
    assert "`clearing_deposit`" in row


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_described(name: str) -> None:
    assert f"`FENZHI_{name.upper()}`" in settings_page()


def test_generated_pages_name_no_folder_of_a_machine() -> None:
    assert [name for name, text in generated(ROOT).items() if f"{ROOT}/" in text or "/home/" in text] == []
