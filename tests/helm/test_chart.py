"""The chart: what it renders is valid, weak where it should be weak, and gives each pod no more secrets or network than it needs."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from chart_policy import POLICIES, egress_of, policy_faults
from chart_rendering import CHART, faults, lint_faults, rendered, values_files
from fenzhi.settings import Settings
from fenzhi_graphql.server import GRACEFUL_S

ROOT = Path(__file__).resolve().parents[2]
MINIMUM: dict[str, Any] = {"tokens": {"issuer": "https://idp.example"}}
PUBLISHED_KEYS: dict[str, Any] = {
    "tokens": {
        "issuer": "https://idp.example",
        "keysUrl": "https://idp.example/keys",
        "jwksHosts": ["idp.example", "login.city.example:8443"],
    },
    "networkPolicy": {"issuer": {"to": [{"ipBlock": {"cidr": "10.40.0.0/24"}}], "port": 443}},
}
SETS = ("closed-network", "external-secrets", "high-availability", "minimal", "province", "single-city")


def value_set(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text(encoding="utf-8"))
    return found


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod specifications by the name of their owner."""
    found = {}
    for item in documents:
        spec = item["spec"]["jobTemplate"]["spec"] if item["kind"] == "CronJob" else item.get("spec", {})
        if item["kind"] in {"Deployment", "Job", "CronJob"}:
            found[item["metadata"]["name"]] = spec["template"]["spec"]
    return found


def test_there_are_six_value_sets() -> None:
    assert tuple(file.name.removesuffix("-values.yaml") for file in values_files()) == SETS


@pytest.mark.parametrize("file", values_files(), ids=lambda file: file.name)
def test_every_values_file_renders_valid_objects(file: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert lint_faults(values) == []
    assert faults(values) == []
    assert policy_faults(rendered(values)) == []


def test_the_objects_of_the_default_values() -> None:
    assert [(item["kind"], item["metadata"]["name"]) for item in rendered(MINIMUM)] == [
        ("CronJob", "trial-fenzhi-verify"),
        ("Deployment", "trial-fenzhi-api"),
        ("Deployment", "trial-fenzhi-worker"),
        ("Job", "trial-fenzhi-migrations"),
        ("NetworkPolicy", "trial-fenzhi-api"),
        ("NetworkPolicy", "trial-fenzhi-database"),
        ("NetworkPolicy", "trial-fenzhi-deny"),
        ("NetworkPolicy", "trial-fenzhi-serving"),
        ("PodDisruptionBudget", "trial-fenzhi-api"),
        ("PodDisruptionBudget", "trial-fenzhi-worker"),
        ("Service", "trial-fenzhi-api"),
        ("Service", "trial-fenzhi-metrics"),
        ("ServiceAccount", "trial-fenzhi"),
    ]


def test_a_single_replica_has_no_disruption_budget() -> None:
    kinds = {item["kind"] for item in rendered({**MINIMUM, "api": {"replicas": 1}, "worker": {"replicas": 1}})}
    assert "PodDisruptionBudget" not in kinds


def test_the_database_secrets_go_where_they_are_needed() -> None:
    named = {
        name: {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for variable in pod["containers"][0]["env"]
            if "valueFrom" in variable
        }
        for name, pod in pods(rendered(value_set("single-city"))).items()
    }
    serving = {"fenzhi-database", "fenzhi-redis", "fenzhi-master-key"}
    checking = {"fenzhi-database", "fenzhi-database-owner", "fenzhi-master-key"}
    assert named == {
        "trial-fenzhi-api": serving,
        "trial-fenzhi-worker": serving,
        "trial-fenzhi-migrations": {"fenzhi-database-owner"},
        "trial-fenzhi-verify": checking,
        "trial-fenzhi-anchor": checking,
        "trial-fenzhi-backup": {"fenzhi-database-backup"},
    }


def test_pods_reach_what_they_need_and_nothing_more() -> None:
    names = {(53, "UDP"), (53, "TCP")}
    found = rendered(value_set("province"))
    assert egress_of(found, "api") == {(6432, "TCP"), (6380, "TCP"), (443, "TCP"), *names}
    assert egress_of(found, "worker") == {(6432, "TCP"), (6380, "TCP"), (443, "TCP"), *names}
    for part in ("migrations", "backup", "verify", "anchor"):
        assert egress_of(found, part) == {(6432, "TCP"), *names}


def test_the_closed_network_has_no_way_out() -> None:
    """Pods of the same namespace on two ports; no name server, no address block, no issuer, no collector."""
    found = rendered(value_set("closed-network"))
    assert egress_of(found, "api") == egress_of(found, "worker") == {(5432, "TCP"), (6379, "TCP")}
    assert egress_of(found, "backup") == {(5432, "TCP")}
    peers = [
        peer
        for item in found
        if item["kind"] == "NetworkPolicy"
        for rule in item["spec"].get("egress") or ()
        for peer in rule["to"]
    ]
    assert peers and all(set(peer) == {"podSelector"} for peer in peers)


def test_metrics_are_read_by_whoever_is_named_and_by_nobody_before() -> None:
    def ingress(values: dict[str, Any]) -> dict[str, list[Any]]:
        return {
            item["metadata"]["name"]: [port["port"] for rule in item["spec"]["ingress"] for port in rule["ports"]]
            for item in rendered(values)
            if item["kind"] == "NetworkPolicy" and item["spec"].get("ingress")
        }

    assert ingress(MINIMUM) == {"trial-fenzhi-api": ["http"]}
    assert ingress(value_set("single-city")) == {"trial-fenzhi-api": ["http"], "trial-fenzhi-serving": ["metrics"]}
    with pytest.raises(helm_python.HelmError, match=r"networkPolicy\.metrics\.from"):
        rendered({**MINIMUM, "metrics": {"serviceMonitor": {"enabled": True}}})
    with pytest.raises(helm_python.HelmError, match=r"networkPolicy\.otlp\.to"):
        rendered({**MINIMUM, "tracing": {"endpoint": "http://collector:4318/v1/traces"}})


def test_the_alerts_of_the_release_are_those_of_the_file() -> None:
    (rule,) = [item for item in rendered(value_set("province")) if item["kind"] == "PrometheusRule"]
    given = yaml.safe_load((CHART / "files/alerts.yaml").read_text(encoding="utf-8"))["groups"]
    made = rule["spec"]["groups"]
    assert [one["alert"] for one in made[0]["rules"]] == [one["alert"] for one in given[0]["rules"]]
    assert [one["expr"] for one in made[0]["rules"]] == [one["expr"] for one in given[0]["rules"]]
    assert made[0]["rules"][0]["annotations"]["runbook_url"] == "https://docs.example/monitoring#fenzhi-api-absent"
    (dashboard,) = [item for item in rendered(value_set("province")) if item["kind"] == "ConfigMap"]
    assert dashboard["data"]["fenzhi.json"] == (CHART / "files/dashboard.json").read_text(encoding="utf-8").rstrip()


def test_secrets_come_from_the_store_before_the_migrations_need_them() -> None:
    found = [item for item in rendered(value_set("external-secrets")) if item["kind"] == "ExternalSecret"]
    assert {item["metadata"]["name"] for item in found} == {
        *("fenzhi-database", "fenzhi-database-owner", "fenzhi-database-backup", "fenzhi-redis", "fenzhi-master-key"),
    }
    (job,) = [item for item in rendered(value_set("external-secrets")) if item["kind"] == "Job"]
    weights = {int(item["metadata"]["annotations"]["helm.sh/hook-weight"]) for item in found}
    assert max(weights) < int(job["metadata"]["annotations"]["helm.sh/hook-weight"])
    with pytest.raises(helm_python.HelmError, match=r"remoteKeys"):
        rendered({**MINIMUM, "externalSecrets": {"enabled": True, "store": {"name": "vault"}}})


def test_what_writes_to_a_volume_needs_one() -> None:
    for part in ("backup", "auditAnchor"):
        with pytest.raises(helm_python.HelmError, match="claim"):
            rendered({**MINIMUM, part: {"enabled": True}})


@pytest.mark.parametrize("part", ["api", "worker", "migrations", "verify", "anchor", "backup"])
def test_every_command_exists(part: str) -> None:
    """What a pod runs is a module of ours or a command of `fenzhi` with such options; every variable is read."""
    (container,) = pods(rendered(value_set("single-city")))[f"trial-fenzhi-{part}"]["containers"]
    python, flag, module, *rest = container["command"]
    assert (python, flag) == ("python", "-m")
    if module == "fenzhi":
        done = subprocess.run(
            [sys.executable, "-m", module, *rest, "--help"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        )
        assert done.returncode == 0, done.stderr
        options = [word for word in container.get("args", ()) if word.startswith("--")]
        assert [option for option in options if option not in done.stdout + done.stderr] == []
    else:
        assert module in {"fenzhi_graphql", "fenzhi_workers"} and not rest
    read = {f"FENZHI_{name.upper()}" for name in Settings.model_fields} | {"FENZHI_BACKUP_DATABASE_URL"}
    assert {one["name"] for one in container["env"] if one["name"].startswith("FENZHI_")} <= read


def weakened() -> dict[str, Any]:
    """One change each that a rule must see."""

    def pod(change: str, value: object) -> Any:
        def apply(objects: list[dict[str, Any]]) -> None:
            spec = next(item for item in objects if item["kind"] == "Deployment")["spec"]["template"]["spec"]
            *path, last = change.split(".")
            for key in path:
                spec = spec[int(key) if key.isdigit() else key]
            spec[last] = value

        return apply

    def policy(name: str, change: Any) -> Any:
        def apply(objects: list[dict[str, Any]]) -> None:
            item = next(one for one in objects if one["metadata"]["name"] == name and one["kind"] == "NetworkPolicy")
            change(item["spec"])

        return apply

    def drop(kind: str, name: str) -> Any:
        def apply(objects: list[dict[str, Any]]) -> None:
            objects[:] = [one for one in objects if (one["kind"], one["metadata"]["name"]) != (kind, name)]

        return apply

    anywhere = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
    container = "containers.0"
    return {
        "root": pod("securityContext.runAsNonRoot", False),
        "uid 0": pod("securityContext.runAsUser", 0),
        "no seccomp": pod("securityContext.seccompProfile", {"type": "Unconfined"}),
        "a token": pod("automountServiceAccountToken", True),
        "the host's network": pod("hostNetwork", True),
        "the host's disk": pod("volumes", [{"name": "x", "hostPath": {"path": "/"}}]),
        "endless scratch": pod("volumes", [{"name": "x", "emptyDir": {}}]),
        "writable root": pod(f"{container}.securityContext.readOnlyRootFilesystem", False),
        "a capability": pod(f"{container}.securityContext.capabilities", {"add": ["NET_ADMIN"]}),
        "privileged": pod(f"{container}.securityContext.privileged", True),
        "no limit": pod(f"{container}.resources", {"requests": {"cpu": "1", "memory": "1Gi"}}),
        "latest": pod(f"{container}.image", "fenzhi:latest"),
        "a shell": pod(f"{container}.command", ["sh", "-c", "python -m fenzhi_workers"]),
        "a password": pod(f"{container}.env", [{"name": "X", "value": "postgresql://a:b@c/d"}]),
        "the owner": pod(f"{container}.env", [{"name": "FENZHI_DATABASE_URL", "value": "x"}]),
        "no liveness": pod(f"{container}.livenessProbe", None),
        "liveness of the database": pod(f"{container}.livenessProbe", {"httpGet": {"path": "/readyz", "port": "http"}}),
        "no denial": drop("NetworkPolicy", "trial-fenzhi-deny"),
        "egress to all": policy("trial-fenzhi-database", lambda spec: spec["egress"][0].update(to=[])),
        "egress to the Internet": policy("trial-fenzhi-database", lambda spec: spec["egress"][0].update(to=anywhere)),
        "egress by all ports": policy("trial-fenzhi-database", lambda spec: spec["egress"][0].pop("ports")),
        "ingress from all": policy(
            "trial-fenzhi-api", lambda spec: spec["ingress"][0].update({"from": [{"namespaceSelector": {}}]})
        ),
        "no budget": drop("PodDisruptionBudget", "trial-fenzhi-api"),
        "a role": lambda objects: objects.append(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "x"}}
        ),
        "metrics outside": lambda objects: next(
            one for one in objects if one["metadata"]["name"] == "trial-fenzhi-metrics"
        )["spec"].update(type="LoadBalancer"),
        "metrics beside the API": lambda objects: next(
            one for one in objects if one["metadata"]["name"] == "trial-fenzhi-api" and one["kind"] == "Service"
        )["spec"]["ports"].append({"name": "metrics", "port": 9090}),
    }


@pytest.mark.parametrize("what", sorted(weakened()))
def test_the_rules_see_what_is_weak(what: str) -> None:
    objects = copy.deepcopy(rendered(MINIMUM))
    assert policy_faults(objects) == []
    weakened()[what](objects)
    assert policy_faults(objects), what


def test_every_rule_is_asked() -> None:
    text = (ROOT / "tests/chart_policy.py").read_text(encoding="utf-8")
    rules = set(re.findall(r"^def (\w+)\(objects: list\[Object\]\) -> list\[str\]", text, re.MULTILINE))
    assert {policy.__name__ for policy in POLICIES} == rules - {"policy_faults"}


def test_there_is_no_development_issuer_in_a_cluster() -> None:
    for name in ("trial-fenzhi-api", "trial-fenzhi-worker"):
        env = {item["name"]: item.get("value") for item in pods(rendered(MINIMUM))[name]["containers"][0]["env"]}
        assert (env["FENZHI_DEV_ISSUER"], env["FENZHI_JWT_ISSUER"]) == ("0", "https://idp.example")


def test_keys_come_from_the_issuers_address_or_from_a_config_map_never_both() -> None:
    for given, has_map in ((MINIMUM, True), (MINIMUM | PUBLISHED_KEYS, False)):
        for name in ("trial-fenzhi-api", "trial-fenzhi-worker"):
            pod = pods(rendered(given))[name]
            (container,) = pod["containers"]
            env = {item["name"]: item.get("value") for item in container["env"]}
            assert ("FENZHI_JWT_PUBLIC_KEYS" in env) == has_map
            assert ("FENZHI_JWT_KEYS_URL" in env) != has_map
            assert any(volume["name"] == "token-keys" for volume in pod["volumes"]) == has_map
            assert any(mount["name"] == "token-keys" for mount in container["volumeMounts"]) == has_map
    assert json.loads(env["FENZHI_JWKS_HOSTS"]) == ["idp.example", "login.city.example:8443"]


def test_keys_that_no_pod_may_reach_are_refused() -> None:
    with pytest.raises(Exception, match=r"networkPolicy\.issuer\.to"):
        rendered(MINIMUM | {"tokens": PUBLISHED_KEYS["tokens"]})


def test_liveness_never_asks_the_database() -> None:
    (container,) = pods(rendered(MINIMUM))["trial-fenzhi-api"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_grace_period_is_longer_than_the_requests_under_way() -> None:
    pod = pods(rendered(MINIMUM))["trial-fenzhi-api"]
    wait = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > GRACEFUL_S + wait


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
        {**MINIMUM, "networkPolicy": {"clients": {"from": []}}},
        {**MINIMUM, "networkPolicy": {"database": {"to": []}}},
        {**MINIMUM, "verify": {"schedule": "daily"}},
        {**MINIMUM, "tracing": {"endpoint": "collector:4318"}},
        {**MINIMUM, "redis": {"existingSecret": "", "key": "url"}},
    ],
)
def test_values_that_are_wrong_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError):
        rendered(values)


def test_a_misspelt_field_of_kubernetes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = rendered(MINIMUM)
    next(item for item in documents if item["kind"] == "Deployment")["spec"]["replicaz"] = 1
    monkeypatch.setattr("chart_rendering.rendered", lambda _values: documents)
    assert [fault.partition(":")[0] for fault in faults(MINIMUM)] == ["Deployment trial-fenzhi-api"]
