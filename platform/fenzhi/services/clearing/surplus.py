"""The surplus statement of a year (结余与超支情况): of the region against its pool, of each hospital against what it booked after audit."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import clearing


@dataclass(frozen=True, slots=True)
class HospitalSurplus:
    """One hospital: cleared less booked after audit; above 0 surplus, below 0 overspend (机构结余). Units: fen."""

    hospital_code: str
    cleared_fen: int
    booked_after_audit_fen: int

    @property
    def balance_fen(self) -> int:
        return self.cleared_fen - self.booked_after_audit_fen


@dataclass(frozen=True, slots=True)
class Surplus:
    """The statement of a run, of the hospitals the subject sees (结余与超支情况). Units: fen.

    `pool_fen`: what there was to share; None where the subject does not see the whole run.
    """

    pool_fen: int | None
    hospitals: tuple[HospitalSurplus, ...]

    @property
    def cleared_fen(self) -> int:
        return sum(one.cleared_fen for one in self.hospitals)

    @property
    def booked_after_audit_fen(self) -> int:
        return sum(one.booked_after_audit_fen for one in self.hospitals)

    @property
    def surplus_hospitals(self) -> int:
        """How many keep a surplus (结余机构数)."""
        return sum(one.balance_fen > 0 for one in self.hospitals)


async def surplus_of(platform: Platform, subject: Subject, run_id: uuid.UUID) -> Surplus | None:
    """The surplus statement of a computed annual run, or none (结余与超支情况). Booked after audit: booked − deductions."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        run = await clearing.run_by_id(uow, run_id)
        if run is None or run.kind != "year" or run.pool_fen is None:
            return None
        rows = await clearing.statements_of_runs(uow, [run_id])
        sees_all = uow.scope.county_id is None and uow.scope.hospital_id is None
    hospitals = tuple(
        HospitalSurplus(row.hospital_code, row.cleared_fen, row.booked_fen - row.deductions_fen)
        for row in sorted(rows, key=lambda row: row.hospital_code)
    )
    return Surplus(run.pool_fen if sees_all else None, hospitals)
