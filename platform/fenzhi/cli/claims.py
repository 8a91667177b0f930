"""Load a folder of public claims as a province (公开理赔数据装载): `make demo DATA=folder`.

The folder holds real code tables, an excerpt of a real catalog and public synthetic claims. What it lacks (insurance,
level, city, county, coefficient) is supplied here, the same for everyone: SHA-256 folds hospitals and patients, all
dates move by fifteen years. This mapping belongs to the demonstration and to nothing else. The loader judges nothing:
unmapped diagnoses, continuation segments and totals below zero are handed on, and the platform names them.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fenzhi.cli.synthetic.demo_policies import (
    BASIC_FUND_OF,
    INSURANCE_OF,
    POLICY_FROM,
    demo_policies,
)
from fenzhi.cli.synthetic.message import age_fields, diagnosis_rows, payment_rows, procedure_rows, wire_line
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
from fenzhi.rules.quantities import fen_from_yuan, yuan_from_fen

YEARS_MOVED = 15
HISTORY_SOURCE_YEARS = (2008, 2009)
LISTS_SOURCE_YEAR = 2010
HOSPITALS = 60
REMAINDER_FUND = "999997"
"""`fund_pay_type` under which the payer that the source leaves unnamed is submitted (其他支付方)."""

_CLAIMS = "discharges_desynpuf_dev.csv.gz"
_DIAGNOSES = "icd10_yb_diagnosis.csv.gz"
_PROCEDURES = "icd9cm3_yb_procedure.csv.gz"
_EXCERPT = "dip_catalog_excerpt_dev.csv"
_CLASSES = {"手术": "surgical", "介入治疗": "surgical", "治疗性操作": "therapeutic", "诊断性操作": "diagnostic"}
_LEVELS = ("tertiary",) * 12 + ("secondary",) * 24 + ("primary",) * 24
_COEFFICIENTS = {
    "tertiary": {"employee": "1.1000", "resident": "1.0800"},
    "secondary": {"employee": "1.0000", "resident": "1.0000"},
    "primary": {"employee": "0.8500", "resident": "0.8600"},
}
_LEVEL_NAMES = {"tertiary": "三级医院", "secondary": "二级医院", "primary": "一级医院"}
_CITIES = (CityPlan("980100", "演示甲市"), CityPlan("980200", "演示乙市"))
_COUNTIES = (
    CountyPlan("980121", "演示甲东县", "980100"),
    CountyPlan("980122", "演示甲西县", "980100"),
    CountyPlan("980221", "演示乙东县", "980200"),
    CountyPlan("980222", "演示乙西县", "980200"),
)


def claims_province(folder: Path) -> ProvincePlan:
    """The province of a folder of claims (理赔数据省份方案), with the real code tables and catalog excerpt.

    Procedure classes come from the derived `type_proxy`; interventions count as surgical, as the demo's policy says.
    Raises: FileNotFoundError when a file is not in the folder.
    """
    proxy = DocumentPlan(
        "公开编码表（医保版2.0）及其派生的操作类别（构造，非官方类别）", POLICY_FROM, part="type_proxy；介入治疗按手术"
    )
    return ProvincePlan(
        code="980000",
        name="演示省（公开理赔数据）",
        is_synthetic=False,
        seed=0,
        cities=_CITIES,
        counties=_COUNTIES,
        hospitals=tuple(_hospital(number) for number in range(HOSPITALS)),
        codes_version="2.0",
        codes_from=POLICY_FROM,
        codes_document=proxy,
        diagnoses=tuple(
            DiagnosisPlan(row["code"], row["name"], row["is_gray"] == "1") for row in _rows(folder / _DIAGNOSES)
        ),
        procedures=tuple(
            ProcedurePlan(row["code"], row["name"], _CLASSES[row["type_proxy"]], row["is_gray"] == "1")
            for row in _rows(folder / _PROCEDURES)
        ),
        policies=demo_policies(),
        history_years=tuple(year + YEARS_MOVED for year in HISTORY_SOURCE_YEARS),
        settlement_year=LISTS_SOURCE_YEAR + YEARS_MOVED,
        catalog_excerpt=(folder / _EXCERPT).read_text(encoding="utf-8"),
        catalog_excerpt_document=DocumentPlan("某市DIP 2.0目录（公开摘录）", POLICY_FROM, standing="secondary"),
        notice="公开的合成理赔数据，编码为机械映射，无临床意义 / public synthetic claims, codes mapped mechanically",
    )


def history(folder: Path) -> Iterator[dict[str, Any]]:
    """The discharges of the history years, one each (历史病例), every row of the source, usable or not.

    Shape: case_id, seg_no, fixmedins_code, insutype, year, dscg_time, los_days (the file's own), diag_codes (principal
    first), oprn_codes (main first), medfee_sumamt and fund_amt in yuan, raw_diag_codes (ICD-9-CM as in the source). An
    unmapped principal diagnosis stands first under its ICD-9 text; a row without diagnoses has none.
    """
    for row in _rows(folder / _CLAIMS):
        discharged = _moved(row["discharge_date"])
        if discharged.year - YEARS_MOVED not in HISTORY_SOURCE_YEARS:
            continue
        yield {
            "case_id": _list_id(row),
            "seg_no": int(row["segment"]),
            "fixmedins_code": hospital_code(row["hospital_id"]),
            "insutype": insurance_type(row["patient_id"]),
            "year": discharged.year,
            "dscg_time": discharged.isoformat(),
            "los_days": int(row["los_days"]),
            "diag_codes": _diagnoses(row),
            "oprn_codes": _split(row["px_cn"]),
            "medfee_sumamt": row["total_amt"],
            "fund_amt": row["fund_amt"],
            "raw_diag_codes": _split(row["dx9"]),
        }


def settlement_lists(folder: Path, plan: ProvincePlan | None = None) -> Iterator[tuple[str, bytes]]:
    """The last year's claims as settlement lists (结算清单): hospital code and one wire line each, in file order.

    `plan` gives the names of codes; without it lists carry codes alone.
    """
    diagnosis_names = {row.code: row.name for row in plan.diagnoses} if plan else {}
    procedure_names = {row.code: row.name for row in plan.procedures} if plan else {}
    for row in _rows(folder / _CLAIMS):
        if int(row["discharge_date"][:4]) != LISTS_SOURCE_YEAR:
            continue
        hospital = hospital_code(row["hospital_id"])
        yield hospital, wire_line(_message(row, hospital, diagnosis_names, procedure_names))


def _message(
    row: dict[str, str], hospital: str, diagnosis_names: dict[str, str], procedure_names: dict[str, str]
) -> dict[str, Any]:
    born, admitted, discharged = (_moved(row[name]) for name in ("birth_date", "admit_date", "discharge_date"))
    insurance_code = insurance_type(row["patient_id"])
    basic_fund = BASIC_FUND_OF[INSURANCE_OF[insurance_code]]
    total, fund, cash = (fen_from_yuan(row[name]) for name in ("total_amt", "fund_amt", "self_amt"))
    payments = [(basic_fund, int(fund))]
    if total - fund - cash:
        payments.append((REMAINDER_FUND, total - fund - cash))
    diagnoses = [(code, diagnosis_names.get(code, "")) for code in _diagnoses(row)]
    procedures = [(code, procedure_names.get(code, "")) for code in _split(row["px_cn"])]
    return {
        "setl_id": _list_id(row),
        "version": 1,
        "fixmedins_code": hospital,
        "insutype": insurance_code,
        "insu_admdvs": _city_of(_number(row["hospital_id"])),
        "mdtrt_id": row["case_id"],
        "medcasno": row["case_id"],
        "seg_no": int(row["segment"]),
        "psn_no": row["patient_id"],
        "psn_name": f"公开合成患者{row['patient_id'][:6]}",
        "certno": f"SYN{row['patient_id']}",
        "gend": row["sex"],
        "brdy": born.isoformat(),
        **age_fields(born, admitted),
        "adm_time": admitted.isoformat(),
        "dscg_time": discharged.isoformat(),
        "setl_begn_date": admitted.isoformat(),
        "setl_end_date": discharged.isoformat(),
        "act_ipt_days": int(row["los_days"]),
        "dscg_way": "1",
        "diseinfo": diagnosis_rows(diagnoses),
        "oprninfo": procedure_rows(procedures, admitted),
        "medfee_sumamt": yuan_from_fen(total),
        "payinfo": payment_rows(payments),
        "acct_pay": "0.00",
        "psn_cashpay": yuan_from_fen(cash),
        "iteminfo": [{"med_chrgitm": "14", "amt": yuan_from_fen(total)}],
    }


def hospital_code(hospital_id: str) -> str:
    """The hospital an id of the source folds into (机构折叠): SHA-256 as a whole number, modulo 60."""
    return _hospital_code(_number(hospital_id))


def insurance_type(patient_id: str) -> str:
    """`insutype` of a patient (险种): SHA-256 as a whole number, modulo 100, below 60 employee, else resident."""
    return "310" if _folded(patient_id, 100) < 60 else "390"


def _folded(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % size


def _number(hospital_id: str) -> int:
    return _folded(hospital_id, HOSPITALS)


def _city_of(number: int) -> str:
    return _CITIES[number % 2].code


def _county_of(number: int) -> str | None:
    """Tertiary hospitals hang under their city, the others under one of its two counties."""
    if _LEVELS[number] == "tertiary":
        return None
    return _COUNTIES[number % 2 * 2 + number // 2 % 2].code


def _hospital_code(number: int) -> str:
    return f"H{_county_of(number) or _city_of(number)}{number + 1:05d}"


def _hospital(number: int) -> HospitalPlan:
    level = _LEVELS[number]
    return HospitalPlan(
        code=_hospital_code(number),
        name=f"演示{_LEVEL_NAMES[level]}{number + 1:02d}",
        city_code=_city_of(number),
        county_code=_county_of(number),
        level=level,
        standing_from=POLICY_FROM,
        coefficients=tuple(
            CoefficientPlan(insurance, coefficient, POLICY_FROM)
            for insurance, coefficient in _COEFFICIENTS[level].items()
        ),
        agreements=tuple(
            AgreementPlan(insurance, POLICY_FROM, dt.date(2030, 12, 31)) for insurance in INSURANCE_OF.values()
        ),
    )


def _list_id(row: dict[str, str]) -> str:
    """A continuation shares its claim number with the first segment, so it carries its segment in its own id."""
    return row["case_id"] if row["segment"] == "1" else f"{row['case_id']}-{row['segment']}"


def _diagnoses(row: dict[str, str]) -> list[str]:
    """Mapped codes, principal first; an unmapped principal stays in front under its ICD-9 text."""
    mapped = _split(row["dx_cn"])
    if row["main_dx_cn"]:
        return mapped
    return [*_split(row["dx9"])[:1], *mapped]


def _split(text: str) -> list[str]:
    return text.split("|") if text else []


def _moved(text: str) -> dt.date:
    """A date of the source, fifteen years later; 29 February becomes 28 February."""
    year, month, day = int(text[:4]) + YEARS_MOVED, int(text[5:7]), int(text[8:])
    if (month, day) == (2, 29):
        day = 28
    return dt.date(year, month, day)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
