"""The grammar of bad lists and files (差错语法): a sound list in, a spoiled line out, with what must become of it."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openpyxl
import xlsxwriter  # type: ignore[import-untyped]
import zstandard

Message = dict[str, Any]
ACCEPTED, REFUSED, EITHER = "accepted", "refused", "either"
LONG_LINE = 10 << 20
BOMB_BYTES = 300 << 20
_TEXTS = ("psn_name", "certno", "mdtrt_id", "medcasno")
_AMOUNTS = ("medfee_sumamt", "acct_pay", "psn_cashpay")
_DAYS = ("adm_time", "dscg_time", "setl_begn_date", "setl_end_date", "brdy")
_WIDE = str.maketrans("0123456789-.", "０１２３４５６７８９－．")


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A line with what was done to it (变异行). `fate`: accepted, refused, or either."""

    kind: str
    line: bytes
    fate: str


def line_of(message: Message) -> bytes:
    """One line of NDJSON, as a hospital's system writes it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _with(message: Message, **changes: Any) -> bytes:
    return line_of({**message, **changes})


def _row(message: Message, node: str, **changes: Any) -> bytes:
    rows = [dict(row) for row in message[node]]
    rows[0] = {**rows[0], **changes}
    return _with(message, **{node: rows})


def _raw_value(message: Message, name: str, text: str) -> bytes:
    """The line with one value written as the text says, whatever that is."""
    marked = _with(message, **{name: "@@here@@"})
    return marked.replace(b'"@@here@@"', text.encode())


def _deep(chance: random.Random, message: Message) -> bytes:
    depth = chance.choice((40, 200, 5_000, 100_000))
    return _raw_value(message, "icuinfo", "[" * depth + "]" * depth)


def _cut(chance: random.Random, message: Message) -> bytes:
    line = line_of(message)
    # What is left of a cut must not be a whole line by chance: nothing shorter than the whole is.
    return line[: max(1, len(line) * chance.randrange(1, 16) // 16)].strip() or b"{"


def _long_text(chance: random.Random, message: Message) -> bytes:
    return _with(message, **{chance.choice(_TEXTS): "长" * chance.choice((51, 5_000, 300_000))})


def _invalid_bytes(chance: random.Random, message: Message) -> bytes:
    line = line_of(message)
    bad = chance.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xfe\xff", b"\x80"))
    place = line.index(b'"psn_name":"') + len(b'"psn_name":"')
    return line[:place] + bad + line[place:]


KINDS: dict[str, tuple[str, Callable[[random.Random, Message], bytes]]] = {
    "sound": (ACCEPTED, lambda chance, given: line_of(given)),
    "sound, reordered": (ACCEPTED, lambda chance, given: line_of(dict(chance.sample(list(given.items()), len(given))))),
    "sound, spaced": (ACCEPTED, lambda chance, given: json.dumps(given, ensure_ascii=True).encode()),
    "code of another edition": (
        REFUSED,
        lambda chance, given: _row(given, "diseinfo", diag_code=chance.choice(("A00.000x999", "I63.9000001", "99859"))),
    ),
    "zeros lost": (
        REFUSED,
        lambda chance, given: _row(given, "diseinfo", diag_code=given["diseinfo"][0]["diag_code"].rstrip("0") + "."),
    ),
    "id as a number": (
        REFUSED,
        lambda chance, given: _raw_value(
            given,
            chance.choice(("setl_id", "psn_no", "certno", "mdtrt_id")),
            chance.choice(("5.1E+17", "510000000000000000", "-1")),
        ),
    ),
    "full-width digits": (
        REFUSED,
        lambda chance, given: _with(
            given, **{(name := chance.choice(_DAYS + _AMOUNTS)): str(given[name]).translate(_WIDE)}
        ),
    ),
    "NUL": (
        REFUSED,
        lambda chance, given: _raw_value(given, chance.choice(_TEXTS), '"合成\\u0000名"'),
    ),
    "bare control character": (REFUSED, lambda chance, given: _raw_value(given, chance.choice(_TEXTS), '"合成\x01名"')),
    "half a character": (
        REFUSED,
        lambda chance, given: _raw_value(
            given, chance.choice(_TEXTS), chance.choice(('"\\ud800"', '"x\\udfff"', '"\\ud83dA"'))
        ),
    ),
    "nested too deep": (REFUSED, _deep),
    "a key twice": (
        REFUSED,
        lambda chance, given: (
            line_of(given)[:-1]
            + f',"{(name := chance.choice(_TEXTS))}":{json.dumps(given[name], ensure_ascii=False)}}}'.encode()
        ),
    ),
    "no number": (
        REFUSED,
        lambda chance, given: _raw_value(
            given,
            chance.choice((*_AMOUNTS, "act_ipt_days")),
            chance.choice(("NaN", "Infinity", "-Infinity", "1e400", "0x10", "01")),
        ),
    ),
    "amount as a fraction": (REFUSED, lambda chance, given: _raw_value(given, chance.choice(_AMOUNTS), "27068.01")),
    "amount misspelled": (
        REFUSED,
        lambda chance, given: _with(
            given,
            medfee_sumamt=chance.choice(("27,068.00", "27068.001", "1e5", "￥27068.00", "27068.00元", "--1", "9" * 18)),
        ),
    ),
    "day that is none": (
        REFUSED,
        lambda chance, given: _with(
            given,
            **{
                chance.choice(_DAYS): chance.choice(
                    ("2025-02-30", "20250109", "2025-W02-4", "45666", "2025-01-09T25:00:00", "0000-01-01")
                )
            },
        ),
    ),
    "text too long": (REFUSED, _long_text),
    "wrong type": (
        REFUSED,
        lambda chance, given: _with(
            given,
            **{chance.choice(("diseinfo", "iteminfo", "payinfo")): chance.choice(("text", {}, 5, [5], [[]], True))},
        ),
    ),
    "row count beyond all": (
        REFUSED,
        lambda chance, given: _with(given, diseinfo=given["diseinfo"] * chance.choice((201, 3_000))),
    ),
    "required field missing": (
        REFUSED,
        lambda chance, given: line_of(
            {name: value for name, value in given.items() if name != chance_of(chance, given)}
        ),
    ),
    "cut off": (REFUSED, _cut),
    "no list at all": (
        REFUSED,
        lambda chance, given: chance.choice(
            (b"[]", b"null", b"5", b'"text"', b"{}", b"{", b"]", b"\x00\x00", b",", b"{}{}")
        ),
    ),
    "not UTF-8": (REFUSED, _invalid_bytes),
    "GB18030 in UTF-8": (
        REFUSED,
        lambda chance, given: json.dumps(given | {"psn_name": "合成患者"}, ensure_ascii=False).encode("gb18030"),
    ),
    "unknown field": (EITHER, lambda chance, given: _with(given, **{f"x_{chance.randrange(99)}": "值"})),
    "carried field of any shape": (
        EITHER,
        lambda chance, given: _with(
            given,
            **{
                chance.choice(("bldinfo", "opspdiseinfo", "curr_addr", "nwb_bir_wt")): chance.choice(
                    (None, "", [], {}, "x", 5, [{"a": 1}], [None])
                )
            },
        ),
    ),
    "another hospital's": (REFUSED, lambda chance, given: _with(given, fixmedins_code="H00000000001")),
    "insurance unknown": (REFUSED, lambda chance, given: _with(given, insutype=chance.choice(("999", "31", "三一零")))),
    "payers off by a fen": (REFUSED, lambda chance, given: _with(given, psn_cashpay=_more(given["psn_cashpay"]))),
    "items off by a fen": (
        REFUSED,
        lambda chance, given: _row(given, "iteminfo", amt=_more(given["iteminfo"][0]["amt"])),
    ),
    "admitted after discharge": (REFUSED, lambda chance, given: _with(given, adm_time="2030-01-01")),
    "version out of range": (
        REFUSED,
        lambda chance, given: _raw_value(given, "version", chance.choice(("0", "-1", "32768", "1.5", '"1"', "9" * 40))),
    ),
}
"""Every kind of line, with its fate (变异种类)."""

_NEEDED = (
    "setl_id",
    "insutype",
    "gend",
    "brdy",
    "adm_time",
    "dscg_time",
    "diseinfo",
    "medfee_sumamt",
    "payinfo",
    "acct_pay",
)


def chance_of(chance: random.Random, given: Message) -> str:
    """One field that every list needs; the same for one list, so that a comprehension drops just one."""
    return _NEEDED[sum(given["setl_id"].encode()) % len(_NEEDED)]


def _more(amount: str) -> str:
    whole, _, rest = amount.partition(".")
    fen = int(whole) * 100 + int(rest) + 1
    return f"{fen // 100}.{fen % 100:02d}"


def spoiled(chance: random.Random, kind: str, message: Message) -> Spoiled:
    """A line of a kind made from a sound list (变异)."""
    fate, make = KINDS[kind]
    return Spoiled(kind, make(chance, message), fate)


# Files


@dataclass(frozen=True, slots=True)
class BadFile:
    """A part as it is sent (变异文件). `may`: statuses that are in order besides any refusal under 500."""

    kind: str
    body: bytes
    media_type: str = "application/x-ndjson"
    encoding: str = ""


XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


Sheets = list[tuple[str, list[str]]]
"""Sheets of a workbook by name, with their header rows (工作表与表头)."""


def sheets_of(template: bytes) -> Sheets:
    """The sheets of the template (模板的工作表)."""
    source = openpyxl.load_workbook(io.BytesIO(template), read_only=True)
    return [
        (given.title, [str(cell or "") for cell in next(given.iter_rows(values_only=True), ())])
        for given in source.worksheets
    ]


def workbook(change: Callable[[Any, Any, Any], object], sheets: Sheets, *, date_1904: bool = False) -> bytes:
    """A workbook with these sheets and headers, changed by the caller: book, first sheet, header row."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "date_1904": date_1904, "nan_inf_to_errors": True})
    first: Any = None
    headers: list[str] = []
    for name, row in sheets:
        sheet = book.add_worksheet(name)
        for at, text in enumerate(row):
            sheet.write_string(0, at, text)
        if first is None:
            first, headers = sheet, row
    change(book, first, headers)
    book.close()
    return out.getvalue()


def _bomb_entry(size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", "<Types/>")
        packed.writestr("xl/workbook.xml", "<workbook/>")
        packed.writestr("xl/worksheets/sheet1.xml", b" " * size)
    return out.getvalue()


def bad_files(
    chance: random.Random, sound: list[bytes], template: bytes, *, bomb_bytes: int = BOMB_BYTES
) -> list[BadFile]:
    """Files of every kind (变异文件集): bombs, cut, mislabelled, workbooks as people make them."""
    plain = b"\n".join(sound) + b"\n"
    packed = gzip.compress(plain, 1)
    sheets = sheets_of(template)
    whole = workbook(lambda book, sheet, headers: sheet.write_string(1, 0, "S1"), sheets)
    found = [
        BadFile("gzip bomb", gzip.compress(b" " * bomb_bytes, 6), encoding="gzip"),
        BadFile("gzip in gzip", gzip.compress(packed), encoding="gzip"),
        BadFile("gzip with rubbish behind", packed + b"rubbish", encoding="gzip"),
        BadFile("zstd bomb", zstandard.ZstdCompressor(3).compress(bytes(bomb_bytes)), encoding="zstd"),
        BadFile("zstd that is none", plain, encoding="zstd"),
        BadFile("unknown encoding", plain, encoding="br"),
        BadFile("xlsx bomb", _bomb_entry(bomb_bytes), XLSX),
        BadFile("xlsx that is none", plain, XLSX),
        BadFile("xlsx with sheets missing", _bomb_entry(10), XLSX),
        BadFile("line of 10 MB", line_of({"psn_name": "x" * LONG_LINE})),
        BadFile("only line ends", b"\r\n" * 5_000),
        BadFile("nothing", b""),
        BadFile("UTF-16", plain.decode().encode("utf-16")),
        BadFile("csv in GB18030", "清单,结算号 setl_id\n一,二\n".encode("gb18030"), "text/csv"),
        BadFile("csv with an open quote", '"setl_id,psn_no\n"5.1E+17,１２３\n'.encode(), "text/csv"),
        BadFile("csv of NUL", b"setl_id\n\0\0\0\n", "text/csv"),
        BadFile("4101A array cut", b'[{"setlinfo": {"setl_id": "1"', "application/json"),
        BadFile("deep array", b"[" * 200_000, "application/json"),
    ]
    for sixteenth in range(1, 16):
        found.append(BadFile("gzip cut", packed[: len(packed) * sixteenth // 16], encoding="gzip"))
        found.append(BadFile("xlsx cut", whole[: len(whole) * sixteenth // 16], XLSX))
    changes: dict[str, Callable[[Any, Any, Any], object]] = {
        "merged cells": lambda book, sheet, headers: sheet.merge_range(1, 0, 3, 2, "S1"),
        "hidden rows": lambda book, sheet, headers: (
            sheet.write_string(2, 0, "S1"),
            sheet.set_row(2, None, None, {"hidden": True}),
        ),
        "hidden columns": lambda book, sheet, headers: (
            sheet.write_string(1, 0, "S1"),
            sheet.set_column(0, 1, None, None, {"hidden": True}),
        ),
        "hidden sheet": lambda book, sheet, headers: book.add_worksheet("另").hide(),
        "formula": lambda book, sheet, headers: sheet.write_formula(1, 0, '=HYPERLINK("http://x","S1")', None, "S1"),
        "ids as numbers": lambda book, sheet, headers: [
            sheet.write_number(1, at, 5.1e17) for at in range(len(headers))
        ],
        "numbers beyond all": lambda book, sheet, headers: [
            sheet.write_number(1, at, float("nan")) for at in range(len(headers))
        ],
        "errors in cells": lambda book, sheet, headers: sheet.write_formula(1, 0, "=1/0", None, "#DIV/0!"),
        "full-width": lambda book, sheet, headers: [
            sheet.write_string(1, at, "２０２５－０１－０９") for at in range(len(headers))
        ],
        "headers repeated": lambda book, sheet, headers: sheet.write_string(0, len(headers), headers[0]),
        "no header": lambda book, sheet, headers: [sheet.write_string(0, at, "") for at in range(len(headers))],
        "far cell": lambda book, sheet, headers: sheet.write_string(1_048_575, 16_383, "x"),
        "true and false": lambda book, sheet, headers: [sheet.write_boolean(1, at, True) for at in range(len(headers))],
    }
    for kind, change in changes.items():
        found.append(BadFile(kind, workbook(change, sheets), XLSX))
        found.append(BadFile(f"{kind}, 1904", workbook(change, sheets, date_1904=True), XLSX))
    chance.shuffle(found)
    return found
