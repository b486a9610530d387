"""Test that the Kubernetes manifests agree with the program, the image and each other."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.routing import Route

from gateway.app import create_app
from gateway.auth.api_keys import KeyTable
from gateway.config import GatewaySettings
from monitor.config import MonitorSettings
from tests.deploy.commands import parsed
from tests.deploy.test_image import ROOT, health_check, said
from tests.deploy.test_systemd import REQUESTS_END

MANIFESTS = ROOT / "deploy" / "kubernetes"
FILES = {
    file.name: list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    for file in MANIFESTS.glob("*.yaml")
}
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {
    (one["kind"], one["metadata"]["name"]): one
    for objects in FILES.values()
    for one in objects
    if "metadata" in one
}
MONITOR, GATEWAY = (
    OBJECTS["StatefulSet", "callmon-monitor"],
    OBJECTS["Deployment", "callmon-gateway"],
)
workloads = pytest.mark.parametrize("workload", [MONITOR, GATEWAY], ids=["monitor", "gateway"])


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(workload)["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """As it is mounted."""
    file = tmp_path / "callmon.toml"
    file.write_text(OBJECTS["ConfigMap", "callmon"]["data"]["callmon.toml"], encoding="utf-8")
    return file


def test_everything_is_applied_under_the_images_version() -> None:
    (kustomization,) = FILES["kustomization.yaml"]
    assert set(kustomization["resources"]) == set(FILES) - {"kustomization.yaml"}
    assert kustomization["namespace"] == OBJECTS["Namespace", "callmon"]["metadata"]["name"]
    assert kustomization["images"] == [
        {"name": container(GATEWAY)["image"], "newTag": version("callmon")}
    ]


@workloads
def test_there_are_two_and_one_of_them_is_always_left(workload: dict[str, Any]) -> None:
    assert workload["spec"]["replicas"] == 2
    budget = OBJECTS["PodDisruptionBudget", workload["metadata"]["name"]]["spec"]
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert budget["minAvailable"] == 1
    assert (
        budget["selector"]["matchLabels"] == workload["spec"]["selector"]["matchLabels"] == labels
    )
    assert OBJECTS["Service", workload["metadata"]["name"]]["spec"]["selector"] == labels


@workloads
def test_the_command_is_understood_and_its_settings_are_mounted(workload: dict[str, Any]) -> None:
    name, options = parsed(container(workload)["args"])
    assert workload["metadata"]["name"] == f"callmon-{name}"
    mounts = {mount["name"]: mount["mountPath"] for mount in container(workload)["volumeMounts"]}
    assert str(options["config"].parent) == mounts["config"]
    volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
    assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in OBJECTS


@workloads
def test_secrets_are_files_of_a_secret_of_its_own(
    workload: dict[str, Any], settings_file: Path
) -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in container(workload)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
    assert volumes["secrets"]["secret"]["secretName"] == workload["metadata"]["name"]
    variables = {
        variable["name"]: Path(variable["value"]) for variable in container(workload)["env"]
    }
    gateway = {"CALLMON_GATEWAY__TICKET_SECRET_FILE"} if workload is GATEWAY else set()
    assert set(variables) == {"CALLMON_REDIS__URL_FILE", *gateway}
    assert {file.parent for file in variables.values()} == {Path(mounts["secrets"])}
    created = re.search(
        f"create secret generic {workload['metadata']['name']} (.*)",
        (ROOT / "deploy" / "README.md").read_text(encoding="utf-8"),
    )
    assert created is not None
    assert {file.name for file in variables.values()} <= set(
        re.findall(r"file=([\w.]+)=", created[1])
    )
    secret = MonitorSettings.load(settings_file).pbx[0].client_secret_file
    assert secret is not None
    assert str(secret.parent) == mounts["secrets"]


def test_the_monitors_state_is_on_a_volume(settings_file: Path) -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in container(MONITOR)["volumeMounts"]}
    (claim,) = MONITOR["spec"]["volumeClaimTemplates"]
    assert mounts[claim["metadata"]["name"]] == str(
        MonitorSettings.load(settings_file).monitor.state_dir
    )


@workloads
def test_the_monitor_is_asked_as_the_image_is_and_the_gateway_at_real_addresses(
    workload: dict[str, Any],
) -> None:
    served = {
        route.path for route in create_app({}, KeyTable([])).routes if isinstance(route, Route)
    }
    ports = {port["name"] for port in container(workload).get("ports", [])}
    for probe in ("livenessProbe", "readinessProbe"):
        match container(workload)[probe]:
            case {"httpGet": {"path": path, "port": port}}:
                assert path in served
                assert port in ports
            case {"exec": {"command": command}}:
                assert command == health_check()


def test_ports_agree_from_the_ingress_to_the_process(settings_file: Path) -> None:
    loaded = GatewaySettings.load(settings_file)
    (port,) = container(GATEWAY)["ports"]
    (offered,) = OBJECTS["Service", "callmon-gateway"]["spec"]["ports"]
    (rule,) = OBJECTS["Ingress", "callmon"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert loaded.gateway.host == "0.0.0.0"
    assert port["containerPort"] == loaded.gateway.port == int(said("EXPOSE")[0])
    assert offered["targetPort"] == port["name"]
    assert backend == {"name": "callmon-gateway", "port": {"name": offered["name"]}}


def test_a_gateway_has_time_to_drain(settings_file: Path) -> None:
    program, pause = container(GATEWAY)["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    drain = GatewaySettings.load(settings_file).gateway.stream.drain_time
    assert pod(GATEWAY)["terminationGracePeriodSeconds"] >= int(pause) + drain + REQUESTS_END + 10
    assert GATEWAY["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@workloads
def test_pods_are_restricted(workload: dict[str, Any]) -> None:
    user = int(said("USER")[0].partition(":")[0])
    whole, own = pod(workload)["securityContext"], container(workload)["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert (whole["runAsUser"], whole["fsGroup"]) == (user, user)
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert pod(workload)["automountServiceAccountToken"] is False
    assert "/tmp" in [mount["mountPath"] for mount in container(workload)["volumeMounts"]]


@workloads
def test_no_pod_may_take_all_memory_and_none_is_reached_by_everybody(
    workload: dict[str, Any],
) -> None:
    assert container(workload)["resources"]["limits"]["memory"] == "1Gi"
    policy = OBJECTS["NetworkPolicy", workload["metadata"]["name"]]["spec"]
    assert (
        policy["podSelector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]
    )
    assert "Ingress" in policy["policyTypes"]
    reached = [source for rule in policy.get("ingress", []) for source in rule["from"]]
    assert len(reached) == (1 if workload is GATEWAY else 0)
    assert all(source["namespaceSelector"]["matchLabels"] for source in reached)


def test_proxies_are_believed_by_a_name_that_is_theirs_alone(settings_file: Path) -> None:
    (service,) = yaml.safe_load_all(
        (MANIFESTS / "ingress-nginx" / "service.yaml").read_text(encoding="utf-8")
    )
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    assert (
        GatewaySettings.load(settings_file).gateway.forwarded_allow_ips
        == f"{name}.{namespace}.svc.cluster.local"
    )
    assert service["spec"]["clusterIP"] == "None", "else it resolves to an address that is no pod's"
    (source,) = OBJECTS["NetworkPolicy", "callmon-gateway"]["spec"]["ingress"][0]["from"]
    assert source["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": namespace}
