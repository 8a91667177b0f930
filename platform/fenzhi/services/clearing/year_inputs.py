"""What a run of the year reads besides cases (年内其他依据): opening balances, receivables, advances, assessments, baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from fenzhi.rules.clearing.assessment import AssessmentPlace
from fenzhi.rules.clearing.deposit_release import policy_release_share
from fenzhi.rules.clearing.offsets import Receivable
from fenzhi.rules.fund.ledger import CARRIED, KEPT_BACK
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict
from fenzhi.store.repositories import clearing, year
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork


class AssessmentNotEntered(Conflict):
    """Hospitals of an annual run whose assessment nobody entered and approved (考核结果未录入)."""

    code = "ASSESSMENT_NOT_ENTERED"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the assessment gave one hospital (考核结果)."""

    coefficient: Fraction
    score: Fraction | None
    grade: str


@dataclass(frozen=True)
class YearInputs:
    """What stands beside the cases of a quarter or a year (年内其他依据). Units: fen, by hospital id; points whole."""

    openings: Mapping[str, int] = field(default_factory=dict)
    """What an account of the pool holds before the first run of the year, credit positive."""
    kept_back: Mapping[str, int] = field(default_factory=dict)
    """What reserve, adjustment and risk hold: opening balance and what the budget set aside."""
    receivables: Mapping[int, tuple[Receivable, ...]] = field(default_factory=dict)
    offset_earlier: Mapping[int, int] = field(default_factory=dict)
    """Taken by the year's earlier published runs."""
    assessments: Mapping[int, Assessment] = field(default_factory=dict)
    advances: Mapping[int, int] = field(default_factory=dict)
    baselines: Mapping[int, Fraction] = field(default_factory=dict)

    def described(self, codes: Mapping[int, str]) -> dict[str, Any]:
        """For the manifest, in a fixed order (清单内容)."""
        return {
            "openings": sorted(self.openings.items()),
            "kept_back": sorted(self.kept_back.items()),
            "receivables": sorted(
                [codes[hospital], one.receivable_id, one.since.isoformat(), one.open_fen]
                for hospital, found in self.receivables.items()
                for one in found
            ),
            "offset_earlier": sorted([codes[hospital], fen] for hospital, fen in self.offset_earlier.items()),
            "assessments": sorted(
                [codes[hospital], str(one.coefficient), "" if one.score is None else str(one.score), one.grade]
                for hospital, one in self.assessments.items()
            ),
            "advances": sorted([codes[hospital], fen] for hospital, fen in self.advances.items()),
            "baselines": sorted([codes[hospital], str(points)] for hospital, points in self.baselines.items()),
        }

    def coefficient(self, hospital: int, place: AssessmentPlace) -> Fraction:
        """The coefficient of one hospital, 1 where the assessment acts at the deposit (考核系数)."""
        if place is AssessmentPlace.DEPOSIT:
            return Fraction(1)
        return self.assessments[hospital].coefficient

    def release(self, hospital: int, place: AssessmentPlace, policy: ResolvedPolicy) -> Fraction:
        """The share of the deposit that returns to one hospital (保证金返还比例). Raises: as `policy_release_share`."""
        if place is not AssessmentPlace.DEPOSIT:
            return Fraction(1)
        one = self.assessments[hospital]
        return policy_release_share(policy, one.score, one.grade)


def read_described(described: Mapping[str, Any], ids: Mapping[str, int]) -> YearInputs:
    """The inputs a manifest describes, read again (由清单还原); the reverse of `described`. Raises: KeyError for a hospital not of the area."""
    receivables: dict[int, tuple[Receivable, ...]] = {}
    for code, number, since, open_fen in described["receivables"]:
        one = Receivable(number, date.fromisoformat(since), open_fen)
        receivables[ids[code]] = (*receivables.get(ids[code], ()), one)
    return YearInputs(
        openings=dict(described["openings"]),
        kept_back=dict(described["kept_back"]),
        receivables=receivables,
        offset_earlier={ids[code]: fen for code, fen in described["offset_earlier"]},
        assessments={
            ids[code]: Assessment(Fraction(coefficient), Fraction(score) if score else None, grade)
            for code, coefficient, score, grade in described["assessments"]
        },
        advances={ids[code]: fen for code, fen in described["advances"]},
        baselines={ids[code]: Fraction(points) for code, points in described["baselines"]},
    )


async def load_year_inputs(uow: UnitOfWork, pool: Pool, *, with_year: bool) -> YearInputs:
    """Read what stands beside the cases (读取年内其他依据). `with_year`: of the annual run as well, assessments and advances."""
    opened = _held(await clearing.books(uow, pool, sources=("opening",)))
    kept = _held(await clearing.books(uow, pool, sources=("opening", "budget", "inter_area")))
    receivables: dict[int, list[Receivable]] = {}
    earlier: dict[int, int] = {}
    for row in await year.open_receivables(uow, pool):
        left = row.amount_fen - int(row.this_year_fen) - int(row.otherwise_fen)
        if left:
            receivables.setdefault(row.hospital_id, []).append(Receivable(str(row.receivable_id), row.since, left))
        if row.this_year_fen:
            earlier[row.hospital_id] = earlier.get(row.hospital_id, 0) + int(row.this_year_fen)
    baselines = {r.hospital_id: Fraction(r.points) for r in await year.approved_of_pool(uow, "VolumeBaseline", pool)}
    found: dict[int, Assessment] = {}
    advances: Mapping[int, int] = {}
    if with_year:
        for row in await year.approved_of_pool(uow, "AssessmentResult", pool):
            score = None if row.score is None else Fraction(row.score)
            found[row.hospital_id] = Assessment(Fraction(row.coefficient), score, row.grade)
        advances = await year.advances_of_pool(uow, pool)
    kept_names = {account.value for account in KEPT_BACK}
    carried = {account.value for account in CARRIED} - kept_names
    return YearInputs(
        {name: fen for name, fen in opened.items() if name in carried},
        {name: fen for name, fen in kept.items() if name in kept_names},
        {hospital: tuple(some) for hospital, some in receivables.items()},
        earlier,
        found,
        advances,
        baselines,
    )


def _held(rows: Any) -> dict[str, int]:
    """What the pool's own accounts hold, credit positive."""
    return {row.account: -int(row.amount_fen) for row in rows if row.hospital_id is None and row.amount_fen}


def refuse_unassessed(inputs: YearInputs, hospitals: Mapping[str, int]) -> None:
    """An annual run reads the assessment of every hospital in it: none is assumed (考核结果齐全). Raises: AssessmentNotEntered."""
    missing = sorted(code for code, number in hospitals.items() if number not in inputs.assessments)
    if missing:
        raise AssessmentNotEntered(
            f"{len(missing)} 家机构没有已审批的年度考核结果：{'、'.join(missing[:10])}。",
            f"{len(missing)} hospitals have no approved assessment of the year: {', '.join(missing[:10])}.",
            hint="录入考核结果并由另一人审批 / enter the assessments and have them approved by another person",
        )
