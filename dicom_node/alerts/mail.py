"""Alerts by mail."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum
from pathlib import Path

from dicom_node.alerts.alert import AlertNotSentError, Message
from dicom_node.alerts.mail_answers import bound
from dicom_node.secret_file import SecretFileError, read_secret

#: So many times the patience for an answer, and the whole conversation must be over.
_ANSWERS = 5


class MailSecurity(StrEnum):
    """How the connection to the mail server is kept secret. The values are those of settings."""

    STARTTLS = "starttls"  #: plain at first, TLS before anything is said
    TLS = "tls"  #: TLS from the first byte
    NONE = "none"  #: never; for a server on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail server, and who gets the alerts.

    Attributes
    ----------
    host, port : str, int
        The server.
    sender : str
        Address that the node writes from.
    to : tuple of str
        Addresses.
    security : MailSecurity
        With TLS the server's certificate and name are checked.
    user : str
        For the log-in; empty for none.
    password_file : Path or None
        Holds the password, read for each message.
    trusted : Path or None
        PEM: the authorities whose certificates are believed; None stands for the system's.
    timeout_s : float
        Patience for each answer; the whole conversation may take five times as long.
    """

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    security: MailSecurity = MailSecurity.STARTTLS
    user: str = ""
    password_file: Path | None = None
    trusted: Path | None = None
    timeout_s: float = 20.0

    @property
    def name(self) -> str:
        """What it is called."""
        return "mail"

    def send(self, message: Message) -> None:
        """Send it, or raise AlertNotSentError."""
        where = f"{self.host} port {self.port}"
        try:
            password = None if self.password_file is None else read_secret(self.password_file)
            with self._server() as server:
                if self.security is MailSecurity.STARTTLS:
                    server.starttls(context=self._context())
                if self.user and password is not None:
                    server.login(self.user, password)
                refused = server.send_message(self._mail(message))
        except SecretFileError as error:
            raise AlertNotSentError(str(error)) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:  # or an answer is nonsense
            raise AlertNotSentError(f"{where} did not take the mail: {_why(error)}") from error
        if refused:
            raise AlertNotSentError(
                f"{where} refused {len(refused)} of {len(self.to)} addresses of alerts.mail_to"
            )

    def _server(self) -> smtplib.SMTP:
        """Return who speaks to the server, connected. What is bound must be so before that."""
        limit_s = _ANSWERS * self.timeout_s
        if self.security is MailSecurity.TLS:
            safe = bound(smtplib.SMTP_SSL.__new__(smtplib.SMTP_SSL), limit_s)
            smtplib.SMTP_SSL.__init__(
                safe, self.host, self.port, timeout=self.timeout_s, context=self._context()
            )
            return safe
        server = bound(smtplib.SMTP.__new__(smtplib.SMTP), limit_s)
        smtplib.SMTP.__init__(server, self.host, self.port, timeout=self.timeout_s)
        return server

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.trusted)

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(message.at)
        # So that nobody's vacation notice comes back (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text + "\n\nRESEARCH USE ONLY: not a medical device.\n")
        return mail


def _why(error: Exception) -> str:
    """Return what went wrong without the server's own words, which may say anything."""
    kind = type(error).__name__
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{kind}, reply code {error.smtp_code}"
    if isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException):
        return error.strerror or kind
    return kind
