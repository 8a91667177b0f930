"""Registry look-ups (机构查询)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import registry


@dataclass(frozen=True, slots=True)
class StandingView:
    """One dated level (等级)."""

    effective_from: date
    level: str
    document: str


@dataclass(frozen=True, slots=True)
class CoefficientView:
    """One dated coefficient (系数)."""

    insurance: str
    effective_from: date
    coefficient: Decimal
    document: str


@dataclass(frozen=True, slots=True)
class AgreementView:
    """One agreement (医保服务协议)."""

    insurance: str
    valid_from: date
    valid_to: date
    payment_mode: str


@dataclass(frozen=True, slots=True)
class HospitalView:
    """A hospital as its readers see it (医疗机构)."""

    hospital_id: int
    code: str
    name: str
    area_id: int
    area_code: str
    county_code: str | None


@dataclass(frozen=True, slots=True)
class AreaView:
    """A pooling area (统筹区)."""

    area_id: int
    code: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class CountyView:
    """A county (县区)."""

    county_id: int
    code: str
    name: str
    area_code: str
    is_delegated: bool


async def areas(platform: Platform, subject: Subject) -> Sequence[AreaView]:
    """The pooling areas the subject sees (统筹区列表)."""
    async with looking(platform, subject, Duty.READ_REGISTRY) as uow:
        return [AreaView(r.area_id, r.code, r.name, r.kind) for r in await registry.areas(uow)]


async def counties(platform: Platform, subject: Subject) -> Sequence[CountyView]:
    """The counties the subject sees (县区列表)."""
    async with looking(platform, subject, Duty.READ_REGISTRY) as uow:
        rows = await registry.counties(uow)
        return [CountyView(r.county_id, r.code, r.name, r.area_code, r.is_delegated) for r in rows]


async def hospitals(platform: Platform, subject: Subject, after: int, limit: int) -> Sequence[HospitalView]:
    """One page of the hospitals the subject sees, in order of number (医院列表)."""
    async with looking(platform, subject, Duty.READ_REGISTRY) as uow:
        rows = await registry.hospitals(uow, after, limit)
        return [HospitalView(r.hospital_id, r.code, r.name, r.area_id, r.area_code, r.county_code) for r in rows]


async def hospital(platform: Platform, subject: Subject, hospital_id: int) -> HospitalView | None:
    """One hospital, or none in this scope (医院)."""
    async with looking(platform, subject, Duty.READ_REGISTRY) as uow:
        r = await registry.hospital_by_id(uow, hospital_id)
        return None if r is None else HospitalView(r.hospital_id, r.code, r.name, r.area_id, r.area_code, r.county_code)


@dataclass(frozen=True, slots=True)
class HospitalHistory:
    """A hospital's dated standing (等级、系数与协议沿革)."""

    standings: tuple[StandingView, ...]
    coefficients: tuple[CoefficientView, ...]
    agreements: tuple[AgreementView, ...]


async def hospital_history(platform: Platform, subject: Subject, area_id: int, hospital_id: int) -> HospitalHistory:
    """A hospital's dated levels, coefficients and agreements (沿革)."""
    async with looking(platform, subject, Duty.READ_REGISTRY) as uow:
        levels = await registry.standings(uow, area_id, hospital_id)
        coefficients = await registry.coefficients(uow, area_id, hospital_id)
        agreements = await registry.agreements(uow, area_id, hospital_id)
    return HospitalHistory(
        tuple(StandingView(r.effective_from, r.level, r.document) for r in levels),
        tuple(CoefficientView(r.insurance, r.effective_from, r.coefficient, r.document) for r in coefficients),
        tuple(AgreementView(r.insurance, r.valid_from, r.valid_to, r.payment_mode) for r in agreements),
    )
