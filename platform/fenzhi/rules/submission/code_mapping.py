"""Codes of another edition are read as what they are in the insurance edition (编码映射), and it is said where that was done.

Only a code that the edition in force does not know is mapped, and only to one that it knows: a valid code is never changed. The list as
it was sent stays as it was sent; what is mapped is what the checks and the grouping see.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fenzhi.rules.submission.check_policy import CheckBook
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.rules.submission.verdict import Verdict
from fenzhi.rules.submission.verdict_texts import verdict


def mapped_list(given: SettlementList, book: CheckBook) -> tuple[SettlementList, tuple[Verdict, ...]]:
    """The list in codes of the insurance edition, with a finding for each code that was mapped (映射后的清单)."""
    edition = book.codes_on(given.discharge_date) if book.crosswalk and given.discharge_date is not None else None
    if edition is None:
        return given, ()
    notes: list[Verdict] = []

    def mapped(kind: str, code: str | None, known: Collection[str], where: str) -> str | None:
        target = _target(book.crosswalk, kind, code, known)
        if target is None or code is None:
            return code
        notes.append(verdict("CODE_MAPPED", where, code, severities=book.policy.severities, source=code, target=target))
        return target

    diagnoses = given.diagnoses and tuple(
        row._replace(code=mapped("diagnosis", row.code, edition.diagnoses.keys(), f"diseinfo[{place}].diag_code"))
        for place, row in enumerate(given.diagnoses)
    )
    procedures = tuple(
        row._replace(code=mapped("procedure", row.code, edition.procedures.keys(), f"oprninfo[{place}].oprn_oprt_code"))
        for place, row in enumerate(given.procedures)
    )
    if not notes:
        return given, ()
    return given._replace(diagnoses=diagnoses, procedures=procedures), tuple(notes)


def _target(
    crosswalk: Mapping[str, Mapping[str, str]], kind: str, code: str | None, known: Collection[str]
) -> str | None:
    if code is None or code in known:
        return None
    target = crosswalk.get(kind, {}).get(code)
    return target if target in known else None
