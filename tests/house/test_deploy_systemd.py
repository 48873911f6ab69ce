"""The units of systemd: verified by its own program, alike in their rights, true to ours."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dicom_node.processes import Role

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))

#: Not worse than this by `systemd-analyze security`; 10 is no protection at all.
WORST_EXPOSURE = {"ichnode": 1.5, "ichnode-receiver": 1.2, "ichnode-office": 1.2}
WORST_WORKER = 0.8


@pytest.fixture(scope="module")
def analyze():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")

    def run(*arguments):
        return subprocess.run(
            ["systemd-analyze", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=UNITS,
        )

    return run


def keys(path):
    """Return the keys of a unit with all their values."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_systemd_finds_no_fault_but_that_nothing_is_installed_here(analyze):
    """The program of ExecStart lies where the manual installs it, which is not here."""
    names = [
        "./ichnode-worker@0.service" if "@" in one.name else f"./{one.name}" for one in SERVICES
    ]

    done = analyze("verify", "--man=no", "./ichnode.target", *names)

    complaints = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert complaints == []


def test_systemd_would_find_a_misspelt_key(analyze, tmp_path):
    """Else the test before could not fail."""
    unit = tmp_path / "wrong.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectHme=yes\n")

    assert "ProtectHme" in analyze("verify", "--man=no", unit).stderr


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_unit_is_exposed_no_more_than_the_manual_says(analyze, path):
    """By systemd's own marks."""
    done = analyze("security", "--offline=true", "--no-pager", f"./{path.name}")

    (mark,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert float(mark) <= WORST_EXPOSURE.get(path.stem, WORST_WORKER)
    manual = (UNITS.parents[1] / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert re.search(rf"`{re.escape(path.stem)}[^|]*`[^\n]*\| {mark} \|", manual)


def test_every_role_has_a_unit_that_starts_it():
    """And the target starts all of them."""
    started = {
        one.removeprefix("/opt/ichnode/bin/ichnode serve").strip()
        for path in SERVICES
        for one in keys(path)["ExecStart"]
    }
    (wanted,) = keys(UNITS / "ichnode.target")["Wants"]

    assert started == {"", *(f"--only {role}" for role in Role)}
    assert {re.sub(r"@0|\.service|ichnode-", "", one) for one in wanted.split()} == set(Role)


def test_the_units_differ_in_what_their_roles_need_alone():
    """What one unit forbids all forbid, but for devices, written code, addresses and settings."""
    own = {
        *("Description", "Wants", "After", "PartOf", "Conflicts", "WantedBy", "ExecStart"),
        *("Environment", "ReadWritePaths", "PrivateDevices", "MemoryDenyWriteExecute"),
        *("SystemCallFilter", "DevicePolicy", "DeviceAllow", "PrivateNetwork"),
        "RestrictAddressFamilies",
    }
    shared = [{key: one for key, one in keys(path).items() if key not in own} for path in SERVICES]

    assert all(one == shared[0] for one in shared)
    assert keys(UNITS / "ichnode-worker@.service")["PrivateNetwork"] == ["yes"]
    for role in ("receiver", "office"):
        assert keys(UNITS / f"ichnode-{role}.service")["MemoryDenyWriteExecute"] == ["yes"]


def test_the_command_for_people_is_what_the_units_start():
    """Else it would look at other settings or another data directory than the service."""
    command = (UNITS.parent / "ichnode-command").read_text(encoding="utf-8")
    unit = keys(UNITS / "ichnode.service")
    (program,) = {one.split(" ")[0] for one in unit["ExecStart"]}
    (account,) = unit["User"]

    assert f"runuser -u {account} -- {program} " in command
    for setting in unit["Environment"]:
        name, value = setting.split("=", 1)
        assert f"export {name}={value}\n" in command or f'{name}="${{{name}:-{value}}}"' in command
