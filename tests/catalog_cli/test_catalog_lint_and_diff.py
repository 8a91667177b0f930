"""Lint of an edition by its grouping method, with a witness each; the difference of two editions (目录检查与版本差异)."""

from __future__ import annotations

import json
from itertools import chain, combinations, permutations
from pathlib import Path

import pytest

from fenzhi.cli.main import run
from fenzhi.rules.catalog.dialect_text import read_dialect
from fenzhi.rules.catalog.dialects import DIALECTS
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.edition import CodeTables, ProcedureEntry
from fenzhi.rules.catalog.edition_diff import diff_editions
from fenzhi.rules.catalog.lint import lint_groups
from fenzhi.rules.grouping.group_case import preference, unmet_parts
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak

NONE = CodeTables({}, {})
A, B, C = "39.9500", "54.2100", "47.0100"


def groups(*rows: tuple[str, str, str, str]) -> tuple[DiseaseGroup, ...]:
    text = "dip_code,dx_code,main_ops,score\n" + "".join(f"{','.join(row)}\n" for row in rows)
    document = read_dialect(text.encode(), DIALECTS["slash_plus"], NONE)
    assert document.faults == () or all(one.severity == "warning" for one in document.faults)
    return document.groups


def found(
    listed: tuple[DiseaseGroup, ...], method: GroupingMethod | None = None, tables: CodeTables = NONE
) -> list[tuple[str, str, str]]:
    return [(one.code, one.group_code, one.other) for one in lint_groups(listed, tables, method or GroupingMethod())]


def test_a_group_whose_cases_all_go_elsewhere_is_unreachable() -> None:
    narrow, wide = ("g1", "K35.8", A, "100"), ("g2", "K35.8", f"{A}/{B}", "200")
    by_score = GroupingMethod((TieBreak.HIGHER_SCORE,))
    assert found(groups(narrow, wide), by_score) == [("group_unreachable", "g1", "g2")]
    assert found(groups(narrow, wide)) == []
    assert found(groups(("g1", "K35.8", A, "300"), wide), by_score) == []


def test_groups_told_apart_by_the_order_of_codes_alone_are_ambiguous() -> None:
    listed = groups(("g1", "K35.8", f"{A}+{B}", "100"), ("g2", "K35.8", f"{A}+{C}", "120"))
    findings = lint_groups(listed, NONE, GroupingMethod())
    assert [(one.code, one.group_code, one.other, sorted(one.witness)) for one in findings] == [
        ("groups_ambiguous", "g1", "g2", sorted((A, B, C)))
    ]
    assert found(listed, GroupingMethod((TieBreak.HIGHER_SCORE,))) == []


def test_one_code_of_two_groups_overlaps() -> None:
    listed = groups(("g1", "K35.8", f"{A}/{B}", "100"), ("g2", "K35.8", f"{A}/{C}", "120"))
    assert found(listed, GroupingMethod((TieBreak.HIGHER_SCORE,))) == [("groups_overlap", "g1", "g2")]
    assert found(listed) == [("groups_ambiguous", "g1", "g2")]


def test_a_special_group_that_scores_less_is_told() -> None:
    listed = groups(("g0", "K35.8", "", "150"), ("g1", "K35.8", A, "200"), ("g2", "K35.8", f"{A}+{B}", "180"))
    assert found(listed) == [("score_below_simpler", "g2", "g1")]
    assert found(groups(("g0", "K35.8", "", "150"), ("g1", "K35.8", A, "100"))) == [("score_below_simpler", "g1", "g0")]


def test_groups_of_codes_no_table_knows() -> None:
    tables = CodeTables({"K35.800": False, "I10.x00": True}, {A: ProcedureEntry()})
    listed = groups(
        ("g1", "K35.8", B, "1"), ("g2", "K36.x", "", "1"), ("g3", "I10.x", "", "1"), ("g4", "K35.8", f"{A}/{C}", "1")
    )
    assert found(listed, tables=tables) == [
        ("group_unreachable", "g1", ""),
        ("group_unreachable", "g2", ""),
        ("group_gray_only", "g3", ""),
    ]


METHODS = [
    GroupingMethod(),
    GroupingMethod((TieBreak.HIGHER_SCORE,)),
    GroupingMethod((TieBreak.MAIN_MATCHED, TieBreak.MOST_MATCHED, TieBreak.HIGHER_SCORE)),
    GroupingMethod((TieBreak.MOST_MATCHED, TieBreak.MOST_PARTS)),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda one: "+".join(one.tie_break))
def test_unreachable_means_that_no_case_at_all_reaches_it(method: GroupingMethod) -> None:
    cells = (A, B, f"{A}/{B}", f"{A}+{B}", f"{A}/{C}+{B}", f"{A}+{B}/{C}", f"{A}/{B}/{C}", f"{A}+{B}+{C}")
    cases = [
        (main, *(code for code in rest if code != main))
        for rest in chain.from_iterable(combinations((A, B, C), n) for n in (1, 2, 3))
        for main in rest
    ]
    told = 0
    for place, (first, second) in enumerate(permutations(cells, 2)):
        one, other = groups(
            (f"{'xy'[place % 2]}1", "K35.8", first, "100"),
            (f"{'yx'[place % 2]}2", "K35.8", second, str(90 + place % 3 * 10)),
        )
        for finding in lint_groups((one, other), NONE, method):
            if finding.code != "group_unreachable":
                continue
            told += 1
            lost, winner = (one, other) if finding.group_code == one.group_code else (other, one)
            for case in cases:
                if unmet_parts(lost.parts, case):
                    continue
                assert not unmet_parts(winner.parts, case)
                assert [v for _, v in preference(winner, case, method)] < [v for _, v in preference(lost, case, method)]
    assert told > 0


def test_every_witness_of_the_excerpt_meets_both_groups(shared: Path) -> None:
    document = read_dialect((shared / "data" / "dip_catalog_excerpt_dev.csv").read_bytes(), None, NONE)
    by_code = {one.group_code: one for one in document.groups}
    findings = lint_groups(document.groups, NONE, GroupingMethod())
    contended = [one for one in findings if one.code == "groups_ambiguous"]
    assert len(contended) == 27
    for one in contended:
        assert not unmet_parts(by_code[one.group_code].parts, one.witness) and not unmet_parts(
            by_code[one.other].parts, one.witness
        )


def test_the_difference_of_two_editions() -> None:
    before = groups(
        ("g1", "K35.8", A, "100"), ("g2", "K36.x", "", "50"), ("g3", "K37.x", B, "70"), ("g5", "K38.x", "", "10.0")
    )
    after = groups(
        ("g1", "K35.8", A, "125"), ("g4", "K37.x", B, "70"), ("g6", "K35.8", C, "300"), ("g5", "K38.x", "", "10")
    )
    diff = diff_editions(before, after)
    assert [one.group_code for one in diff.added] == ["g6"] and [one.group_code for one in diff.removed] == ["g2"]
    assert [
        (one.before_code, one.group_code, [(c.field, c.before, c.after) for c in one.changes], one.score_change)
        for one in diff.changed
    ] == [
        ("g1", "g1", [("score", "100", "125")], "25.00"),
        ("g3", "g4", [("group_code", "g3", "g4")], None),
    ]
    assert diff.unchanged == 1


def test_lint_and_diff_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text(f"dip_code,dx_code,main_ops,score\ng1,K35.8,{A}/{B},100\ng2,K35.8,{A}/{C},120\n", encoding="utf-8")
    new.write_text(f"dip_code,dx_code,main_ops,score\ng1,K35.8,{A}/{B},100\ng3,K36.x,,-1\n", encoding="utf-8")
    assert run(["catalog", "lint", str(old), "--dialect", "slash_plus", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["warnings"] == {"groups_ambiguous": 1} and report["findings"][0]["row"] == 2
    assert report["findings"][0]["witness"] == [A]
    assert run(["catalog", "diff", str(old), str(new), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {
        "added": 0,
        "removed": 1,
        "changed": 0,
        "score_changed": 0,
        "recoded": 0,
        "unchanged": 1,
    }
    assert report["after"]["errors"] == {"score_not_positive": 1}
