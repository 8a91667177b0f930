"""What a run is computed from, and what came of it, each as one digest (清单与摘要)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from importlib.metadata import version
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from fenzhi.rules.clearing.annual_clearing import AnnualAccount, AnnualLine
from fenzhi.rules.clearing.statement import Account, StatementLine

RULES_VERSION = version("fenzhi")
FORMAT = "fenzhi.clearing.manifest/1"


def canonical(value: Any) -> bytes:
    """The one JSON text of a value (规范文本): keys sorted, no blanks, UTF-8."""
    return msgspec.json.encode(value, order="deterministic")


def sha256(value: Any) -> bytes:
    """SHA-256 of the canonical text (摘要)."""
    return hashlib.sha256(canonical(value)).digest()


def case_set(cases: pa.Table, hospital_codes: Mapping[int, str]) -> dict[str, Any]:
    """The case set as count, leaves and Merkle root (病例集): one leaf per hospital and month over its sorted case digests.

    A leaf is SHA-256 over hospital code, month and the digests in bytes order; the order of the rows given does not matter.
    """
    order = pc.sort_indices(
        cases,
        sort_keys=[("hospital_id", "ascending"), ("settlement_month", "ascending"), ("digest", "ascending")],
    )
    sorted_cases = cases.select(["hospital_id", "settlement_month", "digest"]).take(order)
    hospitals = sorted_cases["hospital_id"].to_pylist()
    months = sorted_cases["settlement_month"].to_pylist()
    digests = sorted_cases["digest"].to_pylist()
    leaves: list[tuple[str, int, int, str]] = []
    start = 0
    for place in range(1, len(digests) + 1):
        if place < len(digests) and (hospitals[place], months[place]) == (hospitals[start], months[start]):
            continue
        code, month = hospital_codes[hospitals[start]], months[start]
        text = hashlib.sha256(f"{code}\x1f{month}\x1f".encode())
        text.update(b"".join(digests[start:place]))
        leaves.append((code, month, place - start, text.hexdigest()))
        start = place
    leaves.sort()
    return {"count": len(digests), "leaves": [list(leaf) for leaf in leaves], "root": merkle_root(leaves).hex()}


def merkle_root(leaves: Sequence[tuple[str, int, int, str]]) -> bytes:
    """The root over leaves in their order (默克尔根): pairs hashed upwards, a single one carried up; no leaves: SHA-256 of nothing."""
    level = [bytes.fromhex(digest) for *_, digest in leaves] or [hashlib.sha256(b"").digest()]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [hashlib.sha256(b"\x01" + pair[0] + pair[1]).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def result_sha256(
    lines: Sequence[StatementLine],
    accounts: Mapping[Account, int],
    cases: pa.Table,
    annual: Sequence[AnnualLine] = (),
) -> bytes:
    """SHA-256 of a result (结果摘要): every line, every account, every case's disposition, group, band and points, and of a year what stands
    below payable.

    The order of the rows given does not matter.
    """
    by_case = cases.select(["case_id", "disposition", "group_code", "band", "points"]).sort_by("case_id")
    sink = pa.BufferOutputStream()
    csv.write_csv(by_case, sink)
    digest = hashlib.sha256(sink.getvalue())
    of_year = [[line.hospital, *(line.amount(account) for account in AnnualAccount)] for line in annual]
    return sha256(
        ({"annual": of_year} if annual else {})
        | {
            "lines": [plain_line(line) for line in lines],
            "accounts": {account.value: amount for account, amount in accounts.items()},
            "cases": {"count": cases.num_rows, "sha256": digest.hexdigest()},
        }
    )


def plain_line(line: StatementLine) -> dict[str, Any]:
    """A line as JSON values, fractions as exact text (结算单的平文)."""
    plain = {field.name: getattr(line, field.name) for field in fields(line)}
    return {name: str(value) if isinstance(value, Fraction) else value for name, value in plain.items()}
