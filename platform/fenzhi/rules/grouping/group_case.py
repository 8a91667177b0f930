"""One case into its disease group (病例入组).

The diagnosis is looked up from the full code to the category, and core groups come before comprehensive ones. A case with
procedures takes the core group at the most specific key all of whose parts its procedures meet; a case without takes the
conservative group. What no core group takes falls to the comprehensive group of its category and procedure class. A case
that finds nothing says why: ungrouped is an answer, never a silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fenzhi.rules.catalog.conjunctions import Conjunction, conjunction_text
from fenzhi.rules.catalog.disease_group import CLASS_RANK, DiseaseGroup, GroupKind, ProcedureClass, diagnosis_keys
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    GrayPrincipal,
    GroupingMethod,
    TieBreak,
)
from fenzhi.rules.grouping.outcome import GroupingOutcome, GroupingReason, RejectedCandidate, RejectionCause
from fenzhi.rules.working import Step


class CaseToGroup(Protocol):
    """What grouping needs to know of a case (入组所需病例信息)."""

    @property
    def case_id(self) -> str:
        """Identity of the case (病例号)."""
        ...

    @property
    def principal_diagnosis(self) -> str | None:
        """Full code of the principal diagnosis (主要诊断)."""
        ...

    @property
    def procedures(self) -> Sequence[str]:
        """Codes of the procedures, the main one first (手术操作，主要手术操作在首位)."""
        ...


@dataclass(frozen=True, slots=True)
class InpatientCase:
    """A case as far as grouping is concerned (待入组病例)."""

    case_id: str
    principal_diagnosis: str | None
    procedures: tuple[str, ...] = ()
    other_diagnoses: tuple[str, ...] = ()


def group_case(case: CaseToGroup, book: CatalogBook, method: GroupingMethod) -> GroupingOutcome:
    """The disease group of one case, or the reason there is none (病例入组).

    Policy: `method` names the tie-break, the use of conservative groups, of gray codes and of the comprehensive class.
    """
    code = case.principal_diagnosis
    refused = _principal_refused(code, book, method)
    if refused is not None:
        values = (("principal_diagnosis", code or ""),)
        step = Step("grouping.principal_diagnosis", refused.zh, refused.en, values)
        return GroupingOutcome(case.case_id, None, refused, (step,), ())
    return _Search(case.case_id, code or "", tuple(dict.fromkeys(case.procedures)), book, method).run()


def unmet_parts(parts: Conjunction, procedures: Sequence[str]) -> Conjunction:
    """The parts none of whose codes is among the procedures (未满足的组合项)."""
    have = set(procedures)
    return tuple(part for part in parts if have.isdisjoint(part))


def matched_count(group: DiseaseGroup, procedures: Sequence[str]) -> int:
    """How many distinct procedures of the case the group names (匹配的手术操作数)."""
    named = {code for part in group.parts for code in part}
    return len(named.intersection(procedures))


def comprehensive_class(procedures: Sequence[str], book: CatalogBook, method: GroupingMethod) -> ProcedureClass | None:
    """The class that decides the comprehensive group (综合病种诊疗方式); None when no imported class tells.

    No procedures at all is conservative treatment (内科诊疗组).
    """
    if not procedures:
        return ProcedureClass.CONSERVATIVE
    if method.comprehensive_class is ComprehensiveClass.MAIN:
        return book.procedure_class(procedures[0])
    known = [found for code in procedures if (found := book.procedure_class(code)) is not None]
    return max(known, key=CLASS_RANK.__getitem__, default=None)


def _principal_refused(code: str | None, book: CatalogBook, method: GroupingMethod) -> GroupingReason | None:
    if not code:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_MISSING
    gray = book.tables.diagnoses.get(code)
    if gray is None:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_UNKNOWN
    if gray and method.gray_principal is GrayPrincipal.UNGROUPED:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_GRAY
    return None


Comparator = Callable[[DiseaseGroup, Sequence[str]], object]

_COMPARATORS: dict[TieBreak, Comparator] = {
    TieBreak.MOST_PARTS: lambda group, _: -len(group.parts),
    TieBreak.MOST_MATCHED: lambda group, procedures: -matched_count(group, procedures),
    TieBreak.MAIN_MATCHED: lambda group, procedures: (
        0 if any(procedures[:1] == (code,) for part in group.main_procedures for code in part) else 1
    ),
    TieBreak.HIGHER_SCORE: lambda group, _: -group.score,
    TieBreak.CORE_FIRST: lambda group, _: 0 if group.kind is GroupKind.CORE else 1,
}

_COMPARATOR_ZH: dict[str, str] = {
    "most_parts": "组合项较少",
    "most_matched": "匹配的手术操作较少",
    "main_matched": "主要手术操作不符",
    "higher_score": "分值较低",
    "core_first": "不是核心病种",
    "group_code": "编码在后",
}


def preference(
    group: DiseaseGroup, procedures: Sequence[str], method: GroupingMethod
) -> tuple[tuple[str, object], ...]:
    """The comparators' answers in their order, smaller is better (择优比较值), the group code last."""
    named: list[tuple[str, object]] = [(name.value, _COMPARATORS[name](group, procedures)) for name in method.tie_break]
    return (*named, ("group_code", group.group_code.encode()))


class _Search:
    """The search for one case (一次入组过程), collecting its working and the candidates it passes over."""

    def __init__(
        self, case_id: str, code: str, procedures: tuple[str, ...], book: CatalogBook, method: GroupingMethod
    ) -> None:
        self._case_id = case_id
        self._procedures = procedures
        self._book = book
        self._method = method
        self._keys = tuple(key for _, key in diagnosis_keys(code))
        self._rejected: list[RejectedCandidate] = []
        values = (("principal_diagnosis", code), ("keys", " > ".join(self._keys)), ("procedures", " ".join(procedures)))
        self._steps = [
            Step(
                "grouping.diagnosis_keys",
                "按全码、4 位、3 位依次查找病种。",
                "Look up by full code, subcategory, category.",
                values,
            )
        ]

    def run(self) -> GroupingOutcome:
        group, reason = self._choose()
        self._reject_the_rest(group, reason)
        values = (("group_code", group.group_code), ("diagnosis_key", group.diagnosis)) if group else ()
        self._steps.append(Step(f"grouping.{reason.value}", reason.zh, reason.en, values))
        return GroupingOutcome(self._case_id, group, reason, tuple(self._steps), tuple(self._rejected))

    def _choose(self) -> tuple[DiseaseGroup | None, GroupingReason]:
        if self._procedures:
            for key in self._keys:
                matching = [one for one in self._book.operative(key) if not unmet_parts(one.parts, self._procedures)]
                if matching:
                    return self._best(matching), GroupingReason.CORE_MATCHED
        if not self._procedures or self._method.conservative_match is ConservativeMatch.FALLBACK:
            for key in self._keys:
                conservative = self._book.conservative(key)
                if conservative is not None:
                    fallen = GroupingReason.CONSERVATIVE_FALLBACK
                    return conservative, fallen if self._procedures else GroupingReason.CONSERVATIVE_MATCHED
        return self._comprehensive()

    def _best(self, matching: list[DiseaseGroup]) -> DiseaseGroup:
        ranked = sorted(
            ((preference(one, self._procedures, self._method), one) for one in matching),
            key=lambda pair: tuple(value for _, value in pair[0]),
        )
        answers, best = ranked[0]
        for other_answers, other in ranked[1:]:
            name = next(
                mine for (mine, value), (_, theirs) in zip(answers, other_answers, strict=True) if value != theirs
            )
            self._rejected.append(
                RejectedCandidate(
                    other,
                    RejectionCause.LESS_SPECIFIC,
                    f"同样匹配，但{_COMPARATOR_ZH[name]}({name})，让位于 {best.group_code}。",
                    f"Matches too, but yields to {best.group_code} by {name}.",
                )
            )
        order = ", ".join(name for name, _ in answers)
        matched = " ".join(sorted(one.group_code for one in matching))
        self._steps.append(
            Step(
                "grouping.tie_break",
                "在同一诊断粒度的匹配病种中择优。",
                "Choose among the matching groups of one diagnosis key.",
                (("order", order), ("matching", matched), ("best", best.group_code)),
            )
        )
        return best

    def _comprehensive(self) -> tuple[DiseaseGroup | None, GroupingReason]:
        wanted = comprehensive_class(self._procedures, self._book, self._method)
        offered = [(key, self._book.comprehensive(key)) for key in self._keys]
        if wanted is not None:
            for _, by_class in offered:
                if wanted in by_class:
                    self._steps.append(
                        Step(
                            "grouping.comprehensive_class",
                            "由手术操作类别确定综合病种。",
                            "The procedure class decides the comprehensive group.",
                            (("taken_from", self._method.comprehensive_class.value), ("class", wanted.value)),
                        )
                    )
                    return by_class[wanted], GroupingReason.COMPREHENSIVE_MATCHED
        elif any(by_class for _, by_class in offered):
            return None, GroupingReason.PROCEDURE_CLASS_UNKNOWN
        if any(self._book.operative(key) or self._book.conservative(key) for key in self._keys) or any(
            by_class for _, by_class in offered
        ):
            return None, GroupingReason.NO_GROUP_FOR_PROCEDURES
        return None, GroupingReason.NO_GROUP_FOR_DIAGNOSIS

    def _reject_the_rest(self, chosen: DiseaseGroup | None, reason: GroupingReason) -> None:
        done = {one.group.group_code for one in self._rejected}
        if chosen is not None:
            done.add(chosen.group_code)
        wanted = comprehensive_class(self._procedures, self._book, self._method)
        for key in self._keys:
            for group in self._book.operative(key):
                if group.group_code not in done:
                    self._rejected.append(self._operative_rejected(group))
            conservative = self._book.conservative(key)
            if conservative is not None and conservative.group_code not in done:
                self._rejected.append(self._conservative_rejected(conservative, reason))
            for procedure_class, group in sorted(self._book.comprehensive(key).items()):
                if group.group_code not in done:
                    self._rejected.append(_comprehensive_rejected(group, procedure_class, wanted, reason))

    def _operative_rejected(self, group: DiseaseGroup) -> RejectedCandidate:
        missing = unmet_parts(group.parts, self._procedures)
        if missing:
            text = conjunction_text(missing)
            return RejectedCandidate(
                group,
                RejectionCause.PARTS_MISSING,
                f"缺少手术操作：{text}。",
                f"The case lacks {text}.",
                missing,
            )
        return _more_general(group)

    def _conservative_rejected(self, group: DiseaseGroup, reason: GroupingReason) -> RejectedCandidate:
        if not self._procedures or reason is GroupingReason.CONSERVATIVE_FALLBACK:
            return _more_general(group)
        if reason is GroupingReason.CORE_MATCHED:
            return RejectedCandidate(
                group,
                RejectionCause.HAS_PROCEDURES,
                "病例有手术操作且已匹配手术操作组。",
                "The case has procedures, and a group that names them took it.",
            )
        return RejectedCandidate(
            group,
            RejectionCause.HAS_PROCEDURES,
            "保守治疗组只收无手术操作病例；没有手术操作时即可入组。",
            "A conservative group takes cases without procedures; without them the case would match.",
        )


def _more_general(group: DiseaseGroup) -> RejectedCandidate:
    return RejectedCandidate(
        group,
        RejectionCause.MORE_GENERAL_KEY,
        "诊断粒度较粗，已由更细粒度的病种收入。",
        "Its diagnosis key is more general than that of the group which took the case.",
    )


def _comprehensive_rejected(
    group: DiseaseGroup, procedure_class: ProcedureClass, wanted: ProcedureClass | None, reason: GroupingReason
) -> RejectedCandidate:
    if procedure_class is not wanted:
        seen = wanted.value if wanted else "—"
        return RejectedCandidate(
            group,
            RejectionCause.CLASS_DIFFERS,
            f"该综合病种要求诊疗方式 {procedure_class.value}，病例为 {seen}。",
            f"This comprehensive group asks for class {procedure_class.value}; the case is {seen}.",
        )
    if reason is GroupingReason.COMPREHENSIVE_MATCHED:
        return _more_general(group)
    return RejectedCandidate(
        group, RejectionCause.CORE_WON, "核心病种优先于综合病种。", "Core groups come before comprehensive ones."
    )
