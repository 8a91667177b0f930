from __future__ import annotations

import re
from pathlib import Path

import pytest

from fenzhi.rules.submission.case_checks import REQUIRABLE_FIELDS
from fenzhi.rules.submission.optional_checks import OPTIONAL_CODES
from fenzhi.rules.submission.refusal_page import refusal_index, refusal_page
from fenzhi.rules.submission.verdict_texts import VERDICT_TEXTS, filled, refusal, verdict

ROOT = Path(__file__).resolve().parents[3]
RULES = [ROOT / "platform/fenzhi/rules/submission" / name for name in ("case_checks.py", "code_mapping.py")]
READER = ROOT / "platform/fenzhi/services/submission"


@pytest.mark.parametrize("code", sorted(VERDICT_TEXTS))
def test_every_code_has_its_page_up_to_date(code: str):
    page = ROOT / "docs/refusals" / f"{code}.md"
    assert page.read_text(encoding="utf-8") == refusal_page(code)


def test_the_index_is_up_to_date():
    assert "\n".join(refusal_index().splitlines()[1:]) in (ROOT / "docs/refusals/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", sorted(VERDICT_TEXTS))
def test_words_are_there_in_both_languages_with_the_same_slots(code: str):
    text = VERDICT_TEXTS[code]
    slots = re.compile(r"\{([a-z_]+)\}")
    chinese = {name for name in slots.findall(text.zh)}
    english = {name.removesuffix("_en") for name in slots.findall(text.en)}
    assert chinese == english
    for words in (text.zh, text.remedy_zh):
        assert re.search(r"[\u4e00-\u9fff]", words)
    for words in (text.en, text.remedy_en):
        assert words and not re.search(r"[\u4e00-\u9fff]", words)


def test_every_code_is_given_by_a_rule_or_by_the_reader_and_none_is_idle():
    readers = [READER / name for name in ("wire.py", "parse_part.py", "read_faults.py")]
    sources = "".join(path.read_text(encoding="utf-8") for path in [*RULES, *readers])
    named = set(re.findall(r'"([A-Z][A-Z0-9_]{5,})"', sources))
    # test_optional_checks.py and test_evidence_checks.py have each of these given.
    named |= set(OPTIONAL_CODES) | {"CHECK_NOT_JUDGED"}
    # What a table as such gets wrong is refused at the upload; only what is wrong with a cell is a finding.
    named |= set(re.findall(r'"(CELL_[A-Z0-9_]+)"', (READER / "table_lists.py").read_text(encoding="utf-8")))
    assert named >= set(VERDICT_TEXTS)
    assert named - set(VERDICT_TEXTS) == {"GB18030"}  # An encoding, not a code.


def test_slots_are_filled_once_and_other_braces_stay():
    assert filled("{a} { {b} {c}", {"a": "{b}", "b": "x"}) == "{b} { x {c}"


def test_a_long_sight_is_cut():
    assert refusal("NO_PRINCIPAL_DIAGNOSIS", "diseinfo", "x" * 500).saw == "x" * 200 + "…"
    with pytest.raises(KeyError):
        verdict("NO_SUCH_CODE", "", "")


def test_required_names_are_national_names():
    assert {"certno", "iteminfo", "dcla_time"} <= REQUIRABLE_FIELDS
