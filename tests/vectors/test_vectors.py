"""Conformance vectors: an independent slow reference against both engines, no disagreement (一致性向量)."""

from __future__ import annotations

import ast
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from fenzhi.cli.main import run
from fenzhi.cli.vectors import command
from fenzhi.cli.vectors.reference import World

FOLDER = Path(command.__file__).parent
INDEPENDENT = ("reference.py", "invent.py")
BANNED = "fenzhi"
BY_HAND_CASES = 242
IN_PROCESS = (command.EngineName.BULK, command.EngineName.OFFLINE)
"""The third engine is the API: `fenzhi vectors check --engine api` starts a platform of its own."""


@pytest.mark.parametrize("name", INDEPENDENT)
def test_the_reference_owes_nothing_to_the_platform(name: str) -> None:
    tree = ast.parse((FOLDER / name).read_text(encoding="utf-8"))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    calls = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported and [one for one in imported if one.split(".")[0] in (BANNED, "importlib", "")] == []
    assert not calls & {"__import__", "eval", "exec", "float"}


def test_the_reference_gives_every_answer_made_by_hand() -> None:
    cases = 0
    for world, listed in command.worlds_of(command.BY_HAND):
        reference = World(world)
        for case in listed:
            cases += 1
            answer = reference.answer(case["principal"], case["procedures"], case["cost"], case["hospital"], case)
            assert answer == case["expect"], case["id"]
    assert cases == BY_HAND_CASES


def test_the_cases_made_by_hand_reach_every_reason_band_and_reference() -> None:
    met = Counter(
        value
        for _, listed in command.worlds_of(command.BY_HAND)
        for case in listed
        for value in case["expect"].values()
    )
    assert met.keys() >= {
        "core_matched", "conservative_matched", "conservative_fallback", "comprehensive_matched", "principal_diagnosis_missing",
        "principal_diagnosis_unknown", "principal_diagnosis_gray", "no_group_for_diagnosis", "no_group_for_procedures",
        "procedure_class_unknown", "priority_matched", "merged_matched", "auxiliary_matched", "case_fact_missing",
        "principal_diagnosis_excluded", "procedure_unknown", "procedure_gray", "area_mean", "payment_standard", "low", "normal", "high", "extreme", "cannot_judge", "same_level", "all_levels", "none",
    }  # fmt: skip


@pytest.mark.parametrize("engine", IN_PROCESS)
def test_an_engine_gives_every_answer_made_by_hand(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["vectors", "check", str(command.BY_HAND), "--engine", engine, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["cases"], report["disagreements"]) == (BY_HAND_CASES, 0)


def test_the_engines_agree_on_cases_from_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vectors.ndjson.gz"
    assert run(["vectors", "write", str(path), "--cases", "2400", "--seed", "7", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["counts"]
    assert written["cases"] == 2_400 and written["cases by hand"] == BY_HAND_CASES
    assert min(written[f"{one}_matched"] for one in ("priority", "merged", "auxiliary")) >= 5
    assert min(written[f"band {one}"] for one in ("low", "normal", "high", "extreme", "cannot_judge")) > 50
    for engine in IN_PROCESS:
        assert run(["vectors", "check", str(path), "--engine", engine, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["engine"], report["cases"], report["disagreements"]) == (engine, 2_400 + BY_HAND_CASES, 0)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, second, other = (tmp_path / f"{name}.ndjson.gz" for name in "abc")
    for path, seed in ((first, "3"), (second, "3"), (other, "4")):
        assert run(["vectors", "write", str(path), "--cases", "64", "--seed", seed]) == 0
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


@pytest.mark.parametrize("field", command.ANSWER)
def test_one_altered_answer_is_found(field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vectors.ndjson"
    assert run(["vectors", "write", str(path), "--cases", "0"]) == 0
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    altered = next(one for one in records if one["kind"] == "case" and one["expect"]["points"])
    altered["expect"][field] += "1"
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    capsys.readouterr()
    assert run(["vectors", "check", str(path), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["disagreements"] == 1 and report["shown"][0]["case"]["id"] == altered["id"]


def test_a_file_without_cases_is_no_agreement(tmp_path: Path) -> None:
    path = tmp_path / "empty.ndjson.gz"
    path.write_bytes(gzip.compress(b""))
    assert run(["vectors", "check", str(path)]) == 2


@pytest.mark.battery
@pytest.mark.parametrize("engine", IN_PROCESS)
def test_an_engine_agrees_on_a_hundred_thousand_cases(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vectors.ndjson.gz"
    assert run(["vectors", "write", str(path), "--cases", "100000"]) == 0
    capsys.readouterr()
    assert run(["vectors", "check", str(path), "--engine", engine, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["cases"], report["disagreements"]) == (100_000 + BY_HAND_CASES, 0)
