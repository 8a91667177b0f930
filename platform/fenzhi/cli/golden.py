"""`fenzhi golden`: work golden cases through the rules and compare every digit (黄金用例核对).

A golden case is a promise that an official can read: given this, expect that, by this document. There is no
tolerance. A value that was published rounded says to how many places, and is compared after exactly that rounding.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from fenzhi.cli.golden_files import GoldenCase, GoldenFileBroken, Names, Tree, read_golden_file
from fenzhi.cli.golden_rules import RULES, GoldenRule
from fenzhi.cli.golden_values import Result
from fenzhi.rules.quantities import decimal_places, exact_decimal
from fenzhi.rules.refusals import DataRefused, FenzhiError

OK, MISMATCH = 0, 2


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value that is not what the case expects (不符)."""

    file: str
    case: str
    rule: str
    name: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A file or case that could not be worked (无法核对)."""

    file: str
    line: int
    case: str
    says: str


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """What a run of golden cases found (核对结果)."""

    files: int
    cases: int
    passed: int
    values: int
    mismatches: tuple[Mismatch, ...]
    faults: tuple[Fault, ...]

    @property
    def exit_code(self) -> int:
        return MISMATCH if self.mismatches or self.faults else OK


def run_golden(directory: Path) -> GoldenReport:
    """Work every golden file below a directory, or one file (核对目录下全部黄金用例). Files in order of their path."""
    if directory.is_file():
        paths, root = [directory], directory.parent
    else:
        paths, root = sorted([*directory.rglob("*.yaml"), *directory.rglob("*.yml")]), directory
    mismatches: list[Mismatch] = []
    faults: list[Fault] = []
    cases = passed = values = 0
    if not paths:
        faults.append(Fault(str(directory), 0, "", "no golden files (*.yaml) here"))
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            golden_file = read_golden_file(name, path.read_text(encoding="utf-8"))
        except GoldenFileBroken as broken:
            faults.append(Fault(name, broken.line, "", broken.says))
            continue
        except (OSError, UnicodeDecodeError) as error:
            faults.append(Fault(name, 0, "", f"cannot be read as UTF-8 text: {error}"))
            continue
        rule = RULES.get(golden_file.rule)
        if rule is None:
            says = f"unknown rule {golden_file.rule!r}; known: {', '.join(sorted(RULES))}"
            faults.append(Fault(name, 1, "", says))
            continue
        for case in golden_file.cases:
            cases += 1
            try:
                compared = work_case(rule, case)
            except (ValueError, ArithmeticError) as error:
                faults.append(Fault(name, case.line, case.name, str(error) or type(error).__name__))
                continue
            wrong = [one for one in compared if one[1] != one[2]]
            values += len(compared)
            passed += not wrong
            mismatches += [Mismatch(name, case.name, golden_file.rule, *one) for one in wrong]
    return GoldenReport(len(paths), cases, passed, values, tuple(mismatches), tuple(faults))


def work_case(rule: GoldenRule, case: GoldenCase) -> list[tuple[str, str, str]]:
    """Each expected value as (name, expected, got), equal texts where they agree (核对一例).

    Raises: ValueError for a case that does not fit its rule.
    """
    given, policy = Names(case.given, "given"), Names(case.policy, "policy")
    result: Mapping[str, Result]
    try:
        result = rule(given, policy)
        given.finish()
        policy.finish()
    except DataRefused as refused:
        result = {"refusal": refused.refusals[0].code}
    except FenzhiError as refused:
        result = {"refusal": refused.code}
    got = _leaves(result)
    expected = _leaves(case.expect)
    if not expected:
        raise ValueError("the case expects nothing")
    compared: list[tuple[str, str, str]] = []
    for name, text in expected.items():
        if not isinstance(text, str):
            raise ValueError(f"expect.{name} must be a value")
        if name not in got:
            compared.append((name, text, f"refused: {got['refusal']}" if "refusal" in got else "no such value"))
            continue
        compared.append((name, *_compare(text, got[name], _places_of(name, case.places))))
    return compared


def _compare(expected: str, got: Fraction | str, places: int | None) -> tuple[str, str]:
    """Both sides as text, the same text exactly when they agree."""
    if isinstance(got, str):
        return expected, got
    value = got if places is None else Fraction(decimal_places(got, places))
    shown = _plain(value)
    try:
        agrees = Fraction(exact_decimal(expected)) == value
    except ValueError:
        agrees = False
    return (expected, expected) if agrees else (expected, shown)


def _plain(value: Fraction) -> str:
    """A decimal where there is a finite one of at most twelve places, else the fraction."""
    for places in range(13):
        if (value * 10**places).denominator == 1:
            return decimal_places(value, places)
    return f"{value} (about {decimal_places(value, 6)}; state `places` to compare a rounded value)"


def _places_of(name: str, places: Mapping[str, int]) -> int | None:
    return places.get(name, places.get(name.split(".")[0], places.get(name.rsplit(".", 1)[-1])))


def _leaves(tree: Result | Tree, name: str = "") -> dict[str, Fraction | str]:
    """Every single value by its dotted name; list places count from 1."""
    if isinstance(tree, str | Fraction):
        return {name: tree}
    pairs = tree.items() if isinstance(tree, Mapping) else ((str(n), part) for n, part in enumerate(tree, start=1))
    leaves: dict[str, Fraction | str] = {}
    for key, part in pairs:
        leaves.update(_leaves(part, f"{name}.{key}" if name else key))
    return leaves


def golden(
    directory: Annotated[Path, typer.Argument(help="A folder of golden files, or one file (黄金用例目录或文件).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON (输出 JSON).")] = False,
) -> int:
    """Work golden cases through the rules and compare every digit (黄金用例). Exit: 0 all agree, 2 any does not."""
    if not directory.exists():
        report = GoldenReport(0, 0, 0, 0, (), (Fault(str(directory), 0, "", "no such file or folder"),))
    else:
        report = run_golden(directory)
    if as_json:
        print(json.dumps({**asdict(report), "exit_code": report.exit_code}, ensure_ascii=False, indent=2))
        return report.exit_code
    for fault in report.faults:
        case = f" {fault.case}:" if fault.case else ""
        print(f"{fault.file}:{fault.line}:{case} 无法核对 {fault.says}", file=sys.stderr)
    for one in report.mismatches:
        print(f"{one.file}: {one.case}: {one.name}: 应为 expected {one.expected}, 实为 got {one.got}", file=sys.stderr)
    print(
        f"黄金用例 {report.passed}/{report.cases} 相符，文件 {report.files} 个，核对数值 {report.values} 个。 "
        f"{report.passed} of {report.cases} golden cases agree."
    )
    return report.exit_code
