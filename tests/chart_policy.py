"""What the objects of a release may and must be (集群对象准则), beyond what the Kubernetes schemas say.

Each rule returns sentences; an empty list is well. `chart_rendering` asks all of them of every values file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

Object = dict[str, Any]
KINDS = {
    "ConfigMap": "v1",
    "CronJob": "batch/v1",
    "Deployment": "apps/v1",
    "ExternalSecret": "external-secrets.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Job": "batch/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}
"""Every kind the chart may make, in the version that is served; no Role, no ClusterRole, no Secret."""
CUSTOM = {"ExternalSecret", "PrometheusRule", "ServiceMonitor"}
"""Custom resources: no Kubernetes schema knows them, so their shape is checked here."""
OWNERS_SECRET = "FENZHI_DATABASE_URL"
_PASSWORD = re.compile(r"://[^/\s:@]*:[^@\s]+@")


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Pod templates by the name of their owner (Pod 模板)."""
    for item in objects:
        spec = item.get("spec", {})
        if item["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if item["kind"] in ("Deployment", "Job", "CronJob"):
            yield f"{item['kind']} {item['metadata']['name']}", spec["template"]


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels (标签匹配)."""
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(
        labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions") or ()
        if one["operator"] == "In"
    )


def only_known_kinds(objects: list[Object]) -> list[str]:
    return [
        f"{item['kind']} {item['metadata']['name']}: kind or version not on the list"
        for item in objects
        if KINDS.get(item["kind"]) != item["apiVersion"]
    ]


def weak_pods(objects: list[Object]) -> list[str]:
    """Non-root, seccomp, no token, read-only root, no capability, bounded memory, no part of the host."""
    wrong = []
    for name, template in pods(objects):
        spec = template["spec"]
        security = spec.get("securityContext", {})
        expected = {
            "runAsNonRoot": security.get("runAsNonRoot") is True,
            "a user that is not root": security.get("runAsUser", 0) > 0 and security.get("runAsGroup", 0) > 0,
            "seccomp RuntimeDefault": security.get("seccompProfile") == {"type": "RuntimeDefault"},
            "no service account token": spec.get("automountServiceAccountToken") is False,
            "no part of the host": not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
            "no volume of the host": not any("hostPath" in volume for volume in spec.get("volumes", ())),
            "bounded scratch": all(
                "sizeLimit" in volume["emptyDir"] for volume in spec.get("volumes", ()) if "emptyDir" in volume
            ),
        }
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            security = container.get("securityContext", {})
            resources = container.get("resources", {})
            expected |= {
                "no more privileges": security.get("allowPrivilegeEscalation") is False
                and not security.get("privileged"),
                "read-only root": security.get("readOnlyRootFilesystem") is True,
                "no capability": security.get("capabilities") == {"drop": ["ALL"]},
                "requests": {"cpu", "memory"} <= set(resources.get("requests", {})),
                "a limit of memory": "memory" in resources.get("limits", {}),
                "no port of the host": not any("hostPort" in port for port in container.get("ports", ())),
                "an image with a tag or digest": bool(re.search(r"(:[^/:]+|@sha256:[0-9a-f]{64})$", container["image"]))
                and not container["image"].endswith(":latest"),
                "no shell": container["command"][0] == "python",
            }
        wrong += [f"{name}: lacks {what}" for what, holds in expected.items() if not holds]
    return wrong


def secrets_by_reference(objects: list[Object]) -> list[str]:
    """No secret is written into an object; the owner's is given to those that change or verify the schema."""
    wrong = []
    for name, template in pods(objects):
        for container in template["spec"]["containers"]:
            for variable in container.get("env", ()):
                if _PASSWORD.search(str(variable.get("value", ""))):
                    wrong.append(f"{name}: {variable['name']} holds a password")
                if variable["name"] == OWNERS_SECRET and not re.search(r"-(migrations|verify|anchor)$", name):
                    wrong.append(f"{name}: has the owner's DSN")
    return wrong


def probed(objects: list[Object]) -> list[str]:
    """Deployments say when they have started and whether they live; the API also when it is ready, and waits before it goes."""
    wrong = []
    for name, template in pods(objects):
        (container,) = template["spec"]["containers"]
        if not name.startswith("Deployment"):
            continue
        wanted = {"startupProbe", "livenessProbe"} | (
            {"readinessProbe", "lifecycle"} if name.endswith("-api") else set()
        )
        wrong += [f"{name}: no {what}" for what in sorted(wanted - set(container))]
        if ((container.get("livenessProbe") or {}).get("httpGet") or {}).get("path") != "/healthz":
            wrong.append(f"{name}: liveness asks more than the process itself")
    return wrong


def denied_by_default(objects: list[Object]) -> list[str]:
    """One policy takes every pod and lets nothing through; the others name peers and ports, none of them the open net."""
    wrong = []
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    labels = {name: template["metadata"]["labels"] for name, template in pods(objects)}
    denying = [
        item["spec"]["podSelector"]
        for item in policies
        if set(item["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not item["spec"].get("ingress")
        and not item["spec"].get("egress")
    ]
    for name, its in labels.items():
        if not any(matches(selector, its) for selector in denying):
            wrong.append(f"{name}: nothing denies its traffic")
    for item in policies:
        for direction, side in (("egress", "to"), ("ingress", "from")):
            for rule in item["spec"].get(direction) or ():
                where = f"NetworkPolicy {item['metadata']['name']} {direction}"
                if not rule.get(side):
                    wrong.append(f"{where}: no peer named, which lets everybody through")
                if not rule.get("ports"):
                    wrong.append(f"{where}: no port named")
                wrong += [f"{where}: {fault}" for peer in rule.get(side) or () for fault in _open_peers(peer)]
    return wrong


def _open_peers(peer: Object) -> Iterator[str]:
    if "ipBlock" in peer:
        block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        if not block.is_private or block.prefixlen == 0:
            yield f"{block} is not a private network"
    elif not any(peer.get(key) is not None for key in ("namespaceSelector", "podSelector")):
        yield "a peer that selects nothing"
    elif peer.get("namespaceSelector") == {} and not peer.get("podSelector"):
        yield "every pod of every namespace"


def egress_of(objects: list[Object], part: str) -> set[tuple[int, str]]:
    """Ports that the pods of a part may reach (可出端口), with their protocol."""
    labels = next(
        template["metadata"]["labels"]
        for _name, template in pods(objects)
        if template["metadata"]["labels"]["app.kubernetes.io/component"] == part
    )
    return {
        (port["port"], port["protocol"])
        for item in objects
        if item["kind"] == "NetworkPolicy" and matches(item["spec"]["podSelector"], labels)
        for rule in item["spec"].get("egress") or ()
        for port in rule["ports"]
    }


def kept_up(objects: list[Object]) -> list[str]:
    """What runs more than once has a disruption budget and is spread; what scales has bounds and no fixed number."""
    wrong = []
    by_kind = {kind: [item for item in objects if item["kind"] == kind] for kind in KINDS}
    scaled = {item["spec"]["scaleTargetRef"]["name"]: item["spec"] for item in by_kind["HorizontalPodAutoscaler"]}
    for item in by_kind["Deployment"]:
        name, spec = item["metadata"]["name"], item["spec"]
        scale = scaled.pop(name, None)
        if scale is not None and ("replicas" in spec or scale["minReplicas"] > scale["maxReplicas"]):
            wrong.append(f"{name}: replicas fixed beside an autoscaler, or bounds crossed")
        many = scale is not None or spec["replicas"] > 1
        its = spec["template"]["metadata"]["labels"]
        budgets = [one for one in by_kind["PodDisruptionBudget"] if matches(one["spec"]["selector"], its)]
        if many != bool(budgets):
            wrong.append(f"{name}: {'no budget' if many else 'a budget that blocks every drain'}")
        if not spec["template"]["spec"].get("topologySpreadConstraints"):
            wrong.append(f"{name}: not spread")
        if not matches(spec["selector"], its):
            wrong.append(f"{name}: does not select its own pods")
    wrong += [f"an autoscaler of nothing: {name}" for name in scaled]
    for item in by_kind["CronJob"]:
        if item["spec"].get("concurrencyPolicy") != "Forbid" or item["spec"].get("timeZone") != "Asia/Shanghai":
            wrong.append(f"{item['metadata']['name']}: may run beside itself, or by another clock")
    return wrong


def internal_port_kept_inside(objects: list[Object]) -> list[str]:
    """The metrics have a service of their own inside the cluster; the public one has the API's port and nothing else."""
    wrong = []
    for item in objects:
        if item["kind"] != "Service":
            continue
        names = {port["name"] for port in item["spec"]["ports"]}
        if names not in ({"http"}, {"metrics"}):
            wrong.append(f"Service {item['metadata']['name']}: ports {sorted(names)}")
        if "metrics" in names and item["spec"].get("type") != "ClusterIP":
            wrong.append(f"Service {item['metadata']['name']}: metrics outside the cluster")
        selected = [
            name
            for name, template in pods(objects)
            if matches({"matchLabels": item["spec"]["selector"]}, template["metadata"]["labels"])
        ]
        expected = 1 if names == {"http"} else 2
        if len(selected) != expected:
            wrong.append(f"Service {item['metadata']['name']}: selects {selected}")
    return wrong


def custom_shapes(objects: list[Object]) -> list[str]:
    """The custom resources have the fields that their operators need."""
    wrong = []
    services = [item for item in objects if item["kind"] == "Service"]
    for item in objects:
        spec, name = item.get("spec", {}), f"{item['kind']} {item['metadata']['name']}"
        match item["kind"]:
            case "ServiceMonitor":
                named = {
                    port["name"]
                    for service in services
                    if matches(spec["selector"], service["metadata"]["labels"])
                    for port in service["spec"]["ports"]
                }
                if {one["port"] for one in spec["endpoints"]} != named:
                    wrong.append(f"{name}: watches ports {sorted(named)}")
            case "PrometheusRule":
                rules = [rule for group in spec["groups"] for rule in group["rules"]]
                if not rules or any(set(rule) - {"alert", "expr", "for", "labels", "annotations"} for rule in rules):
                    wrong.append(f"{name}: rules misshapen")
            case "ExternalSecret":
                if set(spec) != {"refreshInterval", "secretStoreRef", "target", "data"} or spec["target"] != {
                    "name": item["metadata"]["name"],
                    "creationPolicy": "Orphan",
                    "deletionPolicy": "Retain",
                }:
                    wrong.append(f"{name}: misshapen")
    return wrong


POLICIES: tuple[Callable[[list[Object]], list[str]], ...] = (
    only_known_kinds,
    weak_pods,
    secrets_by_reference,
    probed,
    denied_by_default,
    kept_up,
    internal_port_kept_inside,
    custom_shapes,
)


def policy_faults(objects: list[Object]) -> list[str]:
    """What breaks a rule (违反准则之处)."""
    return [fault for policy in POLICIES for fault in policy(objects)]
