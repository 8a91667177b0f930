"""Synthetic discharges (合成病例): who lay where, why, how long and at what cost.

Costs are log-normal around what is usual for a diagnosis, its procedures and the hospital's level; a few are far off.
All chance comes from one `random.Random`, so the same seed gives the same discharges, one after another, in constant
memory.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from fenzhi.cli.synthetic.demo_policies import BASIC_FUND_OF, INSURANCE_OF
from fenzhi.cli.synthetic.diagnosis_codes import SyntheticDiagnosis, diagnosis_codes
from fenzhi.cli.synthetic.plan import HospitalPlan, ProvincePlan
from fenzhi.cli.synthetic.procedure_codes import procedure_codes

_CASES_OF_LEVEL = {"tertiary": 50, "secondary": 22, "primary": 9}
_COST_PERMILLE = {"tertiary": 1180, "secondary": 1000, "primary": 780}
_COMPANIONS = (
    "I10.x00",
    "E11.900",
    "I25.100",
    "J44.000",
    "E87.600",
    "K29.500",
    "N18.500",
    "I63.900",
    "M47.800",
    "D50.900",
)
_MINOR_PROCEDURES = ("88.7200", "87.0300", "93.9400", "96.0700", "57.9400", "96.0400", "93.3900", "03.3100")
_FEMALE = ("C53", "C56", "D25", "D27", "N80", "N84", "N92", "O")
_MALE = ("C61", "N40", "N43", "S99")
_PRIMARY_LIMIT_YUAN = 8000
_OTHER_FUND_OF = {"employee": "330100", "resident": "390200"}
_DEDUCTIBLE_FEN = {"tertiary": 90_000, "secondary": 50_000, "primary": 20_000}
_REIMBURSED_PERMILLE = {
    ("employee", "tertiary"): 850,
    ("employee", "secondary"): 880,
    ("employee", "primary"): 920,
    ("resident", "tertiary"): 620,
    ("resident", "secondary"): 720,
    ("resident", "primary"): 850,
}
_OTHER_FUND_FROM_FEN = 3_000_000


class Discharge(NamedTuple):
    """One synthetic discharge (一次出院). Units: amounts in fen."""

    hospital: HospitalPlan
    insurance_type: str
    sex: str
    birth_date: dt.date
    admission_date: dt.date
    discharge_date: dt.date
    diagnoses: tuple[str, ...]
    procedures: tuple[str, ...]
    total_fen: int
    payments: tuple[tuple[str, int], ...]
    """`fund_pay_type` and amount, the basic fund first."""
    account_fen: int
    cash_fen: int


class DischargeMaker:
    """Draws discharges one after another (病例生成器)."""

    def __init__(self, plan: ProvincePlan, chance: random.Random) -> None:
        self.chance = chance
        self.hospitals = plan.hospitals
        self.hospital_weights = list(accumulate(_CASES_OF_LEVEL[hospital.level] for hospital in plan.hospitals))
        usual = [row for row in diagnosis_codes().values() if not row.is_gray]
        self.pools = {
            "tertiary": _Pool(usual),
            "secondary": _Pool(usual),
            "primary": _Pool([row for row in usual if row.base_yuan <= _PRIMARY_LIMIT_YUAN]),
        }
        self.gray = [row.code for row in diagnosis_codes().values() if row.is_gray]

    def draw(self, discharged: dt.date) -> Discharge:
        """A discharge on a day (某日一例出院)."""
        chance = self.chance
        hospital = chance.choices(self.hospitals, cum_weights=self.hospital_weights)[0]
        diagnosis = self.pools[hospital.level].draw(chance)
        insurance_type = "310" if chance.random() < 0.6 else "390"
        if not any(term.insurance == INSURANCE_OF[insurance_type] for term in hospital.agreements):
            insurance_type = "310"
        procedures = self._procedures(diagnosis, hospital)
        stay = max(1, round(diagnosis.days * chance.lognormvariate(-0.03, 0.25)) + len(procedures))
        admitted = discharged - dt.timedelta(days=stay)
        total = self._cost(diagnosis, procedures, hospital, discharged.year)
        return self._paid(
            Discharge(
                hospital=hospital,
                insurance_type=insurance_type,
                sex=self._sex(diagnosis.code),
                birth_date=self._birth(diagnosis, admitted),
                admission_date=admitted,
                discharge_date=discharged,
                diagnoses=(diagnosis.code, *self._companions(diagnosis.code)),
                procedures=procedures,
                total_fen=total,
                payments=(),
                account_fen=0,
                cash_fen=0,
            )
        )

    def _procedures(self, diagnosis: SyntheticDiagnosis, hospital: HospitalPlan) -> tuple[str, ...]:
        chosen: tuple[str, ...] = ()
        drawn = self.chance.randrange(1000)
        for choice in diagnosis.choices:
            drawn -= choice.permille
            if drawn < 0:
                chosen = choice.procedures
                break
        known = procedure_codes()
        if hospital.level == "primary" and sum(known[code].extra_yuan for code in chosen) > _PRIMARY_LIMIT_YUAN:
            chosen = ()
        if self.chance.random() < 0.03:
            extra = self.chance.choice(_MINOR_PROCEDURES)
            chosen = chosen if extra in chosen else (*chosen, extra)
        return chosen

    def _companions(self, principal: str) -> tuple[str, ...]:
        count = self.chance.choices((0, 1, 2, 3), cum_weights=(25, 60, 85, 100))[0]
        drawn = dict.fromkeys(self.chance.choices(_COMPANIONS, k=count))
        if self.chance.random() < 0.02:
            drawn[self.chance.choice(self.gray)] = None
        drawn.pop(principal, None)
        return tuple(drawn)

    def _sex(self, code: str) -> str:
        if code.startswith(_FEMALE):
            return "2"
        if code.startswith(_MALE):
            return "1"
        return "1" if self.chance.random() < 0.52 else "2"

    def _birth(self, diagnosis: SyntheticDiagnosis, admitted: dt.date) -> dt.date:
        if diagnosis.oldest == 0:
            return admitted - dt.timedelta(days=self.chance.randrange(0, 20))
        days = self.chance.randrange(diagnosis.youngest * 366, diagnosis.oldest * 365 + 200)
        return admitted - dt.timedelta(days=days)

    def _cost(
        self, diagnosis: SyntheticDiagnosis, procedures: tuple[str, ...], hospital: HospitalPlan, year: int
    ) -> int:
        known = procedure_codes()
        usual_yuan = diagnosis.base_yuan + sum(known[code].extra_yuan for code in procedures)
        usual_fen = usual_yuan * _COST_PERMILLE[hospital.level] // 10 * (100 + 3 * (year - 2022)) // 100
        factor = self.chance.lognormvariate(-0.045, 0.30)
        odd = self.chance.random()
        if odd < 0.012:
            factor *= 2.8
        elif odd < 0.016:
            factor *= 6
        elif odd < 0.03:
            factor *= 0.35
        return max(10_000, round(usual_fen * factor))

    def _paid(self, discharge: Discharge) -> Discharge:
        """Who paid what: whole fen, each share floored, cash takes the remainder (支付构成)."""
        insurance, level = INSURANCE_OF[discharge.insurance_type], discharge.hospital.level
        total = discharge.total_fen
        eligible = total * self.chance.randrange(850, 980) // 1000
        basic = max(0, eligible - _DEDUCTIBLE_FEN[level]) * _REIMBURSED_PERMILLE[insurance, level] // 1000
        payments = [(BASIC_FUND_OF[insurance], basic)]
        left = total - basic
        if left > _OTHER_FUND_FROM_FEN // 3 and total > _OTHER_FUND_FROM_FEN:
            other = left * 350 // 1000
            payments.append((_OTHER_FUND_OF[insurance], other))
            left -= other
        account = min(left * 300 // 1000, 300_000) if insurance == "employee" else 0
        return discharge._replace(payments=tuple(payments), account_fen=account, cash_fen=left - account)


class _Pool:
    """Diagnoses with their weights (诊断抽样池)."""

    def __init__(self, rows: list[SyntheticDiagnosis]) -> None:
        self.rows = rows
        self.weights = list(accumulate(row.weight for row in rows))

    def draw(self, chance: random.Random) -> SyntheticDiagnosis:
        return chance.choices(self.rows, cum_weights=self.weights)[0]


def discharges(
    plan: ProvincePlan, stream: str, cases: int, first_day: dt.date, last_day: dt.date
) -> Iterator[Discharge]:
    """`cases` discharges spread evenly over the days, in order of day (按日均匀分布的病例).

    `stream` names the use, so that history and lists of one seed do not repeat each other.
    """
    maker = DischargeMaker(plan, random.Random(f"{plan.seed}:{stream}:{first_day}:{last_day}:{cases}"))
    days = (last_day - first_day).days + 1
    for number in range(cases):
        yield maker.draw(first_day + dt.timedelta(days=number * days // cases))
