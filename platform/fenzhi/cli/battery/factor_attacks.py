"""Lockout and second factor (锁定与双因素攻击): five failures lock, money is refused without a factor, a forged factor is none."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

from graphql import build_schema

from fenzhi.access.development_issuer import issue_development_token
from fenzhi.access.roles import KIND_OF_ROLE, ROLES_OF_DUTY, SECOND_FACTOR_DUTIES, Role
from fenzhi.cli.battery.forger import Forger, Holder, encoded
from fenzhi.cli.battery.stage import TENANTS, Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.battery.tokens import Headers, forgive, fresh_address, judge, send, transports
from fenzhi.cli.probes.enumerate import questions
from fenzhi.cli.probes.judge import filled, nonexistent, not_admitted
from fenzhi.services.registry.accounts import development_account
from fenzhi.store.repositories.identity import FAILURES_MOST

MONEY_FIELDS = frozenset(
    {
        "clearingRunStart", "clearingRunApprove", "clearingRunPublish", "clearingRunVoid", "fundBudgetPropose",
        "fundBudgetApprove", "fundBudgetReject", "budgetPointValueCompute", "budgetPointValueApprove", "paymentRecord",
        "auditDeductionEnter", "auditDeductionApprove", "auditDeductionReject", "policyApprove", "policyReject",
        "accountLock", "accountUnlock", "roleGrantApprove", "roleGrantReject", "roleRevoke",
    }
)  # fmt: skip
"""Mutations that must ask for a second factor (须双因素的变更); more may, none of these may not."""


def _bearer(token: str) -> Headers:
    return [("authorization", f"Bearer {token}")]


async def try_lockout(stage: Stage, tally: Tally) -> None:
    """By address and by account: the failure after the fifth finds the door shut, on every transport; nobody else's door."""
    tenant, role = "990100", Role.CITY_SETTLEMENT_CLERK
    subject, epoch = await development_account(stage.platform.database, tenant, role)
    holder = Holder(subject, tenant, role.value, epoch, "980100", Role.COUNTY_AUDITOR.value)
    forger = Forger(stage.keys, holder, random.Random(7))
    address = fresh_address()
    for number in range(FAILURES_MOST):
        answer = await send(stage, "POST", "/graphql", _bearer(f"{forger.good()[:-9]}AAAAAAAAA"), address)
        judge(tally, "failures of an address", f"number {number}", answer)
    for method, path in transports():
        answer = await send(stage, method, path, _bearer(forger.good()), address)
        is_shut = answer.status_code == 429 and answer.headers.get("retry-after") == "900"
        tally.saw("address locked", is_shut, f"{method} {path} → {answer.status_code} {answer.text[:200]}")
        answer = await send(stage, method, path, _bearer(forger.good()))
        tally.saw(
            "other addresses open", answer.status_code not in (401, 429), f"{method} {path} → {answer.status_code}"
        )
    await forgive(stage)
    # A genuine token that has ended is no attempt, however often it comes.
    quiet = fresh_address()
    now = int(time.time())
    for _ in range(3 * FAILURES_MOST):
        ended = forger.signed(claims=forger.claims(iat=now - 700, exp=now - 100))
        judge(tally, "ended tokens", "genuine", await send(stage, "POST", "/graphql", _bearer(ended), quiet))
    answer = await send(stage, "POST", "/graphql", _bearer(forger.good()), quiet)
    tally.saw("ended tokens lock nobody", answer.status_code == 200, f"{answer.status_code}")
    for number in range(FAILURES_MOST):
        stolen = forger.signed(claims=forger.claims(role=Role.CITY_SETTLEMENT_APPROVER.value))
        answer = await send(stage, "POST", "/graphql", _bearer(stolen))
        judge(tally, "failures of an account", f"number {number}", answer)
    fresh = forger.good()
    for method, path in transports():
        answer = await send(stage, method, path, _bearer(fresh))
        is_shut = answer.status_code == 429 and (not answer.content or "LOCKED_OUT" in answer.text)
        tally.saw("account locked", is_shut, f"{method} {path} → {answer.status_code} {answer.text[:200]}")
    other = await stage.cast.actor(tenant, Role.CITY_SYSTEM_ADMINISTRATOR).raw("{ __typename }")
    tally.saw("other accounts open", "data" in other, str(other)[:200])
    await _unlocked(stage, tally, subject, tenant, fresh)


async def _unlocked(stage: Stage, tally: Tally, subject: str, tenant: str, token: str) -> None:
    security = stage.cast.actor(tenant, Role.CITY_SECURITY_ADMINISTRATOR)
    found = await security.all_nodes(
        "query($after: String) { accounts(first: 100, after: $after) { nodes { uuid subject } pageInfo { hasNextPage endCursor } } }",
        "accounts",
    )
    account = next(n["uuid"] for n in found if n["subject"] == subject)
    await security.do("accountUnlock", "AccountLockInput", {"accountId": account}, "account { isLocked }")
    answer = await send(stage, "POST", "/graphql", _bearer(token))
    tally.saw("unlocked at once", answer.status_code == 200, f"{answer.status_code} {answer.text[:200]}")
    await forgive(stage)


async def try_second_factor(stage: Stage, tally: Tally, seed: int) -> None:
    """Every mutation as every role that may, with one factor, with two, and with one that is forged."""
    from fenzhi_graphql.print_schema import schema_text

    asked = [q for q in questions(build_schema(schema_text())) if q.operation == "mutation" and q.field != "signOut"]
    refused: set[str] = set()
    for role, level in KIND_OF_ROLE.items():
        if not any(role in ROLES_OF_DUTY[duty] for duty in SECOND_FACTOR_DUTIES):
            continue
        tenant = next((code for kind, code, _ in TENANTS if kind == level.name), "operator")
        subject, epoch = await development_account(stage.platform.database, tenant, role)
        for question in asked:
            answers = []
            for has_second_factor in (False, True):
                token = issue_development_token(
                    stage.keys.elliptic, subject, tenant, role.value, epoch, has_second_factor=has_second_factor
                ).token
                answers.append(await _ask(stage, question, token))
                await forgive(stage)
            one, two = answers
            refusals = not_admitted(one), not_admitted(two)
            tally.saw("let in with either", refusals == ("", ""), f"{question.field} as {role}: {refusals}")
            is_refused = "SECOND_FACTOR_REQUIRED" in one
            says_how = not is_refused or "sign in again with a one-time code" in one
            tally.saw("refused by its name and with the remedy", says_how, f"{question.field} as {role}: {one[:200]}")
            tally.saw(
                "two factors suffice", "SECOND_FACTOR_REQUIRED" not in two, f"{question.field} as {role}: {two[:200]}"
            )
            if is_refused:
                refused.add(question.field)
    tally.saw("every money step", refused >= MONEY_FIELDS, f"not refused: {sorted(MONEY_FIELDS - refused)}")
    tally.figures["second_factor_fields"] = sorted(refused)
    await _forged(stage, tally, seed)


async def _ask(stage: Stage, question: Any, token: str) -> str:
    values = {slot: nonexistent(slot.node_type) for slot in question.id_slots}
    body = {"query": question.document, "variables": filled(question, values)}
    headers = {"authorization": f"Bearer {token}", "x-battery-address": fresh_address()}
    while True:
        answer = await stage.cast.http.post("/graphql", json=body, headers=headers)
        if (
            answer.status_code != 429 or not_admitted(answer.text) == "LOCKED_OUT"
        ):  # A budget used up says nothing of factors.
            return answer.text
        await asyncio.sleep(float(answer.headers.get("retry-after", "1")))


_START = """
mutation { clearingRunStart(input: { idempotencyKey: "battery-forged-factor", kind: MONTH, insurance: EMPLOYEE,
  poolScope: LOCAL, year: 2019, period: 1 }) { run { id } userErrors { code } } }
"""


async def _forged(stage: Stage, tally: Tally, seed: int) -> None:
    """A claim that names no factor is none; one of another shape, or one that nobody signed, spoils the token."""
    tenant, role = "990100", Role.CITY_SETTLEMENT_CLERK
    subject, epoch = await development_account(stage.platform.database, tenant, role)
    forger = Forger(stage.keys, Holder(subject, tenant, role.value, epoch, "980100", ""), random.Random(seed))

    async def start(token: str) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {token}", "x-battery-address": fresh_address()}
        answer = await stage.cast.http.post("/graphql", json={"query": _START}, headers=headers)
        await forgive(stage)
        return answer.status_code, answer.text

    for amr in (
        [],
        ["pwd"],
        ["MFA"],
        ["otp "],
        ["mfа"],
        ["sms"],
        ["pin", "user", "kba", "geo", "pop", "rba"],
        ["mfa,otp"],
    ):
        status, said = await start(forger.signed(claims=forger.claims(amr=amr)))
        tally.saw(
            "no second factor", status == 200 and "SECOND_FACTOR_REQUIRED" in said, f"amr {amr}: {status} {said[:200]}"
        )
    claims: dict[str, Any]
    for claims in ({"acr": "urn:mfa"}, {"acr": ""}, {"acr": "mfa"}, {"AMR": ["mfa"]}, {"amr ": ["mfa"]}, {"mfa": True}):
        status, said = await start(forger.signed(claims=forger.claims(**claims)))
        tally.saw(
            "no second factor", status == 200 and "SECOND_FACTOR_REQUIRED" in said, f"{claims}: {status} {said[:200]}"
        )
    for claims in (
        {"amr": "mfa"}, {"amr": {"mfa": 1}}, {"amr": [["mfa"]]}, {"amr": ["mfa", 1]}, {"amr": True}, {"amr": ["mfa"] * 21},
        {"amr": 0}, {"acr": ["mfa"]}, {"acr": 1}, {"acr": "x" * 201},
    ):  # fmt: skip
        status, said = await start(forger.signed(claims=forger.claims(**claims)))
        tally.saw("factor of another shape", status == 401, f"{claims}: {status} {said[:200]}")
    head, _body, signature = forger.signed(claims=forger.claims(amr=["pwd"])).split(".")
    added = encoded(json.dumps(forger.claims(amr=["mfa"])).encode())
    status, said = await start(f"{head}.{added}.{signature}")
    tally.saw("factor added after signing", status == 401, f"{status} {said[:200]}")
    status, said = await start(forger.signed(forger.header(amr=["mfa"]), forger.claims(amr=["pwd"])))
    tally.saw("factor in the header", status == 200 and "SECOND_FACTOR_REQUIRED" in said, f"{status} {said[:200]}")
