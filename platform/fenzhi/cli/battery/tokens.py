"""Section tokens (令牌攻击): every forgery over every path, all answered alike, and revocation in time."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import time
from collections.abc import Awaitable, Callable

import httpx
from sqlalchemy import text
from starlette.routing import Route

from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.access.scope import AUTHENTICATION_SCOPE, DatabaseRole, Scope
from fenzhi.cli.battery.forger import Forger, Holder
from fenzhi.cli.battery.stage import ADDRESS_HEADER, TENANTS, Stage, open_tenants, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow.client import fresh_key
from fenzhi.cli.probes.judge import not_admitted
from fenzhi.cli.probes.paths import OPEN_PATHS
from fenzhi.cli.servers import ServerAddresses
from fenzhi.services.acts import Platform
from fenzhi.services.registry.accounts import development_account
from fenzhi.store.repositories.identity import FAILURES_MOST

REVOKED_WITHIN_S = 30.0
AT_ONCE = FAILURES_MOST - 1
"""So many tries side by side before their failures are forgotten: each comes from an address of its own, so that all are one account's
at most, and one more would lock it."""
STORM = 1_000
"""Random key ids in one minute."""
_PARAMETER = re.compile(r"\{\w+(?::\w+)?\}")
_REQUEST_ID = re.compile(r'"requestId":"[^"]*"')
_ASK = '{"query":"{ __typename }"}'
Headers = list[tuple[str, str]]


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Forgeries for `rounds` holders (default all), then keys, locks and factors, and revocation last (令牌测试组)."""
    from fenzhi.cli.battery.factor_attacks import try_lockout, try_second_factor
    from fenzhi.cli.battery.issuer_attacks import try_issuers

    tally = Tally()
    async with staged(addresses) as stage:
        await open_tenants(stage.cast)
        rng = random.Random(seed)
        chosen = holders()
        rng.shuffle(chosen)
        for tenant, role in chosen[: rounds or None]:
            await try_forgeries(stage, tally, rng, tenant, role)
        await try_issuers(stage, tally, rng, STORM)
        await try_lockout(stage, tally)
        await try_second_factor(stage, tally, seed)
        await try_revocation(stage, tally)  # The accounts it takes away are nobody's to ask as any more.
    return tally


def holders() -> list[tuple[str, Role]]:
    """Every role in a tenant of its level (被冒用者)."""
    return [
        (next(code for kind, code, _ in TENANTS if kind == level.name and not _is_outside_sandbox(role, code)), role)
        for role, level in KIND_OF_ROLE.items()
        if level is not TenantKind.OPERATOR
    ]


def _is_outside_sandbox(role: Role, code: str) -> bool:
    return role is Role.INTEGRATION_DEVELOPER and "98" not in code


def transports() -> list[tuple[str, str]]:
    """Method and path of everything that needs a token (需令牌的路径), read from the route table."""
    from fenzhi_graphql.app import routes

    return [
        (method, _PARAMETER.sub("probe", route.path))
        for route in routes(b"")
        if isinstance(route, Route) and route.path not in OPEN_PATHS
        for method in sorted(route.methods or ())
        if method != "HEAD" or "GET" not in (route.methods or ())
    ]


async def try_forgeries(
    stage: Stage, tally: Tally, rng: random.Random, tenant: str, role: Role, *, sampled_paths: int = 0
) -> None:
    """Every forgery of one holder's token over every path, or over POST /graphql and so many others drawn for each forgery."""
    subject, epoch = await development_account(stage.platform.database, tenant, role)
    peers = [code for kind, code, _ in TENANTS if kind == KIND_OF_ROLE[role].name and code != tenant]
    other = next(iter(peers), "980000")
    other_role = next(r for r in Role if r is not role and KIND_OF_ROLE[r] is not KIND_OF_ROLE[role])
    forger = Forger(stage.keys, Holder(subject, tenant, role.value, epoch, other, other_role.value), rng)
    paths = transports()
    first = ("POST", "/graphql")
    others = [path for path in paths if path != first]
    for token in (forger.good(), forger.good_rotated()):
        for method, path in paths:
            answer = await send(stage, method, path, [("authorization", f"Bearer {token}")])
            tally.saw("control", is_let_in(answer), f"{method} {path} → {answer.status_code}")
    for name, token in forger.all():
        bearer = [("authorization", f"Bearer {token}")]
        chosen = [first, *rng.sample(others, sampled_paths)] if sampled_paths else paths
        for start in range(0, len(chosen), AT_ONCE):
            now = chosen[start : start + AT_ONCE]
            answers = await asyncio.gather(*(send(stage, method, path, bearer) for method, path in now))
            for (method, path), answer in zip(now, answers, strict=True):
                judge(tally, f"{method} {path}", name, answer)
            await forgive(stage)
    good = forger.good()
    for name, headers, query in (
        ("no header", [], ""),
        ("in the query string", [], f"?access_token={good}&token={good}&authorization=Bearer%20{good}"),
        ("in a cookie", [("cookie", f"access_token={good}; authorization=Bearer {good}")], ""),
        ("another scheme", [("authorization", f"Token {good}")], ""),
        ("no scheme", [("authorization", good)], ""),
        ("basic", [("authorization", "Basic YWRtaW46YWRtaW4=")], ""),
        ("another header", [("x-authorization", f"Bearer {good}"), ("proxy-authorization", f"Bearer {good}")], ""),
        ("two headers, both good", [("authorization", f"Bearer {good}")] * 2, ""),
        ("two headers, one bad", [("authorization", f"Bearer {good}"), ("Authorization", "Bearer x")], ""),
        ("two headers, bad first", [("authorization", "Bearer x"), ("authorization", f"Bearer {good}")], ""),
    ):
        for method, path in paths:
            judge(tally, f"{method} {path}", name, await send(stage, method, path + query, headers))


def is_let_in(answer: httpx.Response) -> bool:
    """Whether an answer is one to somebody who was let in (是否放行): not refused at the door, not locked out, not out of order."""
    return answer.status_code not in (401, 429) and answer.status_code < 500 and not not_admitted(answer.text)


_addresses = itertools.count(1)


def fresh_address() -> str:
    """An address nobody came from yet (新地址), so that failures from one do not stand in the way of the next."""
    number = next(_addresses)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


async def send(stage: Stage, method: str, path: str, headers: Headers, address: str = "") -> httpx.Response:
    """One request to the first instance, from an address of its own unless one is named (发送)."""
    body = _ASK if method in ("POST", "PUT") else None
    own = [("content-type", "application/json"), (ADDRESS_HEADER, address or fresh_address())]
    return await stage.cast.http.request(method, path, headers=[*headers, *own], content=body)


async def forgive(stage: Stage) -> None:
    """Forget every failure so far: what is tried here is the refusal, not the lock that follows it."""
    await forget_failures(stage.platform)


async def forget_failures(platform: Platform) -> None:
    """No failed sign-in is left, so that no account is locked (清除失败记录)."""
    async with platform.database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        await uow.execute(text("delete from sign_in_failure"))


_REFUSAL = (
    '{"error":{"code":"UNAUTHENTICATED","message":"未提供有效的访问令牌。","messageEn":"No valid access token.",'
    '"hint":"令牌缺失、无效或已过期，请重新取得 / missing, not valid or expired: get a new one",}}'
)


def judge(tally: Tally, target: str, name: str, answer: httpx.Response) -> None:
    """401, and word for word what every other forgery is answered."""
    alike = not answer.content or _REQUEST_ID.sub("", answer.text) == _REFUSAL
    holds = answer.status_code == 401 and alike and answer.headers.get("www-authenticate") == "Bearer"
    tally.saw(target, holds, f"{name} → {answer.status_code} {answer.text[:200]}")


async def try_revocation(stage: Stage, tally: Tally) -> None:
    """A revoked role, a locked account and an older epoch: refused within 30 s everywhere, unlocked again welcome."""
    database = stage.platform.database
    operator = Scope(role=DatabaseRole.OPERATOR, tenant="operator")

    async def sql(statement: str, subject: str) -> None:
        async with database.unit_of_work(operator) as uow:
            await uow.execute(text(statement), {"subject": subject})

    async def revoke(tenant: str, role: Role, subject: str) -> None:
        async with database.unit_of_work(operator) as uow:
            account = await uow.scalar(text("select account_id from account where subject = :s"), {"s": subject})
        order = {"accountId": str(account), "tenant": tenant, "role": role.name, "idempotencyKey": fresh_key()}
        actor = stage.cast.actor(tenant, Role.CITY_SECURITY_ADMINISTRATOR)
        await actor.do("roleRevoke", "RoleRevokeInput", order, "accountId")

    cases: list[tuple[str, str, Role, Callable[[str, Role, str], Awaitable[None]]]] = [
        ("revoked role", "980100", Role.CITY_SETTLEMENT_CLERK, revoke),
        (
            "locked account", "990100", Role.CITY_SETTLEMENT_APPROVER,
            lambda _t, _r, s: sql("update account set is_locked = true where subject = :subject", s),
        ),
        (
            "older epoch", "H98010001", Role.HOSPITAL_VIEWER,
            lambda _t, _r, s: sql("update account set token_epoch = token_epoch + 1 where subject = :subject", s),
        ),
    ]  # fmt: skip
    waiting: dict[str, Headers] = {}
    for name, tenant, role, act in cases:
        headers = list((await stage.cast.actor(tenant, role).headers()).items())
        before = await send(stage, "POST", "/graphql", headers)
        tally.saw("revocation control", before.status_code == 200, f"{name}: {before.status_code}")
        subject, _epoch = await development_account(database, tenant, role)
        await act(tenant, role, subject)
        waiting[name] = headers
    began = time.monotonic()
    took: dict[str, float] = {}
    while waiting and time.monotonic() - began < REVOKED_WITHIN_S:
        for name in list(waiting):
            if (await send(stage, "POST", "/graphql", waiting[name])).status_code == 401:
                took[name] = round(time.monotonic() - began, 2)
                for method, path in transports():
                    judge(tally, f"{method} {path}", name, await send(stage, method, path, waiting[name]))
                del waiting[name]
        await asyncio.sleep(0.1)
    for name, *_ in cases:
        tally.saw("revocation", name in took, f"{name} still welcome after {REVOKED_WITHIN_S} s")
    tally.figures["revoked_after_s"] = took
