"""A crosswalk file (编码映射表): what maps, what is nonsense, every fault at once; and the public crosswalk held against the dictionary."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

from fenzhi.rules.catalog.crosswalk_text import CrosswalkLine, diagnosis_chapter, procedure_chapter, read_crosswalk

KNOWN = {
    "diagnosis": frozenset({"I21.000", "I21.900x001", "Z51.800", "D45.x00"}),
    "procedure": frozenset({"36.0600", "99.2503"}),
}


def table(*rows: str) -> bytes:
    return "\n".join(("kind,source_code,target_code,reviewed", *rows)).encode()


def test_mappings_are_read_and_equal_codes_say_nothing() -> None:
    found = read_crosswalk(
        table("diagnosis,I21.0,I21.000,", "diagnosis,I21.000,I21.000,", "procedure,36.06,36.0600,0"), KNOWN
    )
    assert found.refusals == ()
    assert found.lines == (
        CrosswalkLine("diagnosis", "I21.0", "I21.000"),
        CrosswalkLine("procedure", "36.06", "36.0600"),
    )


def test_every_fault_at_once() -> None:
    found = read_crosswalk(
        table(
            "diagnosis,I21.0,Z51.800,",
            "diagnosis,I21.000,I21.900x001,",
            "diagnosis,I21.9,X99.999,",
            "diagnosis,I21.9,I21.900x001,",
            "drug,A,B,",
            "diagnosis,,I21.000,",
            "procedure,36.06",
            "procedure,36.07,99.2503,",
        ),
        KNOWN,
    )
    assert found.lines == ()
    assert [(one.code, one.where) for one in found.refusals] == [
        ("crosswalk_chapter", "row 2"),
        ("crosswalk_valid_source", "row 3"),
        ("crosswalk_target", "row 4"),
        ("crosswalk_duplicated", "row 5"),
        ("crosswalk_kind", "row 6"),
        ("crosswalk_source", "row 7"),
        ("crosswalk_row", "row 8"),
        ("crosswalk_chapter", "row 9"),
    ]


def test_a_reviewed_mapping_may_leave_its_chapter() -> None:
    found = read_crosswalk(table("diagnosis,B54.x00x007,D45.x00,1"), KNOWN)
    assert found.refusals == () and found.lines[0].target == "D45.x00"


def test_neoplasms_are_one_chapter_and_the_eye_is_not_the_ear() -> None:
    assert diagnosis_chapter("C94.105") == diagnosis_chapter("D47.101")
    assert diagnosis_chapter("H59.900") != diagnosis_chapter("H60.000")
    assert procedure_chapter("00.5000x004") == "00" and procedure_chapter("x") is None
    assert diagnosis_chapter("???") is None and diagnosis_chapter("I2") is None


def test_a_file_that_is_none() -> None:
    assert [one.code for one in read_crosswalk(b"\xff", KNOWN).refusals] == ["crosswalk_encoding"]
    assert [one.code for one in read_crosswalk(b"a,b\n", KNOWN).refusals] == ["crosswalk_columns"]
    assert [one.code for one in read_crosswalk(table(), KNOWN).refusals] == ["crosswalk_empty"]


def test_the_public_crosswalk(shared: Path) -> None:
    """49,245 rows: 4,948 change a code; 382 of them need a person, 249 would change a code that is valid already."""
    known: dict[str, frozenset[str]] = {}
    for kind, name in (("diagnosis", "icd10_yb_diagnosis"), ("procedure", "icd9cm3_yb_procedure")):
        with gzip.open(shared / f"data/{name}.csv.gz", "rt", encoding="utf-8") as file:
            known[kind] = frozenset(row["code"] for row in csv.DictReader(file))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("kind", "source_code", "target_code", "reviewed"))
    with gzip.open(shared / "data/icd_crosswalk_clinical_to_yb.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = "diagnosis" if row["kind"] == "dx" else "procedure"
            if row["source_code"] == row["yb_code"] or row["source_code"] not in known[kind]:
                writer.writerow((kind, row["source_code"], row["yb_code"], ""))
    strict = read_crosswalk(out.getvalue().encode(), known)
    assert {one.code for one in strict.refusals} == {"crosswalk_chapter"}
    reviewed = read_crosswalk(out.getvalue().replace(",\n", ",1\n").encode(), known)
    assert reviewed.refusals == () and len(reviewed.lines) == 4_948 - 249
