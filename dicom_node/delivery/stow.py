"""Results go to a DICOMweb server: STOW-RS over HTTP (PS3.18, section 10.5)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dicom_node.association.storage_scu import OutgoingFile, SendOutcome
from dicom_node.delivery.carrier import Manners
from dicom_node.delivery.stow_answer import outcomes
from dicom_node.web_service import WebService, refusal, request

#: Separates the parts; made once from a random UUID, so that no object holds it.
_BOUNDARY = "ichnode-5f6b1d0c8e2a4c7f9a3be1d24f7c6a10"

_CHUNK = 1 << 16

#: What HTTP status 403 means here.
_FORBIDDEN = "the node may not store there"

#: Answers that speak about the objects. Any other one is about the request or the server, so that
#: the next object would fare no better.
ABOUT_OBJECTS = frozenset({200, 202, 400, 409, 413, 415, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebCarrier:
    """The way to a DICOMweb server.

    Attributes
    ----------
    destination : WebService
        Which one.
    manners : Manners
        How it is served.
    """

    destination: WebService
    manners: Manners

    def send(
        self,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Store files in one request and tell the fate of each.

        Raises
        ------
        PeerError
            If the server takes no part in it.
        """
        answer = request(
            self.destination,
            "POST",
            "/studies",
            headers={
                "Content-Type": "multipart/related; "
                f'type="application/dicom"; boundary={_BOUNDARY}',
                "Content-Length": str(_length(files)),
                "Accept": "application/dicom+json, application/dicom+xml;q=0.5",
            },
            body=_parts(files, on_progress),
        )
        if answer.status not in ABOUT_OBJECTS:
            raise refusal(self.destination, answer.status, forbidden=_FORBIDDEN)
        for outcome in outcomes(
            self.destination.name, files, status=answer.status, body=answer.body
        ):
            on_outcome(outcome)

    def probe(self) -> None:
        """Return if the server lets the node search; raise PeerError if not.

        A server that stores only and knows no search (404, 405, 501) is there as well.
        """
        answer = request(
            self.destination,
            "GET",
            "/studies?limit=1&StudyInstanceUID=1",
            headers={"Accept": "application/dicom+json"},
        )
        status = answer.status
        if status in {401, 403, 429} or (status >= 500 and status != 501):  # noqa: PLR2004
            raise refusal(self.destination, status, forbidden=_FORBIDDEN)

    def rest(self) -> None:
        """Do nothing: each request has a connection of its own."""

    def close(self) -> None:
        """Do nothing, as above."""


def _parts(files: Sequence[OutgoingFile], on_progress: Callable[[], None]) -> Iterator[bytes]:
    """Return the body piece by piece: one part per file (RFC 2387)."""
    for file in files:
        on_progress()
        yield _part_header()
        with file.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
        yield b"\r\n"
    yield _end()


def _length(files: Sequence[OutgoingFile]) -> int:
    each = len(_part_header()) + len(b"\r\n")
    return sum(each + file.path.stat().st_size for file in files) + len(_end())


def _part_header() -> bytes:
    return f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")


def _end() -> bytes:
    return f"--{_BOUNDARY}--\r\n".encode("ascii")
