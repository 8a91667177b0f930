"""The worked examples of catalog, grouping and scoring are golden cases, each under its name, with a source and the numbers of the list."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

from fenzhi.cli.golden_files import read_golden_file

WORKED = Path(__file__).parent / "worked"
WANTED = tuple(f"WE-{number:02d}" for number in (*range(1, 29), 44, 45, 47, 57, 58))
BOTH_READINGS = {
    "WE-04": ("5051", "5061"),
    "WE-20": ("national/scoring_cost_outliers.yaml", "national/scoring_cost_outliers_inside.yaml"),
}
"""Where sources disagree: both numbers of one case, or both methods, stand among the golden cases."""


def files_naming(example: str) -> list[Path]:
    return [path for path in sorted(WORKED.rglob("*.yaml")) if example in path.read_text(encoding="utf-8")]


def numbers_of(text: str) -> set[Decimal]:
    return {Decimal(one) for one in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w|\.\d)", text, re.ASCII)}


def leaves(tree: Any) -> list[Decimal]:
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves(part)]
    if isinstance(tree, list):
        return [leaf for part in tree for leaf in leaves(part)]
    try:
        return [] if isinstance(tree, bool) else [Decimal(str(tree))]
    except InvalidOperation:
        return []


@pytest.mark.parametrize("example", WANTED)
def test_each_is_a_golden_case_with_its_source_and_numbers(example: str, shared: Path) -> None:
    listed = {one["id"]: one for one in json.loads((shared / "worked-examples.json").read_text(encoding="utf-8"))}
    found = files_naming(example)
    assert found, example
    text = "\n".join(path.read_text(encoding="utf-8") for path in found)
    for path in found:
        source = read_golden_file(path.name, path.read_text(encoding="utf-8")).source
        assert source, path.name
    said = numbers_of(text)
    for number in leaves(listed[example]["expected"]):
        # A share may stand as a percentage in the list and as a ratio in the case.
        assert {number, number / 100, number * 100, number.quantize(Decimal(1))} & said, (example, number)


@pytest.mark.parametrize("example", BOTH_READINGS)
def test_both_readings_stand_where_sources_disagree(example: str) -> None:
    found = files_naming(example)
    text = "\n".join(path.read_text(encoding="utf-8") for path in found)
    names = {path.relative_to(WORKED).as_posix() for path in found}
    for reading in BOTH_READINGS[example]:
        assert reading in text or reading in names, (example, reading)
