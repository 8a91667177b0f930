"""The Dockerfile says what an image must be; no engine is needed to read it. Whether it builds is not tried here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions(text: str = TEXT) -> list[tuple[str, str]]:
    """(instruction, arguments) in order; continued lines joined, comments dropped."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    found = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), " ".join(rest.split())) for name, _, rest in found]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_the_base_image_is_the_builders_choice() -> None:
    """No address of a registry is written down; both stages stand on the one argument."""
    assert of("ARG") == ["BASE_IMAGE=python:3.11-slim"]
    assert of("FROM") == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]
    assert not re.search(r"\b[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?/[a-z]", TEXT.replace("/opt/", " ").replace("./", " "))
    assert "syntax=" not in TEXT and "://" not in TEXT


def test_the_image_holds_the_wheel_and_nothing_of_the_tree() -> None:
    assert of("COPY") == ["requirements-runtime.lock dist/fenzhi-*.whl ./", "--from=build /opt/fenzhi /opt/fenzhi"]
    assert of("ADD") == []
    ignored = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert ignored[0] == "**"
    assert [line for line in ignored if line.startswith("!")] == [
        "!requirements-runtime.lock",
        "!dist",
        "!dist/fenzhi-*.whl",
    ]


def test_what_is_installed_is_held_by_hashes() -> None:
    (run,) = of("RUN")
    steps = [step.strip() for step in run.split("&&")]
    installs = [step for step in steps if " pip install " in step]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0] and "-r requirements-runtime.lock" in installs[0]
    assert "--only-binary=:all:" in installs[0], "nothing is built from sources of others"
    assert "--no-index" in installs[1] and "--no-deps" in installs[1], "our own wheel brings nothing else"
    assert not re.search(r"\b(curl|wget|apt-get|apk|git|index-url|trusted-host)\b", TEXT)


def test_it_runs_as_nobody_in_particular() -> None:
    names = [name for name, _ in instructions()]
    assert of("USER") == ["10001:10001"], "the user of the chart"
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")
    chart = (ROOT / "helm/fenzhi/templates/_names.tpl").read_text(encoding="utf-8")
    assert "runAsUser: 10001" in chart and "runAsGroup: 10001" in chart


def test_it_starts_without_a_shell_and_off_the_tree() -> None:
    assert [json.loads(command) for command in of("CMD")] == [["python", "-m", "fenzhi_graphql"]]
    assert of("ENTRYPOINT") == []
    (env,) = of("ENV")
    assert {"PYTHONSAFEPATH=1", "PYTHONDONTWRITEBYTECODE=1"} <= set(env.split())
    assert of("WORKDIR")[-1] == "/tmp"


def test_no_secret_is_baked_in() -> None:
    assert [name for name in re.findall(r"\b([A-Z_]{3,})=", " ".join(of("ENV") + of("ARG"))) if "FENZHI" in name] == []


def test_it_says_that_it_was_not_tried() -> None:
    for page in ("Dockerfile", "helm/README.md"):
        assert re.search(r"[Nn]ot tried|never been built", (ROOT / page).read_text(encoding="utf-8")), page


@pytest.mark.parametrize("kind", ["ADD", "COPY"])
def test_the_reader_sees_instructions(kind: str) -> None:
    assert instructions(f"# {kind} a\n{kind} a \\\n  b\n") == [(kind, "a b")]
