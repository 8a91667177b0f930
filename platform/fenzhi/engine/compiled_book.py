"""An edition and a grouping method as dense integers (目录编译): what the engine joins cases against.

Diagnoses and procedures become integers, and a group becomes its place in the order that the last static comparators give,
so that the best group of a case is simply the largest number it can reach. Procedure numbers rise with their class: the
class of a procedure is a comparison, not a look-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.condition_tokens import ConditionTokens, condition_tokens
from fenzhi.engine.connection import INT64_MAX
from fenzhi.engine.failures import bounds_exceeded, input_refused
from fenzhi.rules.catalog.disease_group import CLASS_ORDER, CLASS_RANK, DiseaseGroup, ProcedureClass, diagnosis_keys
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.catalog.group_conditions import LAYER_ORDER
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.comparators import COMPARATORS, CaseView, plainly_asked
from fenzhi.rules.grouping.grouping_method import (
    ConservativeMatch,
    GrayPrincipal,
    GroupingMethod,
    MainPosition,
    TieBreak,
    UnsoundProcedure,
)
from fenzhi.rules.grouping.opened_book import AskedGroup, OpenedBook
from fenzhi.rules.grouping.outcome import MATCHED, REASONS, GroupingReason

MATCHED_BITS = 8
"""Room for the number of matched procedures; more procedures than this on one case are refused per run."""
KEY_RANKS = 8
DIAGNOSIS_UNKNOWN = -1
DIAGNOSIS_MISSING = -2
PROCEDURE_UNKNOWN = -1
MAX_PARTS = 62

REASON = {reason: place for place, reason in enumerate(REASONS)}
REASON_BITS = 5
LAYER_BITS = 2

_STATIC = {TieBreak.MOST_PARTS, TieBreak.HIGHER_SCORE, TieBreak.CORE_FIRST, TieBreak.CLASS_LADDER}
_WIDTH = {TieBreak.MOST_MATCHED: MATCHED_BITS, TieBreak.FULL_CODE: MATCHED_BITS}
"""Bits of the comparators that depend on the case; the others are one bit, nearest_cost stands apart."""


@dataclass(frozen=True, slots=True)
class ComparisonBits:
    """Where each answer stands in the comparison number (比较值各段位置), counted from the lowest bit."""

    related: int
    rank: int
    decided: int
    layer: int


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
    """Diagnosis × token → comparison number of a group, parts met, is it main, its own bit. A token is a procedure or a condition."""
    singles: pa.Table
    """Diagnosis × procedure → the answer of a case with that one procedure."""
    counts_by_bits: bool
    """Every group names few enough procedures for distinct matches to be counted as bits."""
    dynamic: tuple[tuple[TieBreak, int], ...]
    """Comparators that depend on the case, with the bit each begins at."""
    group_bits: int
    bits: ComparisonBits
    tokens: ConditionTokens
    unsound: pa.Array
    """0 sound, 1 unknown, 2 gray, by procedure number + 1; the first stands for every code without a number."""
    any_anchors: pa.Array | None
    """By procedure number + 1: does a group of any diagnosis name it? None: no such group, or every case may reach one."""
    limited_pairs: pa.Table
    """Procedure × diagnosis: where a procedure of the list limited_main may be the main one."""
    any_always: bool
    """A group of any diagnosis names no procedure: every case may reach it."""

    @property
    def any_number(self) -> int:
        """The diagnosis number of the groups that look at none (不限诊断的编号)."""
        return len(self.diagnosis_codes)

    @property
    def layered(self) -> bool:
        """Are there layers above the basic one (是否有先期等层级)?"""
        return self.tokens.used

    @property
    def needs_main(self) -> bool:
        """Must the main procedure of a group be that of the case (主要手术操作须相符)?"""
        return self.method.main_position is MainPosition.CASE_MAIN

    @property
    def judges_procedures(self) -> bool:
        """Do unsound procedures keep a case out (手术操作不合格是否不入组)?"""
        return self.method.unsound_procedure is UnsoundProcedure.UNGROUPED

    @property
    def nearest_cost(self) -> bool:
        """Does the cost of a case decide among groups (是否按费用择优)?"""
        return TieBreak.NEAREST_COST in self.method.tie_break

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


def compile_book(book: CatalogBook, method: GroupingMethod, means: Mapping[str, int] | None = None) -> CompiledBook:
    """An edition and a grouping method as integers (编译目录).

    `means`: whole fen per group code, for the comparator nearest_cost alone.
    Raises: EngineBoundsExceeded when a group asks for more parts than the engine can count.
    """
    edition = book.edition
    opened = book.opened(method)
    method = opened.method
    asked_of = {
        group.group_code: opened.asked_of.get(group.group_code) or plainly_asked(group) for group in edition.groups
    }
    segments = _segments(method)
    ordered = sorted(
        edition.groups, key=lambda group: _static_key(asked_of[group.group_code], segments[-1]), reverse=True
    )
    number = {group.group_code: place for place, group in enumerate(ordered)}
    group_bits = max(1, len(ordered).bit_length())
    ranks = _static_ranks(ordered, segments, asked_of)
    static_bits, dynamic, bits = _layout(segments, group_bits, ranks)
    fixed = _fixed_parts(ordered, ranks, static_bits)
    procedure_codes, class_starts = _procedure_numbers(edition, asked_of.values())
    procedure_number = {code: place for place, code in enumerate(procedure_codes)}
    diagnosis_codes = sorted(edition.tables.diagnoses)
    tokens = condition_tokens(opened, diagnosis_codes, len(procedure_codes))
    named = {
        code: _named_tokens(asked, procedure_number, tokens, counts_listed=TieBreak.FULL_CODE in method.tie_break)
        for code, asked in asked_of.items()
        if code in opened.asked_of and not asked.group.is_conservative
    }
    counts_by_bits = all(sum(one.seen >= 0 for one in found.rows) <= MAX_PARTS for found in named.values())
    matches = _Matches(dynamic, group_bits, bits, means or {}, nearest=TieBreak.NEAREST_COST in method.tie_break)
    missing = answer_code(None, GroupingReason.PRINCIPAL_DIAGNOSIS_MISSING)
    unknown = answer_code(None, GroupingReason.PRINCIPAL_DIAGNOSIS_UNKNOWN)
    answers: list[tuple[int, ...]] = [
        (DIAGNOSIS_MISSING, *[missing] * 5, 1, 0),
        (DIAGNOSIS_UNKNOWN, *[unknown] * 5, 1, 0),
    ]

    def add(place: int, rank: int, asked: AskedGroup) -> None:
        base = (KEY_RANKS - 1 - rank) << bits.rank | fixed[asked.group.group_code]
        base |= (len(LAYER_ORDER) - 1 - asked.layer_rank) << bits.layer | 1 << bits.decided
        base |= int(asked.related_first) << bits.related
        found = named[asked.group.group_code]
        for row in found.rows:
            seen = 1 << row.seen if counts_by_bits and row.seen >= 0 else 0
            matches.add(place * tokens.count + row.token, base, row, found.full, seen, asked)

    for place, code in enumerate(diagnosis_codes):
        keys = [key for _, key in diagnosis_keys(code)]
        refused = _refused(code, edition, method)
        asks = False
        if refused is None:
            reached: set[str] = set()
            for rank, key in enumerate(keys):
                for asked in opened.operative(key):
                    if asked.group.group_code not in reached:
                        reached.add(asked.group.group_code)
                        asks = asks or named[asked.group.group_code].conditional
                        add(place, rank, asked)
        found = _diagnosis_answers(keys, refused, book, opened, number)
        answers.append((place, *found, int(refused is not None), int(asks)))
    anchors: set[int] = set()
    any_always = False
    for asked in opened.of_any_diagnosis():
        add(len(diagnosis_codes), KEY_RANKS - 1, asked)
        first = asked.parts[0] if asked.parts else None
        anchors.update(procedure_number[code] for code in first or ())
        any_always = any_always or first is None
    names = ("diagnosis", "quiet", "class_unknown", "class_diagnostic", "class_therapeutic", "class_surgical")
    columns = {name: [row[place] for row in answers] for place, name in enumerate((*names, "refused", "asks"))}
    return CompiledBook(
        edition,
        method,
        tuple(ordered),
        pa.array(diagnosis_codes, pa.string()),
        pa.array(procedure_codes, pa.string()),
        class_starts,
        pa.table(
            {
                name: pa.array(values, pa.int64() if name in names[1:] else pa.int32())
                for name, values in columns.items()
            }
        ),
        matches.table(),
        matches.singles(),
        counts_by_bits,
        dynamic,
        group_bits,
        bits,
        tokens,
        _unsound_flags(procedure_codes, edition),
        pa.array([False, *(place in anchors for place in range(len(procedure_codes)))], pa.bool_())
        if anchors
        else None,
        _limited_pairs(edition, diagnosis_codes, procedure_number),
        any_always,
    )


def answer_code(group_number: int | None, reason: GroupingReason) -> int:
    """A group (or none) and the reason in one integer (入组结果编码): (number + 1) × 2^REASON_BITS + reason."""
    return ((-1 if group_number is None else group_number) + 1 << REASON_BITS) | REASON[reason]


BESIDE = 2


@dataclass(frozen=True, slots=True)
class _TokenRow:
    """What one token says for a group (一个标记对病种的意义)."""

    token: int
    mask: int
    """Parts it meets."""
    main_mask: int
    """Parts it meets when it is the main procedure of the case."""
    seen: int
    """Its own place among the procedures the group names; −1 for a condition."""
    is_main: int
    listed: int
    """1 where the group's text names it, `BESIDE` where the text does and no part asks for it."""
    blocked: int
    """A fact that is missing: the part is not met, only undecided."""


@dataclass(frozen=True, slots=True)
class _NamedTokens:
    rows: tuple[_TokenRow, ...]
    full: int
    conditional: bool
    """Needs tokens that are no procedures."""


def _named_tokens(
    asked: AskedGroup, numbers: Mapping[str, int], tokens: ConditionTokens, *, counts_listed: bool
) -> _NamedTokens:
    """What every token says for a group (病种的全部标记)."""
    masks: dict[int, int] = {}
    for bit, part in enumerate(asked.parts):
        for code in part:
            masks[numbers[code]] = masks.get(numbers[code], 0) | (1 << bit)
    parts = len(asked.parts)
    main_bit = 0
    if asked.needs_main:
        main_bit = 1 << parts
        parts += 1
    main = {numbers[code] for code in asked.main}
    listed = {numbers[code] for code in asked.listed}
    rows = [
        _TokenRow(token, mask, main_bit if token in main else 0, seen, int(token in main), int(token in listed), 0)
        for seen, (token, mask) in enumerate(sorted(masks.items()))
    ]
    if counts_listed:
        # What a list of the edition took out of the parts is still written in the group, and full_code counts it.
        beside = sorted(listed - masks.keys())
        rows += [_TokenRow(token, 0, 0, seen, 0, BESIDE, 0) for seen, token in enumerate(beside, start=len(masks))]
    conditional = False
    for alternatives, blocking in tokens.parts_of(asked):
        conditional = True
        rows += [_TokenRow(token, 1 << parts, 0, -1, 0, 0, 0) for token in sorted(alternatives)]
        if blocking is not None:
            rows.append(_TokenRow(blocking, 1 << parts, 0, -1, 0, 0, 1))
        parts += 1
    if parts > MAX_PARTS:
        raise bounds_exceeded("组合项数 parts of a group", parts, MAX_PARTS)
    # One token may satisfy several parts, as a diagnosis under two secondary parts: its masks are one row.
    merged: dict[tuple[int, int], _TokenRow] = {}
    for row in rows:
        key = (row.token, row.blocked)
        held = merged.get(key)
        merged[key] = row if held is None else replace(held, mask=held.mask | row.mask)
    return _NamedTokens(tuple(merged.values()), (1 << parts) - 1, conditional)


class _Matches:
    """Rows of the match tables (匹配表): what a token says for a group, under one diagnosis."""

    def __init__(
        self,
        dynamic: Sequence[tuple[TieBreak, int]],
        group_bits: int,
        bits: ComparisonBits,
        means: Mapping[str, int],
        *,
        nearest: bool,
    ) -> None:
        self._columns: dict[str, list[int]] = {name: [] for name in _MATCH_COLUMNS}
        self._single: dict[int, int] = {}
        self._group_mask = (1 << group_bits) - 1
        self._layer = bits.layer
        self._means = means
        self._dynamic = dict(dynamic)
        self._singles = not nearest and not set(self._dynamic) - {TieBreak.MOST_MATCHED, TieBreak.MAIN_MATCHED}

    def add(self, key: int, base: int, row: _TokenRow, full: int, seen: int, asked: AskedGroup) -> None:
        # Bits beyond the group's parts are set from the start, so that a complete group is all ones: −1.
        values = (
            key,
            base,
            row.mask | ~full,
            row.main_mask,
            row.is_main,
            seen,
            row.listed,
            asked.class_rank,
            row.blocked,
            self._means.get(asked.group.group_code, -1),
        )
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)
        if (row.mask | row.main_mask) == full and row.seen >= 0:
            reached = base
            if TieBreak.MOST_MATCHED in self._dynamic:
                reached += 1 << self._dynamic[TieBreak.MOST_MATCHED]
            if TieBreak.MAIN_MATCHED in self._dynamic:
                reached += row.is_main << self._dynamic[TieBreak.MAIN_MATCHED]
            self._single[key] = max(reached, self._single.get(key, -1))

    def table(self) -> pa.Table:
        return pa.table({name: pa.array(column, pa.int64()) for name, column in self._columns.items()})

    def singles(self) -> pa.Table:
        found = self._single if self._singles else {}
        answers = [
            answer_code(best & self._group_mask, LAYER_REASONS[(best >> self._layer) & ((1 << LAYER_BITS) - 1)])
            for best in found.values()
        ]
        return pa.table({"single_key": pa.array(list(found), pa.int64()), "single": pa.array(answers, pa.int64())})


_MATCH_COLUMNS = (
    "match_key",
    "base",
    "met",
    "main_met",
    "is_main",
    "seen",
    "listed",
    "class_rank",
    "blocked",
    "mean_fen",
)
LAYER_REASONS = tuple(MATCHED[layer] for layer in reversed(LAYER_ORDER))
"""By the layer's place in the comparison number: the basic one is 0 (各层入组原因)."""


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


def _static_key(asked: AskedGroup, run: Sequence[TieBreak]) -> tuple[Any, ...]:
    """Smaller is better, as in the rules: the answers of the rule's own comparators, the group code last."""
    return (*(COMPARATORS[name](asked, _NOBODY) for name in run), asked.group.group_code.encode())


_NOBODY = CaseView()


def _static_ranks(
    ordered: Sequence[DiseaseGroup], segments: Sequence[tuple[TieBreak, ...]], asked_of: Mapping[str, AskedGroup]
) -> dict[int, dict[str, int]]:
    """For every static run before the last: group code → how good its answers are, larger is better (静态比较名次)."""
    ranks: dict[int, dict[str, int]] = {}
    for segment, run in enumerate(segments[:-1]):
        if not run or run[0] not in _STATIC:
            continue
        answers = {group.group_code: _static_key(asked_of[group.group_code], run)[:-1] for group in ordered}
        better = {answer: place for place, answer in enumerate(sorted(set(answers.values()), reverse=True))}
        ranks[segment] = {code: better[answer] for code, answer in answers.items()}
    return ranks


def _layout(
    segments: Sequence[tuple[TieBreak, ...]], group_bits: int, ranks: Mapping[int, Mapping[str, int]]
) -> tuple[dict[int, int], tuple[tuple[TieBreak, int], ...], ComparisonBits]:
    """Bits of each segment from the last to the first: (segment → bit of static runs), dynamic bits, bits above them.

    The nearest cost has no bits: what stands before it is compared first, then the distance, then what stands after it.
    """
    static_bits = {len(segments) - 1: 0}
    dynamic: list[tuple[TieBreak, int]] = []
    bit = group_bits
    for place in range(len(segments) - 2, -1, -1):
        run = segments[place]
        if run == (TieBreak.NEAREST_COST,):
            dynamic.append((run[0], bit))
        elif run and run[0] not in _STATIC:
            dynamic.append((run[0], bit))
            bit += _WIDTH.get(run[0], 1)
        elif run:
            static_bits[place] = bit
            bit += max(ranks[place].values(), default=0).bit_length()
    bits = ComparisonBits(bit, bit + 1, bit + 1 + KEY_RANKS.bit_length(), bit + 2 + KEY_RANKS.bit_length())
    if bits.layer + LAYER_BITS > INT64_MAX.bit_length():
        room = INT64_MAX.bit_length() - LAYER_BITS - 2 - KEY_RANKS.bit_length()
        raise bounds_exceeded("择优比较位数 bits of the tie-break", bit, room)
    return static_bits, tuple(reversed(dynamic)), bits


def _fixed_parts(
    ordered: Sequence[DiseaseGroup], ranks: Mapping[int, Mapping[str, int]], static_bits: Mapping[int, int]
) -> dict[str, int]:
    """What a group's comparison number holds whatever the case (静态比较值)."""
    fixed = {group.group_code: place for place, group in enumerate(ordered)}
    for segment, of_group in ranks.items():
        for code, better in of_group.items():
            fixed[code] |= better << static_bits[segment]
    return fixed


def _procedure_numbers(edition: Edition, asked: Iterable[AskedGroup]) -> tuple[list[str], tuple[int, int, int]]:
    known = edition.tables.procedures
    by_rank: list[list[str]] = [[], [], [], []]
    for code, entry in known.items():
        by_rank[CLASS_RANK[entry.procedure_class] if entry.procedure_class else 0].append(code)
    lists = edition.lists
    named = {code for one in asked for part in one.parts for code in part}
    named |= lists.not_main | lists.conservative | set(lists.limited_main)
    by_rank[0].extend(named - set(known))
    ordered = [code for rank in by_rank for code in sorted(rank)]
    first = len(by_rank[0])
    second = first + len(by_rank[1])
    return ordered, (first, second, second + len(by_rank[2]))


def _unsound_flags(procedure_codes: Sequence[str], edition: Edition) -> pa.Array:
    known = edition.tables.procedures
    flags = [1, *(1 if code not in known else 2 if known[code].is_gray else 0 for code in procedure_codes)]
    return pa.array(flags, pa.int8())


def _limited_pairs(edition: Edition, diagnosis_codes: Sequence[str], number: Mapping[str, int]) -> pa.Table:
    pairs = [
        (number[code], place)
        for code, keys in edition.lists.limited_main.items()
        for place, diagnosis in enumerate(diagnosis_codes)
        if any(key in keys for _, key in diagnosis_keys(diagnosis))
    ]
    return pa.table(
        {
            "procedure": pa.array([pair[0] for pair in pairs], pa.int32()),
            "diagnosis": pa.array([pair[1] for pair in pairs], pa.int32()),
        }
    )


def _refused(code: str, edition: Edition, method: GroupingMethod) -> GroupingReason | None:
    if edition.tables.diagnoses[code] and method.gray_principal is GrayPrincipal.UNGROUPED:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_GRAY
    return GroupingReason.PRINCIPAL_DIAGNOSIS_EXCLUDED if code in edition.lists.principals else None


def _diagnosis_answers(
    keys: Sequence[str],
    refused: GroupingReason | None,
    book: CatalogBook,
    opened: OpenedBook,
    number: Mapping[str, int],
) -> tuple[int, int, int, int, int]:
    """Answers for a diagnosis when no core group matches (无核心病种匹配时的结果).

    Shape: without procedures; then with procedures whose deciding class is unknown, diagnostic, therapeutic, surgical.
    """
    if refused is not None:
        said = answer_code(None, refused)
        return (said, said, said, said, said)
    conservative = next((found for key in keys if (found := book.conservative(key)) is not None), None)
    of_class: dict[ProcedureClass, DiseaseGroup] = {}
    for key in keys:
        for procedure_class, group in book.comprehensive(key).items():
            of_class.setdefault(procedure_class, group)
    any_group = bool(of_class) or conservative is not None or any(opened.operative(key) for key in keys)
    nothing = GroupingReason.NO_GROUP_FOR_PROCEDURES if any_group else GroupingReason.NO_GROUP_FOR_DIAGNOSIS

    def by_class(procedure_class: ProcedureClass) -> int:
        group = of_class.get(procedure_class)
        if group is None:
            return answer_code(None, nothing)
        return answer_code(number[group.group_code], GroupingReason.COMPREHENSIVE_MATCHED)

    quiet = by_class(ProcedureClass.CONSERVATIVE)
    if conservative is not None:
        quiet = answer_code(number[conservative.group_code], GroupingReason.CONSERVATIVE_MATCHED)
        if opened.method.conservative_match is ConservativeMatch.FALLBACK:
            fallen = answer_code(number[conservative.group_code], GroupingReason.CONSERVATIVE_FALLBACK)
            return (quiet, fallen, fallen, fallen, fallen)
    unknown = answer_code(None, GroupingReason.PROCEDURE_CLASS_UNKNOWN if of_class else nothing)
    diagnostic, therapeutic, surgical = (by_class(one) for one in CLASS_ORDER[1:])
    return (quiet, unknown, diagnostic, therapeutic, surgical)
