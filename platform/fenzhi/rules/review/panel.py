"""The draw of experts (专家抽取): by lot, but a lot that anyone can draw again.

The seed is a digest made from things nobody chooses alone, such as the case and a number published after the deadline.
From it each expert receives a place by hashing; the first free places form the panel. Whoever has the seed and the list
of experts can repeat the draw. A draw repeated for a recusal takes the next place and is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from fenzhi.rules.refusals import Conflict


class TooFewExperts(Conflict):
    """Fewer experts without a conflict of interest than a panel needs (可抽取专家不足)."""

    code = "TOO_FEW_EXPERTS"


class NotOnPanel(Conflict):
    """A recusal of somebody who was not drawn (不在抽取名单)."""

    code = "NOT_ON_PANEL"


@dataclass(frozen=True, slots=True)
class Expert:
    """An expert of the area's list (专家). `recused_from`: hospitals the expert may not judge, own ones included."""

    expert_id: str
    hospital: str
    specialties: frozenset[str]
    recused_from: frozenset[str] = frozenset()

    def may_judge(self, hospital: str, specialty: str) -> bool:
        """Whether nothing stands against hearing a case (是否可以参评)."""
        return hospital != self.hospital and hospital not in self.recused_from and specialty in self.specialties


@dataclass(frozen=True, slots=True)
class Drawn:
    """One line of the log of a draw (抽取记录): the place, who, and why the one drawn before left."""

    place: int
    expert_id: str
    redraw_of: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel with the log that led to it (专家组): `members` in order of their place."""

    seed: str
    members: tuple[str, ...]
    log: tuple[Drawn, ...]


def order_of(seed: str, expert_ids: Sequence[str]) -> list[str]:
    """All experts in the order of their lot (抽取次序): by SHA-256 of seed and id, ties by id in bytes order.

    Independent of the order in which the list is kept.
    """
    return sorted(expert_ids, key=lambda one: (sha256(f"{seed}\n{one}".encode()).digest(), one))


def draw_panel(seed: str, experts: Sequence[Expert], *, size: int, hospital: str, specialty: str) -> Panel:
    """The panel of one case (抽取专家组). Policy: special_case.panel_size. Raises: TooFewExperts; ValueError for an even size.

    `seed` is a digest passed in: rules have no randomness of their own.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError("a panel has an odd number of members")
    order = _free(seed, experts, hospital, specialty)
    _enough(order, size)
    members = tuple(order[:size])
    return Panel(seed, members, tuple(Drawn(place, member) for place, member in enumerate(members, start=1)))


def redraw(
    panel: Panel, experts: Sequence[Expert], *, leaving: str, reason: str, hospital: str, specialty: str
) -> Panel:
    """The panel after a member left for a reason (回避后重抽): the next lot that was never drawn takes the place.

    Raises: NotOnPanel; TooFewExperts; ValueError without a reason.
    """
    if leaving not in panel.members:
        raise NotOnPanel(f"专家 {leaving} 不在本次专家组中。", f"Expert {leaving} is not on the panel.", expert=leaving)
    if not reason.strip():
        raise ValueError("a recusal has a reason")
    drawn = {line.expert_id for line in panel.log}
    free = [one for one in _free(panel.seed, experts, hospital, specialty) if one not in drawn]
    _enough(free, 1)
    members = tuple(free[0] if one == leaving else one for one in panel.members)
    line = Drawn(len(panel.log) + 1, free[0], leaving, reason)
    return Panel(panel.seed, members, (*panel.log, line))


def workload(panels: Sequence[Panel]) -> dict[str, int]:
    """How many panels each expert sat on (专家工作量), in bytes order of id."""
    counts: dict[str, int] = {}
    for panel in panels:
        for member in panel.members:
            counts[member] = counts.get(member, 0) + 1
    return dict(sorted(counts.items()))


def consistency(votes: Sequence[Mapping[str, bool]], outcomes: Sequence[bool]) -> dict[str, tuple[int, int]]:
    """How often each expert voted as the panel decided (专家一致率): pairs of agreed and votes.

    Shape: one mapping of votes and one outcome a case, in the same order.
    """
    found: dict[str, tuple[int, int]] = {}
    for vote, outcome in zip(votes, outcomes, strict=True):
        for expert, said in vote.items():
            agreed, cast = found.get(expert, (0, 0))
            found[expert] = (agreed + (said == outcome), cast + 1)
    return dict(sorted(found.items()))


def _free(seed: str, experts: Sequence[Expert], hospital: str, specialty: str) -> list[str]:
    return order_of(seed, [one.expert_id for one in experts if one.may_judge(hospital, specialty)])


def _enough(order: Sequence[str], size: int) -> None:
    if len(order) < size:
        raise TooFewExperts(
            f"无利害关系的专家只有 {len(order)} 名，不足 {size} 名。",
            f"Only {len(order)} experts without a conflict of interest; {size} are needed.",
            found=str(len(order)),
            needed=str(size),
        )
