"""Section graphql (查询攻击): documents and bodies that would cost too much, each bounded, and a probe beside them that does not wait."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import math
import random
import resource
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.battery.stage import Stage, open_tenants, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import ServerAddresses

ATTACK_MS_MOST = 100.0
ATTACK_KIB_MOST = 32 << 10
PROBE_MS_MOST = 300.0
ROUNDS = 20
PAUSE_S = 0.02
"""Between two attacks of the one attacker, whose client shares the process and its time with the API."""
READER = ("990100", Role.CITY_SETTLEMENT_CLERK)
DEVELOPER = ("H98010001", Role.INTEGRATION_DEVELOPER)
PROBE = '{"query":"{ hospitals(first: 5) { nodes { id code } } }"}'
REFUSED = frozenset(
    {"TOO_MUCH", "GRAPHQL_INVALID", "BODY_TOO_LARGE", "MEDIA_TYPE", "CONTENT_ENCODING", "REQUEST_MALFORMED"}
)
"""Codes by which an attack is refused (拒绝代码)."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: its name, what is sent, and whether it may be answered, small as its answer is (攻击)."""

    name: str
    content: bytes
    method: str = "POST"
    path: str = "/graphql"
    media: str = "application/json"
    encoding: str = ""
    may_answer: bool = False
    as_developer: bool = False
    chunks: int = 0
    """Send the content so many times over, without telling the length."""


def _doc(query: str, variables: Any = None) -> bytes:
    return json.dumps({"query": query, "variables": variables or {}}).encode()


def attacks(rng: random.Random) -> Iterator[Attack]:
    """Every attack of the list (攻击清单); sizes vary with the seed."""
    n = rng.randrange
    yield Attack("depth", _doc("{ " + 'node(id: "x") { ... on Hospital { area { ' * 12 + "id" + " } } }" * 12 + " }"))
    yield Attack("depth by inline fragments", _doc("{" + " ... {" * (900 + n(200)) + " __typename " + "}" * 1200 + "}"))
    yield Attack("depth that breaks the parser", _doc("{ a " * (2500 + n(1000))))
    yield Attack("depth of argument lists", _doc("{ node(id: " + "[" * 3000 + "]" * 3000 + ") { id } }"))
    yield Attack(
        "depth of input objects",
        _doc("{ cases(first: 1, filter: " + "{a:" * 1500 + "1" + "}" * 1500 + ") { nodes { id } } }"),
    )
    aliases = " ".join(f"a{i}: __typename" for i in range(31 + n(200)))
    yield Attack("aliases", _doc(f"{{ {aliases} }}"))
    seven = " ".join(f"a{i}: hospitals(first: 1) {{ nodes {{ ...F }} }}" for i in range(7))
    inner = " ".join(f"b{i}: code" for i in range(7))
    yield Attack("aliases through fragments", _doc(f"query {{ {seven} }} fragment F on Hospital {{ {inner} }}"))
    for doublings in (24, 10 + n(19)):
        doubled = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(doublings))
        yield Attack(
            "fragment doublings", _doc(f"{{ ...F0 }} {doubled} fragment F{doublings} on Query {{ __typename }}")
        )
    nested = " ".join(
        f"fragment F{i} on Hospital {{ x: id ... on Hospital {{ ...F{i + 1} }} ... on Hospital {{ ...F{i + 1} }} }}"
        for i in range(24)
    )
    yield Attack(
        "fragment doublings in inline fragments",
        _doc(f"{{ hospitals(first: 1) {{ nodes {{ ...F0 }} }} }} {nested} fragment F24 on Hospital {{ id }}"),
    )
    yield Attack("fragment cycle", _doc("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"))
    many = " ".join(f"fragment G{i} on Query {{ __typename }}" for i in range(31 + n(300)))
    yield Attack("unused fragments", _doc(f"{{ __typename }} {many}"))
    yield Attack("duplicate fields", _doc("{" + " __typename" * (400 + n(400)) + " }"))
    yield Attack(
        "duplicate fields in an unused fragment",
        _doc("{ __typename } fragment F on Query {" + " __typename" * 2900 + "}"),
    )
    yield Attack("duplicate fields with arguments", _doc("{" + ' node(id: "x") { id }' * 299 + " }"))
    yield Attack("directives", _doc("{ __typename" + " @include(if: true)" * (900 + n(100)) + " }"))
    yield Attack("directives on the operation", _doc("query Q" + " @x" * 900 + " { __typename }"))
    yield Attack("directives on variables", _doc("query Q($a: Int" + " @x" * 900 + ") { __typename }"))
    chain = "fields { type { " * 10 + "name" + " } }" * 10
    for developer in (False, True):
        yield Attack("introspection nested", _doc(f"{{ __schema {{ types {{ {chain} }} }} }}"), as_developer=developer)
        wide = "fields { args { type { fields { name } } } }"
        yield Attack("introspection wide", _doc(f"{{ __schema {{ types {{ {wide} }} }} }}"), as_developer=developer)
    yield Attack("introspection", _doc("{ __schema { types { name } } }"))
    yield Attack("introspection of a type", _doc('{ __type(name: "Hospital") { name } }'))
    for guess in (
        "{ hospital_ }", "{ hospitalz(first: 1) { nodes { id } } }", "{ hospitals(firs: 1) { nodes { id } } }",
        "{ hospitals(first: 1) { nodes { cod } } }", "{ hospitals(first: 1) { nodes { ... on Hospita { id } } } }",
        "{ ...F } fragment F on Quer { __typename }", "query($i: TenantOpenInpu) { __typename }",
        "mutation { tenantOpe }", "{ __typename @includ(if: true) }", "{ __typename @include(iff: true) }",
        'mutation { tenantOpen(input: {idempotencyKe: "a"}) { tenant } }',
        'mutation { tenantOpen(input: {idempotencyKey: "a", kind: PROVINC, code: "a", name: "a"}) { tenant } }',
    ):  # fmt: skip
        yield Attack("suggestions", _doc(guess))
    for guessed in ({"idempotencyKe": "a"}, {"idempotencyKey": "a", "kind": "PROVINC", "code": "a", "name": "a"}):
        yield Attack(
            "suggestions", _doc("mutation($i: TenantOpenInput!) { tenantOpen(input: $i) { tenant } }", {"i": guessed})
        )
    yield Attack(
        "lists of lists",
        _doc(
            "{ clearingRuns(first: 100) { nodes { statements(first: 100) { nodes { cases(first: 100) { nodes { caseId } } } } } } }"
        ),
    )
    yield Attack(
        "lists of forty",
        _doc(
            "{ clearingRuns(first: 40) { nodes { statements(first: 40) { nodes { cases(first: 40) { nodes { caseId } } } } } } }"
        ),
    )
    yield Attack(
        "worked-out fields",
        _doc(
            "{"
            + " ".join(f'a{i}: catalogEdition(id: "x") {{ lint(first: 1) {{ code }} }}' for i in range(4 + n(26)))
            + "}"
        ),
    )
    yield Attack(
        "pages within pages",
        _doc(
            f"{{ clearingRuns(first: {45 + n(50)}) {{ nodes {{ statements(first: 10) {{ nodes {{ cases(first: 1) {{ nodes {{ caseId }} }} }} }} }} }} }}"
        ),
    )
    yield Attack(
        "lists by variable",
        _doc(
            "query($n: Int!) { clearingRuns(first: $n) { nodes { statements(first: $n) { nodes { cases(first: $n) { nodes { caseId } } } } } } }",
            {"n": 40},
        ),
    )
    yield Attack("a list without end", _doc("{ hospitals(first: 2147483647) { nodes { code } } }"))
    yield Attack("a list beyond numbers", _doc("{ hospitals(first: " + "9" * 4000 + ") { nodes { code } } }"))
    yield Attack("operations", _doc(" ".join(f"query Q{i} {{ __typename }}" for i in range(6 + n(200)))))
    yield Attack("lines and errors", _doc("\n" * 40_000 + "{" + " ".join(f"x{i}" for i in range(290)) + "}"))
    yield Attack("errors", _doc("{" + "\n".join(f" x{i}" for i in range(290)) + "}"))
    yield Attack("a long name", _doc("{ " + "a" * 60_000 + " }"))
    yield Attack("a long comment", _doc("{ __typename } #" + "x" * 500_000))
    yield Attack("open quotes", _doc('{ a(b: "' * 3000))
    yield Attack("block quotes", _doc('{ a(b: """' + '\\"""' * 9000 + '"""' + "}"))
    yield Attack("commas", _doc("{ __typename " + "," * 60_000 + " }"))
    yield Attack("tokens", _doc("{ __typename " + " ".join("a" for _ in range(6_100)) + " }"))
    yield Attack(
        "variables declared", _doc("query(" + ",".join(f"$v{i}: Int" for i in range(1_400)) + ") { __typename }")
    )
    huge = ["x"] * (19_000 + n(900))
    yield Attack("huge variables, declared", _doc("query($i: [ID!]!) { __typename }", {"i": huge}), may_answer=True)
    yield Attack("huge variables, undeclared", _doc("{ __typename }", {"i": huge}), may_answer=True)
    yield Attack(
        "huge variables of a wrong type",
        _doc(
            "mutation($i: PolicyApproveInput!) { policyApprove(input: $i) { userErrors { code } } }",
            {"i": {"idempotencyKey": "a" * 9, "ids": [[1]] * 9_000}},
        ),
    )
    yield Attack("more variables than taken", _doc("{ __typename }", {"i": list(range(100_000))}))
    yield Attack(
        "a variable of a megabyte",
        _doc("query($i: ID!) { node(id: $i) { id } }", {"i": "A" * 1_000_000}),
        may_answer=True,
    )
    yield Attack(
        "variables nested deep", b'{"query":"{ __typename }","variables":{"a":' + b"[" * 9_000 + b"]" * 9_000 + b"}}"
    )
    yield Attack(
        "variables nested deeper",
        b'{"query":"{ __typename }","variables":{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}}",
    )
    yield Attack("numbers without end", b'{"query":"{ __typename }","variables":{"a":' + b"9" * 900_000 + b"}}")
    yield Attack("body of 50 MB", b" " * 65_536, chunks=800)
    yield Attack("gzip bomb", gzip.compress(b" " * 10_000_000), encoding="gzip")
    yield Attack("gzip bomb unnamed", gzip.compress(b" " * 10_000_000))
    yield Attack("batch", b"[" + b",".join([_doc("{ __typename }")] * (2 + n(900))) + b"]")
    yield Attack(
        "multipart",
        b'--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{}\r\n--x--',
        media="multipart/form-data; boundary=x",
    )
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/graphql", "text/html"):
        yield Attack("media type", _doc("{ __typename }"), media=media)
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        yield Attack("method", b"", method=method, path="/graphql?query=%7B__typename%7D")


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Every attack `rounds` times beside a probe that must not wait (查询攻击测试组)."""
    from fenzhi_graphql.app import settled_memory

    tally = Tally()
    async with staged(addresses) as stage:
        await open_tenants(stage.cast)
        with settled_memory():
            await try_attacks(stage, tally, seed, rounds or ROUNDS, is_timed=True)
        await try_slow_body(tally)
    return tally


async def try_attacks(stage: Stage, tally: Tally, seed: int, rounds: int, *, is_timed: bool) -> None:
    """Send every attack; judge its answer, and with `is_timed` its time, its memory and the probe beside it."""
    rng = random.Random(seed)
    waits: list[float] = []
    done = asyncio.Event()
    beside = asyncio.create_task(_probe(stage, waits, done))
    slowest: dict[str, float] = {}
    memory: dict[str, int] = {}
    try:
        for _ in range(rounds):
            if is_timed:
                # What the section itself keeps of the round before is no part of what an attack costs the API.
                gc.collect()
                gc.freeze()
            for attack in attacks(rng):
                before = _peak_kib()
                took, answer = await _send(stage, attack)
                memory[attack.name] = max(memory.get(attack.name, 0), _peak_kib() - before)
                slowest[attack.name] = max(slowest.get(attack.name, 0.0), took)
                judge(tally, attack, answer)
                await asyncio.sleep(PAUSE_S if is_timed else 0)
    finally:
        done.set()
        await beside
    if is_timed:
        for name, took in slowest.items():
            tally.saw("time", took <= ATTACK_MS_MOST, f"{name} took {took:.0f} ms of processor")
            tally.saw("memory", memory[name] <= ATTACK_KIB_MOST, f"{name} took {memory[name]} KiB")
        p99 = quantile(waits, 0.99)
        tally.saw("probe beside", p99 <= PROBE_MS_MOST, f"p99 {p99:.0f} ms of {len(waits)}")
        tally.figures |= {
            "probes_beside": len(waits),
            "probe_p50_ms": round(quantile(waits, 0.5), 1),
            "probe_p99_ms": round(p99, 1),
            "probe_most_ms": round(max(waits), 1),
            "slowest_processor_ms": {n: round(t, 1) for n, t in sorted(slowest.items(), key=lambda x: -x[1])[:8]},
            "most_kib": {n: m for n, m in sorted(memory.items(), key=lambda x: -x[1])[:4]},
        }


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed (分位数)."""
    return sorted(values)[min(len(values) - 1, math.ceil(len(values) * share) - 1)]


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def _send(stage: Stage, attack: Attack) -> tuple[float, httpx.Response]:
    """Milliseconds of processor time (the client's and the probe's included), and the answer."""
    headers = await stage.cast.actor(*(DEVELOPER if attack.as_developer else READER)).headers()
    headers["content-type"] = attack.media
    if attack.encoding:
        headers["content-encoding"] = attack.encoding

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(attack.chunks):
            yield attack.content

    content = streamed() if attack.chunks else attack.content
    began = time.process_time()
    answer = await stage.cast.http.request(attack.method, attack.path, content=content, headers=headers)
    return (time.process_time() - began) * 1000, answer


def judge(tally: Tally, attack: Attack, answer: httpx.Response) -> None:
    """Refused by a code of the list, or answered where the answer costs nothing; never a fault, never a guess."""
    tally.saw("no suggestion", "Did you mean" not in answer.text, f"{attack.name}: {answer.text[:300]}")
    tally.saw(
        "no fault",
        answer.status_code < 500 and "INTERNAL" not in answer.text,
        f"{attack.name}: {answer.status_code} {answer.text[:200]}",
    )
    if attack.name == "method":
        tally.saw(attack.name, answer.status_code == 405, f"{attack.method} → {answer.status_code}")
        return
    body = answer.json()
    errors = [body["error"]] if "error" in body else [e["extensions"] for e in body.get("errors") or ()]
    refused = bool(errors) and {e["code"] for e in errors} <= REFUSED
    holds = (refused and not body.get("data")) or (attack.may_answer and answer.status_code == 200)
    tally.saw(attack.name, holds, f"{answer.status_code} {answer.text[:200]}")
    tally.saw("small answer", len(answer.content) <= 1 << 16, f"{attack.name}: {len(answer.content)} bytes")


async def _probe(stage: Stage, waits: list[float], done: asyncio.Event) -> None:
    headers = await stage.cast.actor(*READER).headers() | {"content-type": "application/json"}
    while not done.is_set():
        began = time.perf_counter()
        answer = await stage.cast.http.post("/graphql", content=PROBE, headers=headers)
        waits.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200 and "errors" not in answer.json(), answer.text[:300]
        await asyncio.sleep(0.005)


async def try_slow_body(tally: Tally, idle_s: float = 0.2) -> None:
    """A body that begins and stops: let go after the deadline, typed, and nothing of it is kept (慢速请求体)."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    from fenzhi.rules.refusals import FenzhiError
    from fenzhi_graphql.app import problem
    from fenzhi_graphql.asgi import Envelope

    async def whole(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def refused(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, FenzhiError)
        return problem(exc, request.state.request_id)

    inner = Starlette(routes=[Route("/slow", whole, methods=["POST"])], exception_handlers={FenzhiError: refused})
    app = Envelope(inner, deadline_s=30, body_most=1000, upload_most=1000, upload_prefixes=(), body_idle_s=idle_s)
    for silent_after in range(3):
        sent: list[Any] = []
        left = [silent_after]

        async def receive(left: list[int] = left) -> dict[str, Any]:
            if left[0] == 0:
                await asyncio.sleep(3600)
            left[0] -= 1
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        began = time.monotonic()
        scope = {"type": "http", "method": "POST", "path": "/slow", "headers": [], "query_string": b""}
        await app(scope, receive, send)
        took = time.monotonic() - began
        status = sent[0]["status"]
        tally.saw("slow body", status == 408 and took < idle_s * 3, f"{status} after {took:.1f} s")
