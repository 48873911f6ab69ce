"""Syslog: RFC 5424 messages, by UDP (RFC 5426) or TLS (RFC 5425)."""

import os
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

#: Facility 10, security and authorization; severity 5, notice (RFC 5424, section 6.2.1).
_PRIORITY: Final = 10 * 8 + 5

#: MSGID of messages of this schema (PS3.15, section A.6.1).
_MESSAGE_ID: Final = "DICOM+RFC3881"

#: The message is UTF-8 (RFC 5424, section 6.4).
_BOM: Final = b"\xef\xbb\xbf"

#: What fits into a datagram.
_LONGEST_DATAGRAM: Final = 65_507


class AuditNotSentError(RuntimeError):
    """The repository did not take a message; says why."""


class Repository(Protocol):
    """Where audit messages go."""

    def send(self, messages: Iterable[bytes], sent: Callable[[], None]) -> None:
        """Send messages in order, calling `sent` after each; raises AuditNotSentError."""


def frame(message: bytes, *, host: str, at: datetime) -> bytes:
    """Return a message with the header of RFC 5424.

    Parameters
    ----------
    message
        XML in UTF-8.
    host
        Name of this machine.
    at
        When it is sent, aware.
    """
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    name = "".join(letter for letter in host if "!" <= letter <= "~")[:255] or "-"
    header = f"<{_PRIORITY}>1 {stamp} {name} ichnode {os.getpid()} {_MESSAGE_ID} - "
    return header.encode("ascii") + _BOM + message


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpRepository:
    """A repository that is sent datagrams; whether they arrive nobody says."""

    host: str
    port: int
    clock: Callable[[], datetime]

    def send(self, messages: Iterable[bytes], sent: Callable[[], None]) -> None:
        """Send messages; raises AuditNotSentError if this machine cannot."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_DGRAM
            )[0]
            with closing(socket.socket(family, kind, protocol)) as link:
                for message in messages:
                    framed = frame(message, host=socket.gethostname(), at=self.clock())
                    link.sendto(framed[:_LONGEST_DATAGRAM], address)
                    sent()
        except OSError as error:
            raise AuditNotSentError(
                f"{self.host} port {self.port}: {error.strerror or type(error).__name__}"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsRepository:
    """A repository that is sent a stream over TLS, with the length before each message.

    Attributes
    ----------
    host, port : str, int
        Where it is.
    context : Callable
        Returns the TLS context, anew for each connection so that renewed files are used. May
        raise OSError or ssl.SSLError.
    clock : Callable
        Returns the present as an aware time.
    timeout_s : float
        Patience for each step.
    """

    host: str
    port: int
    context: Callable[[], ssl.SSLContext]
    clock: Callable[[], datetime]
    timeout_s: float = 10.0

    def send(self, messages: Iterable[bytes], sent: Callable[[], None]) -> None:
        """Send messages over one connection; raises AuditNotSentError."""
        try:
            context = self.context()
            with (
                socket.create_connection((self.host, self.port), timeout=self.timeout_s) as plain,
                context.wrap_socket(plain, server_hostname=self.host) as link,
            ):
                for message in messages:
                    framed = frame(message, host=socket.gethostname(), at=self.clock())
                    link.sendall(f"{len(framed)} ".encode("ascii") + framed)
                    sent()
        except OSError as error:  # ssl.SSLError is one
            raise AuditNotSentError(
                f"{self.host} port {self.port}: {error.strerror or type(error).__name__}"
            ) from error
