"""The catalog bench (目录测算压测): a discharge file on disk → groups, scores, adequacy report, written as CSV.

The file is made from the seed and says so. The floor is the same file read cell by cell and thrown away, in the same run.
"""

from __future__ import annotations

import hashlib
import random
import resource
import tempfile
import time
from pathlib import Path

from fenzhi.cli.catalog.build import adequacy, build_catalog, groups_csv
from fenzhi.cli.catalog.column_map import read_column_map
from fenzhi.cli.catalog.discharges import DischargeReader
from fenzhi.cli.catalog.formed_build import form_catalog
from fenzhi.cli.catalog.formed_output import adequacy_of_formed, catalog_file, formed_csv, subtypes_csv
from fenzhi.cli.catalog.method_file import read_method
from fenzhi.rules.catalog.disease_group import ProcedureClass
from fenzhi.rules.catalog.groups_from_sums import SetMethod
from fenzhi.rules.refusals import InvariantBroken

COLUMNS = """
case_id: {column: case_id}
principal_diagnosis: {column: principal}
procedures: {column: procedures, separator: "|"}
discharge_date: {column: discharged, formats: ["%Y-%m-%d"]}
cost: {column: total}
los_days: {column: los}
"""
MORE_COLUMNS = """
secondary_diagnoses: {column: others}
age: age
drug_cost: drug
consumable_cost: consumable
"""
METHOD = """
weights: {2022: 1, 2023: 2, 2024: 7}
trim: {low: "0.025", high: "0.975"}
threshold: 15
related_uplift: "0.10"
comprehensive: {threshold: 15, cv_limit: "2"}
auxiliary:
  group_cases: 10
  subtype_cases: 5
  cv_above: "0.5"
  least_reduction: "0.05"
  subtypes:
    - {name: severe, dimension: severity, secondary: [A41, J96, R57, I50], least_los: 3}
    - {name: moderate, dimension: severity, secondary: [N18, I48], least_los: 3}
    - name: charlson
      charlson:
        - {weight: 1, codes: [I21, I22]}
        - {weight: 1, codes: [I50, I42]}
        - {weight: 1, codes: [E11.9, E14.9]}
        - {weight: 2, codes: [N18, N19]}
        - {weight: 6, codes: [C77, C78, C79]}
    - {name: cci_1_2, dimension: cci, cci: [1, 2]}
    - {name: cci_3, dimension: cci, cci: [3, 99]}
    - {name: age_0_6, dimension: age, age: [0, 6]}
    - {name: age_65, dimension: age, age: [65, 130]}
"""
YEARS = {2022: 1, 2023: 2, 2024: 7}
_CHUNK = 20_000
_OTHERS = tuple(
    "|".join(
        ("I50.900", "E11.900", "N18.001", "J96.000", "C78.000", "I10.x00")[one] for one in range(6) if place >> one & 1
    )
    for place in range(53)
)


def _procedures() -> list[str]:
    return [f"{chapter:02d}.{number:04d}" for chapter in range(1, 87) for number in range(0, 9900, 330)]


def _classes() -> dict[str, ProcedureClass | None]:
    kinds = (ProcedureClass.SURGICAL, ProcedureClass.THERAPEUTIC, ProcedureClass.DIAGNOSTIC)
    return {code: kinds[place % 3] for place, code in enumerate(_procedures())}


def bench_catalog(cases: int, seed: int) -> dict[str, object]:
    """Build a catalog from a synthetic discharge file and report the speed (目录测算压测).

    Answers cases, seed, seconds, per_s, peak_rss_mb, result_sha256 (same for the same cases and seed), floors, ratios,
    includes. Raises: InvariantBroken when used and set aside do not add up to the rows written.
    """
    columns = read_column_map(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "discharges.csv"
        write_discharges(path, cases, seed)
        began = time.perf_counter()
        floor_rows = sum(batch.num_rows for batch in DischargeReader(path, columns).batches())
        floor_s = time.perf_counter() - began
        began = time.perf_counter()
        built = build_catalog(path, columns, SetMethod(1000, 2, YEARS))
        written = groups_csv(built.groups)
        report = adequacy(built)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        formed = form_catalog(path, read_column_map(COLUMNS + MORE_COLUMNS), read_method(METHOD), classes=_classes())
        outputs = (formed_csv(formed, 1000), subtypes_csv(formed), catalog_file(formed))
        formed_report = adequacy_of_formed(formed, read_method(METHOD), None)
        formed_s = time.perf_counter() - began
        megabytes = path.stat().st_size // 1_000_000
    found = built.discharges
    if not found.rows == floor_rows == cases or found.used + sum(found.set_aside.values()) != cases:
        raise InvariantBroken("used + set aside = rows", detail=f"{found.used} + {dict(found.set_aside)} of {cases}")
    if formed.used + sum(formed.set_aside.values()) != cases or formed.used != formed.grouped_rows + sum(
        formed.ungrouped.values()
    ):
        raise InvariantBroken("used + set aside = rows, grouped + ungrouped = used", detail=str(dict(formed.ungrouped)))
    return {
        "cases": cases,
        "seed": seed,
        "seconds": round(seconds, 3),
        "per_s": int(cases / seconds),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "result_sha256": hashlib.sha256(written).hexdigest(),
        "floors": {"read_cells_s": round(floor_s, 3), "read_cells_per_s": int(cases / floor_s)},
        "ratios": {"read_cells": round(floor_s / seconds, 3)},
        "by_method": {
            "timed": "the same file → trimming, related procedures, comprehensive groups, drug and consumable scores, auxiliary "
            "gates, adequacy report, CSV bytes",
            "seconds": round(formed_s, 3),
            "per_s": int(cases / formed_s),
            "groups": len(formed.groups),
            "subtypes": len(formed.subtypes),
            "gated": formed.gated,
            "wide": len(formed_report.wide),
            "set_aside": dict(formed.set_aside),
            "ungrouped": dict(formed.ungrouped),
            "result_sha256": hashlib.sha256(b"".join(outputs)).hexdigest(),
        },
        "includes": {
            "timed": "CSV on disk → groups, three-year means, CV, weights, scores, adequacy report, CSV bytes",
            "not_timed": "making the file",
            "file_mb": megabytes,
            "groups": len(built.groups),
            "used": found.used,
            "set_aside": dict(found.set_aside),
            "ungrouped_share": report["ungrouped_share"],
            "data": "synthetic",
        },
    }


def write_discharges(path: Path, cases: int, seed: int) -> None:
    """A discharge file made from a seed (合成病案文件): skewed diagnoses, up to four procedures, a few wanted defects."""
    chance = random.Random(seed)
    diagnoses = [
        f"{letter}{number:02d}.{place}00" for letter in "ABCDEFGIJKLMNP" for number in range(60) for place in range(6)
    ]
    procedures = _procedures()
    weights = [1 / (place + 10) for place in range(len(diagnoses))]
    chance.shuffle(diagnoses)
    # Ninety stays of each day are enough: what is measured is reading and summing, not the calendar.
    days = [f"{year}-{month:02d}-{day:02d}" for year in (*YEARS, 2021) for month in range(1, 13) for day in (1, 11, 21)]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(
            "case_id,hospital,principal,procedures,admitted,discharged,los,total,fund,other,others,age,drug,consumable\n"
        )
        for start in range(0, cases, _CHUNK):
            size = min(_CHUNK, cases - start)
            principals = chance.choices(diagnoses, weights, k=size)
            lines: list[str] = []
            for place, principal in enumerate(principals):
                number = chance.getrandbits(48)
                count = (0, 0, 0, 1, 1, 2, 3, 4)[number & 7]
                first = sum(ord(sign) for sign in principal) * 7
                done = "|".join(
                    procedures[(first + ((number >> 3 * one) & 7)) % len(procedures)] for one in range(count)
                )
                fen = 100_000 + number % 4_000_000 if number % 997 else 0
                day = days[number % 108] if number % 1009 else days[108]
                lines.append(
                    f"C{start + place:09d},H{number % 400:03d},{principal if number % 499 else ''},{done},,{day},"
                    f"{1 + number % 19},{fen // 100}.{fen % 100:02d},{fen // 200}.00,,"
                    f"{_OTHERS[number % 53]},{number % 91},{fen // 300}.00,{fen // 500}.00"
                )
            file.write("\n".join(lines) + "\n")
