"""Arrow rows as binary COPY: what the server reads is what was given, missing values included."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest

from fenzhi.store.copy_rows import copy_rows

CASE = "019a0000-0000-7000-8000-000000000001"


def test_two_rows_octet_by_octet() -> None:
    table = pa.table(
        {
            "band": pa.array(["low", None]),
            "case_id": [CASE, CASE],
            "points": pa.array([1, -2], pa.int64()),
            "county": pa.array([None, 7], pa.int32()),
        }
    )
    columns, octets = copy_rows(table, ("case_id",), {"area_id": 258, "run_id": uuid.UUID(int=5)})
    assert columns == ["area_id", "run_id", "case_id", "points", "band", "county"]
    four, eight, sixteen, missing = b"\0\0\0\x04", b"\0\0\0\x08", b"\0\0\0\x10", b"\xff\xff\xff\xff"
    same = b"\0\x06" + four + b"\0\0\x01\x02" + sixteen + bytes(15) + b"\x05"
    case = sixteen + uuid.UUID(CASE).bytes
    first = same + case + eight + bytes(7) + b"\x01" + b"\0\0\0\x03low" + missing
    second = same + case + eight + b"\xff" * 7 + b"\xfe" + missing + four + b"\0\0\0\x07"
    assert octets == b"PGCOPY\n\xff\r\n\0" + bytes(8) + first + second + b"\xff\xff"


def test_a_slice_writes_its_own_rows_alone() -> None:
    table = pa.table({"n": pa.array([1, 2, 3], pa.int32()), "word": ["a", "b", "c"]})
    assert copy_rows(table.slice(1, 1)) == copy_rows(pa.table({"n": pa.array([2], pa.int32()), "word": ["b"]}))


@pytest.mark.parametrize("column", [pa.array([1.5]), pa.array([True])])
def test_what_no_column_takes_is_refused(column: pa.Array) -> None:
    with pytest.raises(ValueError, match="is not written"):
        copy_rows(pa.table({"x": column}))


@pytest.mark.parametrize("text", ["019a", "zz9a0000-0000-7000-8000-000000000001"])
def test_an_id_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        copy_rows(pa.table({"id": [text]}), ("id",))
