"""What a tenant was told (事件流读取), as its own viewer reads it."""

from __future__ import annotations

from typing import Any

from builders.world import World
from fenzhi.access.roles import Role

EVENTS = """
query($kinds: [EventKind!]) { events(first: 100, kinds: $kinds) {
  nodes { kind subjectType subject facts { name value } } } }
"""


async def told(
    world: World, tenant: str, *kinds: str, role: Role = Role.HOSPITAL_VIEWER
) -> list[tuple[str, str, dict[str, Any]]]:
    """(subject type, subject, facts) of a tenant's events of these kinds, in their order."""
    nodes = (await (await world.client(tenant, role)).gql(EVENTS, {"kinds": list(kinds)}))["events"]["nodes"]
    return [(one["subjectType"], one["subject"], {f["name"]: f["value"] for f in one["facts"]}) for one in nodes]
