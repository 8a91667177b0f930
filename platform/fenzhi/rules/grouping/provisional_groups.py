"""Provisional groups (临时病种): an unmatched kind of case with a score of its own until a day.

They are asked last: only a sound case that the edition leaves without a group may fall into one. So they never take a case from a group of
the edition, and once an edition covers the kind they fall silent. Which of them are in force is decided by the discharge date.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from fenzhi.rules.catalog.conjunctions import conjunction_text, parse_conjunction
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, has_diagnosis_shape
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase, group_case
from fenzhi.rules.grouping.grouping_method import ConservativeMatch, GroupingMethod
from fenzhi.rules.grouping.outcome import GroupingOutcome, GroupingReason
from fenzhi.rules.quantities import exact_decimal
from fenzhi.rules.refusals import Refusal
from fenzhi.rules.working import Step

COLUMNS = ("group_code", "diagnosis", "procedures", "name", "score", "first", "last", "document")


@dataclass(frozen=True, slots=True)
class ProvisionalGroup:
    """A kind of case with its score and its days, both included (临时病种). Units: points of the edition's scale."""

    group_code: str
    diagnosis: str
    procedures: tuple[str, ...]
    """Every one of them is asked for; none is conservative treatment."""
    score: Decimal
    first: date
    last: date
    document: str = ""
    name: str = ""

    def in_force_on(self, day: date | None) -> bool:
        """Does it speak about a case discharged that day (出院日是否在有效期内)? A day that is not told is in no range."""
        return day is not None and self.first <= day <= self.last

    @property
    def as_group(self) -> DiseaseGroup:
        """In the words of a catalog (按病种表述): a core group of the basic layer."""
        return DiseaseGroup(
            group_code=self.group_code,
            diagnosis=self.diagnosis,
            granularity=granularity_of(self.diagnosis) or Granularity.FULL,
            score=self.score,
            main_procedures=tuple((code,) for code in self.procedures),
            diagnosis_name=self.name,
        )


def granularity_of(diagnosis: str) -> Granularity | None:
    """How much of a diagnosis a key names (诊断粒度), None where it has no such shape.

    >>> granularity_of("I63"), granularity_of("I63.9"), granularity_of("I63.900"), granularity_of("63")
    (<Granularity.CATEGORY: 3>, <Granularity.SUBCATEGORY: 4>, <Granularity.FULL: 6>, None)
    """
    keyed = (Granularity.CATEGORY, Granularity.SUBCATEGORY, Granularity.FULL)
    return next((one for one in keyed if has_diagnosis_shape(diagnosis, one)), None)


def provisional_book(edition: Edition, groups: Sequence[ProvisionalGroup]) -> CatalogBook | None:
    """Provisional groups opened beside an edition (临时病种索引), read against its tables and lists; None without any."""
    return CatalogBook(replace(edition, groups=tuple(one.as_group for one in groups))) if groups else None


def provisional_method(method: GroupingMethod) -> GroupingMethod:
    """The method for them (临时病种入组办法): that of the area, but a case with procedures takes no conservative group."""
    return replace(method, conservative_match=ConservativeMatch.STRICT)


def or_provisional(
    outcome: GroupingOutcome,
    case: InpatientCase,
    book: CatalogBook | None,
    method: GroupingMethod,
    groups: Sequence[ProvisionalGroup],
) -> GroupingOutcome:
    """The outcome, or the provisional group of a case the edition does not cover (临时病种入组).

    Requires: `book` made of `groups` by `provisional_book`. The step names the group, its days and its document.
    """
    if book is None or not outcome.reason.is_uncovered:
        return outcome
    found = group_case(case, book, provisional_method(method)).group
    if found is None:
        return outcome
    taken = next(one for one in groups if one.group_code == found.group_code)
    reason = GroupingReason.PROVISIONAL_MATCHED
    values = (
        ("group_code", taken.group_code),
        ("diagnosis_key", taken.diagnosis),
        ("procedures", "+".join(taken.procedures)),
        ("first", taken.first.isoformat()),
        ("last", taken.last.isoformat()),
    )
    step = Step(f"grouping.{reason.value}", reason.zh, reason.en, values, taken.document)
    return replace(outcome, group=found, reason=reason, working=(*outcome.working, step))


def read_provisional(content: bytes) -> tuple[tuple[ProvisionalGroup, ...], tuple[Refusal, ...]]:
    """The rows of a file of provisional groups, with every fault at once (读取临时病种文件): CSV, UTF-8.

    Refuses: provisional_encoding, provisional_columns, provisional_row, provisional_repeated.
    """
    try:
        rows = list(csv.reader(content.decode("utf-8-sig").splitlines(keepends=True), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return (), (
            _fault("provisional_encoding", "file", str(error), "不是 UTF-8 编码的 CSV。", "Not a CSV in UTF-8."),
        )
    if not rows or tuple(rows[0]) != COLUMNS:
        header, saw = ",".join(COLUMNS), ",".join(rows[0]) if rows else ""
        return (), (_fault("provisional_columns", "row 1", saw, f"表头须为 {header}。", f"The header is {header}."),)
    found: dict[str, ProvisionalGroup] = {}
    faults: list[Refusal] = []
    for number, cells in enumerate(rows[1:], start=2):
        if not cells:
            continue
        where = f"row {number}"
        try:
            one = _group_of(cells)
        except ValueError as error:
            saw, why = ",".join(cells), str(error)
            faults.append(
                _fault("provisional_row", where, saw, f"该行不能读取：{why}", f"The row cannot be read: {why}")
            )
            continue
        if one.group_code in found:
            said = "The code is listed twice."
            faults.append(_fault("provisional_repeated", where, one.group_code, "临时病种编码重复。", said))
            continue
        found[one.group_code] = one
    return tuple(found.values()), tuple(faults)


def _group_of(cells: Sequence[str]) -> ProvisionalGroup:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(COLUMNS)} cells")
    cell = dict(zip(COLUMNS, cells, strict=True))
    score, first, last = (
        exact_decimal(cell["score"]),
        date.fromisoformat(cell["first"]),
        date.fromisoformat(cell["last"]),
    )
    parts = parse_conjunction(cell["procedures"])
    if not cell["group_code"] or granularity_of(cell["diagnosis"]) is None:
        raise ValueError("a code and a diagnosis of 3, 4 or 6 characters")
    if score <= 0 or last < first:
        raise ValueError("a score above 0 and a last day not before the first")
    if any(len(part) != 1 for part in parts):
        raise ValueError(f"procedures joined by +: {conjunction_text(parts)}")
    codes = tuple(part[0] for part in parts)
    return ProvisionalGroup(
        cell["group_code"], cell["diagnosis"], codes, score, first, last, cell["document"], cell["name"]
    )


def _fault(code: str, where: str, saw: str, zh: str, en: str) -> Refusal:
    return Refusal(code, where, saw[:200], zh, en, "核对后重试。", "Correct it and try again.")
