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
_MONTHS = 1_000_000
_ROWS_AT_ONCE = 100_000


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
    hospital, month = (pc.cast(_one(cases[name]), pa.int64()) for name in ("hospital_id", "settlement_month"))
    place = pc.dictionary_encode(pc.add(pc.multiply(hospital, _MONTHS), month))
    # By digest, then stably by place; a place is a small number, so that the second sort costs next to nothing.
    digest = _one(cases["digest"])
    by_digest = pc.sort_indices(digest)
    order = pc.take(by_digest, pc.sort_indices(pc.take(place.indices, by_digest)))
    bounds, octets = _octets(pc.take(digest, order))
    leaves: list[tuple[str, int, int, str]] = []
    start = 0
    for number, counted in sorted((one["values"], one["counts"]) for one in pc.value_counts(place.indices).to_pylist()):
        at, month_of = divmod(place.dictionary[number].as_py(), _MONTHS)
        code = hospital_codes[at]
        text = hashlib.sha256(f"{code}\x1f{month_of}\x1f".encode())
        text.update(octets[bounds[start] : bounds[start + counted]])
        leaves.append((code, month_of, counted, text.hexdigest()))
        start += counted
    leaves.sort()
    return {"count": cases.num_rows, "leaves": [list(leaf) for leaf in leaves], "root": merkle_root(leaves).hex()}


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _octets(column: pa.Array) -> tuple[memoryview, memoryview]:
    """Where the values of a binary column begin and end, and their bytes one after the other."""
    _validity, bounds, octets = column.buffers()
    if bounds is None or octets is None:
        return memoryview(b"\0" * 4).cast("i"), memoryview(b"")
    return memoryview(bounds).cast("i")[column.offset :], memoryview(octets)


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
    beside: Mapping[str, int] | None = None,
    withheld: Mapping[str, int] | None = None,
) -> bytes:
    """SHA-256 of a result (结果摘要): every line, every account, every case's disposition, group, band and points, and of a year what stands
    below payable, `beside`: by hospital, what is paid beside the points, and `withheld`: what total control holds back of it.

    The order of the rows given does not matter.
    """
    by_case = in_order(cases.select(["case_id", "disposition", "group_code", "band", "points"]))
    digest = hashlib.sha256()
    for start in range(0, max(1, by_case.num_rows), _ROWS_AT_ONCE):
        sink = pa.BufferOutputStream()
        csv.write_csv(by_case.slice(start, _ROWS_AT_ONCE), sink, csv.WriteOptions(include_header=start == 0))
        digest.update(sink.getvalue())
    of_year = [[line.hospital, *(line.amount(account) for account in AnnualAccount)] for line in annual]
    return sha256(
        ({"annual": of_year} if annual else {})
        | (
            {"beside": {code: fen for code, fen in sorted(beside.items()) if fen}}
            if beside and any(beside.values())
            else {}
        )
        | ({"withheld": {code: fen for code, fen in sorted(withheld.items()) if fen}} if withheld else {})
        | {
            "lines": [plain_line(line) for line in lines],
            "accounts": {account.value: amount for account, amount in accounts.items()},
            "cases": {"count": cases.num_rows, "sha256": digest.hexdigest()},
        }
    )


def in_order(cases: pa.Table) -> pa.Table:
    """The rows in order of case id (按病例编号排序), as they are where they stand so."""
    ids = _one(cases["case_id"])
    if pc.all(pc.less_equal(ids[:-1], ids[1:])).as_py() is False:
        return cases.take(pc.sort_indices(ids))
    return cases


def plain_line(line: StatementLine) -> dict[str, Any]:
    """A line as JSON values, fractions as exact text (结算单的平文)."""
    plain = {field.name: getattr(line, field.name) for field in fields(line)}
    return {name: str(value) if isinstance(value, Fraction) else value for name, value in plain.items()}
