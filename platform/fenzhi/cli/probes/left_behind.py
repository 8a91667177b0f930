"""What the probed provinces leave to be found (留存对象), beside the main job: deductions, drafts, reviews, refusals, what is over."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from fenzhi.access.development_issuer import AUDIENCE, ISSUER
from fenzhi.access.roles import Role
from fenzhi.cli.flow.clearing import run_to_publication
from fenzhi.cli.flow.client import Actor, Cast, StepRefused
from fenzhi.cli.flow.onboarding import as_text
from fenzhi.cli.probes.marked_source import FIRST, RARE, SECOND
from fenzhi.cli.probes.world import canary
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.services.acts import Platform
from fenzhi.services.audit.chain import anchor, chain_waiting
from fenzhi.services.registry.accounts import development_account

HOOKS = "hooks.probe.invalid"


async def leave_more(cast: Cast, plan: ProvincePlan) -> None:
    """What the main job leaves out (补充对象): a deduction, an overlay, a draft edition, proposals nobody approved."""
    for city in plan.cities:
        clerk = cast.actor(city.code, Role.CITY_SETTLEMENT_CLERK)
        mark = canary(city.code)
        mine = [h for h in plan.hospitals if h.city_code == city.code]
        for hospital in mine:
            order: dict[str, Any] = {
                "hospital": hospital.code,
                "insurance": "EMPLOYEE",
                "poolScope": "LOCAL",
                "year": plan.settlement_year,
                "month": 3,
                "amountFen": "12345",
                "reason": f"{canary(hospital.code)}重复收费",
                "document": f"{canary(hospital.code)}审核决定",
            }
            await clerk.do("auditDeductionEnter", "AuditDeductionEnterInput", order, "deduction { id }")
            await _file_and_return(cast, clerk, hospital.code)
            await _leave_of_the_year(clerk, plan, hospital.code)
            await _apply_for_review(cast, hospital.code)
            await _listen(cast.actor(hospital.code, Role.HOSPITAL_SUBMITTER), hospital.code)
        await _leave_of_the_pool(clerk, plan, city.code)
        await _listen(clerk, city.code)
        await rank(cast, clerk, plan, city.code)
        await _simulate(clerk, plan)
        expert = {
            "code": f"{city.code}E1",
            "ownHospital": mine[0].code,
            "specialties": [mark[-20:]],
            "recusedFrom": [],
            "document": f"{mark}专家库",
        }
        await clerk.do("reviewExpertEnter", "ReviewExpertEnterInput", expert, "expert { id }")
        await _hear(clerk, plan, city.code, mine[-1].code)
        await _leave_the_gone(cast, clerk, plan, city.code, mine[0].code)
        editions = await clerk.ask(
            "{ catalogEditions(first: 5) { nodes { id groups(first: 3) { nodes { groupCode score } } } } }"
        )
        edition = editions["catalogEditions"]["nodes"][0]
        order = {
            "edition": edition["id"],
            "effectiveFrom": f"{plan.settlement_year}-12-01",
            "scores": [{"groupCode": g["groupCode"], "score": g["score"]} for g in edition["groups"]["nodes"][:1]],
            "document": f"{mark}市级调整",
            "isConstructed": True,
        }
        await clerk.do("areaOverlayDraft", "AreaOverlayDraftInput", order, "overlay { id }")
        order = {"edition": edition["id"], "year": plan.settlement_year}
        regrouped = await clerk.do("casesRegroup", "CasesRegroupInput", order, "job { id }")
        await clerk.wait(regrouped["job"]["id"])
        await _leave_a_task(cast, clerk, plan, city.code)
        await _leave_a_kind(clerk, plan, city.code)
    editor = cast.actor(plan.code, Role.PROVINCE_CATALOG_EDITOR)
    order = {
        "code": f"{canary(plan.code)[-20:]}D",
        "title": f"{canary(plan.code)}草稿",
        "effectiveFrom": f"{plan.settlement_year + 2}-01-01",
        "scale": 1000,
        "scoreDecimals": 2,
        "diagnosisTable": plan.codes_version,
        "procedureTable": plan.codes_version,
        "document": f"{canary(plan.code)}草稿说明",
        "isConstructed": True,
    }
    await editor.do("catalogEditionDraft", "CatalogEditionDraftInput", order, "edition { id }")
    order = {
        "year": plan.settlement_year,
        "worked": [],
        "off": [f"{plan.settlement_year}-01-01"],
        "document": f"{canary(plan.code)}放假安排",
        "reason": f"{canary(plan.code)}国务院公布",
    }
    await editor.do("workingCalendarEnter", "WorkingCalendarEnterInput", order, "calendar { id }")


async def _leave_a_task(cast: Cast, clerk: Actor, plan: ProvincePlan, city: str) -> None:
    """A choice of grouping replaced by itself from a later day: it opens a regroup task that nobody does."""
    kept = next(p for p in plan.policies if p.key == "grouping.tie_break" and p.area_code in (None, city))
    day = f"{plan.settlement_year + 3}-01-01"
    order = {
        "values": [{"key": kept.key, "value": as_text(kept.value), "effectiveFrom": day}],
        "document": f"{canary(city)}口径调整",
        "issuedOn": f"{plan.settlement_year}-12-01",
        "isConstructed": True,
    }
    proposed = await clerk.do("policyPropose", "PolicyProposeInput", order, "entries { id }")
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    ids = [entry["id"] for entry in proposed["entries"]]
    await approver.do("policyApprove", "PolicyApproveInput", {"ids": ids}, "entries { id }")


async def clear_between_areas(cast: Cast, plan: ProvincePlan) -> None:
    """The first quarter's cases of other cities, settled where they were treated, and the statement between the cities."""
    for city in plan.cities:
        await run_to_publication(
            cast, city.code, "QUARTER", "employee", plan.settlement_year, 1, pool_scope="OUT_OF_AREA"
        )
    clerk = cast.actor(plan.code, Role.PROVINCE_SETTLEMENT_CLERK)
    approver = cast.actor(plan.code, Role.PROVINCE_SETTLEMENT_APPROVER)
    wanted = {"insurance": "EMPLOYEE", "year": plan.settlement_year, "kind": "QUARTER", "period": 1}
    for ends_with in ("areaClearingVoid", "areaClearingPublish"):
        started = await clerk.do("areaClearingStart", "AreaClearingStartInput", wanted, "jobId")
        await clerk.wait(started["jobId"])
        found = await clerk.ask("{ areaClearings(first: 1) { nodes { id } } }")
        decided = {"clearing": found["areaClearings"]["nodes"][0]["id"]}
        who = clerk if ends_with.endswith("Void") else approver
        await who.do(ends_with, "AreaClearingDecideInput", decided, "clearing { id }")


async def _leave_a_kind(clerk: Actor, plan: ProvincePlan, city: str) -> None:
    """A provisional group before its panel, heard and not yet approved."""
    year = plan.settlement_year
    found = await clerk.ask(f"{{ unmatchedKinds(year: {year}, first: 1) {{ diagnosis procedures }} }}")
    for kind in found["unmatchedKinds"]:
        order = kind | {
            "name": f"{canary(city)}临时病种",
            "score": "100",
            "firstDay": f"{year}-01-01",
            "lastDay": f"{year}-12-31",
            "specialty": "重症",
            "document": f"{canary(city)}会议纪要",
        }
        made = await clerk.do("provisionalGroupPropose", "ProvisionalGroupProposeInput", order, "group { id panel }")
        group = made["group"]
        votes = [{"expert": expert, "inFavour": True} for expert in group["panel"]]
        heard = {"provisionalGroup": group["id"], "votes": votes, "sheetSha256": "0" * 64}
        await clerk.do("provisionalGroupHear", "ProvisionalGroupHearInput", heard, "group { id }")


def _entry(plan: ProvincePlan, owner: str, **more: Any) -> dict[str, Any]:
    """An entry of a pool's year, its words carrying its owner's canary."""
    return {
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": plan.settlement_year,
        "document": f"{canary(owner)}依据",
        "reason": f"{canary(owner)}理由",
    } | more


async def _leave_of_the_year(clerk: Actor, plan: ProvincePlan, hospital: str) -> None:
    """What a year needs of one hospital, proposed and not decided."""
    rows = [{"hospital": hospital, "coefficient": "0.98"}]
    order = _entry(plan, hospital, rows=rows)
    await clerk.do("assessmentsEnter", "AssessmentsEnterInput", order, "assessments { id }")
    order = _entry(plan, hospital, rows=[{"hospital": hospital, "points": "100"}])
    await clerk.do("volumeBaselinesEnter", "VolumeBaselinesEnterInput", order, "baselines { id }")
    order = _entry(
        plan,
        hospital,
        year=plan.settlement_year - 1,
        hospital=hospital,
        since=f"{plan.settlement_year - 1}-12-31",
        amountFen="777",
    )
    await clerk.do("receivableEnter", "ReceivableEnterInput", order, "receivables { id }")


async def _leave_of_the_pool(clerk: Actor, plan: ProvincePlan, city: str) -> None:
    """What a year needs of a pool, proposed and not decided, and the clocks of a month."""
    order = _entry(plan, city, account="RISK", amountFen="555")
    await clerk.do("accountOpeningEnter", "AccountOpeningEnterInput", order, "openings { id }")
    await clerk.do("advancesPropose", "AdvancesProposeInput", _entry(plan, city), "advances { id }")
    month = {"insurance": "EMPLOYEE", "poolScope": "LOCAL", "year": plan.settlement_year, "month": 1}
    await clerk.do("deadlinesOpen", "SettlementMonthInput", month, "clocks")


async def leave_the_governed(cast: Cast, platform: Platform) -> None:
    """A proposed role, a proposed issuer and an anchored audit, for those who govern the platform."""
    city = f"{FIRST}0100"
    subject, _ = await development_account(platform.database, city, Role.CITY_SETTLEMENT_CLERK)
    order = {"issuer": ISSUER, "subject": subject, "tenant": city, "role": Role.CITY_SETTLEMENT_APPROVER.name}
    await cast.actor(city, Role.CITY_SYSTEM_ADMINISTRATOR).do("roleGrant", "RoleGrantInput", order, "grant { id }")
    issuer = {
        "issuer": "https://issuer.probe.invalid",
        "keysUrl": "https://issuer.probe.invalid/keys",
        "audience": AUDIENCE,
        "tenant": city,
    }
    operator = cast.actor("operator", Role.OPERATOR_ADMIN)
    await operator.do("issuerRegister", "IssuerRegisterInput", issuer, "tokenIssuer { id }")
    for prefix in (FIRST, SECOND):
        await _register_a_client(cast, f"{prefix}0100")
    while await chain_waiting(platform):
        pass
    await anchor(platform)


async def _register_a_client(cast: Cast, city: str) -> None:
    """A program of the city's, with its canary, that nobody comes through."""
    order = {
        "issuer": ISSUER,
        "clientName": f"{canary(city)}his",
        "name": f"{canary(city)}医院信息系统",
        "tenant": city,
    }
    system = cast.actor(city, Role.CITY_SYSTEM_ADMINISTRATOR)
    await system.do("clientRegister", "ClientRegisterInput", order, "apiClient { id }")


async def _file_and_return(cast: Cast, clerk: Actor, hospital: str) -> None:
    """A filed draft and a returned case of a hospital, each with its canary."""
    mark = canary(hospital)
    submitter = cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    given = {
        "setlId": f"{mark[-20:]}F",
        "fixmedinsCode": hospital,
        "insutype": "310",
        "psnNo": f"{mark[-20:]}P",
        "gend": "1",
        "brdy": "1950-01-01",
        "admTime": "2025-01-03",
        "dscgTime": "2025-01-09",
        "setlEndDate": "2025-01-10",
        "diseinfo": [{"diagCode": "I63.900", "maindiagFlag": "1"}],
        "medfeeSumamt": "1.00",
        "payinfo": [{"fundPayType": "310100", "fundPayamt": "1.00"}],
        "acctPay": "0.00",
        "psnCashpay": "0.00",
    }
    await submitter.do("filedListSave", "FiledListSaveInput", {"list": given}, "filedList { id }")
    for case in await _a_case(submitter):
        order = {"inpatientCase": case["id"], "reason": f"{mark}核对"}
        await clerk.do("caseReturn", "CaseReturnInput", order, "caseHold { id }")


async def _a_case(submitter: Actor) -> list[dict[str, Any]]:
    """A case of the hospital that no corrected list has replaced and that has a group, if there is one."""
    found = await submitter.ask("{ cases(first: 50) { nodes { id supersededBy diagnoses } } }")
    return [
        case for case in found["cases"]["nodes"] if case["supersededBy"] is None and RARE.code not in case["diagnoses"]
    ][:1]


async def _apply_for_review(cast: Cast, hospital: str) -> None:
    """An application for special-case review of a hospital, with its canary."""
    submitter = cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    for case in await _a_case(submitter):
        order = {
            "inpatientCase": case["id"],
            "specialty": "重症",
            "reasons": ["critical_and_complex".upper()],
            "evidence": [{"title": f"{canary(hospital)}病程", "sha256": "0" * 64}],
            "statement": f"{canary(hospital)}申请",
        }
        await submitter.do("specialCaseApply", "SpecialCaseApplyInput", order, "specialCase { id }")


async def _listen(actor: Actor, tenant: str) -> None:
    """An address for a tenant's events, with its canary, and a trial message that reaches nobody."""
    mark = canary(tenant)
    order = {"url": f"https://{HOOKS}/{mark}", "secret": f"{mark}{'0123456789abcdef' * 2}", "note": f"{mark}推送"}
    made = await actor.do("webhookRegister", "WebhookRegisterInput", order, "webhookEndpoint { id }")
    step = {"webhookEndpoint": made["webhookEndpoint"]["id"]}
    await actor.do("webhookTestSend", "WebhookStepInput", step, "webhookEndpoint { id }")


async def rank(cast: Cast, clerk: Actor, plan: ProvincePlan, city: str) -> None:
    """A published league of data quality, and a drafted one."""
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    for month in (1, 2):
        order = {"settlementMonth": plan.settlement_year * 100 + month}
        drafted = await clerk.do("qualityLeagueDraft", "QualityLeagueDraftInput", order, "job { id }")
        await clerk.wait(drafted["job"]["id"])
        if month == 1:
            found = await clerk.ask("{ qualityLeagues(first: 1) { nodes { id } } }")
            step = {"qualityLeague": found["qualityLeagues"]["nodes"][0]["id"]}
            await approver.do("qualityLeaguePublish", "QualityLeaguePublishInput", step, "qualityLeague { id }")


async def _simulate(clerk: Actor, plan: ProvincePlan) -> None:
    """A rule change tried on a month."""
    checks = json.dumps({"ONLY_DRUGS_CHARGED": "error"})
    order = {
        "settlementMonth": plan.settlement_year * 100 + 1,
        "changes": [{"key": "submission.optional_checks", "value": checks}],
    }
    asked = await clerk.do("qcSimulate", "QcSimulateInput", order, "job { id }")
    await clerk.wait(asked["job"]["id"])


async def _hear(clerk: Actor, plan: ProvincePlan, city: str, own_hospital: str) -> None:
    """A closed cycle, and a panel for what it admitted."""
    for number in range(2, 7):
        expert = {
            "code": f"{city}E{number}",
            "ownHospital": own_hospital,
            "specialties": ["重症"],
            "recusedFrom": [],
            "document": f"{canary(city)}专家库",
        }
        await clerk.do("reviewExpertEnter", "ReviewExpertEnterInput", expert, "expert { id }")
    order = {"year": plan.settlement_year, "cycle": 1}
    await clerk.do("reviewCycleClose", "ReviewCycleCloseInput", order, "cycle { cap }")
    found = await clerk.ask("{ specialCases(first: 100) { nodes { id state } } }")
    for case in found["specialCases"]["nodes"]:
        if case["state"] == "ADMITTED":
            await clerk.do("specialCaseDraw", "SpecialCaseStepInput", {"specialCase": case["id"]}, "specialCase { id }")


async def _leave_the_gone(cast: Cast, clerk: Actor, plan: ProvincePlan, city: str, hospital: str) -> None:
    """A stopped run (a month without cases), a rejected budget and an abandoned batch."""
    run_order = {
        "kind": "MONTH",
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": plan.settlement_year,
        "period": 11,
    }
    run = (await clerk.do("clearingRunStart", "ClearingRunStartInput", run_order, "run { id jobId }"))["run"]
    with suppress(StepRefused):
        await clerk.wait(run["jobId"])
    budget_order = {
        "insurance": "EMPLOYEE",
        "poolScope": "OUT_OF_AREA",
        "year": plan.settlement_year,
        "annualFen": "1000000",
        "curve": ["0.25", "0.5", "0.75", "1"],
        "document": f"{canary(city)}预算",
        "reason": f"{canary(city)}测试",
    }
    proposed = await clerk.do("fundBudgetPropose", "FundBudgetProposeInput", budget_order, "budget { id }")
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    await approver.do(
        "fundBudgetReject", "FundBudgetDecideInput", {"budget": proposed["budget"]["id"]}, "budget { id }"
    )
    submitter = cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    batch_order = {"purpose": "LISTS", "mode": "PARTIAL", "label": f"{canary(hospital)}弃用"}
    batch = await submitter.do("batchCreate", "BatchCreateInput", batch_order, "batch { id }")
    await submitter.do("batchAbandon", "BatchAbandonInput", {"batch": batch["batch"]["id"]}, "batch { id }")
