"""How long the certificates of the node still hold, and who is told in time."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from dicom_node.association.tls import TlsFiles

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
    """Return how long the certificates hold that the node speaks TLS with; empty without TLS."""
    from dicom_node.association.certificates import Certificate, read_certificates
    from dicom_node.association.tls import own_certificate
    from dicom_node.errors import TlsFileError

    found: dict[Certificate, None] = {}
    faults: list[str] = []
    alarms: list[str] = []
    for files in _files(settings):
        try:
            for path in filter(None, (files.certificate, files.trusted)):
                found.update(dict.fromkeys(read_certificates(path)))
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
        faults=tuple(dict.fromkeys(faults)),
    )


def _files(settings: Settings) -> "Iterator[TlsFiles]":
    """Return what TLS of associations and what TLS of the pages is spoken with."""
    from dicom_node.association.tls import TlsFiles

    web = settings.web
    if settings.needs_tls:
        yield parts.tls_files(settings.tls)
    if web.enabled and web.certificate:
        yield TlsFiles(certificate=Path(web.certificate), key=Path(web.key))


def log_certificates(settings: Settings, clock: Callable[[], datetime]) -> None:
    """Say in the log what ends soon or cannot be used; meant for once a day."""
    state = certificate_state(settings, clock())
    for words in state.alarms:
        LOGGER.warning("A certificate must be renewed: %s", words)
    for words in state.faults:
        LOGGER.error("TLS cannot be spoken: %s", words)
