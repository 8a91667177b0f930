"""What makes one matching group better than another (择优比较): the named comparators, smaller is better.

Nearest cost and highest score are used by cities and can be played with; they are comparators like any other, and the group code in byte
order ends every list, so that the order of input never decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fenzhi.rules.catalog.disease_group import CLASS_RANK, DiseaseGroup, GroupKind, ProcedureClass
from fenzhi.rules.catalog.group_conditions import LAYER_ORDER
from fenzhi.rules.grouping.grouping_method import GroupingMethod, TieBreak
from fenzhi.rules.grouping.opened_book import AskedGroup

FAR = (1 << 62) - 1
"""Distance of a group whose mean nobody knows (无均费时的距离). Units: fen."""


@dataclass(frozen=True, slots=True)
class CaseView:
    """What the comparators see of a case (择优所见病例). `means`: whole fen per group code, rounded half up once."""

    procedures: tuple[str, ...] = ()
    highest_rank: int = 0
    cost_fen: int | None = None
    means: Mapping[str, int] = field(default_factory=dict)


def _matched(asked: AskedGroup, view: CaseView) -> int:
    named = frozenset().union(*asked.parts) if asked.parts else frozenset[str]()
    return len(named.intersection(view.procedures))


def _distance(asked: AskedGroup, view: CaseView) -> int:
    mean = view.means.get(asked.group.group_code)
    return FAR if mean is None or view.cost_fen is None else abs(view.cost_fen - mean)


def ladder_rank(asked: AskedGroup) -> int:
    """Core before comprehensive, surgical before therapeutic, diagnostic and conservative, grass-roots last of its class (类型阶梯)."""
    core = asked.group.kind is GroupKind.CORE
    heaviest = CLASS_RANK[ProcedureClass.SURGICAL]
    return (0 if core else 8) + 2 * (heaviest - asked.class_rank) + int(asked.group.grassroots)


COMPARATORS: Mapping[TieBreak, Callable[[AskedGroup, CaseView], object]] = {
    TieBreak.MOST_PARTS: lambda asked, _: -asked.asks,
    TieBreak.MOST_MATCHED: lambda asked, view: -_matched(asked, view),
    TieBreak.MAIN_MATCHED: lambda asked, view: 0 if not asked.main.isdisjoint(view.procedures[:1]) else 1,
    TieBreak.HIGHER_SCORE: lambda asked, _: -asked.group.score,
    TieBreak.CORE_FIRST: lambda asked, _: 0 if asked.group.kind is GroupKind.CORE else 1,
    TieBreak.NEAREST_COST: _distance,
    TieBreak.COMPLETE_MATCH: lambda asked, view: 0 if _matched(asked, view) == len(view.procedures) else 1,
    TieBreak.FULL_CODE: lambda asked, view: -len(asked.listed.intersection(view.procedures)),
    TieBreak.CLASS_LADDER: lambda asked, _: ladder_rank(asked),
    TieBreak.CLASS_MATCHED: lambda asked, view: 0 if asked.class_rank == view.highest_rank else 1,
}

COMPARATOR_ZH: Mapping[str, str] = {
    "related_first": "未列相关手术操作",
    "most_parts": "组合项较少",
    "most_matched": "匹配的手术操作较少",
    "main_matched": "主要手术操作不符",
    "higher_score": "分值较低",
    "core_first": "不是核心病种",
    "nearest_cost": "次均费用相差较大",
    "complete_match": "有多余手术操作",
    "full_code": "全码匹配较少",
    "class_ladder": "病种类型靠后",
    "class_matched": "诊疗方式与病例最高类别不符",
    "group_code": "编码在后",
}


def preference_of(asked: AskedGroup, view: CaseView, method: GroupingMethod) -> tuple[tuple[str, object], ...]:
    """The comparators' answers in their order (择优比较值), the rule of the merged layer first, the group code last."""
    named: list[tuple[str, object]] = [("related_first", 0 if asked.related_first else 1)]
    named += [(name.value, COMPARATORS[name](asked, view)) for name in method.tie_break]
    return (*named, ("group_code", asked.group.group_code.encode()))


def plainly_asked(group: DiseaseGroup) -> AskedGroup:
    """A group as its text reads, codes exact, every part asked for (按原文)."""
    listed = frozenset(code for part in group.parts for code in part)
    return AskedGroup(
        group,
        LAYER_ORDER.index(group.layer),
        tuple(frozenset(part) for part in group.parts),
        frozenset(code for part in group.main_procedures for code in part),
        False,
        listed,
        (),
        group.conditions.facts,
        None,
        CLASS_RANK[group.procedure_class] if group.procedure_class else 0,
    )


def preference(
    group: DiseaseGroup, procedures: Sequence[str], method: GroupingMethod
) -> tuple[tuple[str, object], ...]:
    """The comparators' answers for a group as its text reads (按原文的择优比较值)."""
    return preference_of(plainly_asked(group), CaseView(tuple(procedures)), method)
