"""How the battery reads from an answer whom it shows; the answers themselves are asked by `fenzhi battery audit`."""

from __future__ import annotations

import json
import uuid

import httpx

from fenzhi.cli.battery.sights import _shown
from fenzhi.cli.probes.judge import node_id
from fenzhi.services.audit.sight import row_subject

BATCH, ONE, OTHER = (uuid.UUID(int=n) for n in (1, 2, 3))


def answer(data: object) -> httpx.Response:
    return httpx.Response(200, json={"data": data})


def test_cases_are_read_wherever_they_are_named() -> None:
    found = answer(
        {
            "cases": {"nodes": [{"id": node_id("InpatientCase", str(ONE)), "supersededBy": node_id("InpatientCase", str(OTHER))}]},
            "jobs": {"nodes": [{"id": node_id("Job", str(BATCH))}]},
            "audit": [{"objectType": "InpatientCase", "objectId": str(BATCH)}, {"objectType": "Batch", "objectId": "x"}],
        }
    )  # fmt: skip
    assert _shown(found, "") == {ONE, OTHER, BATCH}


def test_rows_are_read_with_their_batch() -> None:
    batch = node_id("Batch", str(BATCH))
    found = answer({"batch": {"id": batch, "verdicts": {"nodes": [{"row": 3}, {"row": 3}, {"row": 4}]}}})
    assert _shown(found, "") == {row_subject(BATCH, 3), row_subject(BATCH, 4)}
    lines = "".join(json.dumps({"row": n}) + "\n" for n in (1, 1, 7))
    stream = httpx.Response(200, text=lines, headers={"content-type": "application/x-ndjson"})
    assert _shown(stream, batch) == {row_subject(BATCH, 1), row_subject(BATCH, 7)}


def test_a_refusal_shows_nobody() -> None:
    assert _shown(httpx.Response(404, json={"error": {"code": "NOT_FOUND"}}), node_id("Batch", str(BATCH))) == set()
    assert _shown(answer(None), "") == set()
