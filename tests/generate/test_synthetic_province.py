from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from fenzhi.cli.generate import generate
from fenzhi.cli.synthetic.diagnosis_codes import diagnosis_codes
from fenzhi.cli.synthetic.discharges import discharges
from fenzhi.cli.synthetic.lists import KINDS, SyntheticLine, history, labelled_lists, settlement_lists
from fenzhi.cli.synthetic.plan import ProvincePlan, plan_json
from fenzhi.cli.synthetic.procedure_codes import procedure_codes
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.rules.submission.case_checks import judge_list
from fenzhi.rules.submission.case_facts import case_facts
from fenzhi.rules.submission.verdict import deciding
from fenzhi.services.submission.parse_part import parse_part
from generate.plan_books import plan_books, plan_policy

FIRST, LAST = dt.date(2025, 1, 1), dt.date(2025, 3, 31)
PLAN = synthetic_province(7)


@pytest.fixture(scope="module")
def made() -> list[SyntheticLine]:
    return list(labelled_lists(PLAN, 6000, FIRST, LAST))


def test_the_province_has_the_shape_asked_for():
    assert (len(PLAN.cities), len(PLAN.counties), len(PLAN.hospitals)) == (2, 4, 24)
    assert Counter(hospital.level for hospital in PLAN.hospitals) == {"tertiary": 5, "secondary": 10, "primary": 9}
    codes = [row.code for row in (*PLAN.cities, *PLAN.counties, *PLAN.hospitals)]
    assert len(set(codes)) == 30
    counties = {county.code: county.city_code for county in PLAN.counties}
    for hospital in PLAN.hospitals:
        assert len(hospital.code) == 12
        assert (hospital.county_code is None) == (hospital.level == "tertiary")
        assert hospital.county_code is None or counties[hospital.county_code] == hospital.city_code
    assert [term.insurance for term in PLAN.hospitals[-1].agreements] == ["employee"]
    wide = synthetic_province(1, cities=10, counties=100, hospitals=500)
    assert len({row.code for row in (*wide.cities, *wide.counties, *wide.hospitals)}) == 610
    with pytest.raises(ValueError, match="synthetic province"):
        synthetic_province(1, cities=3, counties=2)


def test_the_code_lists_are_whole():
    diagnoses, procedures = diagnosis_codes(), procedure_codes()
    assert (len(PLAN.diagnoses), len(PLAN.procedures)) == (len(diagnoses), len(procedures)) == (178, 136)
    assert 0 < sum(row.is_gray for row in PLAN.diagnoses) < 15
    assert {row.procedure_class for row in PLAN.procedures} == {"diagnostic", "therapeutic", "surgical"}
    for row in diagnoses.values():
        assert sum(choice.permille for choice in row.choices) <= 1000
        assert {code for choice in row.choices for code in choice.procedures} <= set(procedures)


def test_it_says_that_it_is_synthetic(made: list[SyntheticLine]):
    assert PLAN.is_synthetic
    assert "合成数据" in PLAN.notice and "合成" in PLAN.name
    assert all("合成" in row.name for row in (*PLAN.cities, *PLAN.counties, *PLAN.hospitals))
    assert all(policy.document.standing == "constructed" for policy in PLAN.policies)
    message = json.loads(made[0].line)
    assert message["psn_name"] == "合成患者0001"
    assert message["certno"] == "SYN000000000000001"
    assert message["setl_id"] == "SYN25010100000001"


def test_a_seed_is_a_province_and_another_seed_is_another(made: list[SyntheticLine]):
    assert list(labelled_lists(synthetic_province(7), 6000, FIRST, LAST)) == made
    other = [line for _, line in islice(settlement_lists(synthetic_province(8), 6000, FIRST, LAST), 50)]
    assert other != [row.line for row in made[:50]]
    assert plan_json(synthetic_province(7)) == plan_json(PLAN)


def test_any_number_of_cases_streams():
    many = settlement_lists(PLAN, 1_000_000_000, FIRST, LAST)
    assert isinstance(many, Iterator)
    assert len(list(islice(many, 3))) == 3


def test_discharges_lie_in_their_window_and_their_payers_add_up():
    costs: defaultdict[str, list[int]] = defaultdict(list)
    days = set()
    for case in discharges(PLAN, "test", 3000, FIRST, LAST):
        assert FIRST <= case.discharge_date <= LAST
        assert case.birth_date <= case.admission_date < case.discharge_date
        assert sum(amount for _, amount in case.payments) + case.account_fen + case.cash_fen == case.total_fen
        assert min(case.account_fen, case.cash_fen, *(amount for _, amount in case.payments)) >= 0
        costs[case.hospital.level].append(case.total_fen)
        days.add(case.discharge_date)
    assert len(days) == 90
    means = {level: sum(amounts) // len(amounts) for level, amounts in costs.items()}
    assert means["tertiary"] > means["secondary"] > means["primary"] > 200_000


def test_history_covers_three_years_with_a_few_rows_that_cannot_be_used():
    past = list(history(PLAN, 3000))
    assert Counter(row["year"] for row in past) == {2022: 3000, 2023: 3000, 2024: 3000}
    assert set(past[0]) == {
        "case_id",
        "seg_no",
        "fixmedins_code",
        "insutype",
        "year",
        "dscg_time",
        "los_days",
        "diag_codes",
        "oprn_codes",
        "medfee_sumamt",
        "fund_amt",
    }
    assert len({row["case_id"] for row in past}) == 9000
    for wanted in (
        sum(row["diag_codes"][0] == "99859" for row in past),
        sum(row["medfee_sumamt"] == "0.00" for row in past),
        sum(row["seg_no"] == 2 for row in past),
    ):
        assert 0 < wanted < 60
    groups = Counter((row["diag_codes"][0][:5], frozenset(row["oprn_codes"])) for row in past)
    assert sum(count >= 15 for count in groups.values()) > 100


def test_intake_answers_every_wanted_fault_with_its_code_and_nothing_else(made: list[SyntheticLine]):
    books, policy = plan_books(PLAN, LAST + dt.timedelta(days=1)), plan_policy(PLAN)
    by_hospital: defaultdict[str, list[SyntheticLine]] = defaultdict(list)
    for row in made:
        by_hospital[row.hospital_code].append(row)
    for hospital, wanted in by_hospital.items():
        seen: dict[tuple[str | None, int], int] = {}
        rows = list(parse_part(b"".join(row.line + b"\n" for row in wanted)))
        assert len(rows) == len(wanted)
        for row, want in zip(rows, wanted, strict=True):
            given = row.settlement_list
            key = (given.setl_id, given.version) if given else (None, row.row_no)
            findings = judge_list(given, row.faults, books[hospital], earlier_row=seen.get(key))
            seen.setdefault(key, row.row_no)
            first = deciding(findings)
            assert (first.code if first else "") == (want.code if want.refused else ""), want
            if want.code:
                assert want.code in {finding.code for finding in findings}
            if first is None:
                assert given is not None
                facts = case_facts(given, policy)
                assert (
                    facts.basic_fund_fen + facts.other_funds_fen + facts.account_fen + facts.cash_fen == facts.total_fen
                )


def test_every_kind_of_fault_occurs_and_they_are_few(made: list[SyntheticLine]):
    faults = Counter(row.fault for row in made if row.fault)
    assert set(faults) == {kind.name for kind in KINDS}
    assert sum(row.refused for row in made) < len(made) // 25
    versions = Counter(json.loads(row.line)["version"] for row in made if row.fault == "corrected_list")
    assert set(versions) == {2}


def test_generate_writes_the_same_folder_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("a", "b"):
        assert generate(tmp_path / name, 200, 3, True) == 0
    first, second = capsys.readouterr().out.splitlines()
    summary = json.loads(first)
    assert (summary["cases"], summary["history"], summary["hospitals"], summary["synthetic"]) == (200, 600, 24, True)
    assert json.loads(second)["wanted_faults"] == summary["wanted_faults"]
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 6 + 24
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    lines = sum(path.read_bytes().count(b"\n") for path in (tmp_path / "a/lists").iterdir())
    assert lines == summary["lines"]
    assert "合成数据" in (tmp_path / "a/README.txt").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a/plan.json").read_text(encoding="utf-8"))["is_synthetic"] is True


def test_generate_refuses_a_folder_that_holds_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    assert generate(tmp_path, 10, 1, True) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "GENERATE_REFUSED"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt"]
    assert generate(tmp_path / "new", 0, 1, False) == 2
    assert not (tmp_path / "new").exists()


def test_the_plan_is_one_type(made: list[SyntheticLine]):
    assert isinstance(PLAN, ProvincePlan)
    assert {row.hospital_code for row in made} == {hospital.code for hospital in PLAN.hospitals}
    assert PLAN.hospital(made[0].hospital_code).code == made[0].hospital_code
    with pytest.raises(KeyError):
        PLAN.hospital("H0")


def test_the_command_generate_writes_and_answers_in_json(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "fenzhi",
        "generate",
        "--cases",
        "20",
        "--seed",
        "5",
        "--out",
        str(tmp_path / "x"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["history"] == 60
    assert (tmp_path / "x/plan.json").is_file()
