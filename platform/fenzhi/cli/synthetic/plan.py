"""What a province consists of before its first case (省级演示方案): tenants, codes, hospitals, policy values.

The same shape serves the synthetic province and the one loaded from a folder of claims; whoever sets up a demonstration
reads a plan and does not care which it is. A value a document must carry has one, marked constructed where it is.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class DocumentPlan:
    """The document a value rests on (文件依据)."""

    title: str
    issued_on: dt.date
    part: str = ""
    standing: str = "constructed"
    """in_force, draft, secondary, product or constructed."""


@dataclass(frozen=True, slots=True)
class CountyPlan:
    """A county (县区)."""

    code: str
    name: str
    city_code: str
    is_delegated: bool = True
    """Whether the city delegates settlement to it (是否受委托经办)."""


@dataclass(frozen=True, slots=True)
class CityPlan:
    """A city, which is a pooling area (统筹区)."""

    code: str
    name: str
    area_kind: str = "city"
    """Who holds its fund: city, or province for the province's own level (省本级)."""


@dataclass(frozen=True, slots=True)
class CoefficientPlan:
    """A hospital coefficient (医疗机构系数), exact decimal text, by insurance."""

    insurance: str
    coefficient: str
    effective_from: dt.date


@dataclass(frozen=True, slots=True)
class AgreementPlan:
    """An agreement (医保服务协议); both dates count."""

    insurance: str
    valid_from: dt.date
    valid_to: dt.date
    payment_mode: str = "dip"


@dataclass(frozen=True, slots=True)
class HospitalPlan:
    """A hospital (定点医疗机构). `county_code` is None where it hangs directly under its city."""

    code: str
    name: str
    city_code: str
    county_code: str | None
    level: str
    """tertiary, secondary or primary."""
    standing_from: dt.date
    coefficients: tuple[CoefficientPlan, ...]
    agreements: tuple[AgreementPlan, ...]


@dataclass(frozen=True, slots=True)
class DiagnosisPlan:
    """A diagnosis code (诊断编码)."""

    code: str
    name: str
    is_gray: bool = False


@dataclass(frozen=True, slots=True)
class ProcedurePlan:
    """A procedure code (手术操作编码)."""

    code: str
    name: str
    procedure_class: str
    """diagnostic, therapeutic or surgical."""
    is_gray: bool = False


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """A policy value to enter (策略参数). `value` is text, a list of text, a map of text or a table (rows of text)."""

    key: str
    layer: str
    """province or area."""
    value: str | list[str] | dict[str, str] | list[dict[str, str]]
    effective_from: dt.date
    document: DocumentPlan
    area_code: str | None = None
    """The city that enters it; None for every city of the province."""


@dataclass(frozen=True, slots=True)
class ProvincePlan:
    """A province to set up (省级演示方案)."""

    code: str
    name: str
    is_synthetic: bool
    """True where even the codes and cases are invented (合成数据)."""
    seed: int
    cities: tuple[CityPlan, ...]
    counties: tuple[CountyPlan, ...]
    hospitals: tuple[HospitalPlan, ...]
    codes_version: str
    codes_from: dt.date
    codes_document: DocumentPlan
    diagnoses: tuple[DiagnosisPlan, ...]
    procedures: tuple[ProcedurePlan, ...]
    policies: tuple[PolicyPlan, ...]
    history_years: tuple[int, ...]
    settlement_year: int
    catalog_excerpt: str = ""
    """A catalog text to import besides what is built from history (目录摘录, CSV); empty for none."""
    catalog_excerpt_document: DocumentPlan | None = None
    notice: str = "合成数据，仅供演示与测试 / synthetic data, for demonstration and tests only"

    def hospital(self, code: str) -> HospitalPlan:
        """The hospital of a code (按编号取机构). Raises: KeyError."""
        for hospital in self.hospitals:
            if hospital.code == code:
                return hospital
        raise KeyError(code)


def plan_json(plan: ProvincePlan) -> str:
    """The plan as JSON text (方案 JSON), dates ISO, keys in declared order."""
    return json.dumps(asdict(plan), ensure_ascii=False, indent=1, default=str) + "\n"
