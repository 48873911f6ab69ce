"""The bundle for machines without a network: what it holds, and what its installer refuses."""

import configparser
import importlib.util
import platform
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Not needed where the node runs: sources of the compiled catalogs, and how they are extracted.
_SOURCES_OF_CATALOGS = ("*.po", "*.cfg")


@pytest.fixture(scope="module")
def airgap():
    spec = importlib.util.spec_from_file_location("deploy_airgap", ROOT / "deploy" / "airgap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bundle(airgap, tmp_path):
    """Return a bundle without wheels."""
    folder = tmp_path / "bundle"
    (folder / "wheels").mkdir(parents=True)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "card.json").write_text("{}")
    airgap.add_companions(folder, [tmp_path / "ours"])
    airgap.write_installer(folder, extras=(), device="cpu")
    airgap.write_sums(folder)
    return folder


def install(bundle, target, python):
    return subprocess.run(
        ["sh", bundle / "install.sh", target, python], capture_output=True, text=True, check=False
    )


def python_that_says(folder, words):
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho '{words}'\n")
    program.chmod(0o755)
    return program


def test_the_wheel_holds_every_file_that_lies_beside_the_code():
    """A template or a catalog that is left out is missed by nobody but whoever installs it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = [
        f"{package}/{pattern.strip()}"
        for package, line in setup["options.package_data"].items()
        for pattern in line.split(",")
    ]
    tracked = subprocess.run(
        ["git", "ls-files", "dicom_node", "pipeline", "training"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    ).stdout.split()
    if not tracked:
        pytest.skip("not a checkout of git")

    forgotten = [
        name
        for name in tracked
        if not name.endswith(".py")
        and not any(fnmatch(name, pattern) for pattern in (*patterns, *_SOURCES_OF_CATALOGS))
    ]

    assert forgotten == []
    assert any(name.endswith(".mo") for name in tracked)


def test_the_bundle_is_built_of_what_the_image_is_built_of(airgap):
    """The same sources in both, and nothing that an older build has left."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        word
        for line in dockerfile.splitlines()
        if line.startswith("COPY") and "--from=" not in line
        for word in line.split()[1:-1]
    }

    assert set(airgap.SOURCES) == copied - {"deploy/constraints.txt"}


def test_pytorch_comes_first_from_its_own_index(airgap, tmp_path):
    """Else the registry's build with CUDA would be taken; the constraints hold for both calls."""
    (whole,) = airgap.wheel_commands(tmp_path, tmp_path / "wheels", torch_index="")
    torch, node = airgap.wheel_commands(
        tmp_path, tmp_path / "wheels", torch_index="https://x.example/cpu", extras=["mamba"]
    )

    assert whole[-1] == str(tmp_path)
    assert torch[-3:] == ["https://x.example/cpu", "torch", "torchvision"]
    assert node[-1] == f"{tmp_path}[mamba]"
    assert all("--constraint" in command for command in (whole, torch, node))


def test_everything_lies_beside_the_wheels_and_has_its_sum(bundle):
    """Models, settings, units, manual, and an installer that is filled in."""
    sums = (bundle / "SHA256SUMS").read_text().splitlines()
    names = {line.split("  ")[1] for line in sums}

    assert {
        *("models/ours/card.json", "node.toml", "deployment.md", "constraints.txt"),
        "ichnode-command",
        *("systemd/ichnode.service", "install.sh", "bundle.json"),
    } <= names
    assert "@" not in (bundle / "install.sh").read_text().replace("$@", "")


def test_a_damaged_bundle_is_not_installed(bundle, tmp_path):
    """The file is named, and nothing is made."""
    with (bundle / "node.toml").open("a") as stream:
        stream.write("# one more line\n")

    done = install(bundle, tmp_path / "there", "python3")

    assert done.returncode != 0
    assert "node.toml: FAILED" in done.stdout
    assert not (tmp_path / "there").exists()


def test_another_python_is_refused(airgap, bundle, tmp_path):
    """Wheels of compiled code fit one version and one kind of processor."""
    wrong = python_that_says(tmp_path, "3.9 x86_64")

    done = install(bundle, tmp_path / "there", wrong)

    assert done.returncode == 1
    assert f"for Python {airgap.python_tag()} {platform.machine()}" in done.stderr
    assert not (tmp_path / "there").exists()


def test_an_environment_that_is_there_is_not_installed_over(airgap, bundle, tmp_path):
    """The way back is the old folder."""
    (tmp_path / "there" / "bin").mkdir(parents=True)
    right = python_that_says(tmp_path, f"{airgap.python_tag()} {platform.machine()}")

    done = install(bundle, tmp_path / "there", right)

    assert done.returncode == 1
    assert "name a new folder" in done.stderr
