"""The node as the container runs it: no root, no capability, nothing to write but data and tmp."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from acceptance.node_process import NodeProcess, wait_until
from acceptance.test_no_patient_in_logs import TalkativePacs
from ct_builder import Ball, build_ct_series

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

#: "nobody": owns nothing of an installation.
USER = 65534
PATIENCE_S = 300

#: What ``read_only: true``, ``tmpfs``, ``cap_drop``, ``no-new-privileges`` and ``USER`` do: every
#: mounted file system becomes read-only but the first two arguments, the second is empty memory.
#: An interpreter that lies in somebody's closed folder is made reachable.
CAGE = """
set -e
data=$1; tmp=$2; python=$3; closed=$4; shift 4
mount --make-rprivate /
if [ -n "$closed" ]; then
    mount --bind "$python" "$tmp"
    mount -t tmpfs -o mode=755 tmpfs "$closed"
    mkdir -p "$python"
    mount --move "$tmp" "$python"
fi
mount --bind "$data" "$data"
mount -t tmpfs tmpfs "$tmp"
chmod 1777 "$tmp"
while read -r _ _ _ _ place _; do
    case $place in "$data" | "$tmp" | /proc* | /sys* | /dev*) continue ;; esac
    mount -o remount,bind,ro "$place"
done < /proc/self/mountinfo
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all -- "$@"
"""


def caged(folder, *command):
    """Return a command that runs another one in the cage."""
    cage = ["unshare", "--mount", "sh", "-c", CAGE, "cage"]
    python = Path(sys.base_prefix)
    closed = [str(one) for one in reversed(python.parents) if not one.stat().st_mode & 0o001]
    places = [folder / "data", folder / "tmp", python, *(closed[:1] or [""])]
    return [*cage, *map(str, places), *map(str, command)]


@pytest.fixture
def folder():
    """Return a folder that everybody may enter: pytest's own belong to its user alone."""
    if os.geteuid() or not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("needs root, unshare and setpriv to build the cage")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        place.chmod(0o755)
        for part in ("data", "tmp"):
            (place / part).mkdir()
        os.chown(place / "data", USER, USER)
        done = run(caged(place, "touch", place / "data" / "x", place / "tmp" / "x"))
        if done.returncode:
            pytest.skip(f"this machine lets nobody build the cage: {done.stderr.strip()}")
        yield place


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_cage_holds(folder):
    """Neither the installation, nor the home, nor the folder of the settings can be written."""
    for place in (Path(__file__).parent, Path("/"), folder, Path("~").expanduser()):
        done = run(caged(folder, "touch", place / "written"))

        assert done.returncode != 0, place
        assert not (place / "written").exists()


def test_the_node_writes_nothing_but_its_data(folder, monkeypatch):
    """A series from reception to delivery, by a user without rights, and an orderly stop."""
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setenv("MPLCONFIGDIR", str(folder / "tmp" / "matplotlib"))
    pacs = TalkativePacs(refusals=0)
    node = NodeProcess(folder, pacs_port=pacs.port)
    node.patience_s = PATIENCE_S
    node.program = caged(folder, *node.program)
    (folder / "images").mkdir()
    ball = Ball(radius_mm=15.0)
    series = build_ct_series(slices=16, shape_yx=(64, 64), spacing_mm=6.0, balls=(ball,), seed=1)
    paths = [folder / "images" / f"{index:02d}.dcm" for index in range(len(series))]
    for path, image in zip(paths, series, strict=True):
        image.save_as(path, enforce_file_format=True)
    try:
        node.start()
        assert node.send(paths)
        wait_until(
            lambda: [row["state"] for row in node.rows()] == ["delivered"], timeout_s=PATIENCE_S
        )
        facts = rights_of(node.process.pid)
        assert node.stop() == 0
    finally:
        pacs.server.shutdown()
        if node.process is not None and node.process.poll() is None:
            node.kill()

    assert facts["Uid"] == {str(USER)}
    assert facts["CapEff"] == facts["CapBnd"] == {"0000000000000000"}
    assert facts["NoNewPrivs"] == {"1"}
    assert len(pacs.got) >= 3
    assert {path.stat().st_uid for path in (folder / "data").rglob("*")} == {USER}
    log = node.log.read_text()
    assert "Read-only file system" not in log
    assert "Permission" not in log


def rights_of(pid):
    """Return what the kernel says of a process that has become the node by exec."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return {name: set(value.split()) for name, value in pairs}
