"""How long the certificates of the node still hold, and who is told in time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dicom_node.bootstrap import parts
from dicom_node.settings import Settings

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateState:
    """How it stands with the files of TLS.

    Attributes
    ----------
    days_left : dict of str to int
        Whole days that each certificate still holds, by its file and subject.
    alarms : tuple of str
        What ends soon.
    faults : tuple of str
        What cannot be used, now or any more.
    """

    days_left: dict[str, int]
    alarms: tuple[str, ...]
    faults: tuple[str, ...]


def certificate_state(settings: Settings, now: datetime) -> CertificateState:
    """Return how long the certificates hold that TLS is spoken with; empty without TLS."""
    if not settings.needs_tls:
        return CertificateState(days_left={}, alarms=(), faults=())
    from dicom_node.association.certificates import Certificate, read_certificates
    from dicom_node.association.tls import own_certificate
    from dicom_node.errors import TlsFileError

    files = parts.tls_files(settings.tls)
    found: list[Certificate] = []
    faults: list[str] = []
    alarms: list[str] = []
    for path in (files.certificate, files.trusted):
        try:
            found += read_certificates(path)
        except TlsFileError as error:
            faults.append(str(error))
    if not faults:
        try:
            own_certificate(files)
        except TlsFileError as error:
            faults.append(str(error))
    for one in found:
        words = one.fault(now, warn_days=settings.tls.warn_days)
        if words:
            (faults if not one.not_before <= now <= one.not_after else alarms).append(words)
    return CertificateState(
        days_left={f"{one.path.name}: {one.name}": one.days_left(now) for one in found},
        alarms=tuple(alarms),
        faults=tuple(faults),
    )


def log_certificates(settings: Settings, clock: Callable[[], datetime]) -> None:
    """Say in the log what ends soon or cannot be used; meant for once a day."""
    state = certificate_state(settings, clock())
    for words in state.alarms:
        LOGGER.warning("A certificate must be renewed: %s", words)
    for words in state.faults:
        LOGGER.error("TLS cannot be spoken: %s", words)
