"""What the tests of the node share: a clock to turn, requests, fakes for disk and analyst."""

import io
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ct_builder import build_ct_series
from postgresql_cluster import PLACES
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.association.file_format import FileMeta, encode_file_header
from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import OutgoingFile, SendOutcome
from dicom_node.association.store_request import Sender, StoreRequest
from dicom_node.intake.disk import Disk
from dicom_node.intake.instance import ReceivedInstance, receive
from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.task import (
    AnalysisOutcome,
    AnalysisTask,
    Analyzed,
    ObjectKind,
    ResultObject,
    StoredObject,
)

START = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
SALT = bytes(32)


class Clock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def wait_for(condition: Callable[[], bool], *, limit_s: float = 60.0) -> None:
    """Poll until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + limit_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        pause.wait(0.02)


def small_series(slices: int = 12, **options) -> list[Dataset]:
    """Return a head CT of few pixels."""
    return build_ct_series(slices=slices, shape_yx=(16, 16), **options)


def encoded(ds: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Return the data set as it travels in this transfer syntax."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax.is_implicit_VR
    buffer.is_little_endian = syntax.is_little_endian
    bare = Dataset(ds)
    write_dataset(buffer, bare)
    return buffer.getvalue()


def sender(association_id: str = "association-1", *, at: datetime = START) -> Sender:
    return Sender(
        association_id=association_id,
        calling_ae_title="MODALITY",
        called_ae_title="ICHNODE",
        address="127.0.0.1",
        opened_at=at,
    )


def request_of(
    ds: Dataset,
    *,
    at: datetime = START,
    association_id: str = "association-1",
    data_set: bytes | None = None,
) -> StoreRequest:
    return StoreRequest(
        sender=sender(association_id, at=at),
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        data_set=encoded(ds) if data_set is None else data_set,
        received_at=at,
    )


def received(ds: Dataset, **options) -> ReceivedInstance:
    return receive(request_of(ds, **options), patient_salt=SALT)


def process_identity(name: str = "receiver", run: str = "run-1") -> ProcessIdentity:
    return ProcessIdentity(name=name, host="here", pid=1, token=run)


@contextmanager
def opened_ledger(path: Path, **options):
    ledger = open_ledger(PLACES.of(path), process=process_identity(**options))
    try:
        yield ledger
    finally:
        ledger.close()


def arrive(
    ledger: Ledger,
    series: Iterable[Dataset],
    clock: Clock,
    *,
    association_id: str = "association-1",
    is_closed: bool = True,
) -> None:
    """Record instances without a spool, and the end of their association."""
    for ds in series:
        instance = received(ds, at=clock(), association_id=association_id)
        ledger.arrivals.add(
            instance, Path(f"{ds.SOPInstanceUID}-{instance.content_digest[:8]}.dcm")
        )
    if is_closed:
        ledger.arrivals.close_association(sender(association_id), clock())


class CrashError(BaseException):
    """The process would have died here; nothing may catch it."""


class FakeDisk(Disk):
    """The real disk, that fails or dies at a given call."""

    def __init__(self, *, free: int | None = None, journals: bool = False) -> None:
        self.free = free
        self.journals = journals
        self.calls: list[str] = []
        self.fault: dict[str, BaseException] = {}

    def free_bytes(self, folder: Path) -> int:
        return super().free_bytes(folder) if self.free is None else self.free

    def names_last_with_files(self, folder: Path) -> bool:
        del folder
        return self.journals

    def write(self, path: Path, parts: Iterable[bytes]) -> None:
        self.calls.append("write")
        if "write" in self.fault:  # as a full disk does it: some bytes are there
            path.write_bytes(b"".join(parts)[:10])
            raise self.fault["write"]
        super().write(path, parts)

    def rename(self, source: Path, target: Path) -> None:
        self.calls.append("rename")
        self._maybe_fail("rename")
        super().rename(source, target)

    def sync_folder(self, folder: Path) -> None:
        self.calls.append("sync_folder")
        self._maybe_fail("sync_folder")
        super().sync_folder(folder)

    def _maybe_fail(self, call: str) -> None:
        if call in self.fault:
            raise self.fault[call]


def result_object(kind: ObjectKind, uid: str, sop_class: str) -> ResultObject:
    """Return a small valid DICOM file of one result."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.StudyInstanceUID = ds.SeriesInstanceUID = f"{uid}.9"
    ds.Modality = "OT"
    ds.ContentDescription = "RESEARCH USE ONLY"
    header = encode_file_header(
        FileMeta(
            sop_class_uid=sop_class,
            sop_instance_uid=uid,
            transfer_syntax_uid=str(ExplicitVRLittleEndian),
        )
    )
    return ResultObject(
        kind=kind,
        sop_class_uid=sop_class,
        sop_instance_uid=uid,
        series_instance_uid=f"{uid}.9",
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        encoded=header + encoded(ds),
    )


#: Kind and SOP class of a full result set, in the order they are sent (PS3.6, annex A).
RESULT_KINDS = (
    (ObjectKind.CAPTURE, str(SecondaryCaptureImageStorage)),
    (ObjectKind.SEGMENTATION, "1.2.840.10008.5.1.4.1.1.66.4"),
    (ObjectKind.REPORT, "1.2.840.10008.5.1.4.1.1.88.34"),
)


def result_objects(job: str = "1") -> tuple[ResultObject, ...]:
    return tuple(
        result_object(kind, f"1.2.3.{job}.{number}", sop_class)
        for number, (kind, sop_class) in enumerate(RESULT_KINDS, start=1)
    )


def stored_objects(job: str = "1") -> tuple[StoredObject, ...]:
    return tuple(
        StoredObject(
            kind=one.kind,
            sop_class_uid=one.sop_class_uid,
            sop_instance_uid=one.sop_instance_uid,
            series_instance_uid=one.series_instance_uid,
            transfer_syntax_uid=one.transfer_syntax_uid,
            path=Path(f"{one.sop_instance_uid}.dcm"),
            size_bytes=len(one.encoded),
            content_digest="0" * 64,
        )
        for one in result_objects(job)
    )


class FakeAnalyst:
    """Reads every file, and answers with three small results derived from the input."""

    model_digest = "model-1"
    configuration_digest = "configuration-1"

    def __init__(self, outcome: AnalysisOutcome | Exception | None = None) -> None:
        self.outcome = outcome
        self.tasks: list[AnalysisTask] = []

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> AnalysisOutcome:
        self.tasks.append(task)
        on_step("segment")
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is not None:
            return self.outcome
        total = sum(len(path.read_bytes()) for path in task.files)
        number = str(int(task.input_digest[:12], 16))
        return Analyzed(objects=result_objects(number), record={"bytes": total})


class PlainStore:
    """Sends to a peer through a function, keeps nothing open, and notes what it is told."""

    def __init__(self, peer: Peer, send: Callable[..., object]) -> None:
        self._peer = peer
        self._send = send
        self.told: list[str] = []

    def send(
        self,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
        on_progress: Callable[[], None],
    ) -> None:
        del on_progress
        self._send(self._peer, files, on_outcome=on_outcome)

    def rest(self) -> None:
        self.told.append("rest")

    def close(self) -> None:
        self.told.append("close")


class MemoryStore:
    """Keeps results in memory."""

    def __init__(self) -> None:
        self.objects: list[ResultObject] = []

    def store(self, objects: Sequence[ResultObject]) -> tuple[StoredObject, ...]:
        self.objects.extend(objects)
        return stored_objects(objects[0].sop_instance_uid.split(".")[3]) if objects else ()


def file_bytes(ds: Dataset) -> bytes:
    """Return a whole DICOM file as pydicom writes it."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
