"""One HTTP request to a DICOMweb service, with the node's secret and what it believes of TLS.

Whoever speaks to such a service (results that are stored, worklists, images that are fetched) does
it here, so that every refusal has the same words and no redirection is followed.
"""

import base64
import contextlib
import http.client
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dicom_node.cut_off import cut_off_after
from dicom_node.errors import PeerError, PeerTimeoutError, PeerUnreachableError
from dicom_node.secret_file import SecretFileError, read_secret

#: Longer answers are not read: a few lines per object are enough.
_LONGEST_ANSWER = 16 * 2**20

_PIECE = 65536

#: A whole answer may take so many times as long as one piece of it.
_SHARES = 5


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
class WebService:
    """A DICOMweb server.

    Attributes
    ----------
    name : str
        The site's word for it.
    url : str
        Base of the service; paths are added to it.
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
class WebAnswer:
    """What a service answered.

    Attributes
    ----------
    status : int
        HTTP status.
    body : bytes
        As far as it is read.
    warnings : tuple of str
        Warning header fields (RFC 7234), in their order.
    """

    status: int
    body: bytes = b""
    warnings: tuple[str, ...] = ()


def request(
    service: WebService,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: Iterator[bytes] | bytes | None = None,
) -> WebAnswer:
    """Return the answer to a request. Nothing is followed anywhere else.

    Raises
    ------
    PeerError
        If there is no answer; any status is one.
    """
    with answering(service, method, path, headers=headers, body=body) as answer:
        warnings = answer.headers.get_all("Warning") or ()
        body_read = _read_in_time(answer, _SHARES * service.response_timeout_s)
        return WebAnswer(status=answer.status, body=body_read, warnings=tuple(warnings))


def _read_in_time(answer: http.client.HTTPResponse, seconds: float) -> bytes:
    """Return the body as far as it is read: each piece in the socket's time, all in this one."""
    deadline = time.monotonic() + seconds
    body = bytearray()
    while len(body) < _LONGEST_ANSWER and (piece := answer.read1(_PIECE)):
        body += piece
        if time.monotonic() > deadline:
            raise TimeoutError("The answer was not complete in time")
    return bytes(body[:_LONGEST_ANSWER])


@contextlib.contextmanager
def answering(
    service: WebService,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: Iterator[bytes] | bytes | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Open an answer that is read piece by piece.

    Raises
    ------
    PeerError
        If there is none, or it breaks off while it is read.
    """
    url = urlsplit(service.url)
    fields = {"User-Agent": "ichnode", "Connection": "close", **headers}
    if service.secret is not None:
        fields["Authorization"] = service.secret.authorization()
    connection = _connection(service)
    where = f"{service.name} ({url.hostname}:{connection.port})"
    is_connected = False
    try:
        connection.connect()
        is_connected = True
        connection.sock.settimeout(service.response_timeout_s)
        # A server that refuses early closes while the body is still written: its answer is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, url.path.rstrip("/") + path, body=body, headers=fields)
        with cut_off_after(connection, _SHARES * service.response_timeout_s):
            answer = connection.getresponse()
        with answer:
            yield answer
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


def _connection(service: WebService) -> http.client.HTTPConnection:
    url = urlsplit(service.url)
    host = url.hostname or ""
    if url.scheme == "http":
        return http.client.HTTPConnection(host, url.port, timeout=service.connect_timeout_s)
    try:
        context = ssl.create_default_context(
            cafile=str(service.trusted) if service.trusted else None
        )
    except (OSError, ssl.SSLError) as error:
        raise PeerError(
            f"{service.name}: the trusted authorities cannot be read: "
            f"{error.strerror or type(error).__name__}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return http.client.HTTPSConnection(
        host, url.port, timeout=service.connect_timeout_s, context=context
    )


def refusal(
    service: WebService, status: int, *, forbidden: str = "the node has no right to that"
) -> PeerError:
    """Return the error for an answer that is about the service and not about what was asked."""
    words = {
        401: "it does not accept the node's user or token",
        403: forbidden,
        404: "there is no such service; is the address right?",
        405: "there is no such service; is the address right?",
    }.get(status, "redirections are not followed" if 300 <= status < 400 else "")  # noqa: PLR2004
    reason = http.client.responses.get(status, "")
    failure = PeerError(
        f"{service.name} answered HTTP {status} {reason}".rstrip() + (words and f": {words}")
    )
    failure.reached = False
    return failure
