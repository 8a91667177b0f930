"""What a batch is held against (校验对照的装载): one hospital, its agreements, the codes in force, the policy of the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fenzhi.rules.refusals import InvariantBroken
from fenzhi.rules.submission.check_policy import AgreementTerm, CheckBook, CodeEdition, submission_policy
from fenzhi.services.catalog.book import load_tables
from fenzhi.services.catalog.code_tables import crosswalk
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog, registry
from fenzhi.store.session import UnitOfWork

_EDITIONS_MOST = 100


@dataclass(frozen=True, slots=True)
class Submitter:
    """The hospital of a batch and its place in the tree (上报医院)."""

    area_id: int
    county_id: int | None
    hospital_id: int
    book: CheckBook
    own_areas: frozenset[str]
    """Codes of the pooling area and its counties: an insured area among them is local (本统筹区代码)."""
    area_code: str


async def submitter(uow: UnitOfWork, hospital_id: int, received_on: date) -> Submitter:
    """All that the lists of a hospital are judged by, on the day they were received (装载校验对照).

    Raises: PolicyNotEntered while the province still has to enter a value.
    """
    hospital = await registry.hospital_by_id(uow, hospital_id)
    if hospital is None:
        raise InvariantBroken("a batch belongs to a hospital of its area", account=str(hospital_id))
    terms = await registry.agreements(uow, hospital.area_id, hospital_id)
    counties = await registry.counties(uow)
    policy = await resolved_policy(uow, received_on)
    named = policy.text("submission.crosswalk") if policy.has("submission.crosswalk") else ""
    book = CheckBook(
        hospital_code=hospital.code,
        policy=submission_policy(policy),
        codes=await code_editions(uow),
        agreements=tuple(AgreementTerm(term.insurance, term.valid_from, term.valid_to) for term in terms) or None,
        received_on=received_on,
        crosswalk=await crosswalk(uow, named) if named else {},
    )
    own = {hospital.area_code, *(county.code for county in counties if county.area_id == hospital.area_id)}
    return Submitter(hospital.area_id, hospital.county_id, hospital_id, book, frozenset(own), hospital.area_code)


async def code_editions(uow: UnitOfWork) -> tuple[CodeEdition, ...]:
    """The code tables by the days their editions are in force (各目录版本的代码表)."""
    rows = await catalog.editions(uow, drafts=False, after=None, limit=_EDITIONS_MOST)
    found = []
    for row in rows:
        if row.state != "published":
            continue
        tables = await load_tables(uow, row.diagnosis_table_id, row.procedure_table_id)
        gray = {code: entry.is_gray for code, entry in tables.procedures.items()}
        found.append(CodeEdition(row.effective_from, row.effective_to, tables.diagnoses, gray))
    return tuple(found)
