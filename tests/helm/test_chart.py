"""The chart: what it renders is valid, weak where it should be weak, and gives each pod no more secrets than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from chart_rendering import faults, lint_faults, rendered, values_files

MINIMUM: dict[str, Any] = {"tokens": {"issuer": "https://idp.example"}}


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod specifications by the name of their owner."""
    kinds = {"Deployment", "Job"}
    return {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in documents if item["kind"] in kinds}


@pytest.mark.parametrize("file", values_files(), ids=lambda file: file.name)
def test_every_values_file_renders_valid_objects(file: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert lint_faults(values) == []
    assert faults(values) == []


def test_the_objects_of_the_default_values() -> None:
    assert [(item["kind"], item["metadata"]["name"]) for item in rendered(MINIMUM)] == [
        ("Deployment", "trial-fenzhi-api"),
        ("Deployment", "trial-fenzhi-worker"),
        ("Job", "trial-fenzhi-migrations"),
        ("PodDisruptionBudget", "trial-fenzhi-api"),
        ("Service", "trial-fenzhi-api"),
        ("ServiceAccount", "trial-fenzhi"),
    ]


def test_a_single_replica_has_no_disruption_budget() -> None:
    kinds = {item["kind"] for item in rendered({**MINIMUM, "api": {"replicas": 1}})}
    assert "PodDisruptionBudget" not in kinds


def test_every_container_is_weak() -> None:
    found = pods(rendered(MINIMUM))
    assert set(found) == {"trial-fenzhi-api", "trial-fenzhi-worker", "trial-fenzhi-migrations"}
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name


def test_only_the_migrations_get_the_owners_secret() -> None:
    named = {
        name: {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for variable in pod["containers"][0]["env"]
            if "valueFrom" in variable
        }
        for name, pod in pods(rendered(MINIMUM)).items()
    }
    serving = {"fenzhi-database", "fenzhi-redis", "fenzhi-master-key"}
    assert named == {
        "trial-fenzhi-api": serving,
        "trial-fenzhi-worker": serving,
        "trial-fenzhi-migrations": {"fenzhi-database-owner"},
    }


def test_there_is_no_development_issuer_in_a_cluster() -> None:
    for name in ("trial-fenzhi-api", "trial-fenzhi-worker"):
        env = {item["name"]: item.get("value") for item in pods(rendered(MINIMUM))[name]["containers"][0]["env"]}
        assert (env["FENZHI_DEV_ISSUER"], env["FENZHI_JWT_ISSUER"]) == ("0", "https://idp.example")


def test_liveness_never_asks_the_database() -> None:
    (container,) = pods(rendered(MINIMUM))["trial-fenzhi-api"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_grace_period_is_longer_than_the_requests_under_way() -> None:
    pod = pods(rendered(MINIMUM))["trial-fenzhi-api"]
    arguments = pod["containers"][0]["args"]
    graceful = int(arguments[arguments.index("--timeout-graceful-shutdown") + 1])
    assert pod["terminationGracePeriodSeconds"] > graceful + 5


def test_migrations_run_before_an_install_and_an_upgrade() -> None:
    (job,) = [item for item in rendered(MINIMUM) if item["kind"] == "Job"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert not [item for item in rendered({**MINIMUM, "migrations": {"enabled": False}}) if item["kind"] == "Job"]


def test_a_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    images = {
        pod["containers"][0]["image"]
        for pod in pods(rendered({**MINIMUM, "image": {"digest": digest, "tag": "1"}})).values()
    }
    assert images == {f"fenzhi@{digest}"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {**MINIMUM, "apii": {}},
        {**MINIMUM, "api": {"replicaz": 1}},
        {**MINIMUM, "api": {"replicas": 0}},
        {**MINIMUM, "api": {"port": 80}},
        {**MINIMUM, "logLevel": "LOUD"},
        {**MINIMUM, "redis": {"existingSecret": "", "key": "url"}},
    ],
)
def test_values_that_are_wrong_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError):
        rendered(values)


def test_a_misspelt_field_of_kubernetes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = rendered(MINIMUM)
    documents[0]["spec"]["replicaz"] = 1
    monkeypatch.setattr("chart_rendering.rendered", lambda _values: documents)
    assert [fault.partition(":")[0] for fault in faults(MINIMUM)] == ["Deployment trial-fenzhi-api"]
