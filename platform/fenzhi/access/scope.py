"""The part of the tree an act may touch (数据范围), in the form the database understands.

A `Scope` is made only by `Subject.scope_for` or, for a job, by `job_scope`. It names the database role and the settings
that row level security reads; an empty setting means nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DatabaseRole(StrEnum):
    """The NOLOGIN roles of the database (数据库角色): one per level, the worker's, and those of the audit."""

    OPERATOR = "fenzhi_operator"
    PROVINCE = "fenzhi_province"
    AREA = "fenzhi_area"
    COUNTY = "fenzhi_county"
    HOSPITAL = "fenzhi_hospital"
    WORKER = "fenzhi_worker"
    PROVINCE_AUDITOR = "fenzhi_province_auditor"
    AREA_AUDITOR = "fenzhi_area_auditor"
    SEQUENCER = "fenzhi_sequencer"


@dataclass(frozen=True, slots=True)
class Scope:
    """What one transaction may see and change (事务数据范围)."""

    role: DatabaseRole
    tenant: str
    """Code of the tenant that acts; owner of idempotency keys and audit rows."""
    province_id: int | None = None
    area_id: int | None = None
    county_id: int | None = None
    hospital_id: int | None = None
    area_ids: tuple[int, ...] = ()
    """For a province: its pooling areas."""
    account_id: str = ""
    person_id: str = ""

    def settings(self) -> dict[str, str]:
        """The `fenzhi.*` settings of the transaction (会话变量); absent levels are empty text."""

        def text(value: int | None) -> str:
            return "" if value is None else str(value)

        return {
            "fenzhi.tenant": self.tenant,
            "fenzhi.province_id": text(self.province_id),
            "fenzhi.area_id": text(self.area_id),
            "fenzhi.county_id": text(self.county_id),
            "fenzhi.hospital_id": text(self.hospital_id),
            "fenzhi.area_ids": "{" + ",".join(map(str, self.area_ids)) + "}" if self.area_ids else "",
        }

    @property
    def area(self) -> int:
        """The pooling area of the scope (统筹区). Raises: ValueError when the scope has none."""
        if self.area_id is None:
            raise ValueError("this scope has no pooling area")
        return self.area_id

    @property
    def province(self) -> int:
        """The province of the scope (省). Raises: ValueError when the scope has none."""
        if self.province_id is None:
            raise ValueError("this scope has no province")
        return self.province_id


def job_scope(
    *,
    tenant: str,
    province_id: int | None,
    area_id: int | None,
    area_ids: tuple[int, ...] = (),
    account_id: str = "",
    person_id: str = "",
) -> Scope:
    """The scope of a job (作业数据范围), limited to the province and area written on the job row.

    An area's job runs in the worker role. A province's job has no area: it runs in the province role, which reads its
    areas and writes the catalog, nothing more.
    """
    return Scope(
        role=DatabaseRole.PROVINCE if area_id is None else DatabaseRole.WORKER,
        tenant=tenant,
        province_id=province_id,
        area_id=area_id,
        area_ids=area_ids,
        account_id=account_id,
        person_id=person_id,
    )


AUTHENTICATION_SCOPE = Scope(role=DatabaseRole.OPERATOR, tenant="")
"""For looking up an account and its membership before anybody is anybody (登录查验)."""

DOORBELL_SCOPE = Scope(role=DatabaseRole.WORKER, tenant="")
"""For claiming jobs (领取作业): sees the job table and nothing of any tenant."""

SEQUENCER_SCOPE = Scope(role=DatabaseRole.SEQUENCER, tenant="")
"""For chaining the audit (审计排序): reads its events, writes its links and anchors, and sees nothing else."""
