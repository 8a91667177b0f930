"""The synthetic province before its first case (合成省): tenants, hospitals, code tables, policy values."""

from __future__ import annotations

import datetime as dt

from fenzhi.cli.synthetic.demo_policies import INSURANCE_OF, POLICY_FROM, demo_policies
from fenzhi.cli.synthetic.diagnosis_codes import diagnosis_codes
from fenzhi.cli.synthetic.plan import (
    AgreementPlan,
    CityPlan,
    CoefficientPlan,
    CountyPlan,
    DiagnosisPlan,
    DocumentPlan,
    HospitalPlan,
    ProcedurePlan,
    ProvincePlan,
)
from fenzhi.cli.synthetic.procedure_codes import procedure_codes

HISTORY_YEARS = (2022, 2023, 2024)
SETTLEMENT_YEAR = 2025
_NUMERALS = "甲乙丙丁戊己庚辛壬癸"
_LEVEL_NAMES = {"tertiary": "中心医院", "secondary": "人民医院", "primary": "卫生院"}
_COEFFICIENTS = {
    "tertiary": {"employee": 11000, "resident": 10800},
    "secondary": {"employee": 10000, "resident": 10000},
    "primary": {"employee": 8500, "resident": 8600},
}
_AGREED_UNTIL = dt.date(2030, 12, 31)


def synthetic_province(seed: int, cities: int = 2, counties: int = 4, hospitals: int = 24) -> ProvincePlan:
    """A province invented from a seed (合成省方案); nothing in it exists.

    A fifth of the hospitals are tertiary and hang under their city, two fifths are secondary and the rest primary, under
    the counties. The last hospital has an agreement for employees only. Raises: ValueError unless 1 ≤ cities ≤ 10,
    cities ≤ counties ≤ 10 × cities, hospitals ≥ 5.
    """
    if not (1 <= cities <= 10 and cities <= counties <= 10 * cities and hospitals >= 5):
        raise ValueError("a synthetic province has 1–10 cities, each with 1–10 counties, and at least 5 hospitals")
    city_plans = tuple(CityPlan(f"99{number + 1:02d}00", f"合成{_NUMERALS[number]}市") for number in range(cities))
    county_plans = tuple(
        CountyPlan(
            f"{city_plans[number % cities].code[:4]}{21 + number // cities}",
            f"合成{_NUMERALS[number % cities]}市{_NUMERALS[number // cities]}县",
            city_plans[number % cities].code,
        )
        for number in range(counties)
    )
    return ProvincePlan(
        code="990000",
        name="合成省（合成数据）",
        is_synthetic=True,
        seed=seed,
        cities=city_plans,
        counties=county_plans,
        hospitals=tuple(_hospital(number, hospitals, seed, city_plans, county_plans) for number in range(hospitals)),
        codes_version="2.0-synthetic",
        codes_from=POLICY_FROM,
        codes_document=DocumentPlan("合成省编码表（构造文件：名称为真实编码，类别与灰码为构造）", POLICY_FROM),
        diagnoses=tuple(DiagnosisPlan(row.code, row.name, row.is_gray) for row in diagnosis_codes().values()),
        procedures=tuple(
            ProcedurePlan(row.code, row.name, row.procedure_class, row.is_gray) for row in procedure_codes().values()
        ),
        policies=demo_policies(),
        history_years=HISTORY_YEARS,
        settlement_year=SETTLEMENT_YEAR,
    )


def _hospital(
    number: int, hospitals: int, seed: int, cities: tuple[CityPlan, ...], counties: tuple[CountyPlan, ...]
) -> HospitalPlan:
    tertiary, secondary = (hospitals + 2) // 5, (2 * hospitals + 2) // 5
    level = "tertiary" if number < tertiary else "secondary" if number < tertiary + secondary else "primary"
    if level == "tertiary":
        city, county = cities[number % len(cities)], None
        place = city.name
    else:
        county = counties[number % len(counties)]
        city = next(row for row in cities if row.code == county.city_code)
        place = county.name
    # A spread of at most ± 0.0300 around the level, by the seed, so that hospitals of a level differ.
    spread = (seed * 31 + number * 17) % 7 * 100 - 300
    insurances = tuple(INSURANCE_OF.values())
    agreed = insurances if number < hospitals - 1 else insurances[:1]
    return HospitalPlan(
        code=f"H{county.code if county else city.code}{number + 1:05d}",
        name=f"{place}第{number + 1:02d}{_LEVEL_NAMES[level]}（合成）",
        city_code=city.code,
        county_code=county.code if county else None,
        level=level,
        standing_from=POLICY_FROM,
        coefficients=tuple(
            CoefficientPlan(insurance, _four_places(units + spread), POLICY_FROM)
            for insurance, units in _COEFFICIENTS[level].items()
        ),
        agreements=tuple(AgreementPlan(insurance, POLICY_FROM, _AGREED_UNTIL) for insurance in agreed),
    )


def _four_places(units: int) -> str:
    return f"{units // 10000}.{units % 10000:04d}"
