"""The manifests for Kubernetes fit the program: commands, ports, probes, settings, rights."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.processes import Role
from dicom_node.settings.file import load_settings

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
DOCKERFILE = (KUBERNETES.parent / "Dockerfile").read_text(encoding="utf-8")

#: Oldest and newest version of Kubernetes that the objects are held to.
VERSIONS = ("1.28", "1.37")

_MIB = {"Mi": 1, "Gi": 1024}


def documents(path):
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def base_documents():
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return [document for name in names for document in documents(BASE / name)]


@pytest.fixture(scope="module")
def base():
    return base_documents()


@pytest.fixture(scope="module")
def built():
    """Return the objects of the example, as they would be applied."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES / "example"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def workloads(found):
    return {
        one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: one
        for one in found
        if one["kind"] in {"StatefulSet", "Deployment"}
    }


def named(found, kind, name):
    (one,) = (one for one in found if one["kind"] == kind and one["metadata"]["name"] == name)
    return one


def container(workload):
    (one,) = workload["spec"]["template"]["spec"]["containers"]
    return one


def settings_of(path):
    return load_settings(path, environment={})


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_by_the_schemas_of_kubernetes(base, version):
    """Strictly: an unknown key is a fault, too."""
    for document in base:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_check_finds_a_misspelt_key(base):
    """Else the test before could not fail."""
    broken = json.loads(json.dumps(workloads(base)["receiver"]))
    broken["spec"]["replica"] = broken["spec"].pop("replicas")

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_the_example_is_built_with_a_gpu_and_files_of_secrets_for_each_worker(built):
    """Every object of it is valid, too; copied secrets have the mode that the node demands."""
    for document in built:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
    worker = workloads(built)["worker"]

    assert worker["spec"]["replicas"] == 2
    assert container(worker)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    (first,) = worker["spec"]["template"]["spec"]["initContainers"]
    assert "install -m 0600" in first["command"][-1]
    assert first["image"] == container(worker)["image"]


def test_every_role_is_a_workload_that_starts_it_alone(base):
    """By the words of the command line; receiver and office once, for they hold a lock."""
    found = workloads(base)

    assert set(found) == set(Role)
    for role, workload in found.items():
        assert container(workload)["args"] == ["serve", "--only", role]
        assert workload["spec"]["replicas"] == 1
        assert workload["kind"] == "StatefulSet"
    assert re.search(r'^ENTRYPOINT \["ichnode"\]$', DOCKERFILE, re.MULTILINE)


def test_a_pod_has_no_rights_but_to_write_its_data(base):
    """As the profile "restricted" wants it, and by the user of the image."""
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    for workload in workloads(base).values():
        pod = workload["spec"]["template"]["spec"]
        rights, own = pod["securityContext"], container(workload)["securityContext"]

        assert rights["runAsNonRoot"] is True
        assert rights["runAsUser"] == rights["fsGroup"] == int(user)
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all("hostPath" not in volume for volume in pod["volumes"])
    labels = named(base, "Namespace", "ichnode")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_pod_gets_as_long_to_stop_as_the_unit_gives(base):
    """Both leave more than the 20 s after which the supervisor kills."""
    unit = (KUBERNETES.parent / "systemd" / "ichnode.service").read_text(encoding="utf-8")
    (limit_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)

    for workload in workloads(base).values():
        pod = workload["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] == int(limit_s)


def test_what_the_pods_share_lies_on_one_machine(base):
    """The ledger's locks and its shared memory hold on one machine alone."""
    claim = named(base, "PersistentVolumeClaim", "ichnode-data")

    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    for workload in workloads(base).values():
        pod = workload["spec"]["template"]["spec"]
        (term,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        environment = {one["name"]: one["value"] for one in container(workload)["env"]}
        mounts = {one["name"]: one["mountPath"] for one in container(workload)["volumeMounts"]}
        assert Path(environment["ICHNODE_DATA_DIR"]).is_relative_to(mounts["data"])
        assert environment["ICHNODE_CONFIG"] == f"{mounts['settings']}/node.toml"
        data = next(one for one in pod["volumes"] if one["name"] == "data")
        assert data["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


@pytest.mark.parametrize("folder", [BASE, KUBERNETES / "example"])
def test_the_settings_have_no_fault_and_listen_where_the_pods_are_called(base, folder):
    """Ports, addresses and memory of the manifests are those of the settings beside them."""
    settings = settings_of(folder / "node.toml")
    ports = {
        port["name"]: port["containerPort"]
        for workload in workloads(base).values()
        for port in container(workload).get("ports", ())
    }

    assert ports == {
        "dicom": settings.node.port,
        "dicom-tls": settings.tls.port,
        "web": settings.web.port,
    }
    assert settings.node.host == settings.web.host == "0.0.0.0"  # noqa: S104 - a pod's own address
    limit = container(workloads(base)["receiver"])["resources"]["limits"]["memory"]
    assert int(limit[:-2]) * _MIB[limit[-2:]] > settings.node.max_unfinished_mb


def test_the_service_keeps_the_address_of_who_calls(base):
    """Callers are told apart by it."""
    service = named(base, "Service", "ichnode-receiver")

    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    targets = {port["targetPort"] for port in service["spec"]["ports"]}
    assert targets <= {port["name"] for port in container(workloads(base)["receiver"])["ports"]}


def test_probes_ask_what_answers(base):
    """A page that is there, a port that is listened on, a command that exists."""
    found = {role: container(one) for role, one in workloads(base).items()}
    for one in found.values():
        assert {"startupProbe", "livenessProbe"} <= one.keys()
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert found["office"][kind]["httpGet"] == {"path": "/health", "port": "web"}
        assert found["receiver"][kind]["tcpSocket"] == {"port": "dicom"}
    command = found["worker"]["livenessProbe"]["exec"]["command"]
    assert command == ["ichnode", "health", "--only", "worker"]
    assert "--only" in CliRunner().invoke(app, ["health", "--help"]).stdout


def test_policies_let_in_what_is_meant_and_nothing_else(base):
    """Everything is shut; the worker calls nobody."""
    shut = named(base, "NetworkPolicy", "ichnode-nothing-else")["spec"]
    calls = named(base, "NetworkPolicy", "ichnode-calls")["spec"]["podSelector"]

    assert shut == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert calls["matchExpressions"][0]["values"] == ["receiver", "office"]
    opened = {
        one["metadata"]["name"]: [
            port["port"] for rule in one["spec"]["ingress"] for port in rule["ports"]
        ]
        for one in base
        if one["kind"] == "NetworkPolicy" and "ingress" in one["spec"]
    }
    assert opened == {"ichnode-dicom": ["dicom", "dicom-tls"], "ichnode-pages": ["web"]}


def test_no_secret_lies_in_the_manifests():
    """A Secret is made by hand."""
    kinds = {
        document.get("kind") for path in KUBERNETES.rglob("*.yaml") for document in documents(path)
    }

    assert "Secret" not in kinds
