"""Rare diseases with several payers (罕见病多方支付): basic fund, major-illness fund and a special fund, one after another.

Each layer pays its rate of what the layers before it left, above its deductible and up to its cap. What nobody pays is
the patient's. The parts add up to the cost, to the fen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fenzhi.rules.quantities import exact_decimal, half_up
from fenzhi.rules.refusals import Conflict, InvariantBroken

PARTS_ADD_UP = "the payers' parts add up to the cost"


@dataclass(frozen=True, slots=True)
class PayerLayer:
    """One payer (支付方). Units: fen; `paid_this_year_fen` counts against the yearly cap; None is no cap."""

    payer: str
    rate: Fraction
    deductible_fen: int = 0
    cap_fen: int | None = None
    paid_this_year_fen: int = 0


@dataclass(frozen=True, slots=True)
class SharedPayment:
    """Who pays how much (多方支付结果). Units: fen. cost = Σ payers + patient."""

    cost_fen: int
    payers: tuple[tuple[str, int], ...]
    patient_fen: int


class LayersUnreadable(Conflict):
    """A row of the payers' table that does not read (罕见病支付方表无法识别)."""

    code = "RARE_DISEASE_UNREADABLE"


def payer_layers(rows: Iterable[Mapping[str, str]]) -> tuple[PayerLayer, ...]:
    """The payers of a table, in its order (读取罕见病支付方表).

    Policy: rare_disease.layers, columns payer, rate (0 to 1), deductible and cap in yuan of one case, a blank cap is none. Raises:
    LayersUnreadable, also for a payer named twice.
    """
    layers: list[PayerLayer] = []
    for row in rows:
        try:
            rate = Fraction(exact_decimal(row["rate"]))
            amounts = [
                half_up(Fraction(exact_decimal(text)) * 100) if (text := row[name]) else None
                for name in ("deductible", "cap")
            ]
            if not row["payer"] or not 0 <= rate <= 1 or min([0, *(one for one in amounts if one is not None)]) < 0:
                raise ValueError("a payer with a rate of 0 to 1 and amounts not below 0")
            if row["payer"] in {layer.payer for layer in layers}:
                raise ValueError("a payer pays one layer")
            layers.append(PayerLayer(row["payer"], rate, amounts[0] or 0, amounts[1]))
        except (ValueError, KeyError) as error:
            raise LayersUnreadable(
                f"罕见病支付方表第 {len(layers) + 1} 行无法识别：{dict(row)}。",
                f"Row {len(layers) + 1} of the table of rare-disease payers does not read: {dict(row)}.",
            ) from error
    return tuple(layers)


def share_among_payers(cost_fen: int, covered_fen: int, layers: Sequence[PayerLayer]) -> SharedPayment:
    """The parts of each payer in order (各方分担).

    Policy: rare_disease.layers. `covered_fen`: the part of the cost within scope; the rest is the patient's. Units: fen.
    Rounding: half up per payer, never above what is left. Raises: InvariantBroken; ValueError for a cover above the cost.

    >>> share_among_payers(100, 100, [PayerLayer("basic", Fraction(6, 10)), PayerLayer("major", Fraction(1, 2))]).patient_fen
    20
    """
    if not 0 <= covered_fen <= cost_fen:
        raise ValueError("what is covered lies between 0 and the cost")
    left = covered_fen
    parts: list[tuple[str, int]] = []
    for layer in layers:
        part = min(left, half_up(layer.rate * max(0, left - layer.deductible_fen)))
        if layer.cap_fen is not None:
            part = min(part, max(0, layer.cap_fen - layer.paid_this_year_fen))
        parts.append((layer.payer, part))
        left -= part
    shared = SharedPayment(cost_fen, tuple(parts), cost_fen - covered_fen + left)
    check_parts(shared)
    return shared


def check_parts(shared: SharedPayment) -> None:
    """cost = Σ payers + patient, nobody below 0 (各方之和等于总费用). Raises: InvariantBroken."""
    total = sum(part for _, part in shared.payers) + shared.patient_fen
    if total != shared.cost_fen or min([shared.patient_fen, *(part for _, part in shared.payers)]) < 0:
        raise InvariantBroken(PARTS_ADD_UP, unexplained_fen=shared.cost_fen - total)
