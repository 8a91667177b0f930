"""Read a part of a batch (解析分片): bytes of NDJSON in, one row a line out, in constant memory.

A sound line takes the quick way: decoded once, converted once, its keys counted so that no repeated or strange key slips
through. Any doubt sends the line to `read_faults`, which names every fault. A faulty line harms no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import msgspec

from fenzhi.rules.refusals import Refusal
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict_texts import refusal
from fenzhi.services.submission import wire
from fenzhi.services.submission.read_faults import MAX_DEPTH, known_names, read_line

MAX_LINE_BYTES = 1 << 20
"""Bytes of one line that are read (单行字节上限)."""
_BOM = b"\xef\xbb\xbf"
_FOREIGN = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"PK\x03\x04", "ZIP/XLSX"), (b"\x1f\x8b", "gzip"))
_KNOWN = dict(known_names())
_KNOWN_LIST = _KNOWN[""]
_KNOWN_ROWS = tuple((node, _KNOWN[node]) for node in wire.ROW_NODES)
_decode = msgspec.json.Decoder().decode


class ParsedRow(NamedTuple):
    """One line of a part (分片中的一行)."""

    row_no: int
    """Number of the line in the part, from 1; blank lines are counted and not returned."""
    offset: int
    """Place of the line's first byte in the part, counted in bytes from 0."""
    length: int
    """Bytes of the line without its line break."""
    raw: bytes
    """The line as received; empty where it was too long to be kept."""
    settlement_list: SettlementList | None
    """What could be read of the list; None where the line as such is unreadable."""
    faults: tuple[Refusal, ...]
    """Faults and remarks of form, all of them (格式差错与提示); the registry says which only warn."""


def parse_part(part: bytes | Iterable[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[ParsedRow]:
    """Rows of a part, in order (逐行解析分片).

    Memory: one line and one chunk, whatever the part's size. A part that is plainly no UTF-8 text (UTF-16, a workbook, a
    compressed file) yields one refused row and is read no further.
    """
    remarks: tuple[Refusal, ...] = ()
    start = 0
    for line in _lines((part,) if isinstance(part, bytes) else part, max_line_bytes):
        raw, offset = line.raw, line.offset
        if line.row_no == 1:
            foreign = next((name for mark, name in _FOREIGN if raw.startswith(mark)), None)
            if foreign is None and b"\0" in raw[:4]:
                foreign = "UTF-16"
            if foreign is not None:
                saw = raw[:8].hex(" ")
                fault = refusal("ENCODING_NOT_UTF8", "byte 0", saw, offset="0", guess=foreign)
                yield ParsedRow(1, 0, line.length, raw, None, (fault,))
                return
            if raw.startswith(_BOM):
                remarks = (refusal("BYTE_ORDER_MARK", "byte 0", _BOM.hex(" ")),)
                raw, start = raw[3:], 3
        offset, length, start = offset + start, line.length - start, 0
        if line.too_long:
            slots = {"length": str(length), "limit": str(max_line_bytes)}
            faults = (*remarks, refusal("LINE_TOO_LONG", "", str(length), **slots))
            yield ParsedRow(line.row_no, offset, length, b"", None, faults)
        elif raw.strip():
            given = _read_quickly(raw)
            if given is not None:
                yield ParsedRow(line.row_no, offset, length, raw, given, remarks)
            else:
                reading = read_line(raw, offset=offset, ended=line.ended)
                yield ParsedRow(line.row_no, offset, length, raw, reading.given, (*remarks, *reading.faults))
        else:
            continue
        remarks = ()


def read_one(raw: bytes) -> tuple[SettlementList | None, tuple[Refusal, ...]]:
    """One list in canonical JSON, with every fault of form (读取一份清单)."""
    given = _read_quickly(raw)
    if given is not None:
        return given, ()
    reading = read_line(raw, offset=0, ended=True)
    return reading.given, tuple(reading.faults)


class _Line(NamedTuple):
    row_no: int
    offset: int
    length: int
    raw: bytes
    ended: bool
    too_long: bool


def _lines(chunks: Iterable[bytes], limit: int) -> Iterator[_Line]:
    """Lines with their place (切行). A line above the limit is counted, not kept."""
    row_no, offset, length = 1, 0, 0
    held = bytearray()
    for chunk in chunks:
        begin = 0
        while True:
            end = chunk.find(b"\n", begin)
            stop = len(chunk) if end < 0 else end
            length += stop - begin
            if length <= limit:
                held += chunk[begin:stop]
            else:
                held.clear()
            if end < 0:
                break
            yield _line(row_no, offset, length, held, True, limit)
            row_no, offset, length = row_no + 1, offset + length + 1, 0
            held.clear()
            begin = end + 1
    if length:
        yield _line(row_no, offset, length, held, False, limit)


def _line(row_no: int, offset: int, length: int, held: bytearray, ended: bool, limit: int) -> _Line:
    raw = bytes(held)
    if raw.endswith(b"\r"):
        raw, length = raw[:-1], length - 1
    return _Line(row_no, offset, length, raw, ended, length > limit)


def _has_wide_space(raw: bytes) -> bool:
    """Whether other white space than a blank stands before a colon; looked for only where there is any, which is quick to see."""
    return (b"\t" in raw and b"\t:" in raw) or (b"\r" in raw and b"\r:" in raw)


def _read_quickly(raw: bytes) -> SettlementList | None:
    """The list of a line beyond doubt (快速读取), or None when it needs a closer look."""
    try:
        message = _decode(raw)
        given = wire.settlement_list(msgspec.convert(message, wire.WireList))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    if not message.keys() <= _KNOWN_LIST:
        return None
    keys, brackets = len(message), 1
    for node, known in _KNOWN_ROWS:
        rows = message.get(node) or ()
        if not known.issuperset(chain.from_iterable(rows)):
            return None
        keys += sum(map(len, rows))
        brackets += 1 + len(rows)
    for node in wire.DEEP_CARRIED:
        rows = message.get(node)
        if isinstance(rows, list):
            keys += sum(len(row) for row in rows if isinstance(row, dict))
            brackets += 1 + len(rows)
    # Every key ends in a quote and a colon: as many of these as keys means that no key was repeated, unless white space
    # parts a quote from its colon. Escapes may spell a NUL or half a character, which cannot be stored.
    if raw.count(b'":') != keys or b" :" in raw or _has_wide_space(raw):
        return None
    if b"\\" in raw and (b"\\u0000" in raw or b"\\ud" in raw or b"\\uD" in raw):
        return None
    if raw.count(b"{") + raw.count(b"[") - brackets > MAX_DEPTH - 3:
        return None
    return given
