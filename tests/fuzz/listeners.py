"""Targets that listen: the DICOM port and the status page, each with real sockets."""

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from certificate_builder import Authority
from fuzz import wire
from fuzz.campaign import Target
from fuzz.mutation import blind, elements, pdus
from fuzz.sockets import HOST, PATIENCE_S, Deaths, exchange
from node_builders import START, encoded, small_series
from pydicom.uid import CTImageStorage

from dicom_node.association.callers import Caller
from dicom_node.association.commitment import (
    COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT,
    encode_report,
    encode_request,
)
from dicom_node.association.commitment_scp import CommitmentScp
from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest, Reference
from dicom_node.association.receive_limits import ReceiveLimits
from dicom_node.association.scp_settings import Reader, ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.tls import ServerTls, TlsFiles

_ACCEPTED = b"\x02"
_ALIVE_EVERY = 50


class _Nowhere:
    """Takes custody of everything by forgetting it."""

    def accept(self, request: object) -> None:
        """Forget it."""

    def association_closed(self, sender: object, at: object) -> None:
        """Forget it."""


class _Agreeable:
    """Commits to everything and remembers nothing."""

    def asked(
        self, request: CommitmentRequest, *, calling_ae_title: str, now: datetime
    ) -> CommitmentReport:
        """Commit to all of it."""
        del calling_ae_title, now
        return CommitmentReport(
            transaction_uid=request.transaction_uid, committed=request.references, failed=()
        )

    def answered(self, request: object, *, calling_ae_title: str, now: datetime) -> None:
        """Forget it."""

    def reported(self, report: object, *, calling_ae_title: str, now: datetime) -> None:
        """Forget it."""


def streams() -> list[bytes]:
    """Return whole associations: echo, store in one and many pieces, commitment and its report."""
    image = small_series(1)[0]
    data_set, uid = encoded(image), str(image.SOPInstanceUID)
    store = wire.command(wire.C_STORE, CTImageStorage, has_data=True, uid=uid)
    echo = wire.command(wire.C_ECHO, wire.VERIFICATION, has_data=False)
    pieces = b"".join(
        wire.fragment(1, 0 if at + 256 < len(data_set) else 2, data_set[at : at + 256])
        for at in range(0, len(data_set), 256)
    )
    release, abort = wire.pdu(wire.RELEASE, bytes(4)), wire.pdu(wire.ABORT, bytes(4))
    begin = wire.association_request()
    commit = wire.association_request((STORAGE_COMMITMENT,))
    known = Reference(sop_class_uid=CTImageStorage, sop_instance_uid=uid)
    asked = encoded(
        encode_request(CommitmentRequest(transaction_uid="1.2.3.9", references=(known,)))
    )
    told = encoded(
        encode_report(CommitmentReport(transaction_uid="1.2.3.9", committed=(known,), failed=()))
    )
    action = wire.n_action(STORAGE_COMMITMENT, COMMITMENT_INSTANCE, 1)
    event = wire.n_event_report(STORAGE_COMMITMENT, COMMITMENT_INSTANCE, 1)
    return [
        begin + wire.fragment(3, 3, echo) + release,
        begin + wire.fragment(1, 3, store) + wire.fragment(1, 2, data_set) + release,
        begin + wire.fragment(1, 3, store) + pieces + abort,
        commit + wire.fragment(1, 3, action) + wire.fragment(1, 2, asked) + release,
        commit + wire.fragment(1, 3, event) + wire.fragment(1, 2, told) + release,
    ]


@cache
def tls_files() -> TlsFiles:
    """Return certificate, key and authority of the listener, which all callers share."""
    folder = Path(tempfile.mkdtemp(prefix="ichnode-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority = Authority(folder)
    own = authority.issue("node")
    return TlsFiles(certificate=own.certificate, key=own.key, trusted=authority.certificate)


@cache
def provider(reader: Reader) -> StorageScp:
    """Return a listener with and without TLS, impatient and without room."""
    limits = ReceiveLimits(
        request_s=1.0, pdu_s=1.0, message_s=2.0, max_object_bytes=2**22, max_unfinished_bytes=2**24
    )
    scp = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE",
            host=HOST,
            port=0,
            callers=(Caller(ae_title="MODALITY"),),
            tls=ServerTls(files=tls_files()),
            tls_port=0,
            limits=limits,
            network_timeout_s=2.0,
            dimse_timeout_s=2.0,
            reader=reader,
        ),
        intake=_Nowhere(),
        clock=lambda: START,
        commitment=CommitmentScp(
            _Agreeable(), clock=lambda: START, answers_requests=True, pause_s=0.0
        ),
    )
    scp.start()
    atexit.register(scp.stop, grace_s=0.1)
    return scp


class _Attacker:
    """Sends cases to a port, and asks now and then whether anybody is still there."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._cases = 0
        self._deaths: Deaths | None = None

    def __call__(self, data: bytes) -> None:
        """Send a stream of PDUs."""
        deaths = self._deaths = self._deaths or Deaths()
        port = provider(self._reader).port
        exchange(port, wire.in_turn(data))
        deaths.check()
        self._cases += 1
        if self._cases % _ALIVE_EVERY == 0:
            assert_answers(port)


def assert_answers(port: int, *, call: Callable[[int, list[bytes]], bytes] = exchange) -> None:
    """Make sure that an association is accepted, once those that were broken off have ended."""
    deadline = time.monotonic() + PATIENCE_S
    answer = b""
    while answer[:1] != _ACCEPTED and time.monotonic() < deadline:
        answer = call(port, [wire.association_request(), wire.pdu(wire.ABORT, bytes(4))])
    assert answer[:1] == _ACCEPTED, answer[:20]


def targets() -> list[Target]:
    """Return the targets of this module."""
    return [
        Target(
            name=name,
            seeds=streams(),
            check=_Attacker(reader),
            mutations=(pdus, pdus, blind, elements),
        )
        for name, reader in (("dicom", Reader.STREAM), ("dicom_library", Reader.LIBRARY))
    ]
