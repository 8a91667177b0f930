"""The vendor kit: 20 good lists pass, 12 faulty ones get exactly their verdicts, and the samples do what their pages say."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from builders.served import served
from builders.submission_place import Place, open_place
from builders.world import World
from fenzhi.cli.synthetic.province import synthetic_province

KIT = Path(__file__).parents[2] / "docs/integrate/samples"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "97")


def lists(place: Place, name: str) -> list[dict[str, Any]]:
    text = (KIT / name).read_text(encoding="utf-8").replace("@HOSPITAL@", place.hospital).replace("@AREA@", place.city)
    return [json.loads(line) for line in text.splitlines()]


async def test_the_good_lists_pass(place: Place) -> None:
    judged = await place.submit(lists(place, "good.ndjson"))
    assert judged["counts"]["accepted"] == 20 and judged["counts"]["refused"] == 0
    assert {one["code"] for one in judged["verdicts"]["nodes"]} == {"LATE_LIST"}


async def test_the_faulty_lists_get_exactly_their_verdicts(place: Place) -> None:
    wanted = json.loads((KIT / "expected.json").read_text(encoding="utf-8"))
    judged = await place.submit(lists(place, "faulty.ndjson"))
    assert judged["counts"]["refused"] == 12 and judged["counts"]["accepted"] == 0
    found: dict[str, list[list[str]]] = {}
    for one in judged["verdicts"]["nodes"]:
        if one["severity"] == "ERROR":
            found.setdefault(one["setlId"], []).append([one["rule"], one["code"], one["path"]])
    assert found == {row["setl_id"]: row["errors"] for row in wanted}
    assert all(row["zh"] and row["en"] for row in wanted)


def test_a_demonstration_knows_the_codes_of_the_kit() -> None:
    """The page tells to try the kit on `fenzhi demo`: what is good on a sandbox with the national tables is good there."""
    plan = synthetic_province(1)
    diagnoses = {one.code: one.is_gray for one in plan.diagnoses}
    procedures = {one.code for one in plan.procedures}
    good = [json.loads(line) for line in (KIT / "good.ndjson").read_text(encoding="utf-8").splitlines()]
    assert len(good) == 20
    assert [diagnoses.get(row["diag_code"]) for one in good for row in one["diseinfo"]].count(False) == 24
    assert {row["oprn_oprt_code"] for one in good for row in one.get("oprninfo", ())} <= procedures
    faulty = {row["setl_id"]: row for row in map(json.loads, (KIT / "faulty.ndjson").open(encoding="utf-8"))}
    assert diagnoses[faulty["SAMPLE-103"]["diseinfo"][0]["diag_code"]] is True
    assert faulty["SAMPLE-102"]["diseinfo"][0]["diag_code"] not in diagnoses


async def test_the_pages_commands_do_what_it_says(place: Place, address: str, tmp_path: Path) -> None:
    page = (KIT.parent / "README.md").read_text(encoding="utf-8")
    block = page.split("**上报** Submit:")[1].split("```")[1].removeprefix("sh\n").replace("python3", sys.executable)
    (tmp_path / "docs").symlink_to(KIT.parents[1])
    token = (await place.submitter()).http.headers["authorization"].removeprefix("Bearer ")
    environment = {**os.environ, "FENZHI_URL": address, "FENZHI_TOKEN": token, "no_proxy": "*"}
    # The two tests above took the kit's own ids.
    script = f"HOSPITAL={place.hospital} AREA={place.city}; set -e\n" + block.replace(
        " > $f", " | sed s/SAMPLE-/PAGE-/ > $f"
    )
    done = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith('{"rows"')]
    assert told == ['{"rows": 20, "accepted": 20, "refused": 0}', '{"rows": 12, "accepted": 0, "refused": 12}']


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(place: Place) -> AsyncIterator[str]:
    async with served(place.world) as found:
        yield found


SAMPLES = {
    "python": [sys.executable, str(KIT / "submit.py")],
    "curl": ["sh", str(KIT / "submit.sh")],
    "java": ["java", str(KIT / "Submit.java")],
    "csharp": ["mono", "Submit.exe"],
}
TOOLS = {"python": (), "curl": ("sh", "curl", "sed", "grep"), "java": ("java",), "csharp": ("mcs", "mono")}
CSHARP_LIBRARIES = ("System.Net.Http", "System.Runtime.Serialization", "System.Xml", "System.Xml.Linq")


def compiled(folder: Path) -> Path:
    """The C# sample as a program (编译 C# 样例)."""
    program = folder / "Submit.exe"
    libraries = [f"-r:{one}" for one in CSHARP_LIBRARIES]
    done = subprocess.run(
        ["mcs", *libraries, f"-out:{program}", str(KIT / "Submit.cs")], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return program


@pytest.mark.parametrize("sample", SAMPLES)
async def test_a_sample_submits(place: Place, address: str, sample: str, tmp_path: Path) -> None:
    command = SAMPLES[sample]
    lacking = [tool for tool in TOOLS[sample] if shutil.which(tool) is None]
    if lacking:
        pytest.skip(
            f"the {sample} sample is not run here: this machine has no {' and no '.join(lacking)} (docs/integrate/README.md)"
        )
    if sample == "csharp":
        command = ["mono", str(await asyncio.to_thread(compiled, tmp_path))]
    given = lists(place, "good.ndjson")[:2] + lists(place, "faulty.ndjson")[:1]
    for number, one in enumerate(given):
        one["setl_id"] = f"{sample}-{number}"
    file = tmp_path / "lists.ndjson"
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in given), encoding="utf-8")
    client = await place.submitter()
    token = client.http.headers["authorization"].removeprefix("Bearer ")
    environment = {**os.environ, "FENZHI_URL": address, "FENZHI_TOKEN": token, "no_proxy": "*"}
    done = await asyncio.to_thread(
        subprocess.run, [*command, str(file)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    errors = [(one["setl_id"], one["code"]) for one in told if one["severity"] == "error"]
    assert errors == [(f"{sample}-2", "REQUIRED_FIELD_MISSING")]
    assert len(await place.cases(client, setlId=f"{sample}-0")) == 1
