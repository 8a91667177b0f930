"""An edition and a grouping method as dense integers (目录编译): what the engine joins cases against.

Diagnoses and procedures become integers, and a group becomes its place in the order that the last static comparators give,
so that the best group of a case is simply the largest number it can reach. Procedure numbers rise with their class: the
class of a procedure is a comparison, not a look-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.connection import INT64_MAX
from fenzhi.engine.failures import bounds_exceeded, input_refused
from fenzhi.rules.catalog.disease_group import CLASS_ORDER, CLASS_RANK, DiseaseGroup, ProcedureClass, diagnosis_keys
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import preference
from fenzhi.rules.grouping.grouping_method import ConservativeMatch, GrayPrincipal, GroupingMethod, TieBreak
from fenzhi.rules.grouping.outcome import REASONS, GroupingReason

MATCHED_BITS = 8
"""Room for the number of matched procedures; more procedures than this on one case are refused per run."""
KEY_RANKS = 8
DIAGNOSIS_UNKNOWN = -1
DIAGNOSIS_MISSING = -2
PROCEDURE_UNKNOWN = -1
MAX_PARTS = 62

REASON = {reason: place for place, reason in enumerate(REASONS)}
REASON_BITS = 4

_STATIC = {TieBreak.MOST_PARTS, TieBreak.HIGHER_SCORE, TieBreak.CORE_FIRST}


@dataclass(frozen=True)
class CompiledBook:
    """An edition ready for bulk grouping (编译后的目录). Make it once per edition and method with `compile_book`."""

    edition: Edition
    method: GroupingMethod
    groups: tuple[DiseaseGroup, ...]
    """By engine number; the larger number wins the last static comparison."""
    diagnosis_codes: pa.Array
    """Full codes by engine number."""
    procedure_codes: pa.Array
    """Procedure codes by engine number: without class first, then diagnostic, therapeutic, surgical."""
    class_starts: tuple[int, int, int]
    """First procedure number of the diagnostic, therapeutic and surgical class."""
    diagnoses: pa.Table
    """What becomes of each diagnosis when no core group matches; missing and unknown are diagnoses too."""
    matches: pa.Table
    """Diagnosis × procedure → comparison number of a group, parts met, is it main, its own bit."""
    singles: pa.Table
    """Diagnosis × procedure → the answer of a case with that one procedure."""
    counts_by_bits: bool
    """Every group names few enough procedures for distinct matches to be counted as bits."""
    dynamic: tuple[tuple[TieBreak, int], ...]
    """Comparators that depend on the case, with the bit each begins at."""
    group_bits: int

    @cached_property
    def group_codes(self) -> pa.Array:
        """Group codes by engine number (病种编码)."""
        return pa.array([group.group_code for group in self.groups], pa.string())

    @property
    def procedures_count(self) -> int:
        """How many procedures have a number (手术操作代码数)."""
        return len(self.procedure_codes)

    def encode(self, principal: pa.ChunkedArray | pa.Array, procedures: pa.ChunkedArray | pa.Array) -> pa.Table:
        """Codes as engine numbers (代码转整数): columns `diagnosis` int32 and `procedures` list<int32>, in row order.

        A null or blank principal is missing, an unknown one unknown; neither is dropped. Raises: EngineInputRefused.
        """
        if (
            not _is_text(principal.type)
            or not pa.types.is_list(procedures.type)
            or not _is_text(procedures.type.value_type)
        ):
            raise input_refused(
                "编码转换需要文本诊断列和文本列表手术列。",
                "Encoding takes a text column and a column of text lists.",
                saw=f"{principal.type}, {procedures.type}",
            )
        if len(principal) != len(procedures):
            raise input_refused("诊断列与手术列行数不同。", "The two columns differ in length.")
        found = pc.fill_null(pc.index_in(principal, value_set=self.diagnosis_codes), DIAGNOSIS_UNKNOWN)
        blank = pc.or_kleene(pc.is_null(principal), pc.equal(principal, ""))
        diagnosis = pc.if_else(pc.fill_null(blank, True), pa.scalar(DIAGNOSIS_MISSING, pa.int32()), found)
        chunks = procedures.chunks if isinstance(procedures, pa.ChunkedArray) else [procedures]
        encoded = [self._encode_lists(chunk) for chunk in chunks]
        return pa.table(
            {
                "diagnosis": pc.cast(diagnosis, pa.int32()),
                "procedures": pa.chunked_array(encoded, type=pa.list_(pa.int32())),
            }
        )

    def _encode_lists(self, chunk: pa.ListArray) -> pa.ListArray:
        if chunk.null_count:
            chunk = pc.fill_null(chunk, pa.scalar([], chunk.type))
        values = pc.index_in(chunk.flatten(), value_set=self.procedure_codes)
        numbers = pc.cast(pc.fill_null(values, PROCEDURE_UNKNOWN), pa.int32())
        start = chunk.offsets[0]
        offsets = pc.subtract(chunk.offsets, start) if start.as_py() else chunk.offsets
        return pa.ListArray.from_arrays(offsets, numbers)


def compile_book(book: CatalogBook, method: GroupingMethod) -> CompiledBook:
    """An edition and a grouping method as integers (编译目录).

    Raises: EngineBoundsExceeded when a group asks for more parts than the engine can count.
    """
    edition = book.edition
    for group in edition.groups:
        if len(group.parts) > MAX_PARTS:
            raise bounds_exceeded("组合项数 parts of a group", len(group.parts), MAX_PARTS)
    segments = _segments(method)
    ordered = sorted(edition.groups, key=lambda group: _static_key(group, segments[-1], method), reverse=True)
    number = {group.group_code: place for place, group in enumerate(ordered)}
    group_bits = max(1, len(ordered).bit_length())
    static_bits, dynamic, rank_bit = _layout(segments, group_bits, len(ordered))
    fixed = _fixed_parts(ordered, segments, static_bits, method)
    procedure_codes, class_starts = _procedure_numbers(edition)
    procedure_number = {code: place for place, code in enumerate(procedure_codes)}
    diagnosis_codes = sorted(edition.tables.diagnoses)
    matches = _Matches(dynamic, group_bits)
    missing = answer_code(None, GroupingReason.PRINCIPAL_DIAGNOSIS_MISSING)
    unknown = answer_code(None, GroupingReason.PRINCIPAL_DIAGNOSIS_UNKNOWN)
    answers = [(DIAGNOSIS_MISSING, *[missing] * 5), (DIAGNOSIS_UNKNOWN, *[unknown] * 5)]
    named = {group.group_code: _named_procedures(group, procedure_number) for group in ordered if group.parts}
    counts_by_bits = all(len(found) <= MAX_PARTS for found in named.values())
    for place, code in enumerate(diagnosis_codes):
        keys = [key for _, key in diagnosis_keys(code)]
        gray = edition.tables.diagnoses[code] and method.gray_principal is GrayPrincipal.UNGROUPED
        answers.append((place, *_diagnosis_answers(keys, gray, book, method, number)))
        for rank, key in enumerate(keys if not gray else ()):
            for group in book.operative(key):
                base = ((KEY_RANKS - 1 - rank) << rank_bit) | fixed[group.group_code]
                full = (1 << len(group.parts)) - 1
                for slot, (procedure, mask, is_main) in enumerate(named[group.group_code]):
                    seen = 1 << slot if counts_by_bits else 0
                    matches.add(place * len(procedure_codes) + procedure, base, mask, full, is_main, seen)
    names = ("diagnosis", "quiet", "class_unknown", "class_diagnostic", "class_therapeutic", "class_surgical")
    columns = {name: [row[place] for row in answers] for place, name in enumerate(names)}
    return CompiledBook(
        edition,
        method,
        tuple(ordered),
        pa.array(diagnosis_codes, pa.string()),
        pa.array(procedure_codes, pa.string()),
        class_starts,
        pa.table(
            {
                name: pa.array(values, pa.int32() if name == "diagnosis" else pa.int64())
                for name, values in columns.items()
            }
        ),
        matches.table(),
        matches.singles(),
        counts_by_bits,
        dynamic,
        group_bits,
    )


def answer_code(group_number: int | None, reason: GroupingReason) -> int:
    """A group (or none) and the reason in one integer (入组结果编码): (number + 1) × 16 + reason."""
    return ((-1 if group_number is None else group_number) + 1 << REASON_BITS) | REASON[reason]


class _Matches:
    """Rows of the match tables (匹配表): what a procedure says for a group, under one diagnosis."""

    def __init__(self, dynamic: Sequence[tuple[TieBreak, int]], group_bits: int) -> None:
        self._columns: tuple[list[int], list[int], list[int], list[int], list[int]] = ([], [], [], [], [])
        self._single: dict[int, int] = {}
        self._group_mask = (1 << group_bits) - 1
        self._matched = next((1 << bit for one, bit in dynamic if one is TieBreak.MOST_MATCHED), 0)
        self._main = next((1 << bit for one, bit in dynamic if one is TieBreak.MAIN_MATCHED), 0)

    def add(self, key: int, base: int, mask: int, full: int, is_main: int, seen: int) -> None:
        # Bits beyond the group's parts are set from the start, so that a complete group is all ones: −1.
        for column, value in zip(self._columns, (key, base, mask | ~full, is_main, seen), strict=True):
            column.append(value)
        if mask == full:
            reached = base + self._matched + self._main * is_main
            self._single[key] = max(reached, self._single.get(key, -1))

    def table(self) -> pa.Table:
        names = ("match_key", "base", "met", "is_main", "seen")
        return pa.table({name: pa.array(column, pa.int64()) for name, column in zip(names, self._columns, strict=True)})

    def singles(self) -> pa.Table:
        answers = [answer_code(best & self._group_mask, GroupingReason.CORE_MATCHED) for best in self._single.values()]
        return pa.table(
            {"single_key": pa.array(list(self._single), pa.int64()), "single": pa.array(answers, pa.int64())}
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _segments(method: GroupingMethod) -> list[tuple[TieBreak, ...]]:
    """Comparators split at those that depend on the case: runs of static ones, the last run ends in the group code."""
    segments: list[tuple[TieBreak, ...]] = []
    run: list[TieBreak] = []
    for comparator in method.tie_break:
        if comparator in _STATIC:
            run.append(comparator)
        else:
            segments.extend([tuple(run), (comparator,)])
            run = []
    return [*segments, tuple(run)]


def _static_key(group: DiseaseGroup, run: Sequence[TieBreak], method: GroupingMethod) -> tuple[object, ...]:
    """Smaller is better, as in the rules: the answers of the rule's own comparators, the group code last."""
    answers = dict(preference(group, (), method))
    return (*(answers[name.value] for name in run), answers["group_code"])


def _layout(
    segments: Sequence[tuple[TieBreak, ...]], group_bits: int, groups: int
) -> tuple[dict[int, int], tuple[tuple[TieBreak, int], ...], int]:
    """Bits of each segment from the last to the first: (segment → bit of static runs), dynamic bits, bit of the key rank."""
    static_bits = {len(segments) - 1: 0}
    dynamic: list[tuple[TieBreak, int]] = []
    bit = group_bits
    for place in range(len(segments) - 2, -1, -1):
        run = segments[place]
        if run and run[0] not in _STATIC:
            dynamic.append((run[0], bit))
            bit += MATCHED_BITS if run[0] is TieBreak.MOST_MATCHED else 1
        elif run:
            static_bits[place] = bit
            bit += group_bits
    if bit + KEY_RANKS.bit_length() > INT64_MAX.bit_length():
        raise bounds_exceeded(
            "择优比较位数 bits of the tie-break", bit, INT64_MAX.bit_length() - KEY_RANKS.bit_length()
        )
    return static_bits, tuple(reversed(dynamic)), bit


def _fixed_parts(
    ordered: Sequence[DiseaseGroup],
    segments: Sequence[tuple[TieBreak, ...]],
    static_bits: Mapping[int, int],
    method: GroupingMethod,
) -> dict[str, int]:
    """What a group's comparison number holds whatever the case (静态比较值)."""
    fixed = {group.group_code: place for place, group in enumerate(ordered)}
    for segment, bit in static_bits.items():
        if segment == len(segments) - 1:
            continue
        answers = {group.group_code: _static_key(group, segments[segment], method)[:-1] for group in ordered}
        better = {answer: place for place, answer in enumerate(sorted(set(answers.values()), reverse=True))}
        for group in ordered:
            fixed[group.group_code] |= better[answers[group.group_code]] << bit
    return fixed


def _procedure_numbers(edition: Edition) -> tuple[list[str], tuple[int, int, int]]:
    known = edition.tables.procedures
    by_rank: list[list[str]] = [[], [], [], []]
    for code, entry in known.items():
        by_rank[CLASS_RANK[entry.procedure_class] if entry.procedure_class else 0].append(code)
    listed = {code for group in edition.groups for part in group.parts for code in part} - set(known)
    by_rank[0].extend(listed)
    ordered = [code for rank in by_rank for code in sorted(rank)]
    first = len(by_rank[0])
    second = first + len(by_rank[1])
    return ordered, (first, second, second + len(by_rank[2]))


def _named_procedures(group: DiseaseGroup, numbers: Mapping[str, int]) -> list[tuple[int, int, int]]:
    """(procedure, parts it meets as bits, is it a main procedure) of a group (病种列出的手术操作)."""
    masks: dict[str, int] = {}
    for bit, part in enumerate(group.parts):
        for code in part:
            masks[code] = masks.get(code, 0) | (1 << bit)
    main = {code for part in group.main_procedures for code in part}
    return [(numbers[code], mask, int(code in main)) for code, mask in masks.items()]


def _diagnosis_answers(
    keys: Sequence[str], gray: bool, book: CatalogBook, method: GroupingMethod, number: Mapping[str, int]
) -> tuple[int, int, int, int, int]:
    """Answers for a diagnosis when no core group matches (无核心病种匹配时的结果).

    Shape: without procedures; then with procedures whose deciding class is unknown, diagnostic, therapeutic, surgical.
    """
    if gray:
        refused = answer_code(None, GroupingReason.PRINCIPAL_DIAGNOSIS_GRAY)
        return (refused, refused, refused, refused, refused)
    conservative = next((found for key in keys if (found := book.conservative(key)) is not None), None)
    of_class: dict[ProcedureClass, DiseaseGroup] = {}
    for key in keys:
        for procedure_class, group in book.comprehensive(key).items():
            of_class.setdefault(procedure_class, group)
    any_group = bool(of_class) or conservative is not None or any(book.operative(key) for key in keys)
    nothing = GroupingReason.NO_GROUP_FOR_PROCEDURES if any_group else GroupingReason.NO_GROUP_FOR_DIAGNOSIS

    def by_class(procedure_class: ProcedureClass) -> int:
        group = of_class.get(procedure_class)
        if group is None:
            return answer_code(None, nothing)
        return answer_code(number[group.group_code], GroupingReason.COMPREHENSIVE_MATCHED)

    quiet = by_class(ProcedureClass.CONSERVATIVE)
    if conservative is not None:
        quiet = answer_code(number[conservative.group_code], GroupingReason.CONSERVATIVE_MATCHED)
        if method.conservative_match is ConservativeMatch.FALLBACK:
            fallen = answer_code(number[conservative.group_code], GroupingReason.CONSERVATIVE_FALLBACK)
            return (quiet, fallen, fallen, fallen, fallen)
    unknown = answer_code(None, GroupingReason.PROCEDURE_CLASS_UNKNOWN if of_class else nothing)
    diagnostic, therapeutic, surgical = (by_class(one) for one in CLASS_ORDER[1:])
    return (quiet, unknown, diagnostic, therapeutic, surgical)
