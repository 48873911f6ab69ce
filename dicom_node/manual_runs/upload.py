"""Takes uploaded DICOM files, or zip archives of them, into the node's custody."""

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dicom_node.association.file_format import FileMeta, split_file
from dicom_node.association.presentation import ACCEPTED
from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.errors import IntakeError
from dicom_node.intake.instance import receive
from dicom_node.manual_runs.archive import SIGNATURES, Entry, entries

LOGGER = logging.getLogger(__name__)

#: Who an image came from that was uploaded.
CALLING_TITLE: Final = "UPLOAD"

#: Refused files that are named; the others are counted.
MOST_NAMED: Final = 100

_TAKEN: Final = {
    str(one.sop_class_uid): frozenset(str(syntax) for syntax in one.transfer_syntaxes)
    for one in ACCEPTED
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedFile:
    """A file that was not taken. Its name is for whoever uploaded it, never for a log."""

    name: str = field(repr=False)
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of one upload.

    Attributes
    ----------
    accepted : int
        Images in custody.
    refused : int
        Files that were not taken.
    named : tuple of RefusedFile
        The first of them.
    series : tuple of (str, str)
        Study and Series Instance UIDs of what was taken, in order.
    """

    accepted: int
    refused: int
    named: tuple[RefusedFile, ...]
    series: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadDesk:
    """Takes files as the listener takes images: each is durable before it counts.

    Attributes
    ----------
    intake : Intake
        Takes custody.
    ae_title : str
        The node's.
    longest : int
        Longer objects are refused, in bytes.
    clock : callable
        Returns the present as an aware time.
    new_id : callable
        Makes an id for what one upload brings.
    """

    intake: Intake
    ae_title: str
    longest: int
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)

    def take(self, path: Path, *, name: str, address: str) -> Received:
        """Take a file or what an archive holds.

        Parameters
        ----------
        path
            Where the upload lies.
        name
            What it was called there where it came from.
        address
            Where it came from.

        Raises
        ------
        ArchiveRefusedError
            If it is an archive that is not read.
        OSError
            If it cannot be read.
        """
        return self._take_all(self._files(path, name), title=CALLING_TITLE, address=address)

    def take_files(self, paths: Iterable[Path], *, title: str, address: str) -> Received:
        """Take files as if they came over one association; archives among them are refused.

        Parameters
        ----------
        paths
            Where they lie.
        title
            AE title that stands for where they came from.
        address
            The same as an address.

        Raises
        ------
        OSError
            If one cannot be read.
        """
        return self._take_all(map(self._file, paths), title=title, address=address)

    def _take_all(self, files: Iterable[Entry], *, title: str, address: str) -> Received:
        sender = Sender(
            association_id=self.new_id(),
            calling_ae_title=title,
            called_ae_title=self.ae_title,
            address=address,
            opened_at=self.clock(),
        )
        series: dict[tuple[str, str], None] = {}
        named: list[RefusedFile] = []
        counts: Counter[bool] = Counter()
        try:
            for entry in files:
                reason = entry.refusal or self._take(entry.content, sender, series)
                counts[not reason] += 1
                if reason and len(named) < MOST_NAMED:
                    named.append(RefusedFile(name=entry.name, reason=reason))
        finally:
            self.intake.association_closed(sender, self.clock())
        return Received(
            accepted=counts[True],
            refused=counts[False],
            named=tuple(named),
            series=tuple(series),
        )

    def _files(self, path: Path, name: str) -> Iterator[Entry]:
        with path.open("rb") as file:
            beginning = file.read(len(SIGNATURES[0]))
        if beginning in SIGNATURES:
            yield from entries(path, longest=self.longest)
        else:
            yield self._file(path, name)

    def _file(self, path: Path, name: str = "") -> Entry:
        if path.stat().st_size > self.longest:
            return Entry(name=name, refusal=f"is longer than {self.longest // 2**20} MB")
        return Entry(name=name, content=path.read_bytes())

    def _take(self, encoded: bytes, sender: Sender, series: dict[tuple[str, str], None]) -> str:
        """Take custody of a file; return why not, empty if it is taken."""
        try:
            meta, offset = split_file(encoded)
        except ValueError:
            return "is no DICOM file"
        if reason := _unwanted(meta):
            return reason
        request = StoreRequest(
            sender=sender,
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            data_set=encoded[offset:],
            received_at=self.clock(),
        )
        try:
            known = receive(request, patient_salt=b"")
            self.intake.accept(request)
        except IntakeError as error:
            return str(error)
        series.setdefault((known.study_instance_uid, known.series_instance_uid))
        return ""


def _unwanted(meta: FileMeta) -> str:
    """Return why the listener would not take such an object either; empty if it would."""
    syntaxes = _TAKEN.get(meta.sop_class_uid)
    if syntaxes is None:
        return "is no CT image"
    return "" if meta.transfer_syntax_uid in syntaxes else "is encoded in a way that is not read"
