"""The short fault campaign, and that its judge would see a fault."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from faults.invariants import Copy, Scene, instance_digest, violations
from faults.power_cut import cut_power, files_below
from faults.traced import Trace, unsynced
from node_builders import encoded, opened_ledger, received, small_series
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.intake.custody import Custody
from dicom_node.intake.spool import Spool, SpoolLimits

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_a_kill_at_every_kind_of_moment_loses_and_doubles_nothing(tmp_path):
    """Receiver, office and worker die once at each write, sync, rename and commit that they have.

    The campaign forks, so it runs in a process of its own without threads.
    """
    campaign = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--short", "--output", tmp_path],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert campaign.returncode == 0, campaign.stdout + campaign.stderr
    report = json.loads((tmp_path / "faults.json").read_text())
    assert report["kills"] >= 40
    assert [report[kind] for kind in ("lost", "doubled", "stuck", "wrong")] == [0, 0, 0, 0]


@pytest.fixture
def scene(tmp_path):
    """Return a node that has one acknowledged image and waits for more."""
    (image,) = small_series(1)
    instance = received(image)
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        spool = Spool(tmp_path / "spool", limits=SpoolLimits(free_floor_bytes=0))
        Custody(spool=spool, register=ledger.arrivals, patient_salt=bytes(32)).accept(
            instance.request
        )
    digest = instance_digest(str(ExplicitVRLittleEndian), encoded(image))
    acknowledged = Copy(uid=str(image.SOPInstanceUID), digest=digest)
    return Scene(data=tmp_path, acknowledged=(acknowledged,), archived=())


def kinds_of(scene):
    return {text.split(":")[0] for text in violations(scene)}


def test_the_judge_sees_a_series_that_waits(scene):
    """A series that is still being received is no state to rest in."""
    assert violations(scene) == ["stuck: series 1 is receiving"]


def test_the_judge_sees_a_changed_byte(scene):
    """One bit of one image is enough."""
    (file,) = scene.data.glob("spool/*/*.dcm")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    assert "lost" in kinds_of(scene)


def test_the_judge_sees_a_lost_image(scene):
    """A file that is gone, and an acknowledgement for which there never was one."""
    other = Scene(
        data=scene.data,
        acknowledged=(*scene.acknowledged, Copy(uid="1.2.3", digest="0" * 64)),
        archived=(),
    )

    assert any("1.2.3" in text and text.startswith("lost") for text in violations(other))


def test_the_judge_sees_what_the_archive_should_not_have(scene):
    """An object that no result names is a double."""
    other = Scene(
        data=scene.data,
        acknowledged=scene.acknowledged,
        archived=(Copy(uid="1.2.3", digest="0" * 64),),
    )

    assert "doubled" in kinds_of(other)


def test_the_judge_asks_for_reasons(scene):
    """A series that is set aside says why."""
    with closing(sqlite3.connect(scene.data / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE series SET state = 'set_aside'")

    assert violations(scene) == ["wrong: series 1 is set_aside without a reason"]


def test_a_power_cut_takes_what_was_not_synced(tmp_path):
    """A name without a sync of its folder is gone, content without a sync of the file empty."""
    folder, diary = tmp_path / "spool", tmp_path / "diary"
    folder.mkdir()
    before = files_below(folder)
    inodes = {}
    for name in ("safe", "unnamed", "empty"):
        (folder / name).write_bytes(b"12345")
        inodes[name] = (folder / name).stat().st_ino
    entries = [
        {"synced": str(folder / "safe.part"), "inode": inodes["safe"], "size": 5},
        {"synced": str(folder / "unnamed.part"), "inode": inodes["unnamed"], "size": 5},
        {"named": str(folder / "safe")},
        {"named": str(folder / "empty")},
        {"synced": str(folder), "inode": 0, "size": 0},
        {"named": str(folder / "unnamed")},
    ]
    diary.write_text("".join(json.dumps(one) + "\n" for one in entries))

    assert cut_power([folder], before, diary) == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "safe": b"12345",
        "empty": b"",
    }


def test_what_was_written_since_the_last_sync_is_unsynced():
    """By the lines of strace: a log synced once, a file written and renamed, one synced whole."""
    lines = [
        "7 pwrite64(4</s/db-wal>, ..., 4096, 0) = 4096",
        "7 fdatasync(4</s/db-wal>) = 0",
        "7 pwrite64(4</s/db-wal>, ..., 24, 4096) = 24",
        '7 write(5</s/a.part>, ""..., 10) = 10',
        "8 write(6</s/b>, <unfinished ...>",
        '7 rename("/s/a.part", "/s/a") = 0',
        "8 <... write resumed>, 10) = 10",
        "8 fsync(6</s/b> <unfinished ...>",
        "7 pwrite64(4</s/db-wal>, ..., 4096, 4120) = 4096",
        "8 <... fsync resumed>) = 0",
    ]

    assert unsynced(lines) == {"/s/db-wal": [(4096, 24), (4120, 4096)], "/s/a": [(0, 0)]}


def test_a_sync_that_a_kill_interrupted_is_none():
    """Nobody knows whether it came to its end."""
    lines = ['7 write(5</s/a>, ""..., 10) = 10', "7 fsync(5</s/a> <unfinished ...>"]

    assert "/s/a" in unsynced(lines)


def test_a_power_cut_zeroes_the_end_of_a_log_and_empties_a_file(tmp_path):
    """What was synced stays."""
    (tmp_path / "db-wal").write_bytes(b"x" * 8)
    (tmp_path / "a").write_bytes(b"12345")
    log = tmp_path / "trace"
    log.write_text(
        f"7 pwrite64(4<{tmp_path}/db-wal>, ..., 4, 4) = 4\n"
        f"7 write(5<{tmp_path}/a>, ..., 5) = 5\n"
        f"7 fsync(6<{tmp_path}/trace>) = 0\n"
    )

    assert Trace(log).cut(tmp_path) == 2
    assert (tmp_path / "db-wal").read_bytes() == b"xxxx" + bytes(4)
    assert (tmp_path / "a").read_bytes() == b""
