"""A source every word of which says whose it is (带标记的数据): a synthetic province under another prefix, with canaries."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.probes.world import canary, patient_canary, personal_canary
from fenzhi.cli.synthetic import lists as synthetic_lists
from fenzhi.cli.synthetic.message import diagnosis_rows
from fenzhi.cli.synthetic.plan import DiagnosisPlan, DocumentPlan, ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province

CASES = 600
_UNGROUPED = 3
"""First lists of each hospital whose kind of case no group takes."""
RARE = DiagnosisPlan("Z99.900", "对辅助机器的依赖", False)
"""A diagnosis of the code table that no case of the history has."""
FIRST, SECOND = "99", "98"


def _of_no_group(line: bytes) -> bytes:
    """The list with a principal diagnosis that no case of the history has, so that the catalog leaves it without a group."""
    try:
        message = json.loads(line)
    except ValueError:
        return line
    if isinstance(message, dict):
        message["diseinfo"] = diagnosis_rows([(RARE.code, RARE.name)])
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def marked_source(prefix: str, seed: int, cases: int = CASES) -> DemoSource:
    """A small synthetic province under a prefix, three months with so many lists, every word with its owner's canary (带标记的省)."""
    plan = synthetic_province(seed, cities=2, counties=4, hospitals=10)
    plan = dataclasses.replace(plan, diagnoses=(*plan.diagnoses, RARE))
    marked = _marked(plan, prefix)

    elsewhere = {
        code_under(c.code, prefix): code_under(plan.cities[n - 1].code, prefix) for n, c in enumerate(plan.cities)
    }

    def lists() -> Iterator[tuple[str, bytes]]:
        begun: Counter[str] = Counter()
        for hospital, line in synthetic_lists.settlement_lists(plan, cases, date(2025, 1, 1), date(2025, 3, 31)):
            code = code_under(hospital, prefix)
            said = marked_line(line, prefix, code, elsewhere)
            begun[code] += 1
            yield code, (_of_no_group(said) if begun[code] <= _UNGROUPED else said)

    def history() -> Iterator[dict[str, Any]]:
        for row in synthetic_lists.history(plan, cases * 3):
            code = code_under(row["fixmedins_code"], prefix)
            yield {**row, "fixmedins_code": code, "case_id": f"{canary(code)}{row['case_id']}"}

    return DemoSource(
        plan=marked,
        history=history,
        lists=lists,
        months=(1,),
        quarters=(1,),
        fund_share_of_last_year=Fraction(1),
        curve=("0.25", "0.5", "0.75", "1"),
    )


def code_under(code: str, prefix: str) -> str:
    """A code of the synthetic province under another prefix (换前缀)."""
    return code.replace(FIRST, prefix, 1)


def _marked(plan: ProvincePlan, prefix: str) -> ProvincePlan:
    """The plan under another prefix, every name and document carrying its tenant's canary."""

    def code(text: str) -> str:
        return code_under(text, prefix)

    def documented(document: DocumentPlan, owner: str) -> DocumentPlan:
        return dataclasses.replace(document, title=f"{canary(owner)}{document.title}")

    # The last area is the province's own level: what is walled off from cities is walled off from it, and the other way round.
    cities = tuple(
        dataclasses.replace(
            c,
            code=code(c.code),
            name=f"{canary(code(c.code))}{c.name}",
            area_kind="province" if c is plan.cities[-1] else "city",
        )
        for c in plan.cities
    )
    counties = tuple(
        dataclasses.replace(
            c,
            code=code(c.code),
            city_code=code(c.city_code),
            name=f"{canary(code(c.code))}{c.name}",
        )
        for c in plan.counties
    )
    hospitals = tuple(
        dataclasses.replace(
            h,
            code=code(h.code),
            city_code=code(h.city_code),
            county_code=code(h.county_code) if h.county_code else None,
            name=f"{canary(code(h.code))}{h.name}",
        )
        for h in plan.hospitals
    )
    policies = tuple(
        dataclasses.replace(p, area_code=city.code, document=documented(p.document, city.code))
        for p in plan.policies
        if p.layer == "area"
        for city in cities
    )
    province = code(plan.code)
    policies += tuple(
        dataclasses.replace(p, document=documented(p.document, province))
        for p in plan.policies
        if p.layer == "province"
    )
    return dataclasses.replace(
        plan,
        code=province,
        name=f"{canary(province)}{plan.name}",
        cities=cities,
        counties=counties,
        hospitals=hospitals,
        policies=policies,
        codes_document=documented(plan.codes_document, province),
        diagnoses=tuple(dataclasses.replace(d, name=f"{canary(province)}{d.name}") for d in plan.diagnoses),
        procedures=tuple(dataclasses.replace(p, name=f"{canary(province)}{p.name}") for p in plan.procedures),
    )


def marked_line(line: bytes, prefix: str, hospital: str, elsewhere: Mapping[str, str]) -> bytes:
    """A list under another prefix, its ids and names carrying the hospital's canary; a line that is no JSON stays broken.

    Of ten patients one is insured in another city.
    """
    try:
        message = json.loads(line)
    except ValueError:
        return line
    if not isinstance(message, dict):
        return line
    for field in ("setl_id", "mdtrt_id", "medcasno", "psn_no", "psn_name", "certno"):
        if isinstance(message.get(field), str) and message[field]:
            # Ids have at most 30 characters; the last eight tell them apart within a hospital.
            word = patient_canary(hospital) if field == "setl_id" else personal_canary(hospital)
            message[field] = f"{word}{message[field][-8:]}"
    if isinstance(message.get("fixmedins_code"), str):
        message["fixmedins_code"] = code_under(message["fixmedins_code"], prefix)
    if isinstance(message.get("insu_admdvs"), str):
        message["insu_admdvs"] = code_under(message["insu_admdvs"], prefix)
        if str(message.get("setl_id")).endswith("7"):
            message["insu_admdvs"] = elsewhere.get(message["insu_admdvs"], message["insu_admdvs"])
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
