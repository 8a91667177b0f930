"""Which conditions of a group a case meets (入组条件判定), one by one, so that what failed can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fenzhi.rules.catalog.conjunctions import Conjunction, conjunction_text
from fenzhi.rules.catalog.disease_group import ProcedureClass, diagnosis_keys
from fenzhi.rules.catalog.group_conditions import CaseFact, FactBand, facts_text
from fenzhi.rules.grouping.opened_book import AskedGroup
from fenzhi.rules.grouping.outcome import RejectedCandidate, RejectionCause


@dataclass(frozen=True, slots=True)
class CaseConditions:
    """What the conditions look at (病例条件): effective procedures, keys of other diagnoses, facts, deciding class."""

    procedures: tuple[str, ...]
    secondary_keys: frozenset[str]
    facts: Mapping[CaseFact, int | None]
    procedure_class: ProcedureClass | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A group against a case (判定结果). Met when nothing is left unmet; undecided when only facts are missing."""

    asked: AskedGroup
    parts: tuple[int, ...]
    """Places of the parts that no procedure satisfies."""
    main_differs: bool
    class_differs: bool
    secondary: tuple[int, ...]
    outside: tuple[FactBand, ...]
    unknown: tuple[FactBand, ...]

    @property
    def failed(self) -> bool:
        """Does a known condition fail (是否有条件不符)?"""
        return bool(self.parts or self.main_differs or self.class_differs or self.secondary or self.outside)

    @property
    def met(self) -> bool:
        """Do all conditions hold (是否全部符合)?"""
        return not self.failed and not self.unknown

    @property
    def undecided(self) -> bool:
        """Would the group take the case if the missing facts fitted (因事实缺失不能判定)?"""
        return not self.failed and bool(self.unknown)


def judge(asked: AskedGroup, case: CaseConditions) -> Judged:
    """A group against a case (判定)."""
    have = frozenset(case.procedures)
    outside: list[FactBand] = []
    unknown: list[FactBand] = []
    for band in asked.facts:
        value = case.facts.get(band.fact)
        if value is None:
            unknown.append(band)
        elif not band.holds(value):
            outside.append(band)
    return Judged(
        asked,
        tuple(place for place, part in enumerate(asked.parts) if have.isdisjoint(part)),
        asked.needs_main and asked.main.isdisjoint(case.procedures[:1]),
        asked.procedure_class is not None and asked.procedure_class is not case.procedure_class,
        tuple(place for place, part in enumerate(asked.secondary) if case.secondary_keys.isdisjoint(part)),
        tuple(outside),
        tuple(unknown),
    )


def rejection(judged: Judged, case: CaseConditions) -> RejectedCandidate:
    """Why a group that fails a condition did not take the case, and what would have made it match (落选原因)."""
    group = judged.asked.group
    if judged.parts:
        missing = _listed_parts(judged)
        text = conjunction_text(missing)
        return RejectedCandidate(
            group, RejectionCause.PARTS_MISSING, f"缺少手术操作：{text}。", f"The case lacks {text}.", missing
        )
    if judged.main_differs:
        listed = "/".join(sorted(judged.asked.main))
        seen = case.procedures[0] if case.procedures else "—"
        return RejectedCandidate(
            group,
            RejectionCause.MAIN_DIFFERS,
            f"主要手术操作须为 {listed}，病例为 {seen}。",
            f"Its main procedure is {listed}; that of the case is {seen}.",
        )
    if judged.class_differs:
        wanted = judged.asked.procedure_class.value if judged.asked.procedure_class else ""
        found = case.procedure_class.value if case.procedure_class else "—"
        return RejectedCandidate(
            group,
            RejectionCause.CLASS_DIFFERS,
            f"该病种要求诊疗方式 {wanted}，病例为 {found}。",
            f"This group asks for class {wanted}; the case is {found}.",
        )
    if judged.secondary:
        text = conjunction_text(tuple(group.conditions.secondary_diagnoses[place] for place in judged.secondary))
        return RejectedCandidate(
            group,
            RejectionCause.SECONDARY_MISSING,
            f"缺少次要诊断：{text}。",
            f"The case lacks another diagnosis of {text}.",
        )
    bands = judged.outside or judged.unknown
    cause = RejectionCause.FACT_OUTSIDE if judged.outside else RejectionCause.FACT_MISSING
    text = facts_text(bands)
    seen = ", ".join(f"{band.fact.value}={_value(case.facts.get(band.fact))}" for band in bands)
    return RejectedCandidate(group, cause, f"要求 {text}，病例为 {seen}。", f"Asks for {text}; the case has {seen}.")


def _value(value: int | None) -> str:
    return "—" if value is None else str(value)


def _listed_parts(judged: Judged) -> Conjunction:
    return tuple(judged.asked.group.parts[place] for place in judged.parts)


def secondary_keys(others: Sequence[str]) -> frozenset[str]:
    """Every key that other diagnoses lie under (其他诊断的全部匹配键)."""
    return frozenset(key for code in others for _, key in diagnosis_keys(code))
