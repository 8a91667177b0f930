"""The probes over a fresh world: no leak, nothing unjudged."""

from __future__ import annotations

from pathlib import Path

from fenzhi.cli.probes.command import probe_api
from fenzhi.cli.probes.stage import probed_world
from fenzhi.cli.servers import Servers


async def test_no_field_and_no_path_leaks(running_servers: Servers, open_folder: Path) -> None:
    addresses = running_servers.create_database("fenzhi_probes")
    try:
        async with probed_world(addresses, seed=11) as world:
            verdicts, fields, paths = await probe_api(world, addresses.app_dsn)
    finally:
        running_servers.drop_database("fenzhi_probes")
    assert verdicts.leaks == []
    assert verdicts.unjudged == []
    assert verdicts.crashes == []
    assert fields >= 70 and paths >= 9
    assert {"own", "parent", "child", "sibling", "other_province", "deleted", "forged"} <= set(verdicts.relations)
    assert verdicts.probes > 3000
