"""Setting the stage for the probes (布置探测环境): two provinces do the whole flow in process, every word of theirs carrying a canary."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import date
from fractions import Fraction
from typing import Any, TextIO

import asyncpg
import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import Progress

from fenzhi.access.development_issuer import AUDIENCE, ISSUER, DevelopmentKey, issue_development_token
from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.roles import Role, TenantKind
from fenzhi.access.tokens import Verifier
from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.demo.steps import Demonstration
from fenzhi.cli.flow.clearing import run_to_publication
from fenzhi.cli.flow.client import Actor, Cast, StepRefused
from fenzhi.cli.flow.onboarding import as_text
from fenzhi.cli.probes.world import Numbers, ProbedWorld, Tenant, canary, patient_canary, personal_canary
from fenzhi.cli.servers import ServerAddresses
from fenzhi.cli.synthetic import lists as synthetic_lists
from fenzhi.cli.synthetic.message import diagnosis_rows
from fenzhi.cli.synthetic.plan import DiagnosisPlan, DocumentPlan, ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.logs import configure_logging
from fenzhi.services.acts import Platform
from fenzhi.services.audit.chain import anchor, chain_waiting
from fenzhi.services.opening import open_platform
from fenzhi.services.registry.accounts import development_account

CASES = 600
_HOOKS = "hooks.probe.invalid"
_UNGROUPED = 3
"""First lists of each hospital whose kind of case no group takes."""
_RARE = DiagnosisPlan("Z99.900", "对辅助机器的依赖", False)
"""A diagnosis of the code table that no case of the history has."""
_FIRST, _SECOND = "99", "98"


@asynccontextmanager
async def probed_world(
    addresses: ServerAddresses, seed: int, *, log: TextIO | None = None
) -> AsyncIterator[ProbedWorld]:
    """A world of two provinces over a fresh database, for as long as the block lasts (探测环境). `log` takes every line of its log."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    configure_logging("DEBUG" if log else "ERROR", log)
    async with (
        open_platform(
            addresses.app_dsn,
            addresses.redis_url,
            os.urandom(32),
            is_development=True,
            key_hosts=KeyHosts(("issuer.probe.invalid",)),
            webhook_hosts=WebhookHosts((_HOOKS,)),
        ) as platform,
        _cast(platform) as cast,
    ):
        tenants: dict[str, Tenant] = {}
        async with _worker(platform, addresses.redis_url):
            for prefix in (_FIRST, _SECOND):
                source = _source(prefix, seed)
                await _perform(cast, source, is_sandbox=prefix == _SECOND)
                await leave_more(cast, source.plan)
                await _clear_between_areas(cast, source.plan)
                tenants |= _tenants(source.plan)
        await _leave_the_governed(cast, platform)
        tenants["operator"] = Tenant("operator", TenantKind.OPERATOR, "")
        sandbox = _code("990000", _SECOND)
        world = ProbedWorld(cast, tenants, sandbox, await _numbers(addresses.app_dsn), platform=platform)
        await _collect(world, addresses.app_dsn)
        yield world


@asynccontextmanager
async def _cast(platform: Platform) -> AsyncIterator[Cast]:
    from fenzhi_graphql.app import application, wrapped

    key = DevelopmentKey(ec.generate_private_key(ec.SECP256R1()))
    verifier = Verifier(issuer=ISSUER, audience=AUDIENCE, keys={key.key_id: key.private.public_key()})
    app = wrapped(application(platform, verifier, os.urandom(32)))

    async def make_token(tenant: str, role: Role) -> str:
        subject, epoch = await development_account(platform.database, tenant, role)
        return issue_development_token(key, subject, tenant, role.value, epoch).token

    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://fenzhi.probe", timeout=120) as http:
        yield Cast(http, make_token)


@asynccontextmanager
async def _worker(platform: Platform, redis_url: str) -> AsyncIterator[None]:
    """A worker in this process while the flow runs; none while the probes ask, so that rows stand still."""
    from fenzhi_workers.worker import NightShift

    shift = NightShift(platform, 2)
    tasks = [asyncio.create_task(shift.sweep()), asyncio.create_task(shift.answer_bell(redis_url))]
    try:
        yield
    finally:
        shift.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
        await _rank(cast, clerk, plan, city.code)
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


async def _clear_between_areas(cast: Cast, plan: ProvincePlan) -> None:
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


async def _leave_the_governed(cast: Cast, platform: Platform) -> None:
    """A proposed role, a proposed issuer and an anchored audit, for those who govern the platform."""
    city = f"{_FIRST}0100"
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
    while await chain_waiting(platform):
        pass
    await anchor(platform)


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
        case for case in found["cases"]["nodes"] if case["supersededBy"] is None and _RARE.code not in case["diagnoses"]
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
    order = {"url": f"https://{_HOOKS}/{mark}", "secret": f"{mark}{'0123456789abcdef' * 2}", "note": f"{mark}推送"}
    made = await actor.do("webhookRegister", "WebhookRegisterInput", order, "webhookEndpoint { id }")
    step = {"webhookEndpoint": made["webhookEndpoint"]["id"]}
    await actor.do("webhookTestSend", "WebhookStepInput", step, "webhookEndpoint { id }")


async def _rank(cast: Cast, clerk: Actor, plan: ProvincePlan, city: str) -> None:
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


async def _perform(cast: Cast, source: DemoSource, *, is_sandbox: bool) -> None:
    with Progress(console=Console(quiet=True), disable=True) as progress:
        await Demonstration(cast, source, progress, is_sandbox).run()


def _of_no_group(line: bytes) -> bytes:
    """The list with a principal diagnosis that no case of the history has, so that the catalog leaves it without a group."""
    try:
        message = json.loads(line)
    except ValueError:
        return line
    if isinstance(message, dict):
        message["diseinfo"] = diagnosis_rows([(_RARE.code, _RARE.name)])
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _source(prefix: str, seed: int) -> DemoSource:
    plan = synthetic_province(seed, cities=2, counties=4, hospitals=10)
    plan = dataclasses.replace(plan, diagnoses=(*plan.diagnoses, _RARE))
    marked = _marked(plan, prefix)

    elsewhere = {_code(c.code, prefix): _code(plan.cities[n - 1].code, prefix) for n, c in enumerate(plan.cities)}

    def lists() -> Iterator[tuple[str, bytes]]:
        begun: Counter[str] = Counter()
        for hospital, line in synthetic_lists.settlement_lists(plan, CASES, date(2025, 1, 1), date(2025, 3, 31)):
            code = _code(hospital, prefix)
            marked_line = _marked_line(line, prefix, code, elsewhere)
            begun[code] += 1
            yield code, (_of_no_group(marked_line) if begun[code] <= _UNGROUPED else marked_line)

    def history() -> Iterator[dict[str, Any]]:
        for row in synthetic_lists.history(plan, CASES * 3):
            code = _code(row["fixmedins_code"], prefix)
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


def _code(code: str, prefix: str) -> str:
    return code.replace(_FIRST, prefix, 1)


def _marked(plan: ProvincePlan, prefix: str) -> ProvincePlan:
    """The plan under another prefix, every name and document carrying its tenant's canary."""

    def code(text: str) -> str:
        return _code(text, prefix)

    def documented(document: DocumentPlan, owner: str) -> DocumentPlan:
        return dataclasses.replace(document, title=f"{canary(owner)}{document.title}")

    cities = tuple(
        dataclasses.replace(c, code=code(c.code), name=f"{canary(code(c.code))}{c.name}") for c in plan.cities
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


def _marked_line(line: bytes, prefix: str, hospital: str, elsewhere: Mapping[str, str]) -> bytes:
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
        message["fixmedins_code"] = _code(message["fixmedins_code"], prefix)
    if isinstance(message.get("insu_admdvs"), str):
        message["insu_admdvs"] = _code(message["insu_admdvs"], prefix)
        if str(message.get("setl_id")).endswith("7"):
            message["insu_admdvs"] = elsewhere.get(message["insu_admdvs"], message["insu_admdvs"])
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _tenants(plan: ProvincePlan) -> dict[str, Tenant]:
    found = {plan.code: Tenant(plan.code, TenantKind.PROVINCE, "")}
    found |= {c.code: Tenant(c.code, TenantKind.CITY, plan.code) for c in plan.cities}
    found |= {c.code: Tenant(c.code, TenantKind.COUNTY, c.city_code) for c in plan.counties}
    # A hospital under a county comes first, so that every level of the tree has a parent to be kept from.
    for hospital in sorted(plan.hospitals, key=lambda h: h.county_code is None):
        found[hospital.code] = Tenant(hospital.code, TenantKind.HOSPITAL, hospital.county_code or hospital.city_code)
    return found


async def _numbers(app_dsn: str) -> dict[str, Numbers]:
    connection = await asyncpg.connect(app_dsn)
    try:
        async with connection.transaction():
            await connection.execute("set local role fenzhi_operator")
            found = {"operator": Numbers()}
            for r in await connection.fetch("select * from province"):
                found[r["code"]] = Numbers(r["province_id"])
            for r in await connection.fetch("select * from pooling_area"):
                found[r["code"]] = Numbers(r["province_id"], r["area_id"])
            for r in await connection.fetch("select * from county"):
                found[r["code"]] = Numbers(r["province_id"], r["area_id"], r["county_id"])
            for r in await connection.fetch("select * from hospital"):
                found[r["code"]] = Numbers(r["province_id"], r["area_id"], r["county_id"], r["hospital_id"])
            return found
    finally:
        await connection.close()


GONE = frozenset({"voided", "rejected", "withdrawn", "abandoned", "stopped"})
"""States of objects that are over (已终止)."""

UNPUBLISHED = frozenset({"draft", "proposed", "in_review", "computing", "computed"})
"""States that the levels below may not see (未公布)."""

NODE_TABLES: dict[str, tuple[str, str]] = {
    "PoolingArea": ("pooling_area", "area_id::text"),
    "County": ("county", "county_id::text"),
    "Hospital": ("hospital", "hospital_id::text"),
    "Account": ("account", "account_id::text"),
    "RoleGrant": ("role_grant", "grant_id::text"),
    "ApiClient": ("api_client", "client_key::text"),
    "TokenIssuer": ("token_issuer", "issuer_id::text"),
    "Job": ("job", "job_id::text"),
    "Batch": ("batch", "batch_id::text"),
    "InpatientCase": ("inpatient_case", "case_id::text"),
    "FiledList": ("filed_list", "list_id::text"),
    "CaseHold": ("case_hold", "hold_id::text"),
    "CatalogEdition": ("catalog_edition", "edition_id::text"),
    "CodeTable": ("code_table", "code_table_id::text"),
    "DiseaseGroup": ("disease_group", "edition_id::text || '/' || group_code"),
    "Regrouping": ("regrouping", "regrouping_id::text"),
    "ProvisionalGroup": ("provisional_group", "provisional_id::text"),
    "AreaOverlay": ("area_overlay", "overlay_id::text"),
    "PolicyEntry": ("area_policy", "policy_id::text"),
    "FundBudget": ("fund_budget", "budget_id::text"),
    "PointValue": ("point_value", "point_value_id::text"),
    "Payment": ("payment", "payment_id::text"),
    "AuditDeduction": ("audit_deduction", "deduction_id::text"),
    "AssessmentResult": ("assessment_result", "assessment_id::text"),
    "AccountOpening": ("account_opening", "opening_id::text"),
    "Receivable": ("receivable", "receivable_id::text"),
    "Advance": ("advance", "advance_id::text"),
    "VolumeBaseline": ("volume_baseline", "baseline_id::text"),
    "Deadline": ("deadline", "deadline_id::text"),
    "WorkingCalendar": ("working_calendar", "calendar_id::text"),
    "ClearingRun": ("clearing_run", "run_id::text"),
    "HospitalStatement": ("hospital_statement", "run_id::text || '.' || hospital_id::text"),
    "AreaClearing": ("inter_area_statement", "statement_id::text"),
    "Scorecard": ("scorecard", "scorecard_id::text"),
    "QualityLeague": ("quality_league", "league_id::text"),
    "AuditEvent": ("audit_event", "event_id::text"),
    "WebhookEndpoint": ("webhook_endpoint", "endpoint_id::text"),
    "SpecialCase": ("special_case", "special_case_id::text"),
    "ReviewExpert": ("review_expert", "expert_id::text"),
}
"""Node type → its table and the key inside its ids. A node type that is missing here fails the probes as unjudged."""


async def _collect(world: ProbedWorld, app_dsn: str) -> None:
    """Real objects of every node type, by the tenant that owns them."""
    from fenzhi.cli.probes.judge import node_id

    by_number = {n: code for code, n in world.numbers.items()}
    connection = await asyncpg.connect(app_dsn)
    try:
        for numbers, code in by_number.items():
            if numbers.area is None or numbers.county is not None or numbers.hospital is not None:
                continue
            for node_type, (table, key) in NODE_TABLES.items():
                for owner, value, state in await _area_objects(connection, numbers, table, key, by_number):
                    place = world.deleted if state in GONE else world.objects
                    place.setdefault(node_type, {}).setdefault(owner or code, []).append(node_id(node_type, value))
                    if state in UNPUBLISHED:
                        world.unpublished.setdefault(node_type, {}).setdefault(owner or code, []).append(
                            node_id(node_type, value)
                        )
        for numbers, code in by_number.items():
            if numbers.province is None or numbers.area is not None:
                continue
            await _province_objects(connection, world, numbers, code)
    finally:
        await connection.close()


async def _area_objects(
    connection: Any, numbers: Numbers, table: str, key: str, by_number: dict[Numbers, str]
) -> list[tuple[str, str, str]]:
    columns = await connection.fetch(
        "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped", table
    )
    names = {row["attname"] for row in columns}
    if "area_id" not in names:
        return []
    county = "county_id" if "county_id" in names else "null::int"
    state = "state" if "state" in names else "''"
    hospital = "hospital_id" if "hospital_id" in names and table != "ledger_entry" else "null::int"
    try:
        async with connection.transaction():
            await connection.execute("set local role fenzhi_worker")
            await connection.execute("select set_config('fenzhi.area_id', $1, true)", str(numbers.area))
            await connection.execute("select set_config('fenzhi.province_id', $1, true)", str(numbers.province))
            rows = await connection.fetch(
                f"select {key} as key, {county} as county, {hospital} as hospital, {state} as state from {table} where area_id = $1 limit 400",
                numbers.area,
            )
    except asyncpg.InsufficientPrivilegeError:
        return []
    found = []
    hospitals = {n.hospital: code for n, code in by_number.items() if n.hospital is not None}
    counties = {n.county: code for n, code in by_number.items() if n.county is not None and n.hospital is None}
    for row in rows:
        owner = hospitals.get(row["hospital"], "") if row["hospital"] else counties.get(row["county"], "")
        found.append((owner, str(row["key"]), row["state"]))
    return found


_OF_PROVINCE = (
    "catalog_edition",
    "code_table",
    "disease_group",
    "job",
    "working_calendar",
    "inter_area_statement",
)


async def _province_objects(connection: Any, world: ProbedWorld, numbers: Numbers, code: str) -> None:
    from fenzhi.cli.probes.judge import node_id

    own = ",".join(str(n.area) for n in world.numbers.values() if n.province == numbers.province and n.area is not None)
    async with connection.transaction():
        await connection.execute("set local role fenzhi_province")
        await connection.execute("select set_config('fenzhi.province_id', $1, true)", str(numbers.province))
        await connection.execute("select set_config('fenzhi.area_ids', $1, true)", "{" + own + "}")
        for node_type, (table, key) in NODE_TABLES.items():
            if table not in _OF_PROVINCE:
                continue
            state = "state" if table in ("catalog_edition", "working_calendar", "inter_area_statement") else "''"
            rows = await connection.fetch(
                f"select {key} as key, {state} as state from {table} where province_id = $1 order by recorded_at limit 50"
                if table != "disease_group"
                else f"select {key} as key, '' as state from {table} where province_id = $1 limit 50",
                numbers.province,
            )
            for row in rows:
                found = node_id(node_type, row["key"])
                world.objects.setdefault(node_type, {}).setdefault(code, []).append(found)
                if row["state"] in UNPUBLISHED:
                    world.unpublished.setdefault(node_type, {}).setdefault(code, []).append(found)
