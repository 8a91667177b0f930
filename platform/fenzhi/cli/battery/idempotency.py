"""Section idempotency (幂等测试): requests repeated in every way we know of, against a model of what each key may do."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from dataclasses import dataclass, field
from typing import Any

from fenzhi.access.development_issuer import issue_development_token
from fenzhi.access.roles import Role
from fenzhi.cli.battery.stage import Stage, open_tenants, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow.client import Actor, fresh_key
from fenzhi.cli.servers import ServerAddresses
from fenzhi.services.registry.accounts import development_account

STEPS = 2_000
"""Of twenty steps twelve are retries, so more than a thousand."""
TENANTS = ("H99010001", "H99012201", "H98010001")
_CREATE = "mutation($i: BatchCreateInput!) { batchCreate(input: $i) { batch { id } userErrors { code } } }"
_ABANDON = "mutation($i: BatchAbandonInput!) { batchAbandon(input: $i) { batch { id } userErrors { code } } }"
_BATCHES = "query($after: String) { batches(first: 100, after: $after) { nodes { id state label } pageInfo { hasNextPage endCursor } } }"
WAYS = (
    "new", "retry", "retry", "retry", "retry", "twins", "retry", "twins elsewhere", "retry", "other body", "retry",
    "other tenant", "retry", "other operation", "retry", "after abandoning", "retry", "bad key", "retry", "retry",
)  # fmt: skip
"""Ways to send a request (发送方式); most are retries."""


@dataclass(frozen=True, slots=True)
class Retry:
    """One way to retry a request that was carried out (重试方式)."""

    instance: int
    """Which API instance gets it."""
    by_header: bool
    """The key in the header instead of the input."""
    token: str
    """The token kept, made anew, or made anew with one factor only."""
    spelled: str
    """The same JSON as sent first, its fields in another order, or with characters escaped."""
    times: int
    at_once: bool


RETRIES = tuple(
    Retry(*way)
    for way in itertools.product(
        (0, 1),
        (False, True),
        ("kept", "anew", "one factor"),
        ("plain", "reordered", "escaped"),
        (1, 2, 4),
        (False, True),
    )
    if way[4] > 1 or not way[5]
)
"""Every way of retrying (全部重试方式): 180 of them."""


@dataclass
class Model:
    """What every key of every tenant has done (模型)."""

    done: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """(tenant, key) → (label, batch)."""
    abandoned: set[str] = field(default_factory=set)
    old: set[tuple[str, str]] = field(default_factory=set)
    """Keys that were made a day, or more than a year, older than they are."""


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` steps over two API instances (幂等测试组)."""
    tally = Tally()
    async with staged(addresses, instances=2) as stage:
        await open_tenants(stage.cast)
        await try_retries(stage, tally, seed, rounds or STEPS)
    return tally


async def try_retries(stage: Stage, tally: Tally, seed: int, steps: int) -> None:
    """Repeat requests by the model; afterwards the store holds exactly what the model holds."""
    rng = random.Random(seed)
    model = Model()
    before = {tenant: len(await _batches(stage, tenant)) for tenant in TENANTS}
    waiting: list[Retry] = []
    for number in range(steps):
        if number == steps // 2:
            await _grow_old(stage, tally, model)
        way = WAYS[number % len(WAYS)] if model.done else "new"
        if way == "retry":
            waiting = waiting or rng.sample(RETRIES, len(RETRIES))
            await _retry(stage, tally, rng, model, waiting.pop())
            continue
        await _step(stage, tally, rng, model, way)
    for tenant in TENANTS:
        found = await _batches(stage, tenant)
        expected = {batch for (owner, _key), (_label, batch) in model.done.items() if owner == tenant}
        ours = {b["id"] for b in found if b["id"] in expected}
        tally.saw(
            "stored once",
            ours == expected and len(found) == before[tenant] + len(expected),
            f"{tenant}: {len(found)} batches, {len(expected)} expected",
        )
        gone = {b["id"] for b in found if b["state"] == "ABANDONED"} & expected
        tally.saw("nothing else done", gone == model.abandoned & expected, tenant)
    tally.figures |= {"keys": len(model.done), "abandoned": len(model.abandoned)}


async def _grow_old(stage: Stage, tally: Tally, model: Model) -> None:
    """Half of the keys so far were recorded 25 hours earlier, the others 400 days (旧键): they stay what they are."""
    async with stage.past_the_walls() as connection:
        done = await connection.execute(
            "update idempotency_key set recorded_at = recorded_at - interval '25 hours' * (1 + 383 * (hashtext(key) & 1))"
        )
    model.old = set(model.done)
    tally.saw("keys grown old", int(done.split()[-1]) >= len(model.old) > 0, done)


async def _step(stage: Stage, tally: Tally, rng: random.Random, model: Model, way: str) -> None:
    if way == "new":
        tenant, key, label = rng.choice(TENANTS), fresh_key(), f"batch {rng.random()}"
        answer = await _create(_actor(stage, tenant), key, label)
        model.done[tenant, key] = (label, str(_id(answer)))
        tally.saw(way, _id(answer) is not None, str(answer))
        return
    (tenant, key), (label, batch) = rng.choice(list(model.done.items()))
    actor, elsewhere = _actor(stage, tenant), _actor(stage, tenant, 1)
    match way:
        case "twins" | "twins elsewhere":
            await _twins(tally, rng, model, way, tenant, [actor, elsewhere if way == "twins elsewhere" else actor])
            return
        case "other body":
            answer = await _create(actor, key, label + "!")
            tally.saw(way, _codes(answer) == ["IDEMPOTENCY_KEY_REUSED"], str(answer))
            return
        case "other operation":
            answer = await _abandon(actor, key, batch)
            tally.saw(way, _codes(answer) == ["IDEMPOTENCY_KEY_REUSED"], str(answer))
            return
        case "other tenant":
            other = rng.choice([t for t in TENANTS if t != tenant and (t, key) not in model.done] or [""])
            if other:
                answer = await _create(_actor(stage, other), key, label)
                model.done[other, key] = (label, str(_id(answer)))
                tally.saw(way, _id(answer) not in (None, batch), str(answer))
            return
        case "after abandoning":
            abandoning = fresh_key()
            if batch not in model.abandoned:
                for _ in range(2):
                    answer = await _abandon(actor, abandoning, batch)
                    tally.saw("abandoned once", _id(answer) == batch, str(answer))
                model.abandoned.add(batch)
            answers = [await _create(actor, key, label)]
        case _:
            for bad in ("short", "x" * 256, "line\nbreak", ""):
                answer = await _create(actor, bad, label)
                tally.saw(way, _codes(answer) == ["IDEMPOTENCY_KEY_SHAPE"], f"{bad!r}: {answer}")
            return
    for answer in answers:
        tally.saw(way, _id(answer) == batch and not _codes(answer), f"{answer} for {batch}")


async def _retry(stage: Stage, tally: Tally, rng: random.Random, model: Model, way: Retry) -> None:
    """Send a request that was carried out once more in one way: the same answer, or that a twin is in flight, never anything else."""
    (tenant, key), (label, batch) = rng.choice(list(model.done.items()))
    actor = _actor(stage, tenant, way.instance)
    headers = {"idempotency-key": key} if way.by_header else {}
    if way.token != "kept":
        headers["authorization"] = f"Bearer {await _token(stage, tenant, has_second_factor=way.token == 'anew')}"
    order = {"idempotencyKey": "" if way.by_header else key, "purpose": "LISTS", "mode": "PARTIAL", "label": label}
    body: dict[str, Any] = {"query": _CREATE, "variables": {"i": order}}
    if way.spelled == "reordered":
        body = {"variables": {"i": dict(reversed(order.items()))}, "query": _CREATE}
    content = json.dumps(body, ensure_ascii=way.spelled == "escaped").encode()

    async def once() -> dict[str, Any]:
        sent = {"content-type": "application/json", **headers}
        if "authorization" not in sent:
            sent |= await actor.headers()
        response = await actor.http.request("POST", "/graphql", headers=sent, content=content)
        return dict((response.json().get("data") or {}).get("batchCreate") or {})

    if way.at_once:
        answers = await asyncio.gather(*(once() for _ in range(way.times)))
    else:
        answers = [await once() for _ in range(way.times)]
    for answer in answers:
        is_same = _id(answer) == batch and not _codes(answer)
        is_twin = way.at_once and _id(answer) is None and _codes(answer) == ["IDEMPOTENCY_IN_FLIGHT"]
        tally.saw(
            "retry of an old key" if (tenant, key) in model.old else "retry",
            is_same or is_twin,
            f"{way}: {answer} for {batch}",
        )
    tally.figures["retries"] = tally.figures.get("retries", 0) + 1


async def _token(stage: Stage, tenant: str, *, has_second_factor: bool) -> str:
    role = Role.HOSPITAL_SUBMITTER
    subject, epoch = await development_account(stage.platform.database, tenant, role)
    return issue_development_token(
        stage.keys.elliptic, subject, tenant, role.value, epoch, has_second_factor=has_second_factor
    ).token


async def _twins(tally: Tally, rng: random.Random, model: Model, way: str, tenant: str, actors: list[Actor]) -> None:
    """The same new request several times at once: one effect; each answer is it, or says that a twin is in flight."""
    key, label = fresh_key(), f"twin {rng.random()}"
    answers = await asyncio.gather(*(_create(actors[n % len(actors)], key, label) for n in range(rng.randrange(2, 7))))
    made = {_id(a) for a in answers if _id(a)}
    others = [_codes(a) for a in answers if not _id(a)]
    last = await _create(actors[0], key, label)
    tally.saw(way, len(made) == 1 and all(c == ["IDEMPOTENCY_IN_FLIGHT"] for c in others), f"{made} {others}")
    tally.saw(way, {_id(last)} == made, f"{last} after {made}")
    model.done[tenant, key] = (label, str(_id(last)))


def _actor(stage: Stage, tenant: str, instance: int = 0) -> Actor:
    return stage.casts[instance].actor(tenant, Role.HOSPITAL_SUBMITTER)


async def _create(actor: Actor, key: str, label: str, header: str = "") -> dict[str, Any]:
    order = {"idempotencyKey": key, "purpose": "LISTS", "mode": "PARTIAL", "label": label}
    return await _send(actor, "batchCreate", _CREATE, order, header)


async def _abandon(actor: Actor, key: str, batch: str) -> dict[str, Any]:
    return await _send(actor, "batchAbandon", _ABANDON, {"idempotencyKey": key, "batch": batch}, "")


async def _send(actor: Actor, name: str, document: str, order: dict[str, Any], header: str) -> dict[str, Any]:
    headers = {"idempotency-key": header} if header else {}
    body = {"query": document, "variables": {"i": order}}
    response = await actor.send("POST", "/graphql", json=body, headers=headers)
    answer: dict[str, Any] = (response.json().get("data") or {}).get(name) or {}
    return answer


def _id(answer: dict[str, Any]) -> str | None:
    return (answer.get("batch") or {}).get("id")


def _codes(answer: dict[str, Any]) -> list[str]:
    return [error["code"] for error in answer.get("userErrors") or ()]


async def _batches(stage: Stage, tenant: str) -> list[dict[str, Any]]:
    return await _actor(stage, tenant).all_nodes(_BATCHES, "batches")
