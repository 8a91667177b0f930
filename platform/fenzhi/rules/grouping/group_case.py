"""One case into its disease group (病例入组).

First what forbids grouping: a principal diagnosis that is missing, unknown, gray or excluded, a procedure that no table knows or that is gray.
Then the edition's lists decide which procedures count. The layers are tried in their order, priority, merged, diagnosis-auxiliary,
basic: the first with a group all of whose conditions hold takes the case, at the most specific diagnosis key, the comparators deciding
among several. A case without procedures takes the conservative group; what no core group takes falls to the comprehensive group of its
category and procedure class. A case that finds nothing says why: ungrouped is an answer, never a silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fenzhi.rules.catalog.conjunctions import Conjunction
from fenzhi.rules.catalog.disease_group import CLASS_RANK, DiseaseGroup, ProcedureClass, diagnosis_keys
from fenzhi.rules.catalog.group_conditions import LAYER_ORDER, LAYER_ZH, CaseFact, GroupLayer
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.comparators import COMPARATOR_ZH, CaseView, preference, preference_of
from fenzhi.rules.grouping.conditions_met import CaseConditions, Judged, judge, rejection, secondary_keys
from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    GrayPrincipal,
    GroupingMethod,
    UnsoundProcedure,
)
from fenzhi.rules.grouping.opened_book import AskedGroup
from fenzhi.rules.grouping.outcome import MATCHED, GroupingOutcome, GroupingReason, RejectedCandidate, RejectionCause
from fenzhi.rules.working import Step

__all__ = ["InpatientCase", "comprehensive_class", "group_case", "matched_count", "preference", "unmet_parts"]


@dataclass(frozen=True, slots=True)
class InpatientCase:
    """A case as far as grouping is concerned (待入组病例). Units: days, grams, fen. None: not told."""

    case_id: str
    principal_diagnosis: str | None
    procedures: tuple[str, ...] = ()
    """The main one first (主要手术操作在首位)."""
    other_diagnoses: tuple[str, ...] = ()
    age_days: int | None = None
    birth_weight_g: int | None = None
    los_days: int | None = None
    cost_fen: int | None = None
    icu_minutes: int | None = None
    tcm_fen: int | None = None

    @property
    def facts(self) -> Mapping[CaseFact, int | None]:
        """The facts that groups may ask for (病例事实)."""
        return {
            CaseFact.AGE_DAYS: self.age_days,
            CaseFact.BIRTH_WEIGHT_G: self.birth_weight_g,
            CaseFact.LOS_DAYS: self.los_days,
        }


def group_case(
    case: InpatientCase, book: CatalogBook, method: GroupingMethod, means: Mapping[str, int] | None = None
) -> GroupingOutcome:
    """The disease group of one case, or the reason there is none (病例入组).

    Policy: `method` names the comparators, the use of conservative groups, of gray and unknown codes, of the comprehensive class.
    `means`: whole fen per group code, for the comparator nearest_cost alone.
    """
    code = case.principal_diagnosis or ""
    procedures = tuple(dict.fromkeys(case.procedures))
    refused = _refused(case.principal_diagnosis, procedures, book, method)
    if refused is not None:
        reason, seen = refused
        step = Step(f"grouping.{_GATE.get(reason, reason.value)}", reason.zh, reason.en, seen)
        return GroupingOutcome(case.case_id, None, reason, (step,), ())
    effective = procedures
    if procedures and book.edition.lists.touches_procedures:
        effective = book.edition.lists.effective(code, procedures)
    return _Search(case, code, procedures, effective, book, method, means or {}).run()


def unmet_parts(parts: Conjunction, procedures: Sequence[str]) -> Conjunction:
    """The parts none of whose codes is among the procedures (未满足的组合项), codes exact."""
    have = set(procedures)
    return tuple(part for part in parts if have.isdisjoint(part))


def matched_count(group: DiseaseGroup, procedures: Sequence[str]) -> int:
    """How many distinct procedures of the case the group names (匹配的手术操作数), codes exact."""
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


_GATE = {
    GroupingReason.PRINCIPAL_DIAGNOSIS_MISSING: "principal_diagnosis",
    GroupingReason.PRINCIPAL_DIAGNOSIS_UNKNOWN: "principal_diagnosis",
    GroupingReason.PRINCIPAL_DIAGNOSIS_GRAY: "principal_diagnosis",
}


def _refused(
    code: str | None, procedures: Sequence[str], book: CatalogBook, method: GroupingMethod
) -> tuple[GroupingReason, tuple[tuple[str, str], ...]] | None:
    seen = (("principal_diagnosis", code or ""),)
    if not code:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_MISSING, seen
    gray = book.tables.diagnoses.get(code)
    if gray is None:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_UNKNOWN, seen
    if gray and method.gray_principal is GrayPrincipal.UNGROUPED:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_GRAY, seen
    if code in book.edition.lists.principals:
        return GroupingReason.PRINCIPAL_DIAGNOSIS_EXCLUDED, seen
    if method.unsound_procedure is UnsoundProcedure.UNGROUPED:
        unknown, grays = _unsound(procedures, book)
        if unknown:
            return GroupingReason.PROCEDURE_UNKNOWN, (*seen, ("procedures", " ".join(unknown)))
        if grays:
            return GroupingReason.PROCEDURE_GRAY, (*seen, ("procedures", " ".join(grays)))
    return None


def _unsound(procedures: Sequence[str], book: CatalogBook) -> tuple[list[str], list[str]]:
    known = book.tables.procedures
    return [one for one in procedures if one not in known], [
        one for one in procedures if one in known and known[one].is_gray
    ]


class _Search:
    """The search for one case (一次入组过程), collecting its working and the candidates it passes over."""

    def __init__(
        self,
        case: InpatientCase,
        code: str,
        coded: tuple[str, ...],
        procedures: tuple[str, ...],
        book: CatalogBook,
        method: GroupingMethod,
        means: Mapping[str, int],
    ) -> None:
        self._case_id = case.case_id
        self._procedures = procedures
        self._book = book
        self._opened = book.opened(method)
        self._method = self._opened.method
        self._keys = tuple(key for _, key in diagnosis_keys(code))
        self._rejected: list[RejectedCandidate] = []
        highest = max((CLASS_RANK[one] for p in procedures if (one := book.procedure_class(p)) is not None), default=0)
        self._view = CaseView(procedures, highest, case.cost_fen, means)
        layered = self._opened.layered
        self._case = CaseConditions(
            procedures,
            secondary_keys([one for one in case.other_diagnoses if one in book.tables.diagnoses])
            if layered
            else frozenset(),
            case.facts if layered else {},
            comprehensive_class(procedures, book, self._method) if layered else None,
        )
        values = (("principal_diagnosis", code), ("keys", " > ".join(self._keys)), ("procedures", " ".join(coded)))
        self._steps = [
            Step(
                "grouping.diagnosis_keys",
                "按全码、4 位、3 位依次查找病种。",
                "Look up by full code, subcategory, category.",
                values,
            )
        ]
        if procedures != coded:
            self._steps.append(
                Step(
                    "grouping.edition_lists",
                    "按目录附表确定有效手术操作：不可作主要者让位，按保守治疗者不计。",
                    "The edition's lists decide which procedures count: some give way as the main one, some count for nothing.",
                    (("coded", " ".join(coded)), ("effective", " ".join(procedures))),
                )
            )
        unknown, grays = _unsound(coded, book)
        if unknown or grays:
            self._steps.append(
                Step(
                    "grouping.unsound_procedures",
                    "手术操作为灰码或不在代码表内，政策允许照常入组。",
                    "Gray procedures, or such that no table knows; policy lets the case be grouped.",
                    (("unknown", " ".join(unknown)), ("gray", " ".join(grays))),
                )
            )

    def run(self) -> GroupingOutcome:
        group, reason = self._choose()
        self._reject_the_rest(group, reason)
        values = (("group_code", group.group_code), ("diagnosis_key", group.diagnosis)) if group else ()
        if group is not None and group.layer is not GroupLayer.BASIC:
            values = (*values, ("layer", group.layer.value))
        self._steps.append(Step(f"grouping.{reason.value}", reason.zh, reason.en, values))
        return GroupingOutcome(self._case_id, group, reason, tuple(self._steps), tuple(self._rejected))

    def _choose(self) -> tuple[DiseaseGroup | None, GroupingReason]:
        for rank, layer in enumerate(LAYER_ORDER):
            if (layer is GroupLayer.BASIC and not self._procedures) or (
                layer is not GroupLayer.BASIC and not self._opened.layered
            ):
                continue
            found, undecided = self._of_layer(rank)
            if found:
                return self._best(found), MATCHED[layer]
            if undecided:
                facts = sorted({band.fact.value for one in undecided for band in one.unknown})
                groups = sorted(one.asked.group.group_code for one in undecided)
                self._steps.append(
                    Step(
                        "grouping.facts_missing",
                        f"{LAYER_ZH[layer]}病种的其余条件均符合，缺少病例事实。",
                        "Every other condition of these groups holds; a fact of the case is missing.",
                        (("facts", " ".join(facts)), ("groups", " ".join(groups))),
                    )
                )
                return None, GroupingReason.CASE_FACT_MISSING
        if not self._procedures or self._method.conservative_match is ConservativeMatch.FALLBACK:
            for key in self._keys:
                conservative = self._book.conservative(key)
                if conservative is not None:
                    fallen = GroupingReason.CONSERVATIVE_FALLBACK
                    return conservative, fallen if self._procedures else GroupingReason.CONSERVATIVE_MATCHED
        return self._comprehensive()

    def _of_layer(self, rank: int) -> tuple[list[AskedGroup], list[Judged]]:
        """The groups of a layer that take the case at the most specific key, and those that only a missing fact keeps back."""
        undecided: list[Judged] = []
        for offered in (*map(self._opened.operative, self._keys), self._opened.of_any_diagnosis()):
            judged = [judge(asked, self._case) for asked in offered if asked.layer_rank == rank]
            met = [one.asked for one in judged if one.met]
            if met:
                return met, []
            undecided += [one for one in judged if one.undecided]
        return [], undecided

    def _best(self, matching: list[AskedGroup]) -> DiseaseGroup:
        ranked = sorted(
            ((preference_of(one, self._view, self._method), one.group) for one in matching),
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
                    f"同样匹配，但{COMPARATOR_ZH[name]}({name})，让位于 {best.group_code}。",
                    f"Matches too, but yields to {best.group_code} by {name}.",
                )
            )
        merged = best.layer is GroupLayer.MERGED
        order = ", ".join(name for name, _ in answers if merged or name != "related_first")
        matched = " ".join(sorted(one.group.group_code for one in matching))
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
        if any(self._opened.operative(key) or self._book.conservative(key) for key in self._keys) or any(
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
            for asked in self._opened.operative(key):
                self._operative_rejected(asked, chosen, done)
            conservative = self._book.conservative(key)
            if conservative is not None and conservative.group_code not in done:
                self._rejected.append(self._conservative_rejected(conservative, reason))
            for procedure_class, group in sorted(self._book.comprehensive(key).items()):
                if group.group_code not in done:
                    self._rejected.append(_comprehensive_rejected(group, procedure_class, wanted, reason))
        for asked in self._opened.of_any_diagnosis():
            self._operative_rejected(asked, chosen, done)

    def _operative_rejected(self, asked: AskedGroup, chosen: DiseaseGroup | None, done: set[str]) -> None:
        if asked.group.group_code in done:
            return
        done.add(asked.group.group_code)
        judged = judge(asked, self._case)
        if not judged.met:
            self._rejected.append(rejection(judged, self._case))
        elif chosen is not None and chosen.layer is not asked.group.layer:
            zh = LAYER_ZH[chosen.layer]
            self._rejected.append(
                RejectedCandidate(
                    asked.group,
                    RejectionCause.EARLIER_LAYER,
                    f"也符合条件，但{zh}先于本层，病例已入组。",
                    f"Would match too, but the layer {chosen.layer.value} comes first and took the case.",
                )
            )
        else:
            self._rejected.append(_more_general(asked.group))

    def _conservative_rejected(self, group: DiseaseGroup, reason: GroupingReason) -> RejectedCandidate:
        if reason in _LAYERED:
            return RejectedCandidate(
                group,
                RejectionCause.EARLIER_LAYER,
                "更早的分组层级已收入该病例。",
                "A layer that is tried earlier took the case.",
            )
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


_LAYERED = frozenset((GroupingReason.PRIORITY_MATCHED, GroupingReason.MERGED_MATCHED, GroupingReason.AUXILIARY_MATCHED))


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
