"""A file system that dies in the middle of work, and what of the spool is there afterwards.

A file system in a file of its own is mounted, senders put images into a spool on it, and at some
moment the kernel is told to shut the file system down without writing anything more: what is on
the medium then is what a power cut leaves. It is mounted again, which replays its journal, and
every image whose receipt had been acknowledged must be there, byte for byte.

As a program, for root: python -m tests.faults.sudden_death ext4 xfs --rounds 40
"""

import argparse
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from node_builders import received, small_series

from dicom_node.errors import IntakeError
from dicom_node.intake.instance import ReceivedInstance
from dicom_node.intake.spool import Spool, SpoolLimits

#: _IOR('X', 125, __u32) of linux/fs.h: FS_IOC_SHUTDOWN of ext4 and xfs; without writing the log.
_SHUTDOWN, _WITHOUT_LOG = 0x8004587D, 2

_SIZE_BYTES = 400 * 2**20
_SENDERS = 3

#: The file systems that can be shut down so.
KINDS = ("ext4", "xfs")


@dataclass(slots=True)
class Deaths:
    """What some deaths did.

    Attributes
    ----------
    rounds : int
        How often the file system died.
    acknowledged : int
        Images whose `Spool.put` had returned by then.
    lost : int
        Those of them that were not there afterwards, or not as they had been.
    finished : int
        Those of them that stood under the name of their writing, and got their own at the start.
    """

    rounds: int = 0
    acknowledged: int = 0
    lost: int = 0
    finished: int = 0


def can_die(kind: str) -> str:
    """Return why a file system of this kind cannot be tried here; empty if it can."""
    if not shutil.which(f"mkfs.{kind}"):
        return f"mkfs.{kind} is not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _mounted(kind, Path(folder), is_new=True):
                return ""
        except subprocess.CalledProcessError:
            return "file systems cannot be mounted here: that needs root and loop devices"


def die(kind: str, folder: Path, *, seed: int) -> Deaths:
    """Let a file system die once under the hands of some senders.

    Parameters
    ----------
    kind
        Of `KINDS`.
    folder
        For the file that it lives in.
    seed
        Of the images and of the moment.
    """
    chance = random.Random(seed)  # noqa: S311 - a moment, no secret
    acknowledged: list[tuple[ReceivedInstance, Path]] = []
    with _mounted(kind, folder, is_new=True) as root:
        spool = Spool(root / "spool", limits=SpoolLimits(free_floor_bytes=0))
        senders = [
            threading.Thread(
                target=_send, args=(spool, acknowledged, seed * 10 + number), daemon=True
            )
            for number in range(_SENDERS)
        ]
        for sender in senders:
            sender.start()
        moment, pause, patience = chance.randrange(10, 100), threading.Event(), 1000
        while len(acknowledged) < moment and (patience := patience - 1):
            pause.wait(chance.uniform(0.0, 0.05))
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG))
        os.close(handle)
        known = list(acknowledged)
        for sender in senders:
            sender.join()
    found = Deaths(rounds=1, acknowledged=len(known))
    with _mounted(kind, folder, is_new=False) as root:
        spool = Spool(root / "spool", limits=SpoolLimits(free_floor_bytes=0))
        there = set(spool.files())
        spool.settle_parts()
        for instance, path in known:
            found.finished += path not in there and spool.has(path)
            expected = instance.request.file_header + instance.request.data_set
            found.lost += not spool.has(path) or spool.read(path) != expected
    return found


def _send(spool: Spool, acknowledged: list[tuple[ReceivedInstance, Path]], seed: int) -> None:
    """Put one image after the other, until the file system is gone."""
    try:
        for number in range(1000):
            for ds in small_series(20, seed=seed * 1000 + number, noise_hu=5):
                instance = received(ds)
                acknowledged.append((instance, spool.put(instance)))
    except (IntakeError, OSError):
        return


@contextmanager
def _mounted(kind: str, folder: Path, *, is_new: bool) -> Iterator[Path]:
    """Mount the file system that lives in a file of this folder."""
    image, root = folder / "image", folder / "root"
    root.mkdir(exist_ok=True)
    if is_new:
        with image.open("wb") as file:
            file.truncate(_SIZE_BYTES)
        forced = ["-q", "-F" if kind == "ext4" else "-f"]
        subprocess.run([f"mkfs.{kind}", *forced, str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(root)], check=True, capture_output=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True, capture_output=True)


def main() -> None:
    """Let file systems die and print what was lost; exit 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=list(KINDS), help=" or ".join(KINDS))
    parser.add_argument("--rounds", type=int, default=20)
    wanted = parser.parse_args()
    lost = 0
    for kind in wanted.kinds or KINDS:
        if reason := can_die(kind):
            print(f"{kind}: not tried, {reason}")
            continue
        total = Deaths()
        for seed in range(wanted.rounds):
            with tempfile.TemporaryDirectory() as folder:
                one = die(kind, Path(folder), seed=seed)
            total.rounds += 1
            total.acknowledged += one.acknowledged
            total.lost += one.lost
            total.finished += one.finished
        print(f"{kind}: {total}")
        lost += total.lost
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()
