"""A catalog file in any dialect, in and byte for byte out again (方言目录的导入与导出).

Every row keeps its own text beside the groups it says, faulty rows included, so that the export of what was imported is the
import. A row with an error says no group; a row whose diagnosis is a range or a list says one group for each key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from fenzhi.rules.catalog.conjunctions import Conjunction, conjunction_text, is_procedure_code
from fenzhi.rules.catalog.dialect_faults import CatalogFault, Severity, catalog_fault
from fenzhi.rules.catalog.dialect_records import HEADER_WITHIN, cut_records, decoded, is_header
from fenzhi.rules.catalog.dialects import (
    CLASS_WORDS,
    DIALECTS,
    FLAG_WORDS,
    KIND_WORDS,
    Dialect,
    expand_range,
    field_of,
    granularity_of,
    half_width,
    insurance_letters,
    parse_procedures,
    restored_zeros,
)
from fenzhi.rules.catalog.disease_group import (
    DiseaseGroup,
    Granularity,
    GroupKind,
    ProcedureClass,
    distinct_key,
    procedure_key,
)
from fenzhi.rules.catalog.edition import CodeTables, score_has_places
from fenzhi.rules.catalog.group_conditions import (
    ANY_DIAGNOSIS,
    CONDITION_COLUMNS,
    NO_CONDITIONS,
    GroupConditions,
    GroupLayer,
    parse_conditions,
)
from fenzhi.rules.quantities import exact_decimal

KEY_MARK = "@"
"""Between a published group code and the key of one expanded diagnosis (展开诊断的内部标记)."""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One row of a catalog file (目录行): its text as it stood, and the groups it says."""

    number: int
    text: str
    cells: tuple[str, ...]
    groups: tuple[DiseaseGroup, ...]
    blank: bool = False


@dataclass(frozen=True, slots=True)
class CatalogDocument:
    """A catalog file as it was read (目录文件)."""

    dialect: Dialect
    encoding: str
    bom: bool
    delimiter: str
    preamble: str
    """Everything down to the header row, the header included."""
    header: tuple[str, ...]
    rows: tuple[CatalogRow, ...]
    faults: tuple[CatalogFault, ...]
    kinds: Mapping[str, int]

    @property
    def groups(self) -> tuple[DiseaseGroup, ...]:
        """The groups of all sound rows, in the order of the file (病种)."""
        return tuple(group for row in self.rows for group in row.groups)

    def counts(self, severity: Severity) -> Mapping[str, int]:
        """Faults of one severity, by code (差错计数)."""
        return dict(sorted(Counter(one.code for one in self.faults if one.severity is severity).items()))

    def content(self) -> bytes:
        """The file, byte for byte (还原文件)."""
        text = self.preamble + "".join(row.text for row in self.rows)
        return (("\ufeff" if self.bom else "") + text).encode(self.encoding)


def published_code(group: DiseaseGroup) -> str:
    """The group code as published (公布的病种编码), without the mark of an expanded diagnosis."""
    return group.group_code.partition(KEY_MARK)[0]


def read_dialect(
    content: bytes, dialect: Dialect | None, tables: CodeTables, *, score_places: int | None = None
) -> CatalogDocument:
    """The groups of a catalog file, with every fault at once (按方言读取目录).

    `dialect` None: the one whose marks leave the fewest unreadable cells. Empty code tables judge nothing. Never raises for
    what a file holds: its faults say it.
    """
    if dialect is not None:
        return _Reader(dialect, tables, score_places).read(content)
    read = [_Reader(one, tables, score_places).read(content) for one in DIALECTS.values()]
    ranked = sorted(read, key=lambda one: (sum(one.counts(Severity.ERROR).values()), len(one.faults)))
    best = ranked[0]
    errors = sum(best.counts(Severity.ERROR).values())
    rivals = [
        one.dialect.name
        for one in ranked[1:]
        if sum(one.counts(Severity.ERROR).values()) == errors and _asks(one) != _asks(best)
    ]
    if not rivals:
        return best
    told = catalog_fault("dialect_ambiguous", 1, "", best.dialect.name, ", ".join(rivals))
    return replace(best, faults=(told, *best.faults))


def _asks(document: CatalogDocument) -> list[tuple[Conjunction, Conjunction]]:
    return [(group.main_procedures, group.related_procedures) for group in document.groups]


class _Reader:
    """Reads one file in one dialect (按方言逐行读取)."""

    def __init__(self, dialect: Dialect, tables: CodeTables, score_places: int | None) -> None:
        self._dialect = dialect
        self._tables = tables
        self._places = score_places
        self._faults: list[CatalogFault] = []
        self._errors_told = 0
        self._columns: dict[str, int] = {}
        self._header: tuple[str, ...] = ()
        self._codes: dict[str, int] = {}
        self._keys: dict[tuple[object, ...], str] = {}
        self._alike: dict[tuple[object, ...], str] = {}
        self._kinds: Counter[str] = Counter()
        self._above: dict[str, str] = {}

    def read(self, content: bytes) -> CatalogDocument:
        encoding, text = decoded(content)
        if text is None:
            self._fault("catalog_encoding", 1, "", content[:16].hex(" "))
            return CatalogDocument(self._dialect, encoding, False, ",", "", (), (), tuple(self._faults), {})
        bom = text.startswith("\ufeff")
        body = text.removeprefix("\ufeff")
        records, delimiter, broken = cut_records(body)
        for row_number, says in broken:
            self._fault("catalog_row", row_number, "", says)
        start = next((place for place, one in enumerate(records[:HEADER_WITHIN]) if is_header(one.cells)), None)
        if start is None:
            self._fault("catalog_columns", 1, "", delimiter.join(records[0].cells) if records else "")
            return CatalogDocument(self._dialect, encoding, bom, delimiter, body, (), (), tuple(self._faults), {})
        preamble = "".join(one.text for one in records[: start + 1])
        self._take_header(records[start].row, records[start].cells)
        rows: list[CatalogRow] = []
        for one in records[start + 1 :]:
            blank = not any(cell.strip() for cell in one.cells)
            groups = () if blank else self._row(one.row, one.cells)
            rows.append(CatalogRow(one.row, one.text, one.cells, groups, blank))
        if self._kinds["0"] and self._kinds["2"]:
            self._fault(
                "kind_words_mixed",
                records[start].row,
                self._header[self._columns["kind"]],
                f"0×{self._kinds['0']}, 2×{self._kinds['2']}",
            )
        faults = tuple(sorted(self._faults, key=lambda one: (one.row, one.code)))
        return CatalogDocument(
            self._dialect, encoding, bom, delimiter, preamble, self._header, tuple(rows), faults, dict(self._kinds)
        )

    def _take_header(self, number: int, cells: Sequence[str]) -> None:
        self._header = tuple(cells)
        for place, cell in enumerate(cells):
            field = field_of(cell)
            if field is None:
                continue
            if field in self._columns:
                self._fault("catalog_columns_repeated", number, cell, self._header[self._columns[field]])
            self._columns.setdefault(field, place)

    def _row(self, number: int, cells: Sequence[str]) -> tuple[DiseaseGroup, ...]:
        if len(cells) != len(self._header):
            self._fault(
                "catalog_row", number, "", self._dialect.any_of[0].join(cells), f"{len(cells)} ≠ {len(self._header)}"
            )
            return ()
        row = _Row(self, number, cells)
        before = self._errors_told
        code = row.cell("dip_code")
        diagnosis, code_main, code_related = self._from_code(code)
        layered = row.cell("layer") not in ("", GroupLayer.BASIC.value)
        any_diagnosis = layered and row.cell("dx_code") == ANY_DIAGNOSIS
        keys = (ANY_DIAGNOSIS,) if any_diagnosis else self._diagnosis_keys(row, diagnosis)
        main, related, class_word = self._procedures(row, code_main, code_related)
        kind, procedure_class = self._kind(row, class_word, bool(main or related), layered)
        score = self._score(row)
        grassroots = FLAG_WORDS.get(half_width(row.cell("grassroots")).lower())
        if grassroots is None:
            row.fault("grassroots", "grassroots", row.cell("grassroots"))
        level = self._level(row)
        conditions = self._conditions(row)
        if "dip_code" in self._columns and not code:
            row.fault("group_code_missing", "dip_code", "")
        if kind is GroupKind.CORE and not code and keys:
            code = _spelt(keys[0], main or (), related or ())
        if self._errors_told > before or main is None or related is None or score is None or kind is None or not keys:
            return ()
        if kind is GroupKind.COMPREHENSIVE and not code:
            code = f"{keys[0]}:{procedure_class.value if procedure_class else ''}"
        groups = tuple(
            DiseaseGroup(
                group_code=code if len(keys) == 1 else f"{code}{KEY_MARK}{key}",
                diagnosis=key,
                granularity=Granularity.ANY if key == ANY_DIAGNOSIS else granularity_of(key) or Granularity.FULL,
                score=score,
                main_procedures=main,
                related_procedures=related,
                kind=kind,
                procedure_class=procedure_class,
                grassroots=bool(grassroots),
                level=level,
                sequence=row.cell("seq"),
                diagnosis_name=row.cell("dx_name") or row.cell("group_name"),
                main_procedure_names=row.cell("main_op_names"),
                related_procedure_names=row.cell("other_op_names"),
                conditions=conditions,
            )
            for key in keys
        )
        self._compare(row, code, groups)
        return groups if self._errors_told == before else ()

    def _from_code(self, code: str) -> tuple[str, str, str]:
        """Diagnosis, main and related procedures as a group code spells them (病种编码拆分)."""
        head, _, tail = code.partition(self._dialect.diagnosis_mark)
        main, _, related = tail.partition(self._dialect.related)
        return head, main, related

    def _diagnosis_keys(self, row: _Row, from_code: str) -> tuple[str, ...]:
        raw = row.cell("dx_code")
        column = "dx_code" if "dx_code" in self._columns else "dip_code"
        if not raw and self._dialect.fills_down and self._above.get("dx_code"):
            raw = self._above["dx_code"]
            row.fault("cell_filled_down", column, raw)
        elif not raw and (column == "dip_code" or granularity_of(from_code) is not None):
            raw = from_code
            if column == "dx_code":
                row.fault("diagnosis_from_group_code", column, raw)
        if not raw:
            row.fault("diagnosis_missing", column, "")
            return ()
        self._above["dx_code"] = raw
        keys: list[str] = []
        for text in re.split(r"[/,;、|，；]", half_width(raw)):
            found = self._keys_of(row, column, text.strip())
            if not found:
                return ()
            keys.extend(found)
        if len(keys) > 1:
            row.fault("diagnosis_range", column, raw, " ".join(keys[:12]))
        stated = row.cell("dx_granularity")
        if stated and any(stated != str(int(granularity_of(key) or 0)) for key in keys):
            row.fault("granularity_differs", "dx_granularity", stated)
        if self._tables.diagnoses:
            for key in keys:
                if not self._tables.knows_diagnosis(key):
                    row.fault("diagnosis_unknown", column, key)
        return tuple(dict.fromkeys(keys))

    def _keys_of(self, row: _Row, column: str, text: str) -> tuple[str, ...]:
        code = insurance_letters(text)
        if code != text:
            row.fault("letters_normalised", column, text)
        if granularity_of(code) is not None:
            return (code,)
        dagger, plus, asterisk = code.partition("+")
        if plus and granularity_of(dagger) is not None:
            if not asterisk:
                row.fault("diagnosis_dagger", column, text)
                return (dagger,)
            star = asterisk.removesuffix("*")
            of_both = tuple(
                sorted(
                    full
                    for full in self._tables.diagnoses
                    if full.startswith(dagger) and full.partition("+")[2].startswith(star) and "+" in full
                )
            )
            if of_both and granularity_of(star) is not None:
                return of_both
        elif code.endswith("*") and granularity_of(code[:-1]) is not None:
            row.fault("diagnosis_asterisk", column, text)
            return (code[:-1],)
        try:
            expanded = expand_range(code)
        except ValueError as error:
            row.fault("diagnosis_key", column, text, str(error))
            return ()
        if expanded is None:
            row.fault("diagnosis_key", column, text)
            return ()
        return expanded

    def _procedures(
        self, row: _Row, code_main: str, code_related: str
    ) -> tuple[Conjunction | None, Conjunction | None, ProcedureClass | None]:
        main_cell, related_cell = row.cell("main_ops"), row.cell("other_ops")
        column = "main_ops"
        if "main_ops" not in self._columns:
            main_cell, column = code_main, "dip_code"
            if "other_ops" not in self._columns:
                related_cell = code_related
        elif "other_ops" not in self._columns and self._dialect.related in main_cell:
            main_cell, _, related_cell = main_cell.partition(self._dialect.related)
        word = CLASS_WORDS.get(main_cell.strip())
        if word is not None:
            return (), (), word
        main = self._conjunction(row, column, main_cell)
        related = self._conjunction(row, "other_ops" if "other_ops" in self._columns else column, related_cell)
        return main, related, None

    def _conjunction(self, row: _Row, column: str, cell: str) -> Conjunction | None:
        if cell.strip() in ("-", "—", "无", "/"):
            return ()
        text = half_width(cell)
        try:
            parts = parse_procedures(text, self._dialect)
        except ValueError:
            row.fault("procedure_grammar", column, cell)
            return None
        if text != cell or any(mark.isspace() for mark in cell):
            row.fault("marks_normalised", column, cell)
        found = tuple(tuple(self._procedure(row, column, code) for code in part) for part in parts)
        for part in found:
            if len(set(part)) < len(part):
                row.fault("procedure_repeated", column, "/".join(code or "?" for code in part))
        if any(code is None for part in found for code in part):
            return None
        return tuple(tuple(code for code in part if code is not None) for part in found)

    def _procedure(self, row: _Row, column: str, text: str) -> str | None:
        known = self._tables.procedures
        if text in known:
            return text
        code = text.upper().replace("X", "x")
        if code != text and (is_procedure_code(code) or code in known):
            row.fault("letters_normalised", column, text)
        if code in known:
            return code
        if is_procedure_code(code):
            if known:
                row.fault("procedure_unknown", column, code)
            return code
        restored = restored_zeros(code)
        if restored is None:
            row.fault("procedure_code", column, text)
            return None
        if not self._dialect.restores_zeros or (known and restored not in known):
            row.fault("procedure_code_lost_zeros", column, text)
            return None
        row.fault("procedure_zeros_restored", column, text, restored)
        return restored

    def _kind(
        self, row: _Row, class_word: ProcedureClass | None, has_procedures: bool, layered: bool
    ) -> tuple[GroupKind | None, ProcedureClass | None]:
        word = row.cell("procedure_class")
        procedure_class = class_word
        if word:
            if word not in CLASS_WORDS:
                row.fault("procedure_class", "procedure_class", word)
                return None, None
            procedure_class = CLASS_WORDS[word]
        kind: GroupKind | None = GroupKind.COMPREHENSIVE if procedure_class is not None else GroupKind.CORE
        if "kind" in self._columns:
            kind = KIND_WORDS.get(half_width(row.cell("kind")).lower())
            if kind is None:
                row.fault("group_kind", "kind", row.cell("kind"))
                return None, None
            self._kinds[row.cell("kind").lower()] += 1
        if layered:
            return GroupKind.CORE, procedure_class
        if kind is GroupKind.COMPREHENSIVE and procedure_class is None and not has_procedures:
            row.fault(
                "procedure_class_missing",
                "procedure_class" if "procedure_class" in self._columns else "kind",
                row.cell("kind"),
            )
        elif (kind is GroupKind.COMPREHENSIVE) != (procedure_class is not None) or (
            procedure_class is not None and has_procedures
        ):
            row.fault(
                "procedure_class_misplaced",
                "kind" if "kind" in self._columns else "procedure_class",
                word or row.cell("kind"),
            )
        return kind, procedure_class

    def _conditions(self, row: _Row) -> GroupConditions:
        try:
            found = parse_conditions({name: half_width(row.cell(name)) for name in CONDITION_COLUMNS})
        except ValueError as error:
            row.fault("group_condition", "layer", str(error))
            return NO_CONDITIONS
        if found.asked and found.layer is GroupLayer.BASIC:
            row.fault("condition_misplaced", "layer", row.cell("layer"))
        return found

    def _score(self, row: _Row) -> Decimal | None:
        text = row.cell("score")
        try:
            score = exact_decimal(text)
        except ValueError:
            row.fault("score", "score", text)
            return None
        if score <= 0:
            row.fault("score_not_positive", "score", text)
        elif self._places is not None and not score_has_places(score, self._places):
            row.fault("score_places", "score", text, str(self._places))
        return score

    def _level(self, row: _Row) -> int:
        text = row.cell("level")
        if text and not (len(text) == 1 and text.isdecimal() and text.isascii()):
            row.fault("level", "level", text)
            return 0
        return int(text) if text else 2

    def _compare(self, row: _Row, code: str, groups: Sequence[DiseaseGroup]) -> None:
        first = self._codes.setdefault(code, row.number)
        if first != row.number:
            row.fault("group_code_duplicated", "dip_code", code, f"row {first}")
        for group in groups:
            key, alike = distinct_key(group), procedure_key(group)
            other = self._keys.setdefault(key, code)
            same = self._alike.setdefault(alike, code)
            if other != code:
                row.fault("group_key_ambiguous", "dip_code", code, other)
            elif same != code:
                row.fault("groups_differ_only_in_main", "dip_code", code, same)
        told = row.cell("dip_code")
        one = groups[0]
        if (
            self._dialect.diagnosis_mark in told
            and one.kind is GroupKind.CORE
            and one.layer is GroupLayer.BASIC
            and len(groups) == 1
            and "dx_code" in self._columns
        ):
            spelt = self._from_code(told)
            cells = (one.diagnosis, conjunction_text(one.main_procedures), conjunction_text(one.related_procedures))
            try:
                written = tuple(conjunction_text(parse_procedures(part, self._dialect)) for part in spelt[1:])
            except ValueError:
                written = ("?", "?")
            if (spelt[0], *written) != cells and cells[1:] != ("", ""):
                row.fault("group_code_differs", "dip_code", told)
        elif (
            one.kind is GroupKind.CORE
            and one.layer is GroupLayer.BASIC
            and len(groups) == 1
            and granularity_of(told) is not None
            and "dx_code" in self._columns
        ):
            if told != one.diagnosis or one.parts:
                row.fault("group_code_differs", "dip_code", told)

    def _fault(self, code: str, row: int, column: str, saw: str, detail: str = "") -> None:
        fault = catalog_fault(code, row, column, saw, detail)
        self._errors_told += fault.severity is Severity.ERROR
        self._faults.append(fault)

    def has(self, field: str) -> bool:
        """Does the file have the field (是否有该列)?"""
        return field in self._columns

    def place(self, field: str) -> int:
        """The place of a field that the file has (列位置)."""
        return self._columns[field]

    def tell(self, code: str, row: int, field: str, saw: str, detail: str) -> None:
        """A fault of a field, under the name its column has in the file (记录差错)."""
        name = self._header[self._columns[field]] if field in self._columns else field
        self._fault(code, row, name, saw, detail)


class _Row:
    """The cells of one row by field (按字段取单元格)."""

    def __init__(self, reader: _Reader, number: int, cells: Sequence[str]) -> None:
        self._reader = reader
        self._cells = cells
        self.number = number

    def cell(self, field: str) -> str:
        return self._cells[self._reader.place(field)].strip() if self._reader.has(field) else ""

    def fault(self, code: str, field: str, saw: str, detail: str = "") -> None:
        self._reader.tell(code, self.number, field, saw, detail)


def _spelt(diagnosis: str, main: Conjunction, related: Conjunction) -> str:
    code = diagnosis
    code += ":" + conjunction_text(main) if main else ""
    return code + ("_" + conjunction_text(related) if related else "")
