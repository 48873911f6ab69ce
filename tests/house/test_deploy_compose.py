"""The compose files fit the program: roles, ports, settings, and no rights."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from dicom_node.processes import Role
from dicom_node.settings.file import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
NODE = DEPLOY / "compose.yaml"
AROUND = DEPLOY / "compose.around.yaml"
LEDGER = DEPLOY / "compose.postgresql.yaml"


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services():
    return read(NODE)["services"]


def config(*files, **variables):
    """Let docker-compose put the files together; it needs no engine for that."""
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed")
    environment = {"PATH": os.environ["PATH"], **variables}
    arguments = [part for path in files for part in ("-f", str(path))]
    return subprocess.run(
        ["docker-compose", *arguments, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_docker_compose_finds_no_fault():
    """In the node alone, and in everything around it."""
    alone = config(NODE)
    whole = config(NODE, AROUND, LEDGER, ORTHANC_PASSWORD="a", GRAFANA_PASSWORD="b")  # noqa: S106 - no secret

    assert (alone.returncode, alone.stderr) == (0, "")
    assert (whole.returncode, whole.stderr) == (0, "")


def test_nothing_around_the_node_has_a_password_that_everybody_knows():
    """Without one of the site's choice nothing starts."""
    done = config(NODE, AROUND)

    assert done.returncode != 0
    assert "choose one" in done.stderr


def test_every_role_is_a_container_that_starts_it_alone(services):
    """With nothing to write but the volume and /tmp, and without any right of the system."""
    assert set(services) == set(Role)
    for role, service in services.items():
        assert service["command"] == ["serve", "--only", role]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "data:/var/lib/ichnode" in service["volumes"]
        assert service["healthcheck"]["test"][:3] == ["CMD", "ichnode", "health"]
    assert services["worker"]["networks"] == ["inside"]
    assert read(NODE)["networks"]["inside"] == {"internal": True}


def test_settings_listen_where_ports_are_published_and_know_the_archive(services):
    """Ports, addresses, titles: those of the file beside it, which has no fault."""
    settings = load_settings(DEPLOY / "compose" / "node.toml", environment={})
    around = read(AROUND)["services"]
    archive = around["archive"]["environment"]
    (peer,) = settings.peers

    assert services["receiver"]["ports"] == [f"{settings.node.port}:{settings.node.port}"]
    assert services["office"]["ports"] == [f"127.0.0.1:{settings.web.port}:{settings.web.port}"]
    assert peer.host in around
    assert peer.ae_title == archive["ORTHANC__DICOM_AET"]
    known = f'{{"ichnode": ["{settings.node.ae_title}", "receiver", {settings.node.port}]}}'
    assert archive["ORTHANC__DICOM_MODALITIES"] == known
    assert settings.node.callers == (peer.ae_title,)


def test_the_ledger_on_a_server_is_the_one_of_the_settings():
    """Same settings but for the ledger; host, user, database and secret are the service's."""
    plain, other = (
        load_settings(DEPLOY / "compose" / name, environment={})
        for name in ("node.toml", "postgresql.toml")
    )
    file = read(LEDGER)
    server = file["services"]["postgres"]
    names = server["environment"]
    url = urlsplit(other.node.ledger)

    assert (
        other.node.model_copy(
            update={
                "ledger": plain.node.ledger,
                "ledger_secret_file": plain.node.ledger_secret_file,
            }
        )
        == plain.node
    )
    assert other.model_copy(update={"node": plain.node}) == plain
    assert (url.scheme, url.username, url.password) == ("postgresql", names["POSTGRES_USER"], None)
    assert url.hostname in file["services"]
    assert url.path == f"/{names['POSTGRES_DB']}"
    assert str(other.node.ledger_secret_file) == names["POSTGRES_PASSWORD_FILE"]
    assert server["networks"] == ["inside"]
    assert "ports" not in server
    assert "s['options.extras_require']['postgresql']" in (DEPLOY / "Dockerfile").read_text(
        encoding="utf-8"
    )


def test_the_world_around_is_reached_from_this_machine_alone():
    """Archive, metrics and dashboards hold patients' data or say what the node does."""
    for name, service in read(AROUND)["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name


def test_prometheus_asks_the_office_and_grafana_prometheus(services):
    """By the names and ports of the services."""
    scrape = read(DEPLOY / "prometheus" / "prometheus.yml")
    source = read(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")
    boards = read(DEPLOY / "grafana" / "provisioning" / "dashboards" / "ichnode.yml")
    mounts = [one.split(":")[:2] for one in read(AROUND)["services"]["grafana"]["volumes"]]
    (job,) = scrape["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")

    assert services[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert (DEPLOY / "prometheus" / scrape["rule_files"][0]).is_file()
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    folder = boards["providers"][0]["options"]["path"]
    assert ["./grafana/ichnode.json", f"{folder}/ichnode.json"] in mounts
    for place, _ in mounts:
        assert not place.startswith("./") or (DEPLOY / place).exists()


def test_the_image_is_built_for_either_device():
    """With CUDA unless asked otherwise, in one stage: old builders build every stage."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    argument = read(NODE)["x-process"]["build"]["args"]["DEVICE"]

    assert "ARG DEVICE=cuda" in text
    assert argument == "${ICHNODE_DEVICE:-cuda}"
    assert 'if [ "$DEVICE" = cpu ]' in text
    assert "FROM node-$" not in text


def test_settings_are_mounted_as_a_folder():
    """A file that an editor replaces would stay the old one in the container for ever."""
    files = [NODE, AROUND, LEDGER, DEPLOY / "demo" / "compose.yaml"]
    mounts = [
        mount
        for file in files
        for service in read(file)["services"].values()
        for mount in service.get("volumes", ())
    ]

    assert "./compose:/etc/ichnode:ro" in mounts
    assert not [one for one in mounts if one.split(":")[0].endswith(".toml")]
    for role in Role:
        assert "./compose:/etc/ichnode:ro" in read(NODE)["services"][role]["volumes"]


def test_the_server_is_healthy_once_it_answers_by_the_network():
    """While it makes its database it answers on its socket, and is about to stop again."""
    probe = read(LEDGER)["services"]["postgres"]["healthcheck"]["test"]

    assert probe[:4] == ["CMD", "pg_isready", "--host", "127.0.0.1"]
