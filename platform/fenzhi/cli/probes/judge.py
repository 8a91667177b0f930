"""Judging the answers (判定): what must not be seen is answered as what does not exist, and no foreign word ever leaves."""

from __future__ import annotations

import base64
import copy
import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fenzhi.access.roles import KIND_OF_ROLE, Role
from fenzhi.cli.flow.client import Actor, fresh_key
from fenzhi.cli.probes.enumerate import IdSlot, Question
from fenzhi.cli.probes.world import ProbedWorld

HIDDEN = ("sibling", "other_province", "parent_unpublished")
RELATIONS = ("own", "parent", "child", *HIDDEN, "deleted", "forged", "malformed")
_NUMBERED = frozenset({"Hospital", "County", "PoolingArea"})
_COMPOSITE = {"HospitalStatement": ".999999999", "DiseaseGroup": "/none"}
"""What follows the UUID in the keys of some types."""


@dataclass
class Verdicts:
    """What the probes found (探测结论)."""

    probes: int = 0
    leaks: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    unheard: list[str] = field(default_factory=list)
    """Questions that were answered at the door, by their label: of the wall behind it that says nothing."""
    relations: Counter[str] = field(default_factory=Counter)

    @property
    def unjudged(self) -> list[str]:
        """What was asked and never got a verdict, and what was not heard (未判定)."""
        return [*sorted(self.asked - self.judged), *self.unheard]


_AT_THE_DOOR = re.compile(r'"code": ?"(UNAUTHENTICATED|LOCKED_OUT|RATE_LIMITED|KEYS_UNAVAILABLE|UNAVAILABLE|TOO_MUCH)"')


def not_admitted(text: str) -> str:
    """The code with which an answer refuses whoever asks, whatever was asked (未获受理), or nothing.

    A locked account, a token that is not believed, a budget used up, a document that is too dear: two such answers are alike word for word whether or not a wall
    stands behind them, so neither proves anything. A refused signature is an answer: it is told of the message.
    """
    found = _AT_THE_DOOR.search(text)
    return found[1] if found else ""


def node_id(node_type: str, key: str) -> str:
    """The global id of a node type and key."""
    return base64.urlsafe_b64encode(f"{node_type}:{key}".encode()).decode().rstrip("=")


def nonexistent(node_type: str) -> str:
    """An id or code of the right shape that names nothing."""
    if node_type.startswith("code:"):
        return "no-such-tenant"
    if node_type == "uuid:":
        return "00000000-0000-7000-8000-00000000dead"
    nobody = "00000000-0000-7000-8000-00000000dead"
    key = "999999999" if node_type in _NUMBERED else nobody + _COMPOSITE.get(node_type, "")
    return node_id(node_type, key)


def forged(node_type: str, global_id: str) -> str:
    """The key of a real object under the name of another type."""
    padded = global_id + "=" * (-len(global_id) % 4)
    real, _, key = base64.urlsafe_b64decode(padded.encode()).decode().partition(":")
    return node_id("Batch" if "Batch" not in (node_type, real) else "Job", key)


def _owned(world: ProbedWorld, subject: str, relation: str, node_type: str) -> str | None:
    """An object, or a tenant's code, in a relation to a subject."""
    if node_type.startswith("code:"):
        kind = node_type.removeprefix("code:")
        for tenant in world.tenants.values():
            if (kind == "any" or tenant.kind.value == kind) and world.relation(subject, tenant.code) == relation:
                return tenant.code
        return None
    for owner, ids in world.objects.get(node_type, {}).items():
        if ids and world.relation(subject, owner) == relation:
            return ids[0]
    return None


def filler(world: ProbedWorld, subject: str, relation: str, slot: IdSlot) -> str | None:
    """What goes into a slot for a relation, or none when the world has no such object (填充标识)."""
    node_type = slot.node_type
    if node_type == "uuid:":
        return str(uuid.uuid4())
    if relation == "malformed":
        return "%%%" if not node_type.startswith("code:") else "'; drop table hospital; --"
    if relation == "nonexistent":
        return nonexistent(node_type)
    if relation == "parent_unpublished":
        ids = world.unpublished.get(node_type, {})
        return next((i[0] for owner, i in ids.items() if i and world.relation(subject, owner) == "parent"), None)
    if node_type == "Node":
        everything = [
            _owned(world, subject, "own" if relation in ("deleted", "forged") else relation, t) for t in world.objects
        ]
        found = next((one for one in everything if one), None)
        return forged("Node", found) if found and relation == "forged" else found
    if relation == "deleted":
        ids = world.deleted.get(node_type, {})
        return next(
            (i[0] for owner, i in ids.items() if i and world.relation(subject, owner) in ("own", "child", "parent")),
            None,
        )
    if relation == "forged":
        if node_type.startswith("code:"):
            return None
        real = _owned(world, subject, "own", node_type) or _owned(world, subject, "other_province", node_type)
        return forged(node_type, real) if real else None
    return _owned(world, subject, relation, node_type)


def filled(question: Question, values: dict[IdSlot, str]) -> dict[str, Any]:
    """The question's variables with its slots filled and a fresh key (填充变量)."""
    variables = copy.deepcopy(question.variables)
    for slot, value in values.items():
        at: Any = variables
        for step in slot.path[:-1]:
            at = at[step]
        at[slot.path[-1]] = value
    if "input" in variables and "idempotencyKey" in variables["input"]:
        variables["input"]["idempotencyKey"] = fresh_key()
    return variables


_REQUEST = re.compile(r'"requestId": ?"[^"]*"|请求号 [0-9a-f]+|request [0-9a-f]{32}')


def normalized(text: str, values: dict[IdSlot, str]) -> str:
    """An answer without what may differ: request ids, and the ids that were put in."""
    text = _REQUEST.sub("", text)
    for value in sorted(values.values(), key=len, reverse=True):
        text = text.replace(json.dumps(value, ensure_ascii=False)[1:-1], "<id>")
    return text


class Judge:
    """Asks and judges (判定器)."""

    def __init__(self, world: ProbedWorld) -> None:
        self.world = world
        self.verdicts = Verdicts()

    async def ask(self, question: Question, subject: str, role: Role) -> None:
        """One field as one subject, in every relation the world has an object for."""
        actor = self.world.cast.actor(subject, role)
        name = f"{question.operation}.{question.field}"
        self.verdicts.asked.add(name)
        unknown = [slot for slot in question.id_slots if slot.node_type == "?"]
        if unknown:
            return
        if all(slot.node_type == "uuid:" for slot in question.id_slots):
            # Nothing of it names an object of ours: there is nobody else's to ask for.
            own = {slot: str(filler(self.world, subject, "own", slot)) for slot in question.id_slots}
            await self._one(question, actor, "own", own, None)
            return
        nothing = {slot: str(filler(self.world, subject, "nonexistent", slot)) for slot in question.id_slots}
        baseline = await self._one(question, actor, "nonexistent", nothing, None)
        for relation in RELATIONS:
            values = {slot: filler(self.world, subject, relation, slot) for slot in question.id_slots}
            found = {slot: value for slot, value in values.items() if value is not None}
            if len(found) < len(values):
                continue
            if (
                question.operation == "mutation"
                and relation in ("own", "child", "parent")
                and not self._is_refused(baseline)
            ):
                # What the subject may really change is the flow's business; here it would only spoil the world.
                continue
            await self._one(question, actor, relation, found, baseline if relation in HIDDEN else None)

    async def _one(
        self, question: Question, actor: Actor, relation: str, values: dict[IdSlot, str], must_equal: str | None
    ) -> str:
        variables = filled(question, values)
        response = await actor.send("POST", "/graphql", json={"query": question.document, "variables": variables})
        self.verdicts.probes += 1
        self.verdicts.relations[relation] += 1
        text = response.text
        label = f"{question.operation}.{question.field} as {actor.role.value}@{actor.tenant} ({relation})"
        if response.status_code >= 500 or '"code":"INTERNAL"' in text.replace(" ", ""):
            self.verdicts.crashes.append(f"{label}: {text[:300]}")
            return normalized(text, values)
        self.scan(label, actor.tenant, text)
        if not self.heard(label, text):
            return normalized(text, values)
        if must_equal is not None and normalized(text, values) != must_equal:
            self.verdicts.leaks.append(f"{label}: differs from what does not exist: {text[:300]}")
        if relation == "forged" and self._has_data(question, response.json()):
            self.verdicts.leaks.append(f"{label}: a forged id was answered: {text[:300]}")
        if relation in ("own", "child", "parent") and self._has_data(question, response.json()):
            self.verdicts.judged.add(f"{question.operation}.{question.field}")
        if question.operation == "mutation" and not self._is_refused(text):
            # The role carries the duty, and the answer was judged: by its errors, its words, and the unchanged rows of others.
            self.verdicts.judged.add(f"{question.operation}.{question.field}")
        return normalized(text, values)

    def heard(self, label: str, text: str) -> bool:
        """Whether an answer says anything of what was asked (是否受理); one that does not is kept as unjudged."""
        refusal = not_admitted(text)
        if refusal:
            self.verdicts.unheard.append(f"{label}: {refusal}")
        return not refusal

    def scan(self, label: str, tenant: str, text: str) -> None:
        for word in self.world.foreign_canaries(tenant):
            if word in text:
                self.verdicts.leaks.append(f"{label}: carries {word}")

    @staticmethod
    def _is_refused(text: str) -> bool:
        return '"FORBIDDEN"' in text or '"SETTLEMENT_NOT_DELEGATED"' in text

    @staticmethod
    def _has_data(question: Question, answer: dict[str, Any]) -> bool:
        data = (answer.get("data") or {}).get(question.field)
        if isinstance(data, dict) and "nodes" in data:
            return bool(data["nodes"])
        if question.operation == "mutation" and isinstance(data, dict):
            return any(value for name, value in data.items() if name not in ("__typename", "userErrors"))
        return bool(data)

    async def foreign_cursor(self, question: Question, subject: str, role: Role) -> None:
        """A cursor that another tenant was given must not work here (他人游标)."""
        if "first" not in question.variables or question.operation != "query":
            return
        strangers = [
            (code, other)
            for code in self.world.tenants
            for other, kind in KIND_OF_ROLE.items()
            if kind is self.world.tenants[code].kind
            and other is role
            and self.world.relation(subject, code) in ("sibling", "other_province")
            and self.world.has_role(code, other)
        ]
        for code, other in strangers[:1]:
            stranger = self.world.cast.actor(code, other)
            document = question.document.replace("$first: Int!", "$first: Int!, $after: String").replace(
                "first: $first", "first: $first, after: $after"
            )
            nothing = {slot: str(filler(self.world, code, "own", slot) or "") for slot in question.id_slots}
            label = f"query.{question.field} as {role.value}@{subject} (foreign_cursor)"
            first = await stranger.raw(document, filled(question, nothing))
            self.heard(f"{label}, of {code}", json.dumps(first))
            edges = ((first.get("data") or {}).get(question.field) or {}).get("edges") or []
            if not edges:
                continue
            mine = {slot: str(filler(self.world, subject, "own", slot) or "") for slot in question.id_slots}
            variables = filled(question, mine) | {"after": edges[-1]["cursor"]}
            answer = await self.world.cast.actor(subject, role).raw(document, variables)
            self.verdicts.probes += 1
            self.verdicts.relations["foreign_cursor"] += 1
            said = json.dumps(answer)
            if self.heard(label, said) and "CURSOR_FOREIGN" not in said and not self._is_refused(said):
                self.verdicts.leaks.append(f"query.{question.field} as {role.value}@{subject}: took a foreign cursor")
