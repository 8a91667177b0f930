"""Lint of an edition (目录检查): groups no case can reach, groups that contend for the same case, scores that look wrong.

Everything here is judged for one grouping method, by its own comparators, and each finding names a witness: the procedures of a
case that shows it. Nothing is refused: whether a finding matters is for whoever publishes to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from fenzhi.rules.catalog.conjunctions import Conjunction
from fenzhi.rules.catalog.disease_group import DiseaseGroup, GroupKind, diagnosis_keys
from fenzhi.rules.catalog.edition import CodeTables
from fenzhi.rules.grouping.group_case import preference
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One finding (检查发现). `witness` is the procedures of a case that shows it, main first; empty where none is needed."""

    code: str
    group_code: str
    other: str
    witness: tuple[str, ...]
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str


def lint_groups(groups: Sequence[DiseaseGroup], tables: CodeTables, method: GroupingMethod) -> tuple[LintFinding, ...]:
    """Findings about an edition (目录检查), in the order of its groups.

    Codes: group_unreachable, group_gray_only, groups_ambiguous, groups_overlap, score_below_simpler. Empty tables judge no code.
    """
    findings: list[LintFinding] = []
    by_diagnosis: dict[str, list[DiseaseGroup]] = {}
    for group in groups:
        by_diagnosis.setdefault(group.diagnosis, []).append(group)
    codes_under = _codes_under(tables)
    for diagnosis, listed in by_diagnosis.items():
        findings.extend(_unreachable_by_codes(diagnosis, listed, tables, codes_under))
        operative = [one for one in listed if one.kind is GroupKind.CORE and one.parts]
        conservative = next((one for one in listed if one.is_conservative), None)
        for one, other in combinations(operative, 2):
            findings.extend(_pair(one, other, method))
        if conservative is not None:
            findings.extend(_below(one, conservative) for one in operative if one.score < conservative.score)
    order = {group.group_code: place for place, group in enumerate(groups)}
    return tuple(sorted(findings, key=lambda one: (order[one.group_code], one.code, one.other)))


def implies(one: Conjunction, other: Conjunction) -> bool:
    """Does every case that meets `one` meet `other` (组合蕴含)? Each part of `other` must hold all codes of some part of `one`.

    >>> implies((("a",), ("b",)), (("b", "c"),)), implies((("b", "c"),), (("b",),))
    (True, False)
    """
    return all(any(set(part) <= set(wider) for part in one) for wider in other)


def smallest_case(one: Conjunction, other: Conjunction) -> tuple[str, ...]:
    """Procedures of a case that meets both (同时满足两组的手术操作), as few as a shared code allows.

    >>> smallest_case((("a", "b"),), (("b", "c"), ("d",)))
    ('b', 'd')
    """
    chosen: list[str] = []
    for part in (*one, *other):
        if not set(part) & set(chosen):
            wanted = next((code for code in part if any(code in rest for rest in other)), part[0])
            chosen.append(wanted)
    return tuple(chosen)


def _pair(one: DiseaseGroup, other: DiseaseGroup, method: GroupingMethod) -> Iterator[LintFinding]:
    forward, backward = implies(one.parts, other.parts), implies(other.parts, one.parts)
    if forward:
        yield from _nested(one, other, method, both=backward)
    if backward and not forward:
        yield from _nested(other, one, method, both=False)
    if forward or backward or not _share(one, other):
        return
    witness = smallest_case(one.parts, other.parts)
    decided = _decided_by(one, other, witness, method)
    if decided == "group_code":
        yield _finding("groups_ambiguous", one, other, witness)
    elif len(witness) == max(len(one.parts), len(other.parts)) == min(len(one.parts), len(other.parts)):
        yield _finding("groups_overlap", one, other, witness, decided)


def _nested(
    special: DiseaseGroup, simple: DiseaseGroup, method: GroupingMethod, *, both: bool
) -> Iterator[LintFinding]:
    """`special` implies `simple`: the special one must be able to win, or no case ever reaches it."""
    if never_wins(special, simple, method):
        yield _finding("group_unreachable", special, simple, smallest_case(special.parts, simple.parts))
    elif both and never_wins(simple, special, method):
        yield _finding("group_unreachable", simple, special, smallest_case(simple.parts, special.parts))
    if not both and len(special.parts) > len(simple.parts) and special.score < simple.score:
        yield _below(special, simple)


def never_wins(special: DiseaseGroup, simple: DiseaseGroup, method: GroupingMethod) -> bool:
    """Does `simple` win every case that meets both (必然落选)? Requires: `special` implies `simple`.

    Comparator by comparator: one that can favour `special` in some case ends the proof, one that always favours `simple` completes
    it, one that never favours `special` hands over to the next.
    """
    mine, theirs = _named(special.parts), _named(simple.parts)
    for comparator in method.tie_break:
        if comparator is TieBreak.MOST_MATCHED:
            if mine - theirs:
                return False
        elif comparator is TieBreak.MAIN_MATCHED:
            if _named(special.main_procedures) - _named(simple.main_procedures):
                return False
        elif comparator in _BY_THE_CASE:
            return False
        else:
            first = dict(preference(special, (), method))[comparator.value]
            second = dict(preference(simple, (), method))[comparator.value]
            if first != second:
                return bool(second < first)  # type: ignore[operator]
    return simple.group_code.encode() < special.group_code.encode()


_BY_THE_CASE = frozenset((TieBreak.NEAREST_COST, TieBreak.COMPLETE_MATCH, TieBreak.FULL_CODE, TieBreak.CLASS_MATCHED))
"""Comparators that may favour either group from case to case: no proof goes through them."""


def _decided_by(one: DiseaseGroup, other: DiseaseGroup, case: Sequence[str], method: GroupingMethod) -> str:
    pairs = zip(preference(one, case, method), preference(other, case, method), strict=True)
    return next((name for (name, mine), (_, theirs) in pairs if mine != theirs), "group_code")


def _named(parts: Conjunction) -> frozenset[str]:
    return frozenset(code for part in parts for code in part)


def _share(one: DiseaseGroup, other: DiseaseGroup) -> bool:
    return any(set(part) & set(rest) for part in one.parts for rest in other.parts)


def _codes_under(tables: CodeTables) -> Mapping[str, list[bool]]:
    """Diagnosis key → gray flags of the full codes below it."""
    under: dict[str, list[bool]] = {}
    for code, gray in tables.diagnoses.items():
        for _, key in diagnosis_keys(code):
            under.setdefault(key, []).append(gray)
    return under


def _unreachable_by_codes(
    diagnosis: str, groups: Sequence[DiseaseGroup], tables: CodeTables, under: Mapping[str, list[bool]]
) -> Iterator[LintFinding]:
    if tables.diagnoses:
        flags = under.get(diagnosis)
        if flags is None:
            for group in groups:
                yield _finding("group_unreachable", group, None, (), "diagnosis")
            return
        if all(flags):
            for group in groups:
                yield _finding("group_gray_only", group, None, ())
    if tables.procedures:
        for group in groups:
            unknown = next((part for part in group.parts if not any(code in tables.procedures for code in part)), None)
            if unknown is not None:
                yield _finding("group_unreachable", group, None, unknown, "procedures")


def _below(special: DiseaseGroup, simple: DiseaseGroup) -> LintFinding:
    return _finding("score_below_simpler", special, simple, (), f"{special.score:f} < {simple.score:f}")


_WORDS: Mapping[str, tuple[str, str, str, str]] = {
    "group_unreachable": (
        "没有病例能入该组", "No case can reach this group",
        "合并、删除，或改变择优规则。", "Merge it, remove it, or change the tie-break."),
    "group_gray_only": (
        "该诊断下全部为灰码，灰码不入组时没有病例能入该组", "Every code of this diagnosis is gray: no case will reach the group while gray codes do not group",
        "改用非灰码诊断。", "Use a diagnosis that is not gray."),
    "groups_ambiguous": (
        "与另一病种争同一病例，只由编码先后决定", "Contends with another group for the same case; only the order of codes decides",
        "合并，或增加可区分的手术操作、分值或择优规则。", "Merge them, or let a procedure, a score or a comparator tell them apart."),
    "groups_overlap": (
        "与另一病种争同一病例，由择优规则决定", "Contends with another group for the same case; the tie-break decides",
        "确认择优结果符合本意。", "Check that the winner is the one meant."),
    "score_below_simpler": (
        "要求更多手术操作，分值却低于较简单的病种", "Asks for more procedures but scores less than the simpler group",
        "核对分值。", "Check the scores."),
}  # fmt: skip


def _finding(
    code: str, group: DiseaseGroup, other: DiseaseGroup | None, witness: Sequence[str], detail: str = ""
) -> LintFinding:
    zh, en, remedy_zh, remedy_en = _WORDS[code]
    named = f"：{other.group_code}" if other else ""
    told = f"（{detail}）" if detail else ""
    tail = f": {other.group_code}" if other else ""
    return LintFinding(
        code,
        group.group_code,
        other.group_code if other else "",
        tuple(witness),
        f"{zh}{named}{told}。",
        f"{en}{tail}{f' ({detail})' if detail else ''}.",
        remedy_zh,
        remedy_en,
    )
