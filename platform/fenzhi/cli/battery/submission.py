"""Section submission (上报故障测试): one message a hundred ways, answers cut after COMMIT, uploads over restarts of the API."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from typing import Any

import asyncpg
import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.battery.cuts import Wires, wired
from fenzhi.cli.battery.fault_proxy import Fault
from fenzhi.cli.battery.fuzz import envelope_of
from fenzhi.cli.battery.kills import superuser_dsn
from fenzhi.cli.battery.small_world import Sent
from fenzhi.cli.battery.store_checks import check_store, connected
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow.client import Actor
from fenzhi.cli.servers import ServerAddresses, Servers

CUTS = 200
WAYS = 100
RESTARTS = 5
_ANSWERED_WITHIN_S = 60.0
PASSING = frozenset({"IDEMPOTENCY_IN_FLIGHT", "TRY_AGAIN", "UNAVAILABLE", "DEADLINE"})
"""Codes after which the same message is sent again (可重发代码)."""


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Restarts, then `rounds` answers cut after COMMIT, then a hundred ways to send the same (上报故障测试组)."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    tally = Tally()
    async with wired(addresses, servers.state_dir.parent / "plant") as wires:
        dsn = superuser_dsn(addresses)
        hospital = wires.world.hospitals()[0]
        actor = wires.world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
        # First, because its look at the store takes every key for one of the clients it watched.
        await over_restarts(tally, wires, seed, RESTARTS if not rounds else 1)
        await answers_cut(tally, wires, actor, dsn, seed, rounds or CUTS)
        await one_message_many_ways(tally, actor, dsn, seed, WAYS if not rounds else min(WAYS, rounds))
    return tally


def _messages(wires: Wires, hospital: str, count: int) -> list[dict[str, Any]]:
    """Fresh sound lists as 4101A messages."""
    _, body = wires.world.fresh_part(hospital, count)
    return [envelope_of(hospital, json.loads(line)) for line in body.split(b"\n") if line]


async def sent_until_answered(actor: Actor, body: bytes, cut: Counter[str]) -> dict[str, Any]:
    """Send one message, always the same bytes, until it is answered for good (发送至应答); the envelope of the answer."""
    async with asyncio.timeout(_ANSWERED_WITHIN_S):
        while True:
            try:
                response = await actor.http.post("/v1/nhsa/4101A", content=body, headers=await actor.headers())
                answer: dict[str, Any] = response.json()
            except (httpx.TransportError, ValueError):
                cut["no answer"] += 1
            else:
                codes = {one["code"] for one in (answer.get("output") or {}).get("refusals", ())}
                if not codes & PASSING and response.status_code < 500:
                    return answer
                cut["status 500"] += response.status_code == 500
                cut["said to try again"] += 1
            await asyncio.sleep(0.05)


async def answers_cut(tally: Tally, wires: Wires, actor: Actor, dsn: str, seed: int, rounds: int) -> None:
    """Cut the answer to COMMIT between API and database, or the API's own answer, and send again: 0 lost, 0 doubled (提交后断链)."""
    chance = random.Random(f"cuts:{seed}")
    cut: Counter[str] = Counter()
    database, client = wires.proxies["API and PostgreSQL"], wires.proxies["client and API"]
    messages = _messages(wires, actor.tenant, rounds)
    fell = 0
    for number, message in enumerate(messages):
        proxy, fault = (database, Fault.CUT_AFTER_COMMIT) if number % 4 else (client, Fault.CUT_ANSWER)
        proxy.arm(fault)
        context = f"cut {number}, {fault}"
        try:
            answer = await sent_until_answered(actor, json.dumps(message, ensure_ascii=False).encode(), cut)
        except TimeoutError:
            tally.saw("answered in the end", False, context)
            continue
        finally:
            fell += proxy.fell > 0
            proxy.disarm()
        tally.saw("answered in the end", answer.get("infcode") == "0", f"{context}: {str(answer)[:200]}")
        if chance.random() < 0.3:
            again = await sent_until_answered(actor, json.dumps(message, ensure_ascii=False).encode(), cut)
            tally.saw("the same answer", again["output"] == answer["output"], f"{context}: {again['output']}")
    tally.saw("no 500", cut["status 500"] == 0, str(cut))
    await _stored_once(tally, dsn, [message["input"]["setlinfo"]["setl_id"] for message in messages])
    tally.figures |= {"cuts": len(messages), "cuts_that_fell": fell, "answers": dict(cut)}
    tally.saw("the cuts fell", fell * 10 >= len(messages) * 9, f"{fell} of {len(messages)}")


async def _stored_once(tally: Tally, dsn: str, setl_ids: list[str]) -> None:
    """Each list is there, once, with one text and one step, one key and one row of audit."""
    connection: asyncpg.Connection[asyncpg.Record] = await connected(dsn)
    try:
        rows = await connection.fetch(
            "select l.setl_id, count(distinct l.list_id) as lists, count(distinct t.version) as texts,"
            " count(distinct m.move_id) as moves, count(distinct a.event_id) as events"
            " from filed_list l left join filed_text t using (list_id) left join filed_move m using (list_id)"
            " left join audit_event a on a.object_id = l.list_id::text and a.action = 'nhsa4101A'"
            " where l.setl_id = any($1) group by l.setl_id",
            setl_ids,
        )
    finally:
        await connection.close()
    found = {row["setl_id"]: row for row in rows}
    for setl_id in setl_ids:
        row = found.get(setl_id)
        tally.saw("not lost", row is not None, setl_id)
        if row is not None:
            once = (row["lists"], row["texts"], row["moves"], row["events"])
            tally.saw("not doubled", once == (1, 1, 1, 1), f"{setl_id}: lists, texts, moves, events {once}")


async def one_message_many_ways(tally: Tally, actor: Actor, dsn: str, seed: int, ways: int) -> None:
    """The same key and body a hundred ways, alone and at once: one effect; another body under the key: a typed refusal (幂等)."""
    chance = random.Random(f"ways:{seed}")
    cut: Counter[str] = Counter()
    base = {"infver": "V1.0", "inf_time": "2025-01-10 08:00:00"}
    setl_id = f"WAYS{seed:08d}"
    message: dict[str, Any] = {
        **base,
        "infno": "4101A",
        "msgid": f"{actor.tenant}{setl_id}",
        "fixmedins_code": actor.tenant,
        "input": {"setlinfo": {"setl_id": setl_id, "psn_no": "P1"}, "diseinfo": []},
    }
    body = json.dumps(message, ensure_ascii=False).encode()
    answers = []
    number = 0
    while number < ways:
        at_once = min(chance.choice((1, 1, 2, 5, 10)), ways - number)
        number += at_once
        answers += await asyncio.gather(*(sent_until_answered(actor, body, cut) for _ in range(at_once)))
    outputs = {json.dumps(answer["output"], sort_keys=True) for answer in answers}
    tally.saw("one answer to all", len(outputs) == 1 and answers[0]["infcode"] == "0", str(sorted(outputs)[:3]))
    others = 0
    for name, value in (("psn_no", "P2"), ("setl_id", f"{setl_id}B"), ("gend", "2")):
        setlinfo = {**message["input"]["setlinfo"], name: value}
        other = {**message, "input": {**message["input"], "setlinfo": setlinfo}}
        answer = await sent_until_answered(actor, json.dumps(other).encode(), cut)
        codes = [one["code"] for one in answer["output"].get("refusals", ())]
        tally.saw("another body is refused", codes == ["IDEMPOTENCY_KEY_REUSED"], str(answer)[:200])
        others += 1
    await _stored_once(tally, dsn, [setl_id])
    tally.figures |= {"same_message_sent": len(answers), "other_bodies": others}


async def over_restarts(tally: Tally, wires: Wires, seed: int, rounds: int) -> None:
    """Uploads go on while the API is killed or told to go, and comes back (接口重启续传): every part once, every list judged once."""
    chance = random.Random(f"restarts:{seed}")
    history, world = wires.history, wires.world
    sent: list[Sent] = wires.batches
    restarts = 0
    for number in range(rounds):
        odd = len(history.odd)
        stop = asyncio.Event()

        async def keep_sending(hospital: str, context: str, stop: asyncio.Event) -> list[Sent]:
            done: list[Sent] = []
            while not stop.is_set():
                label = f"{context} {hospital} {len(done)}"
                done.append(await world.submit(history, hospital, label, parts=6, into=sent))
            return done

        context = f"restart {number}"
        hospitals = chance.sample(world.hospitals(), 2)
        working = [asyncio.create_task(keep_sending(hospital, context, stop)) for hospital in hospitals]
        for _ in range(2):
            await asyncio.sleep(0.2 + chance.random() * 0.5)
            fell = len(wires.plant.started_again)
            wires.plant.apis[0].send(chance.choice((signal.SIGKILL, signal.SIGTERM)))
            async with asyncio.timeout(_ANSWERED_WITHIN_S):
                while len(wires.plant.started_again) == fell:
                    await asyncio.sleep(0.05)
            await wires.plant.ready()
            restarts += 1
        stop.set()
        done = [one for found in await asyncio.gather(*working) for one in found]
        states = [one.state for one in done]
        tally.saw("uploads go on", set(states) == {"DONE"}, f"{context}: {states}")
        tally.saw("answers are typed", len(history.odd) == odd, f"{context}: {history.odd[odd:][:2]}")
        await check_store(tally, wires.findings, history, sent, context)
    again = sum(one.sent - 1 for one in history.asked)
    tally.saw("restarts met requests", again > 0, f"{restarts} restarts")
    tally.figures |= {"restarts": restarts, "uploads": len(sent), "sent_again": again}
