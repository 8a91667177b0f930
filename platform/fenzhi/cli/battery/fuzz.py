"""Section fuzz (变异测试): lists, messages and files spoiled by a grammar; never a 5xx, every fault named with its place, nothing too much stored."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.battery.furnished import at_work, furnish
from fenzhi.cli.battery.mutations import (
    ACCEPTED,
    BOMB_BYTES,
    EITHER,
    KINDS,
    REFUSED,
    Message,
    Spoiled,
    bad_files,
    spoiled,
)
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow.client import Actor
from fenzhi.cli.servers import ServerAddresses
from fenzhi.cli.synthetic.full_lists import national_input
from fenzhi.cli.synthetic.lists import labelled_lists

BATCHES = 50
LINES = 200
MESSAGES = 2_000
_CASES = """query($after: String) { cases(first: 100, after: $after) {
  nodes { setlId } pageInfo { hasNextPage endCursor } } }"""
_BATCH = "query($id: ID!) { batch(id: $id) { state job { state errorCode } counts { rows accepted refused } } }"


@dataclass
class Ground:
    """Where it is tried (测试场地): a hospital's submitter, and sound lists of its own without end."""

    actor: Actor
    sound: Callable[[], Message]
    template: bytes
    sent: Counter[str] = field(default_factory=Counter)


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` batches of 200 spoiled lists, then messages and files (变异测试组)."""
    tally = Tally()
    async with at_work(addresses) as stage:
        source = await furnish(stage, seed, settle=False)
        plan = source.plan
        hospital = plan.hospitals[0].code
        year = plan.settlement_year
        lines = labelled_lists(plan, 5_000, date(year, 11, 1), date(year, 11, 20))
        ground = Ground(
            stage.cast.actor(hospital, Role.HOSPITAL_SUBMITTER),
            sound_lists([json.loads(one.line) for one in lines if not one.fault and one.hospital_code == hospital]),
            await _template(stage.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)),
        )
        await fuzz_batches(tally, ground, seed, rounds or BATCHES, LINES)
        await fuzz_messages(tally, ground, seed, MESSAGES if not rounds else rounds * 20)
        await fuzz_files(tally, ground, seed)
    tally.figures |= {"sent_by_kind": dict(sorted(ground.sent.items())), "sent": sum(ground.sent.values())}
    return tally


def sound_lists(models: list[Message]) -> Callable[[], Message]:
    """Sound lists one after another, each with ids of its own (合格清单生成)."""
    numbers = itertools.count(1)

    def make() -> Message:
        number = next(numbers)
        setl_id = f"FZ{number:08d}"
        return {
            **models[number % len(models)],
            "setl_id": setl_id,
            "mdtrt_id": f"M{setl_id}",
            "medcasno": f"C{setl_id}",
        }

    return make


async def fuzz_batches(tally: Tally, ground: Ground, seed: int, batches: int, lines: int) -> None:
    """Batches of spoiled lists, partial and atomic by turns: exactly the sound ones become cases, or none (变异批次)."""
    chance = random.Random(f"batches:{seed}")
    kinds = itertools.cycle(chance.sample(list(KINDS), len(KINDS)))
    stored = await _stored(ground.actor)
    for number in range(batches):
        is_atomic = number % 5 == 4
        made: list[tuple[str, Spoiled]] = []
        for _ in range(lines):
            message = ground.sound()
            made.append((message["setl_id"], spoiled(chance, next(kinds), message)))
            ground.sent[made[-1][1].kind] += 1
        # Blank lines are no rows; a list that is plainly no text may only be judged so in the first place of a part.
        body = b"\n".join(one.line for _, one in made) + b"\n"
        context = f"batch {number}{', atomic' if is_atomic else ''}"
        batch = await _create(ground.actor, "ATOMIC" if is_atomic else "PARTIAL", f"fuzz {number}")
        response = await ground.actor.send("PUT", f"{batch['uploadPath']}1", content=body)
        tally.saw("no 5xx", response.status_code < 500, f"{context}: {response.status_code} {response.text[:200]}")
        if response.status_code not in (200, 201):
            tally.saw("a part of lines is kept", False, f"{context}: {response.text[:200]}")
            continue
        counts = await _judged(tally, ground.actor, batch["id"], context)
        if counts is None:
            continue
        found = await _verdicts(ground.actor, batch["id"])
        refused_rows = {row for row, codes in found.items() if any(one["severity"] == "error" for one in codes)}
        _named(tally, found, context)
        accepted = set()
        for row, (setl_id, one) in enumerate(made, 1):
            is_refused = row in refused_rows
            if one.fate != EITHER:
                tally.saw(
                    f"{one.kind}: {one.fate}",
                    is_refused == (one.fate == REFUSED),
                    f"{context} row {row}: {one.line[:120]!r} {found.get(row, [])[:1]}",
                )
            if not is_refused:
                accepted.add(setl_id)
        now = await _stored(ground.actor)
        expected = set() if is_atomic and refused_rows else accepted
        tally.saw(
            "atomic stores nothing" if is_atomic else "partial stores exactly the accepted",
            now - stored == expected and stored <= now,
            f"{context}: {sorted((now - stored) ^ expected)[:5]}",
        )
        tally.saw("every line is counted", counts["rows"] == len(made), f"{context}: {counts}")
        stored = now


def _named(tally: Tally, found: dict[int, list[dict[str, Any]]], context: str) -> None:
    """Every finding has a code, words in both languages, a remedy and a place: its row, and a path unless the line as such is bad."""
    for row, findings in found.items():
        for one in findings:
            whole = all(one[name] for name in ("code", "rule", "message", "message_en", "remedy", "remedy_en"))
            tally.saw("a fault is named with its place", whole and row > 0, f"{context}: {one}")


async def fuzz_messages(tally: Tally, ground: Ground, seed: int, messages: int) -> None:
    """4101A messages spoiled the same ways, and their envelope too (变异报文): answered in the national envelope, never a 5xx."""
    chance = random.Random(f"messages:{seed}")
    kinds = list(KINDS)
    for number in range(messages):
        message = ground.sound() if number % 3 else {**ground.sound(), "fixmedins_code": ground.actor.tenant}
        kind = kinds[number % len(kinds)]
        one = spoiled(chance, kind, _national(ground.actor.tenant, message) if number % 2 else message)
        body = one.line if number % 2 else _wrapped(ground.actor.tenant, message, one.line)
        ground.sent[f"4101A: {kind}"] += 1
        response = await ground.actor.send("POST", "/v1/nhsa/4101A", content=body)
        context = f"message {number}, {kind}: {body[:100]!r} → {response.status_code} {response.text[:200]}"
        tally.saw("no 5xx", response.status_code < 500, context)
        try:
            answer = response.json()
        except ValueError:
            tally.saw("the answer is JSON", False, context)
            continue
        is_good = answer.get("infcode") == "0"
        named = is_good or bool(answer.get("err_msg")) or bool(answer.get("error", {}).get("code"))
        tally.saw("a refusal says why", named, context)
        if kind.startswith("sound") and number % 2 == 0:
            tally.saw("a sound message is filed", is_good, context)


def _national(hospital: str, message: Message) -> Message:
    """A message whose envelope is spoiled as a list would be: the fields of the list stand in it too."""
    return {**message, **envelope_of(hospital, message)}


def envelope_of(hospital: str, message: Message) -> Message:
    return {
        "infno": "4101A",
        "msgid": f"{hospital}{message['setl_id']}",
        "insuplc_admdvs": message["insu_admdvs"],
        "inf_time": "2025-01-10 08:00:00",
        "infver": "V1.0",
        "fixmedins_code": hospital,
        "input": national_input(message),
    }


def _wrapped(hospital: str, message: Message, line: bytes) -> bytes:
    """The envelope around a spoiled list: its bytes stand where `setlinfo` is."""
    outer = json.dumps({**envelope_of(hospital, message), "input": "@@input@@"}, ensure_ascii=False).encode()
    inner = b'{"setlinfo":' + line + b',"diseinfo":[]}'
    return outer.replace(b'"@@input@@"', inner)


async def fuzz_files(tally: Tally, ground: Ground, seed: int, *, bomb_bytes: int = BOMB_BYTES, most: int = 0) -> None:
    """Files of every bad kind (变异文件): refused with a code when they come, or judged with every fault named."""
    chance = random.Random(f"files:{seed}")
    sound = [json.dumps(ground.sound(), ensure_ascii=False).encode() for _ in range(40)]
    files = await asyncio.to_thread(bad_files, chance, sound, ground.template, bomb_bytes=bomb_bytes)
    for number, file in enumerate(files[: most or len(files)]):
        ground.sent[f"file: {file.kind}"] += 1
        batch = await _create(ground.actor, "PARTIAL", f"file {number}")
        headers = {"content-type": file.media_type} | ({"content-encoding": file.encoding} if file.encoding else {})
        response = await ground.actor.send("PUT", f"{batch['uploadPath']}1", content=file.body, headers=headers)
        context = f"file {number}, {file.kind}: {response.status_code} {response.text[:200]}"
        tally.saw("no 5xx", response.status_code < 500, context)
        if response.status_code not in (200, 201):
            told = response.json().get("error", {})
            tally.saw("a file is refused with a code", bool(told.get("code") and told.get("message")), context)
            continue
        counts = await _judged(tally, ground.actor, batch["id"], context)
        if counts is None:
            continue
        found = await _verdicts(ground.actor, batch["id"])
        _named(tally, found, context)
        tally.saw(f"file {file.kind}: judged", counts["accepted"] + counts["refused"] == counts["rows"], context)


async def _template(actor: Actor) -> bytes:
    return (await actor.send("GET", "/v1/templates/settlement-lists.xlsx")).content


async def _create(actor: Actor, mode: str, label: str) -> dict[str, Any]:
    order = {"purpose": "LISTS", "mode": mode, "label": label}
    made = await actor.do("batchCreate", "BatchCreateInput", order, "batch { id uploadPath }")
    batch: dict[str, Any] = made["batch"]
    return batch


async def _judged(tally: Tally, actor: Actor, batch: str, context: str) -> dict[str, Any] | None:
    """Seal a batch and wait: its counts, or none when the seal was refused in order."""
    sealed = await actor.do("batchSeal", "BatchSealInput", {"batch": batch, "parts": 1}, "batch { job { id } }")
    job = sealed["batch"]["job"]["id"]
    state: dict[str, Any] = {}
    for _ in range(1200):
        state = (await actor.ask(_BATCH, {"id": batch}))["batch"]
        ended = state["job"]["state"]
        # The batch is read before its job: what ended between the two is read once more.
        if ended in ("REFUSED", "DEAD") or (ended == "DONE" and state["counts"] is not None):
            break
        await asyncio.sleep(0.05)
    ended = state["job"]["state"]
    is_named = ended == "REFUSED" and state["job"]["errorCode"] not in (None, "", "INTERNAL")
    tally.saw("a batch comes to its end", ended == "DONE" or is_named, f"{context}: {job} {state['job']}")
    return state["counts"] if ended == "DONE" else None


async def _verdicts(actor: Actor, batch: str) -> dict[int, list[dict[str, Any]]]:
    """Every finding of a batch by row."""
    response = await actor.send("GET", f"/v1/batches/{batch}/verdicts.ndjson")
    found: dict[int, list[dict[str, Any]]] = {}
    for line in response.text.split("\n"):
        if line:
            one = json.loads(line)
            found.setdefault(one["row"], []).append(one)
    return found


async def _stored(actor: Actor) -> set[str]:
    """Settlement ids of every stored case that this section sent."""
    nodes = await actor.all_nodes(_CASES, "cases")
    return {node["setlId"] for node in nodes if str(node["setlId"]).startswith("FZ")}


__all__ = ["ACCEPTED", "Ground", "fuzz_batches", "fuzz_files", "fuzz_messages", "run", "sound_lists"]
