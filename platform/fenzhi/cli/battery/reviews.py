"""Special-case reviews of a city from application to payment (特例单议全流程), in the worlds that section interference compares."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Actor, Cast
from fenzhi.cli.probes.marked_source import RARE
from fenzhi.cli.probes.world import canary
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.rules.review.eligibility import SpecialReason

EXPERTS = 3
"""As many as a panel has members: the lot decides about their order alone."""
MOST, FEW = 4, 1
"""Cases with a group that a hospital applies with, and how many in the world where it sends little; without a group: half as many."""
_SPECIALTY = "重症"
_SHEET = "0" * 64
_CASES = "{ cases(first: 100) { nodes { id supersededBy diagnoses } } }"
_APPLIED = "query($year: Int!) { specialCases(first: 100, year: $year) { nodes { id hospitalCode state } } }"


async def review_in(cast: Cast, plan: ProvincePlan, city: str, kept: Collection[str], fewer: Collection[str]) -> None:
    """Experts, applications, a cycle, panels, votes, outcomes and payments of a city, and the cycle after it (特例单议全流程).

    The first hospital that stands still in every world applies first, so that the cap takes it whatever the others do. What was admitted
    is heard, passed and paid, but for the hospital whose experts sit on the panels. Who waited lapses with the second cycle.
    """
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    mine = sorted(
        (h for h in plan.hospitals if h.city_code == city),
        key=lambda h: (h.code not in kept, not h.county_code, h.code),
    )
    home = mine[-1].code
    for number in range(1, EXPERTS + 1):
        expert = {
            "code": f"{city}E{number}",
            "ownHospital": home,
            "specialties": [_SPECIALTY],
            "recusedFrom": [],
            "document": f"{canary(city)}专家库",
        }
        await clerk.do("reviewExpertEnter", "ReviewExpertEnterInput", expert, "expert { id }")
    for number, hospital in enumerate(mine):
        # Of those who stand still the first alone can be admitted.
        most = int(number == 0) if hospital.code in kept else FEW if hospital.code in fewer else MOST
        await _apply(cast.actor(hospital.code, Role.HOSPITAL_SUBMITTER), hospital.code, most, max(1, most // 2))
    await clerk.do(*_closing(plan, 1))
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    applied = await clerk.ask(_APPLIED, {"year": plan.settlement_year})
    for number, case in enumerate(applied["specialCases"]["nodes"]):
        if case["state"] == "ADMITTED" and case["hospitalCode"] != home:
            await _hear_and_pay(clerk, approver, plan, city, case["id"], f"TL{number}")
    await clerk.do(*_closing(plan, 2))


def _closing(plan: ProvincePlan, cycle: int) -> tuple[str, str, dict[str, Any], str]:
    order = {"year": plan.settlement_year, "cycle": cycle}
    return "reviewCycleClose", "ReviewCycleCloseInput", order, "cycle { cap }"


async def _apply(submitter: Actor, hospital: str, grouped: int, ungrouped: int) -> None:
    """Applications of a hospital with cases that have a group and with cases that no group takes, which no cycle admits."""
    found = await submitter.ask(_CASES)
    cases = [case for case in found["cases"]["nodes"] if case["supersededBy"] is None]
    rare = [case for case in cases if RARE.code in case["diagnoses"]]
    usual = [case for case in cases if RARE.code not in case["diagnoses"]]
    for case in (*usual[:grouped], *rare[:ungrouped]):
        order = {
            "inpatientCase": case["id"],
            "specialty": _SPECIALTY,
            "reasons": [SpecialReason.CRITICAL_AND_COMPLEX.name],
            "evidence": [{"title": f"{canary(hospital)}病程", "sha256": _SHEET}],
            "statement": f"{canary(hospital)}申请",
        }
        await submitter.do("specialCaseApply", "SpecialCaseApplyInput", order, "specialCase { id }")


async def _hear_and_pay(clerk: Actor, approver: Actor, plan: ProvincePlan, city: str, case: str, voucher: str) -> None:
    """A panel by lot, two of three for item payment, the award approved by another person and paid beside the pool."""

    async def step(actor: Actor, name: str, input_type: str = "SpecialCaseStepInput", **more: Any) -> None:
        await actor.do(name, input_type, {"specialCase": case} | more, "specialCase { id }")

    await step(clerk, "specialCaseDraw")
    for number, at, choice in ((3, 1, "NO"), (1, 1, "YES"), (2, 1, "YES"), (1, 2, "ITEM"), (2, 2, "ITEM")):
        ballot = {"expertCode": f"{city}E{number}", "step": at, "choice": choice, "sheetSha256": _SHEET}
        await step(clerk, "specialCaseVote", "SpecialCaseVoteInput", **ballot)
    words = {"document": f"{canary(city)}会议纪要", "reason": f"{canary(city)}评审意见"}
    await step(clerk, "specialCaseValue", "SpecialCaseValueInput", awardFen="10000", **words)
    await step(approver, "specialCaseApprove")
    paid = {"voucher": voucher, "paidOn": f"{plan.settlement_year}-12-31"}
    await step(clerk, "specialCasePay", "SpecialCasePayInput", **paid)


def without_lots(answer: Any) -> Any:
    """An answer without the order of lots, which is of chance in every world (去除抽签次序): who was drawn and who could be, in order of code."""
    if isinstance(answer, list):
        return [without_lots(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    found = {name: without_lots(value) for name, value in answer.items()}
    if found.get("__typename") == "PanelDraw":
        found |= {"candidates": sorted(found["candidates"]), "place": "by lot"}
    if found.get("__typename") == "CaseHearing":
        found["draws"] = sorted(found["draws"], key=lambda draw: (draw["round"], draw["expertCode"]))
    return found
