"""A receiver as a process of its own, that kills itself at one step of custody.

Arguments: data folder, step, how many times the step may pass before it kills. It writes its port
to the file ``port``. Steps are calls of the disk, ``row`` (before it is written) and ``answer``
(row committed, Success not yet sent); ``never`` lives on.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dicom_node.association.callers import Caller
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.store_request import Sender
from dicom_node.intake.custody import Custody
from dicom_node.intake.disk import Disk
from dicom_node.intake.instance import ReceivedInstance
from dicom_node.intake.recorder import Recorder, Stored, Stream
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.arrivals import Arrivals
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.process_identity import ProcessIdentity


class Executioner:
    """Kills the process the moment a step has been passed often enough."""

    def __init__(self, step: str, passes: int) -> None:
        self.step = step
        self.passes = passes

    def at(self, step: str) -> None:
        if step != self.step:
            return
        if self.passes == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passes -= 1


class MortalDisk(Disk):
    """The real disk; the process may die before and in the middle of each call."""

    def __init__(self, executioner: Executioner) -> None:
        self._executioner = executioner

    def write(self, path: Path, parts: Iterable[bytes]) -> None:
        parts = list(parts)
        if self._executioner.step == "half-written" and self._executioner.passes == 0:
            path.write_bytes(b"".join(parts)[:500])
        self._executioner.at("half-written")
        super().write(path, parts)
        self._executioner.at("written")

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._executioner.at("renamed")


class MortalRegister:
    """The real register; the process may die before the row and after it."""

    def __init__(self, arrivals: Arrivals, executioner: Executioner) -> None:
        self._arrivals = arrivals
        self._executioner = executioner
        self.known_paths = arrivals.known_paths
        self.condemned_paths = arrivals.condemned_paths
        self.condemn_again = arrivals.condemn_again

    def add(self, instance: ReceivedInstance, path: Path) -> None:
        self._executioner.at("row")
        self._arrivals.add(instance, path)
        self._executioner.at("answer")

    def add_all(self, batch: Sequence[Stored]) -> frozenset[Stream]:
        self._executioner.at("batch")
        recorded = self._arrivals.add_all(batch)
        self._executioner.at("batch recorded")
        return recorded

    def close_association(self, sender: Sender, at: datetime) -> None:
        self._arrivals.close_association(sender, at)


def now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    folder, step, passes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    executioner = Executioner(step, passes)
    process = ProcessIdentity(
        name="receiver", host="here", pid=os.getpid(), token=f"run-{os.getpid()}"
    )
    ledger = open_ledger(folder / "ledger.sqlite", process=process)
    spool = Spool(
        folder / "spool", limits=SpoolLimits(free_floor_bytes=0), disk=MortalDisk(executioner)
    )
    register = MortalRegister(ledger.arrivals, executioner)
    recorder = Recorder(register)
    custody = Custody(
        spool=spool,
        register=recorder if step.startswith("batch") else register,
        patient_salt=ledger.patient_salt,
    )
    custody.recover(now())
    recorder.start()
    ledger.presence.enter(process, now())
    scp = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE", host="127.0.0.1", port=0, callers=(Caller(ae_title=None),)
        ),
        intake=custody,
        clock=now,
    )
    scp.start()
    (folder / "port.new").write_text(str(scp.port))
    (folder / "port.new").rename(folder / "port")
    threading.Event().wait()


if __name__ == "__main__":
    main()
