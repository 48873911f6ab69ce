"""The storage user: sends files to a peer and reports the fate of each of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from dicom_node.association.compression import COMPRESSED, compress, fits
from dicom_node.association.context_answers import negotiation_dump, why_refused
from dicom_node.association.file_format import LONGEST_META, split_file
from dicom_node.association.negotiation import Negotiated, Pair, negotiate
from dicom_node.association.peers import PLAIN_ENCODINGS, Peer
from dicom_node.association.stream_sender import StreamSender
from dicom_node.errors import AssociationAbortedError, PeerTimeoutError

if TYPE_CHECKING:
    from pynetdicom.association import Association

_SUCCESS = 0x0000

#: Stored with coercion or with elements discarded (PS3.4, table B.2-1): the object is there.
_WARNINGS = range(0xB000, 0xC000)

#: Words for failures (PS3.4, table B.2-1, and PS3.7, annex C), first fitting range wins.
_FAILURES: tuple[tuple[range, str], ...] = (
    (range(0x0122, 0x0123), "SOP class not supported"),
    (range(0x0124, 0x0125), "not authorised"),
    (range(0xA700, 0xA800), "out of resources"),
    (range(0xA900, 0xAA00), "data set does not match SOP class"),
    (range(0xC000, 0xD000), "cannot understand"),
)


class SendKind(StrEnum):
    """The fate of one file."""

    ACCEPTED = "accepted"  #: Success
    WARNING = "warning"  #: stored, with a remark
    REFUSED = "refused"  #: the peer answered with a failure status
    CONTEXT_REJECTED = "context_rejected"  #: the peer does not take this class in this encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingFile:
    """A DICOM file to send; the UIDs are those of its file meta information."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutcome:
    """What became of one file.

    Attributes
    ----------
    file : OutgoingFile
        Which one.
    kind : SendKind
        What the peer did.
    status : int or None
        DIMSE status, None if it was not sent.
    message : str
        The same in words.
    negotiation : str
        What the peer answered to every presentation context, one line each; only if the reason
        lies there.
    """

    file: OutgoingFile
    kind: SendKind
    status: int | None
    message: str
    negotiation: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the peer has the object now."""
        return self.kind in {SendKind.ACCEPTED, SendKind.WARNING}


def outgoing_file(path: Path) -> OutgoingFile:
    """Return a file with its UIDs, read from its file meta information.

    Raises
    ------
    ValueError
        If it is no DICOM file.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        meta, _ = split_file(file.read(LONGEST_META))
    return OutgoingFile(
        path=path,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
    )


class StorageLine:
    """An association that files are sent over.

    Parameters
    ----------
    peer
        Who was called.
    negotiated
        What came of it.
    timer
        Returns seconds on a clock that never goes back.
    by_library
        Whether pynetdicom encodes and writes what could be sent as it lies, too.
    """

    def __init__(
        self,
        peer: Peer,
        negotiated: Negotiated,
        *,
        timer: Callable[[], float],
        by_library: bool = False,
    ) -> None:
        self._peer = peer
        self._negotiated = negotiated
        self._timer = timer
        self._stream = None if by_library else _stream(peer, negotiated, timer)

    @property
    def association(self) -> "Association":
        """What lies beneath."""
        return self._negotiated.association

    def fits(self, files: Sequence[OutgoingFile]) -> bool:
        """Return whether a new association could do no more for these files.

        All that they may travel in was proposed here, and for each the peer accepted some of it.
        """
        proposed = {
            (answer.sop_class_uid, answer.transfer_syntax_uid)
            for answer in self._negotiated.answers
        }
        wanted = [set(_proposed(self._peer, [file])) for file in files]
        return all(
            pairs <= proposed and not pairs.isdisjoint(self._negotiated.accepted)
            for pairs in wanted
        )

    def send(self, file: OutgoingFile) -> SendOutcome:
        """Send a file and return its fate. Raises PeerError if the association is over."""
        return _send(self._peer, self._negotiated, file, self._stream, self._timer)

    def close(self) -> None:
        """Give back the memory; nothing is sent any more."""
        if self._stream is not None:
            self._stream.close()


@contextmanager
def storage_line(
    peer: Peer,
    files: Sequence[OutgoingFile],
    *,
    timer: Callable[[], float] = time.monotonic,
    by_library: bool = False,
) -> Iterator[StorageLine]:
    """Open an association for files; release it at the end.

    Parameters
    ----------
    peer, timer, by_library
        As `send_files` takes them.
    files
        What it must do for.

    Raises
    ------
    PeerError
        If there is no association.
    """
    with negotiate(peer, _proposed(peer, files), timer=timer) as negotiated:
        line = StorageLine(peer, negotiated, timer=timer, by_library=by_library)
        try:
            yield line
        finally:
            line.close()


def send_files(
    peer: Peer,
    files: Sequence[OutgoingFile],
    *,
    on_outcome: Callable[[SendOutcome], None] = lambda _outcome: None,
    timer: Callable[[], float] = time.monotonic,
    by_library: bool = False,
) -> tuple[SendOutcome, ...]:
    """Send files over one association, in the order given, and return the fate of each.

    A file that the peer refuses does not keep the following ones back.

    Parameters
    ----------
    peer
        Who is called.
    files
        What is sent. An object in a plain transfer syntax travels as it is if the peer accepts
        that, else in the other one; where the site prefers encodings, in the first of those that
        the peer accepts and the object can take. Any other object travels as it is.
    on_outcome
        Called as soon as the fate of a file is known, so that it is remembered even if the
        association breaks at a later one.
    timer
        Returns seconds on a clock that never goes back.
    by_library
        Whether pynetdicom encodes and writes what could be sent as it lies, too.

    Raises
    ------
    PeerError
        If there is no association, or it breaks. Files without outcome were not acknowledged.
    """
    if not files:
        return ()
    outcomes = []
    with storage_line(peer, files, timer=timer, by_library=by_library) as line:
        for file in files:
            outcome = line.send(file)
            outcomes.append(outcome)
            on_outcome(outcome)
    return tuple(outcomes)


def _proposed(peer: Peer, files: Sequence[OutgoingFile]) -> Iterator[Pair]:
    for file in files:
        for syntax in _offered(peer, file):
            yield file.sop_class_uid, syntax


def _offered(peer: Peer, file: OutgoingFile) -> tuple[str, ...]:
    """Return the transfer syntaxes that a file may travel in, preferred first."""
    own = file.transfer_syntax_uid
    if own not in PLAIN_ENCODINGS:
        return (own,)
    if peer.encodings != PLAIN_ENCODINGS:
        return tuple(syntax for syntax in peer.encodings if fits(file.sop_class_uid, syntax))
    return (own, *(syntax for syntax in PLAIN_ENCODINGS if syntax != own))


def _in_best(file: OutgoingFile, accepted: Sequence[str]) -> Path | FileDataset:
    """Return a plain object as it is, or in the first of the encodings that works out."""
    for syntax in accepted:
        if syntax == file.transfer_syntax_uid:
            return file.path
        if syntax not in COMPRESSED:
            return _recoded(file, syntax)
        picture = dcmread(file.path)
        if compress(picture, syntax):
            return picture
    return file.path  # refused by the peer, and told so


def _recoded(file: OutgoingFile, syntax: str) -> FileDataset:
    """Return a plain object, to be encoded in another plain or the deflated transfer syntax."""
    ds = dcmread(file.path)
    for _ in ds.iterall():
        pass  # raw values, those of nested items above all, are in the old encoding
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.set_original_encoding(
        is_implicit_vr=UID(syntax).is_implicit_VR,
        is_little_endian=True,
        character_encoding=ds.original_character_set,
    )
    return ds


def _stream(peer: Peer, negotiated: Negotiated, timer: Callable[[], float]) -> StreamSender | None:
    """Return what sends files as they lie; None if the association is over already."""
    association = negotiated.association
    if not association.is_established:
        return None
    return StreamSender(
        association,
        answer_s=peer.dimse_timeout_s,
        portion_s=peer.network_timeout_s,
        timer=timer,
    )


def _send(
    peer: Peer,
    negotiated: Negotiated,
    file: OutgoingFile,
    stream: StreamSender | None,
    timer: Callable[[], float],
) -> SendOutcome:
    accepted = [
        syntax
        for syntax in _offered(peer, file)
        if (file.sop_class_uid, syntax) in negotiated.accepted
    ]
    if not accepted:
        return SendOutcome(
            file=file,
            kind=SendKind.CONTEXT_REJECTED,
            status=None,
            message=f"{peer.name} does not accept {UID(file.sop_class_uid).name} "
            f"in {UID(file.transfer_syntax_uid).name}: "
            f"{why_refused(negotiated.answers, file.sop_class_uid)}",
            negotiation=negotiation_dump(negotiated.answers),
        )
    outgoing = _in_best(file, accepted)
    started = timer()
    if isinstance(outgoing, Path) and stream is not None:
        status = _sent_as_it_lies(peer, negotiated, file, stream)
    else:
        status = _sent_by_library(peer, negotiated, outgoing)
    if status is not None:
        return _outcome(peer, file, status)
    if timer() - started >= peer.dimse_timeout_s:
        raise PeerTimeoutError(
            f"{peer.name} did not answer C-STORE within {peer.dimse_timeout_s:g} s"
        )
    raise AssociationAbortedError(f"{peer.name} aborted the association during C-STORE")


def _sent_as_it_lies(
    peer: Peer, negotiated: Negotiated, file: OutgoingFile, stream: StreamSender
) -> int | None:
    """Send a file as it is; return the status of the answer, None if there was none."""
    if not negotiated.association.is_established:
        raise AssociationAbortedError(f"{peer.name} ended the association early")
    context_id = stream.context_of(file.sop_class_uid, file.transfer_syntax_uid)
    if context_id is None:
        return _sent_by_library(peer, negotiated, file.path)
    status = stream.store(
        file.path,
        context_id,
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
    )
    if status is None:
        negotiated.association.abort()
    return status


def _sent_by_library(
    peer: Peer, negotiated: Negotiated, outgoing: Path | FileDataset
) -> int | None:
    """Have pynetdicom send an object; return as `_sent_as_it_lies` does."""
    try:
        answer = negotiated.association.send_c_store(outgoing)
    except RuntimeError:  # pynetdicom's word for: no longer established
        raise AssociationAbortedError(f"{peer.name} ended the association early") from None
    return int(answer.Status) if "Status" in answer else None


def _outcome(peer: Peer, file: OutgoingFile, status: int) -> SendOutcome:
    if status == _SUCCESS:
        kind, words = SendKind.ACCEPTED, "accepted"
    elif status in _WARNINGS:
        kind, words = SendKind.WARNING, "stored with a warning"
    else:
        kind = SendKind.REFUSED
        words = next((text for span, text in _FAILURES if status in span), "failed")
    return SendOutcome(
        file=file, kind=kind, status=status, message=f"{peer.name}: {words} (0x{status:04X})"
    )
