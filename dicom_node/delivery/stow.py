"""Results go to a DICOMweb server: STOW-RS over HTTP (PS3.18, section 10.5)."""

import base64
import contextlib
import http.client
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dicom_node.association.storage_scu import OutgoingFile, SendOutcome
from dicom_node.delivery.carrier import Manners
from dicom_node.delivery.stow_answer import outcomes
from dicom_node.errors import PeerError, PeerTimeoutError, PeerUnreachableError
from dicom_node.secret_file import SecretFileError, read_secret

#: Separates the parts; made once from a random UUID, so that no object holds it.
_BOUNDARY = "ichnode-5f6b1d0c8e2a4c7f9a3be1d24f7c6a10"

_CHUNK = 1 << 16

#: Longer answers are not read: a few lines per object are enough.
_LONGEST_ANSWER = 16 * 2**20

#: Answers that speak about the objects. Any other one is about the request or the server, so that
#: the next object would fare no better.
ABOUT_OBJECTS = frozenset({200, 202, 400, 409, 413, 415, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A password or token: never shown, never logged, read anew for each request.

    Attributes
    ----------
    user : str
        With a user it is a password (basic authentication), without a bearer token.
    file : Path or None
        Holds it, readable for the node's own account only.
    value : str
        It itself, if it came from the environment.
    """

    user: str = ""
    file: Path | None = None
    value: str = ""

    def __repr__(self) -> str:
        """Return nothing of it."""
        return "Secret(...)"

    def authorization(self) -> str:
        """Return the header field (RFC 7617, RFC 6750).

        Raises
        ------
        PeerError
            If the file cannot be read, is empty, or can be read by others.
        """
        secret = self.value
        if self.file is not None:
            try:
                secret = read_secret(self.file)
            except SecretFileError as error:
                raise PeerError(str(error)) from None
        if not secret:
            raise PeerError("The secret is empty")
        if self.user:
            pair = f"{self.user}:{secret}".encode()
            return f"Basic {base64.b64encode(pair).decode('ascii')}"
        return f"Bearer {secret}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDestination:
    """A DICOMweb server.

    Attributes
    ----------
    name : str
        The site's word for it.
    url : str
        Base of the service; ``/studies`` is added.
    secret : Secret or None
        How the node shows who it is.
    trusted : Path or None
        PEM: the authorities whose certificates are believed; None stands for the system's.
    connect_timeout_s, response_timeout_s : float
        Patience for the connection, and for each read and write.
    """

    name: str
    url: str
    secret: Secret | None = None
    trusted: Path | None = None
    connect_timeout_s: float = 10.0
    response_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebCarrier:
    """The way to a DICOMweb server.

    Attributes
    ----------
    destination : WebDestination
        Which one.
    manners : Manners
        How it is served.
    """

    destination: WebDestination
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
        status, body = _request(
            self.destination,
            "POST",
            "/studies",
            headers={
                "Content-Type": "multipart/related; "
                f'type="application/dicom"; boundary={_BOUNDARY}',
                "Content-Length": str(_length(files)),
                "Accept": "application/dicom+json",
            },
            body=_parts(files, on_progress),
        )
        if status not in ABOUT_OBJECTS:
            raise _refusal(self.destination, status)
        for outcome in outcomes(self.destination.name, files, status=status, body=body):
            on_outcome(outcome)

    def probe(self) -> None:
        """Return if the server lets the node search; raise PeerError if not.

        A server that stores only and knows no search (404, 405, 501) is there as well.
        """
        status, _ = _request(
            self.destination,
            "GET",
            "/studies?limit=1&StudyInstanceUID=1",
            headers={"Accept": "application/dicom+json"},
        )
        if status in {401, 403, 429} or (status >= 500 and status != 501):  # noqa: PLR2004
            raise _refusal(self.destination, status)


def _request(
    destination: WebDestination,
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    body: Iterator[bytes] | None = None,
) -> tuple[int, bytes]:
    """Return status and body of the answer. Nothing is followed anywhere else."""
    url = urlsplit(destination.url)
    fields = {"User-Agent": "ichnode", "Connection": "close", **headers}
    if destination.secret is not None:
        fields["Authorization"] = destination.secret.authorization()
    connection = _connection(destination)
    where = f"{destination.name} ({url.hostname}:{connection.port})"
    is_connected = False
    try:
        connection.connect()
        is_connected = True
        connection.sock.settimeout(destination.response_timeout_s)
        # A server that refuses early closes while the body is still written: its answer is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, url.path.rstrip("/") + path, body=body, headers=fields)
        with connection.getresponse() as answer:
            return answer.status, answer.read(_LONGEST_ANSWER)
    except ssl.SSLCertVerificationError as error:
        raise PeerUnreachableError(
            f"{where} shows a certificate that is not believed: {error.verify_message}"
        ) from None
    except TimeoutError:
        failure = PeerTimeoutError(f"{where} did not answer in time")
        failure.reached = is_connected
        raise failure from None
    except OSError as error:
        words = error.strerror or type(error).__name__
        if is_connected:
            raise PeerError(f"The connection to {where} broke: {words}") from None
        raise PeerUnreachableError(f"No connection to {where}: {words}") from None
    except http.client.HTTPException as error:
        raise PeerError(f"{where} does not speak HTTP: {type(error).__name__}") from None
    finally:
        connection.close()


def _connection(destination: WebDestination) -> http.client.HTTPConnection:
    url = urlsplit(destination.url)
    host = url.hostname or ""
    if url.scheme == "http":
        return http.client.HTTPConnection(host, url.port, timeout=destination.connect_timeout_s)
    try:
        context = ssl.create_default_context(
            cafile=str(destination.trusted) if destination.trusted else None
        )
    except (OSError, ssl.SSLError) as error:
        raise PeerError(
            f"{destination.name}: the trusted authorities cannot be read: "
            f"{error.strerror or type(error).__name__}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return http.client.HTTPSConnection(
        host, url.port, timeout=destination.connect_timeout_s, context=context
    )


def _refusal(destination: WebDestination, status: int) -> PeerError:
    """Return the error for an answer that is not about the objects."""
    words = {
        401: "it does not accept the node's user or token",
        403: "the node may not store there",
        404: "there is no such service; is the address right?",
        405: "there is no such service; is the address right?",
    }.get(status, "redirections are not followed" if 300 <= status < 400 else "")  # noqa: PLR2004
    reason = http.client.responses.get(status, "")
    failure = PeerError(
        f"{destination.name} answered HTTP {status} {reason}".rstrip() + (words and f": {words}")
    )
    failure.reached = False
    return failure


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
