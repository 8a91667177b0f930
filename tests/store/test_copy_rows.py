"""Arrow rows as binary COPY: what the server reads is what was given, missing values included."""

from __future__ import annotations

import struct
import uuid

import pyarrow as pa
import pytest

from fenzhi.store.copy_rows import copy_parts, copy_rows

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


def test_rows_beyond_one_part_are_each_written_as_they_stand() -> None:
    rows = 8_192 * 2 + 3
    numbers = [(place * 2_654_435_761) % 2**63 * (-1) ** place for place in range(rows)]
    ids = [uuid.UUID(int=(place * 0x9E3779B97F4A7C15F39CC0605CEDC834) % 2**128) for place in range(rows)]
    words = [None if place % 7 == 0 else f"w{place % 5}" for place in range(rows)]
    table = pa.table(
        {
            "id": [str(one) for one in ids],
            "large": pa.array(numbers, pa.int64()),
            "small": pa.array([number % 2**31 for number in numbers], pa.int32()),
            "word": words,
            "score": pa.array([None if place % 11 == 0 else place % 13 for place in range(rows)], pa.int64()),
        }
    )
    columns, parts = copy_parts(table, ("id",), {"area_id": 3})
    assert columns == ["area_id", "id", "large", "small", "word", "score"]
    made = list(parts)
    assert len(made) == 4
    expected = bytearray(b"PGCOPY\n\xff\r\n\0" + bytes(8))
    for place, number in enumerate(numbers):
        expected += struct.pack(">hiii16s", 6, 4, 3, 16, ids[place].bytes)
        expected += struct.pack(">iqii", 8, number, 4, number % 2**31)
        word = words[place]
        expected += struct.pack(">i", -1) if word is None else struct.pack(">i2s", 2, word.encode())
        expected += struct.pack(">i", -1) if place % 11 == 0 else struct.pack(">iq", 8, place % 13)
    assert b"".join(made) == bytes(expected) + b"\xff\xff"
