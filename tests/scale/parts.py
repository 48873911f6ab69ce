"""The parts of the model, measured: the ledger's lock and bytes for a study, a PACS beside us."""

import os
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from node_builders import Clock, received, sender, small_series, stored_objects
from sqlalchemy.orm import Session

from dicom_node.association.peers import Peer
from dicom_node.association.retrieve import get_series
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.association.study_listing import find_study_uids
from dicom_node.association.study_query import StudyWish, find_studies
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.recorder import Stored
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.office import AssemblyOffice
from tests.scale.stage import now, opened

#: Images that the recorder writes in one transaction at some hundred a second.
_BATCH = 25

_SIZES = (30, 300)
_IMAGE_BYTES = 525_000


def ledger_parts(folder: Path, *, studies: int) -> dict[str, Any]:
    """Take studies of two sizes through the ledger and see how long its one writer is taken."""
    found = {}
    for size in _SIZES:
        path = folder / f"{size}" / "ledger.sqlite"
        path.parent.mkdir(parents=True)
        ledger = opened(path)
        ledger.database.copy_to(path.with_suffix(".empty"))
        lock = _Lock(ledger)
        for number in range(studies):
            _through(ledger, number, size)
        ledger.database.copy_to(path.with_suffix(".full"))
        ledger.close()
        grown = (
            path.with_suffix(".full").stat().st_size - path.with_suffix(".empty").stat().st_size
        )
        found[size] = {
            "wall_s": lock.seconds / studies,
            "cpu_s": lock.cpu_s / studies,
            "transactions": lock.transactions / studies,
            "bytes": grown / studies,
        }
    few, many = (found[size] for size in _SIZES)
    images = _SIZES[1] - _SIZES[0]
    each = {name: (many[name] - few[name]) / images for name in few}
    study = {name: few[name] - each[name] * _SIZES[0] for name in few}
    return {
        "by_size": found,
        "each_image": each,
        "each_study": study,
        "sync_ms": _sync_ms(folder),
        "load": os.getloadavg()[0],
    }


def _sync_ms(folder: Path) -> float:
    """Return how long the disk takes to make a page durable, median of 50."""
    times = []
    with (folder / "page").open("wb") as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            seconds, _ = _timed(partial(os.fdatasync, file.fileno()))
            times.append(seconds)
    return statistics.median(times) * 1000


class _Lock:
    """Adds up how long transactions that may write take, with their sync."""

    def __init__(self, ledger: Ledger) -> None:
        self.seconds, self.cpu_s, self.transactions = 0.0, 0.0, 0
        self._write = ledger.database.write
        ledger.database.write = self._timed  # type: ignore[method-assign] # to look in

    @contextmanager
    def _timed(self) -> Iterator[Session]:
        begun, cpu_begun = time.perf_counter(), time.process_time()
        with self._write() as session:
            yield session
        self.seconds += time.perf_counter() - begun
        self.cpu_s += time.process_time() - cpu_begun
        self.transactions += 1


def _through(ledger: Ledger, number: int, images: int) -> None:
    """Take one study from its first image to its last result accepted."""
    clock = Clock()
    clock.turn(number * 1000.0)
    association = f"association-{number}"
    series = small_series(images, seed=number, study_uid=f"1.2.{number}")
    batch = []
    for ds in series:
        instance = received(ds, at=clock(), association_id=association)
        path = Path(f"{number}/{len(batch)}.dcm")
        batch.append(Stored(instance=instance, path=path, size_bytes=_IMAGE_BYTES))
    for start in range(0, len(batch), _BATCH):
        ledger.arrivals.add_all(batch[start : start + _BATCH])
    ledger.arrivals.close_association(sender(association), clock())
    clock.turn(200)
    office = AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    )
    office.tick()
    claim = ledger.jobs.claim("worker", now=clock(), lease_s=60, time_limit_s=900)
    if claim is None:
        raise RuntimeError("the study was not chosen")
    for step in ("read", "segment", "classify", "explain", "encode"):
        ledger.jobs.note_step(claim, step, now=clock())
    ledger.jobs.complete(
        claim,
        stored_objects(str(number)),
        model_digest="m",
        configuration_digest="c",
        destinations=["pacs"],
        # As long as the record of an analysis of a head with a hematoma.
        record={"status": "hematoma_found", "filling": "x" * 1500},
        now=clock(),
    )
    parcel = ledger.deliveries.claim("pacs", "courier", now=clock(), lease_s=60)
    if parcel is None:
        raise RuntimeError("there is nothing to deliver")
    for item in parcel.items:
        ledger.deliveries.accept(item, "Success", now=clock())


def archive_parts(folder: Path, files: list[list[Path]]) -> dict[str, Any] | None:
    """Ask an Orthanc beside us and fetch from it; None where it is not installed."""
    from acceptance.orthanc_process import Orthanc

    if not (shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")):
        return None
    orthanc = Orthanc(folder / "orthanc", node_port=1)
    try:
        peer = Peer(
            name="pacs",
            ae_title="ORTHANC",
            host="127.0.0.1",
            port=orthanc.dicom_port,
            calling_ae_title="ICHNODE",
            dimse_timeout_s=300,
        )
        for one in files:
            send_files(peer, [outgoing_file(path) for path in one])
        return _asked(folder, peer, images=len(files[0]), studies=len(files))
    finally:
        orthanc.stop()


def _asked(folder: Path, peer: Peer, *, images: int, studies: int) -> dict[str, Any]:
    ledger = opened(folder / "ledger.sqlite")
    spool = Spool(folder / "spool", limits=SpoolLimits(free_floor_bytes=0))
    custody = Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt)
    stop = threading.Event()
    found: list[Any] = []
    list_s, days = _timed(lambda: [_days(peer, stop) for _ in range(5)])
    uids = days[0]
    query, fetch = [], []
    for uid in uids:
        seconds, series = _timed(partial(find_studies, peer, StudyWish(study_uid=uid), stop=stop))
        query.append(seconds)
        found += series
        get = partial(
            get_series,
            peer,
            [one.series for one in series],
            intake=custody,
            clock=now,
            stop=stop,
        )
        seconds, done = _timed(get)
        if sum(one.completed for one in done) != images:
            raise RuntimeError("images are missing")
        fetch.append(seconds / images)
    ledger.close()
    return {
        "studies": studies,
        "images": images,
        "list_day_s": list_s / 5,
        "query_s": statistics.median(query),
        "fetch_image_s": statistics.median(fetch),
        "load": os.getloadavg()[0],
    }


def _days(peer: Peer, stop: threading.Event) -> tuple[str, ...]:
    return find_study_uids(peer, DAY, modality="CT", stop=stop)


#: Study Date of the heads that are put into the archive.
DAY = date(2026, 1, 4)


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    answer = action()
    return time.perf_counter() - begun, answer
