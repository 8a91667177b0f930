"""Probes of the paths outside GraphQL (路径探测), read from the route table."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.routing import Route

from fenzhi.access.roles import Role
from fenzhi.cli.probes.enumerate import IdSlot
from fenzhi.cli.probes.judge import HIDDEN, RELATIONS, Judge, filler, normalized

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Paths without a tenant: they answer anybody, and say nothing of anybody."""
_TELLING = frozenset({"content-length", "content-type", "repr-digest", "etag", "last-modified", "location"})
"""Headers of an answer without a body that say something of what was asked for."""
_DOOR = {401: '"code": "UNAUTHENTICATED"', 429: '"code": "LOCKED_OUT"', 503: '"code": "UNAVAILABLE"'}
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
PARAMETER_TYPES = {"batch": "Batch", "job_id": "Job", "edition": "CatalogEdition"}
"""Path parameters that are ids, and the node type each wants."""
SAMPLES = {"part": "1", "infno": "4103", "kind": "diagnosis", "version": "probe"}
"""Path parameters that are not ids, with a value that fits."""


def slots_of(path: str) -> dict[str, IdSlot]:
    """The id parameters of a path."""
    return {
        name: IdSlot((name,), PARAMETER_TYPES[name]) for name in _PARAMETER.findall(path) if name in PARAMETER_TYPES
    }


def filled_path(path: str, ids: Mapping[str, str]) -> str:
    """A path with its ids, by name of their parameter, and with a sample wherever something else is wanted (填充路径)."""
    return _PARAMETER.sub(lambda m: ids.get(m[1], SAMPLES.get(m[1], "probe")), path)


def methods_of(route: Route) -> list[str]:
    """What a path is asked with (请求方法): HEAD where it stands for itself, not where it is GET without the body."""
    methods = route.methods or set()
    return sorted(methods - {"HEAD"} if "GET" in methods else methods)


async def ask_path(judge: Judge, route: Route, method: str, subject: str, role: Role) -> None:
    """One path and method as one subject, in every relation the world has an object for."""
    name = f"{method} {route.path}"
    judge.verdicts.asked.add(name)
    parameters = _PARAMETER.findall(route.path)
    if any(p not in PARAMETER_TYPES and p not in SAMPLES for p in parameters):
        return
    slots = slots_of(route.path)
    nothing = {slot: str(filler(judge.world, subject, "nonexistent", slot)) for slot in slots.values()}
    baseline = await _send(judge, route, method, subject, role, "nonexistent", nothing, None)
    for relation in RELATIONS if slots else ("own",):
        values = {slot: filler(judge.world, subject, relation, slot) for slot in slots.values()}
        found = {slot: value for slot, value in values.items() if value is not None}
        if len(found) == len(values) and not (relation == "own" and method in ("PUT", "POST", "DELETE")):
            await _send(judge, route, method, subject, role, relation, found, baseline if relation in HIDDEN else None)


async def _send(
    judge: Judge,
    route: Route,
    method: str,
    subject: str,
    role: Role,
    relation: str,
    values: dict[IdSlot, str],
    must_equal: str | None,
) -> str:
    path = filled_path(route.path, {str(slot.path[0]): value for slot, value in values.items()})
    actor = judge.world.cast.actor(subject, role)
    label = f"{method} {route.path} as {role.value}@{subject} ({relation})"
    content = b"{}\n" if method in ("PUT", "POST") else None
    response = await actor.send(method, path, content=content)
    judge.verdicts.probes += 1
    judge.verdicts.relations[relation] += 1
    text = f"{response.status_code} {response.text}"
    if method == "HEAD":
        # What such an answer says, it says by its headers; and who is refused at the door has no more than the number.
        told = sorted(f"{name}: {value}" for name, value in response.headers.items() if name in _TELLING)
        text = f"{text} {told} {_DOOR.get(response.status_code, '')}"
    if response.status_code >= 500:
        judge.verdicts.crashes.append(f"{label}: {text[:300]}")
    judge.scan(label, subject, text)
    if not judge.heard(label, text):
        return normalized(text, values)
    if must_equal is not None and normalized(text, values) != must_equal:
        judge.verdicts.leaks.append(f"{label}: differs from what does not exist: {text[:300]}")
    if relation == "forged" and response.status_code < 300:
        judge.verdicts.leaks.append(f"{label}: a forged id was answered: {text[:300]}")
    if relation in ("own", "child", "parent", "nonexistent") and response.status_code != 403:
        judge.verdicts.judged.add(f"{method} {route.path}")
    return normalized(text, values)


async def ask_without_token(judge: Judge, route: Route, method: str) -> None:
    """Every path but the open ones refuses who has no token."""
    name = f"{method} {route.path}"
    judge.verdicts.asked.add(name)
    path = _PARAMETER.sub("probe", route.path)
    response = await judge.world.cast.http.request(method, path, content=b"{}" if method != "GET" else None)
    judge.verdicts.probes += 1
    judge.verdicts.relations["no_token"] += 1
    if route.path in OPEN_PATHS:
        judge.verdicts.judged.add(name)
    elif response.status_code != 401:
        judge.verdicts.leaks.append(f"{name} without a token answered {response.status_code}")
    elif route.path == "/graphql":
        # What it answers with a token is judged field by field.
        judge.verdicts.judged.add(name)
