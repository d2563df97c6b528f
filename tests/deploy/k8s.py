"""The manifests of deploy/k8s as ``kubectl kustomize`` renders them, and whom their policies let through."""

from __future__ import annotations

import functools
import ipaddress
import json
import subprocess
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("cpu", "gpu")
Object = dict[str, Any]
NAMESPACE = "kubernetes.io/metadata.name"
BROKER = {"app.kubernetes.io/name": "nats", "app.kubernetes.io/component": "nats"}


def rendered_folder(folder: Path) -> list[Object]:
    """Returns the objects of a kustomization. ``kubectl`` asks no cluster for it."""
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@functools.cache
def _text(overlay: str) -> str:
    return json.dumps(rendered_folder(K8S / "overlays" / overlay))


def rendered(overlay: str) -> list[Object]:
    """Returns the objects of one of the overlays; a copy of the caller's own."""
    objects: list[Object] = json.loads(_text(overlay))
    return objects


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Returns the objects of a kind by their names."""
    return {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == kind}


def pods(objects: list[Object]) -> dict[str, Object]:
    """Returns the pods, and the templates of pods, by their owners' names."""
    owners = {"Deployment", "Job", "StatefulSet"}
    found = {one["metadata"]["name"]: one["spec"]["template"] for one in objects if one["kind"] in owners}
    return found | of_kind(objects, "Pod")


def containers(pod: Object) -> list[Object]:
    """Returns all containers of a pod."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def own(pod: Object) -> Object:
    """Returns EVA's container."""
    return next(container for container in pod["spec"]["containers"] if container["name"] == "eva")


def selects(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all, none takes nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for term in selector.get("matchExpressions", []):
        assert term["operator"] == "In", "no other operator is used"
        if labels.get(term["key"]) not in term["values"]:
            return False
    return True


@dataclass(frozen=True)
class Place:
    """Somebody on the network: a pod with labels in a namespace, or an address outside of the cluster."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = "eva"
    address: str = ""

    def is_meant_by(self, peer: Object) -> bool:
        """Whether a peer of a network policy is this one."""
        if "ipBlock" in peer:
            block, address = peer["ipBlock"], ipaddress.ip_address(self.address or "10.0.0.1")
            refused = [ipaddress.ip_network(one) for one in block.get("except", [])]
            return address in ipaddress.ip_network(block["cidr"]) and not any(
                address in net for net in refused
            )
        if self.address:
            return False
        if "namespaceSelector" in peer:
            is_there = selects(peer["namespaceSelector"], {NAMESPACE: self.namespace})
        else:
            is_there = self.namespace == "eva"
        return is_there and ("podSelector" not in peer or selects(peer["podSelector"], self.labels))


@dataclass(frozen=True)
class Network:
    """The network policies of a namespace, as the specification reads: what one policy allows is allowed."""

    policies: list[Object]

    @classmethod
    def of(cls, objects: list[Object]) -> Network:
        return cls(list(of_kind(objects, "NetworkPolicy").values()))

    def lets(self, source: Place, target: Place, port: int) -> bool:
        """Whether a connection can be made; what lies outside the namespace has no policies."""
        return self._may(source, "egress", target, port) and self._may(target, "ingress", source, port)

    def _may(self, here: Place, way: str, there: Place, port: int) -> bool:
        if here.namespace != "eva" or here.address:
            return True
        mine = [
            policy["spec"]
            for policy in self.policies
            if way.capitalize() in policy["spec"]["policyTypes"]
            and selects(policy["spec"]["podSelector"], here.labels)
        ]
        return not mine or any(
            self._allows(rule, way, there, port) for spec in mine for rule in spec.get(way, [])
        )

    @staticmethod
    def _allows(rule: Object, way: str, there: Place, port: int) -> bool:
        peers = rule.get("to" if way == "egress" else "from")
        ports = [one["port"] for one in rule.get("ports", [])]
        return (not ports or port in ports) and (not peers or any(map(there.is_meant_by, peers)))


def service(name: str) -> Place:
    """One of the pods of EVA."""
    return Place({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "eva"})
