"""What deploy/k8s renders to is what Kubernetes takes, and promises what the compose file promises."""

from __future__ import annotations

import json
import os
import re
from copy import deepcopy
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from deploy.k8s.draw import draw
from deploy.prepare import USERS
from eva.config import OWN_VARIABLES, SERVICES, settings_of, variables
from eva.hub import HubSettings
from services.gateway.http_transcribe import MAX_BYTES
from services.gateway.settings import GatewaySettings
from shared.queues import LLM_WORK, TTS_WORK
from tests.deploy.k8s import (
    BROKER,
    K8S,
    OVERLAYS,
    ROOT,
    Network,
    Object,
    Place,
    containers,
    of_kind,
    own,
    pods,
    rendered,
    rendered_folder,
    selects,
    service,
)

VERSION = "1.34"
"""Of Kubernetes; the fields in use are there from 1.31 on."""
SCALED = json.loads((Path(__file__).parent / "keda_scaled_object.json").read_text())
GOODBYE_S = 5.0


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """All components together, as docs/operate.md tells to write an overlay of one's own."""
    told = re.search(
        r"```yaml\n(# deploy/k8s/overlays/mine.*?)```", (ROOT / "docs" / "operate.md").read_text(), re.DOTALL
    )
    assert told is not None
    folder = tmp_path_factory.mktemp("mine")
    up = os.path.relpath(K8S, folder.resolve())
    (folder / "kustomization.yaml").write_text(told[1].replace("../../", f"{up}/"))
    return rendered_folder(folder)


def check(thing: Object) -> None:
    """Raises what the schemas say."""
    if thing["apiVersion"].startswith("keda.sh/"):
        jsonschema.validate(thing, SCALED)
    else:
        kubernetes_validate.validate(thing, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_what_kubernetes_and_keda_take(overlay: str) -> None:
    objects = rendered(overlay)
    for thing in objects:
        check(thing)
    assert {"Deployment", "ScaledObject", "PodDisruptionBudget", "NetworkPolicy"} <= {
        thing["kind"] for thing in objects
    }
    assert {thing["metadata"].get("namespace", "") for thing in objects if thing["kind"] != "Namespace"} == {
        "eva"
    }


def test_an_overlay_of_ones_own_with_all_components_is_taken_too(full: list[Object]) -> None:
    for thing in full:
        check(thing)
    assert {"Ingress", "Pod", "ScaledObject"} <= {thing["kind"] for thing in full}
    assert {thing["metadata"].get("namespace", "") for thing in full if thing["kind"] != "Namespace"} == {
        "eva"
    }


@pytest.mark.parametrize(
    ("kind", "path", "word"),
    [
        ("Deployment", ("spec", "template", "spec"), "terminationGracePeriodSecond"),
        ("PodDisruptionBudget", ("spec",), "maxUnavailabel"),
        ("NetworkPolicy", ("spec",), "egres"),
        ("ScaledObject", ("spec",), "maxReplicas"),
        ("ScaledObject", ("spec", "triggers", 0, "metadata"), "lagTreshold"),
    ],
)
def test_the_schemas_would_find_a_misspelt_field(kind: str, path: tuple[str | int, ...], word: str) -> None:
    thing = deepcopy(next(iter(of_kind(rendered("cpu"), kind).values())))
    place = thing
    for step in path:
        place = place[step]  # type: ignore[index]  # a list's place
    place[word] = 1
    with pytest.raises((kubernetes_validate.ValidationError, jsonschema.ValidationError)):
        check(thing)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_may_more_than_it_must(overlay: str, full: list[Object]) -> None:
    for name, pod in (pods(rendered(overlay)) | pods(full)).items():
        spec, safe = pod["spec"], pod["spec"]["securityContext"]
        assert (safe["runAsNonRoot"], safe["runAsUser"], safe["seccompProfile"]) == (
            True,
            10001,
            {"type": "RuntimeDefault"},
        ), name
        assert spec["automountServiceAccountToken"] is False
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert all("hostPath" not in volume for volume in spec["volumes"])
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "memory" in container["resources"]["limits"]
            assert "cpu" not in container["resources"]["limits"], (
                "who is throttled is silence in somebody's ear"
            )
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}


def test_the_namespace_refuses_pods_that_may_more() -> None:
    (space,) = of_kind(rendered("cpu"), "Namespace").values()
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", SERVICES)
def test_ready_is_readiness_and_alive_is_who_answers(overlay: str, name: str) -> None:
    container = own(pods(rendered(overlay))[name])
    (port,) = container["ports"]
    settings = of_kind(rendered(overlay), "ConfigMap")[container["envFrom"][0]["configMapRef"]["name"]][
        "data"
    ]
    told = settings | {one["name"]: one["value"] for one in container["env"]}
    assert str(port["containerPort"]) == told["EVA_PORT" if name == "gateway" else "EVA_METRICS_PORT"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    for probe in ("livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"] == {"path": "/livez", "port": port["name"]}
    assert pods(rendered(overlay))[name]["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/metrics",
        "prometheus.io/port": str(port["containerPort"]),
    }


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_goes_has_the_time_to_let_every_turn_end(name: str) -> None:
    pod = pods(rendered("cpu"))[name]
    settings = of_kind(rendered("cpu"), "ConfigMap")
    drain_s = float(
        next(one["data"]["EVA_DRAIN_S"] for one in settings.values() if "EVA_DRAIN_S" in one["data"])
    )
    assert drain_s >= GatewaySettings.model_fields["turn_s"].default
    pause = own(pod).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert pause[0] == "sleep"
    assert pod["spec"]["terminationGracePeriodSeconds"] >= float(pause[1]) + drain_s + GOODBYE_S
    assert (float(pause[1]) > 0) == (name == "gateway"), "only a gateway is still sent connections"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_change_is_rolled_one_by_one_and_one_of_each_stays(overlay: str) -> None:
    objects = rendered(overlay)
    for name, deployment in of_kind(objects, "Deployment").items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert selects(deployment["spec"]["selector"], labels)
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        assert sorted(rolling.values()) == [0, 1], name
        needs_card = overlay == "gpu" and name in {"stt", "tts"}
        assert rolling["maxSurge"] == (0 if needs_card else 1), "no card is kept free"
        budget = of_kind(objects, "PodDisruptionBudget")[name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert selects(budget["selector"], labels)
        scaled = of_kind(objects, "ScaledObject")[name]["spec"]
        assert scaled["scaleTargetRef"]["name"] == name
        assert 2 <= scaled["minReplicaCount"] <= scaled["maxReplicaCount"]
        assert "replicas" not in deployment["spec"], "KEDA decides"
        for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert selects(spread["labelSelector"], labels)
            assert set(spread["matchLabelKeys"]) - {"pod-template-hash"} <= labels.keys()
    assert of_kind(objects, "Deployment").keys() == set(SERVICES)


def test_without_keda_there_are_two_of_each() -> None:
    base = of_kind(rendered_folder(K8S / "base"), "Deployment")
    assert {name: deployment["spec"]["replicas"] for name, deployment in base.items()} == dict.fromkeys(
        SERVICES, 2
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_a_pod_refers_to_is_there(overlay: str, full: list[Object], tmp_path: Path) -> None:
    objects = rendered(overlay) + full
    drawn = {thing["metadata"]["name"] for thing in draw(tmp_path, [])}
    maps, claims = of_kind(objects, "ConfigMap"), of_kind(objects, "PersistentVolumeClaim")
    for name, pod in pods(objects).items():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for volume in volumes.values():
            secret = volume.get("secret", {})
            assert secret.get("optional") or not secret or secret["secretName"] in drawn, name
            assert volume.get("persistentVolumeClaim", {"claimName": "eva-models"})["claimName"] in claims
        for container in containers(pod):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes.keys()
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in maps
        broker = volumes.get("broker", {}).get("secret", {}).get("secretName")
        user = {one["name"]: one["value"] for one in own(pod).get("env", [])}.get("EVA_NATS_USER")
        assert broker == (None if user is None else f"eva-{user}"), (
            "each holds the secrets of its own user alone"
        )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_that_a_pod_is_told_is_one_that_it_reads(overlay: str, full: list[Object]) -> None:
    objects = rendered(overlay) + full
    read = {
        service: {
            variable
            for name, info in settings_of(service).model_fields.items()
            for variable in variables(name, info)
        }
        | OWN_VARIABLES
        for service in SERVICES
    }
    read["operator"] = set.union(*read.values()) | {
        f"EVA_{name.upper()}" for name in HubSettings.model_fields
    }
    for name, pod in pods(objects).items():
        told = {one["name"] for one in own(pod).get("env", [])}
        assert told <= read.get(name, read["operator"]), name
        assert pod["spec"]["enableServiceLinks"] is False, "a Service's name makes variables"
    for settings in of_kind(objects, "ConfigMap").values():
        for variable in settings["data"].keys() - {"accounts.conf"}:
            assert all(variable in known for known in read.values()), variable


def test_images_are_of_a_version_and_those_of_cards_are_for_cards() -> None:
    for overlay in OVERLAYS:
        for name, pod in pods(rendered(overlay)).items():
            for container in containers(pod):
                image, _, tag = container["image"].rpartition(":")
                assert image.rpartition("/")[2] == f"eva-{'operator' if name == 'models' else name}"
                assert re.fullmatch(r"\d+\.\d+\.\d+(-gpu)?", tag)
                assert tag.endswith("-gpu") == (overlay == "gpu" and name in {"stt", "tts"})


def test_with_cards_ears_and_voice_have_one_each_and_refuse_to_start_without() -> None:
    found = pods(rendered("gpu"))
    for name in SERVICES:
        container = own(found[name])
        told = {one["name"]: one["value"] for one in container["env"]}
        wants = name in {"stt", "tts"}
        assert container["resources"]["limits"].get("nvidia.com/gpu") == (1 if wants else None)
        assert told.get(f"EVA_{name.upper()}_DEVICE") == ("cuda" if wants else None)
    assert not any("nvidia.com/gpu" in json.dumps(pod) for pod in pods(rendered("cpu")).values())


WORLD, METADATA, LAN = "203.0.113.7", "169.254.169.254", "192.168.1.10"
ELSEWHERE = Place({"app": "other"}, "other")
KEDA, PROMETHEUS = Place({"app": "keda-operator"}, "keda"), Place({"app": "prometheus"}, "monitoring")
DNS = Place({"k8s-app": "kube-dns"}, "kube-system")
NATS = Place(BROKER)
REACHED = {
    **{(name, "broker", 4222): True for name in (*SERVICES, "operator")},
    ("models", "broker", 4222): False,
    **{(name, "world", 443): name in {"llm", "models"} for name in (*SERVICES, "operator", "models")},
    **{(name, "metadata", 443): False for name in (*SERVICES, "operator", "models")},
    **{(name, "lan", 443): False for name in (*SERVICES, "operator", "models")},
    **{(name, "dns", 53): True for name in (*SERVICES, "operator", "models", "broker")},
    **{("prometheus", name, 8000 if name == "gateway" else 9464): True for name in SERVICES},
    **{("elsewhere", name, 9464): False for name in ("stt", "llm", "tts")},
    **{(name, "gateway", 8000): True for name in ("elsewhere", "operator")},
    ("stt", "gateway", 8000): False,
    ("gateway", "llm", 9464): False,
    ("tts", "stt", 9464): False,
    ("broker", "broker", 6222): True,
    ("gateway", "broker", 6222): False,
    ("gateway", "broker", 8222): True,
    ("llm", "broker", 8222): False,
    ("keda", "broker", 8222): True,
    ("keda", "broker", 4222): False,
    ("elsewhere", "broker", 4222): False,
    ("elsewhere", "broker", 8222): False,
    ("broker", "world", 443): False,
}


@pytest.mark.parametrize(("source", "target", "port"), sorted(REACHED))
def test_who_can_reach_whom(full: list[Object], source: str, target: str, port: int) -> None:
    places = {
        **{name: service(name) for name in (*SERVICES, "operator", "models")},
        "broker": NATS,
        "world": Place(address=WORLD),
        "metadata": Place(address=METADATA),
        "lan": Place(address=LAN),
        "dns": DNS,
        "keda": KEDA,
        "prometheus": PROMETHEUS,
        "elsewhere": ELSEWHERE,
    }
    assert Network.of(full).lets(places[source], places[target], port) is REACHED[source, target, port]


def test_the_services_labels_are_those_that_policies_speak_of(full: list[Object]) -> None:
    for name, pod in pods(full).items():
        assert pod["metadata"]["labels"] == service(name).labels


def test_people_reach_the_gateway_by_a_name_that_makes_no_variable_of_evas(full: list[Object]) -> None:
    for name, found in of_kind(full, "Service").items():
        labels = pods(full)[name]["metadata"]["labels"]
        assert selects({"matchLabels": found["spec"]["selector"]}, labels)
        assert "sessionAffinity" not in found["spec"]
        assert not name.lower().startswith("eva")


def test_the_door_keeps_conversations_open_and_takes_recordings(full: list[Object]) -> None:
    (door,) = of_kind(full, "Ingress").values()
    told = {key.rpartition("/")[2]: value for key, value in door["metadata"]["annotations"].items()}
    idle_s = GatewaySettings.model_fields["gateway_idle_s"].default
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        assert float(told[name]) > idle_s
    assert told["proxy-buffering"] == "off"
    assert float(told["proxy-body-size"].removesuffix("m")) * 2**20 > MAX_BYTES
    assert door["spec"]["tls"][0]["hosts"] == [rule["host"] for rule in door["spec"]["rules"]]
    for rule in door["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            ports = of_kind(full, "Service")[backend["name"]]["spec"]["ports"]
            assert backend["port"]["name"] in {port["name"] for port in ports}


def test_queues_scale_the_stages_that_drain_them() -> None:
    scaled = of_kind(rendered("cpu"), "ScaledObject")
    for name, queue in (("llm", LLM_WORK), ("tts", TTS_WORK)):
        (trigger,) = scaled[name]["spec"]["triggers"]
        assert trigger["type"] == "nats-jetstream"
        assert trigger["metadata"]["stream"] == trigger["metadata"]["consumer"] == queue.name
    most = settings_of("llm").model_fields["llm_slots"].default
    assert int(scaled["llm"]["spec"]["triggers"][0]["metadata"]["lagThreshold"]) < most
    sessions = GatewaySettings.model_fields["gateway_max_sessions"].default
    assert float(scaled["gateway"]["spec"]["triggers"][0]["metadata"]["threshold"]) < sessions


def test_secrets_are_drawn_once_and_are_what_kubernetes_takes(tmp_path: Path) -> None:
    objects = draw(tmp_path, ["DNS:broker.example"])
    for thing in objects:
        kubernetes_validate.validate(thing, VERSION, strict=True)
    assert draw(tmp_path, ["DNS:broker.example"]) == objects
    names = {thing["metadata"]["name"] for thing in objects}
    assert names == {"nats-passwords", "nats-tls", "eva-api-keys", *(f"eva-{user}" for user in USERS)}
    drawn = of_kind(objects, "Secret")
    assert drawn["nats-tls"]["data"].keys() == {"tls.crt", "tls.key", "ca.crt"}
    assert all(
        (tmp_path / path).stat().st_mode & 0o077 == 0
        for path in ("api_keys", "nats/key.pem", "nats/ca-key.pem")
    )
    other = draw(tmp_path, ["DNS:other.example"])
    assert of_kind(other, "Secret")["nats-tls"]["data"]["ca.crt"] == drawn["nats-tls"]["data"]["ca.crt"]
    assert of_kind(other, "Secret")["nats-tls"] != drawn["nats-tls"], (
        "another name asks for another certificate"
    )


@pytest.mark.parametrize("file", sorted(K8S.rglob("*.yaml")), ids=lambda file: str(file.relative_to(K8S)))
def test_no_file_lies_around_unused(file: Path) -> None:
    text = "".join(other.read_text() for other in file.parent.glob("kustomization.yaml") if other != file)
    used = file.name in {"kustomization.yaml", "values.yaml"} or file.name in text
    assert used
    assert list(yaml.safe_load_all(file.read_text()))
