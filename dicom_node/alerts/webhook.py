"""Alerts by webhook: a POST of JSON."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dicom_node.alerts.alert import AlertNotSentError, Message
from dicom_node.cut_off import cut_off_after
from dicom_node.secret_file import SecretFileError, read_secret

_GOOD: Final = range(200, 300)

#: A whole answer may take so many times as long as one piece of it.
_SHARES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A web address that takes alerts. Redirects are not followed, nor is a proxy used.

    Attributes
    ----------
    url : str
        Where to.
    secret_file : Path or None
        Holds the bearer token (RFC 6750), read for each message.
    trusted : Path or None
        PEM: the authorities whose certificates are believed; None stands for the system's.
    timeout_s : float
        Patience for each read and write.
    """

    url: str
    secret_file: Path | None = None
    trusted: Path | None = None
    timeout_s: float = 10.0

    @property
    def name(self) -> str:
        """What it is called."""
        return "webhook"

    def send(self, message: Message) -> None:
        """Send it, or raise AlertNotSentError."""
        headers = {"Content-Type": "application/json", "User-Agent": "ichnode"}
        place = urlsplit(self.url)
        where = place.hostname if place.port is None else f"{place.hostname} port {place.port}"
        target = place.path or "/"
        if place.query:
            target += f"?{place.query}"
        try:
            if self.secret_file is not None:
                headers["Authorization"] = f"Bearer {read_secret(self.secret_file)}"
            connection = self._connection()
            try:
                connection.request(
                    "POST", target, body=json.dumps(message.as_dict()), headers=headers
                )
                with cut_off_after(connection, _SHARES * self.timeout_s):
                    status = connection.getresponse().status
            finally:
                connection.close()
        except SecretFileError as error:
            raise AlertNotSentError(str(error)) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            words = (error.strerror if isinstance(error, OSError) else None) or type(
                error
            ).__name__
            raise AlertNotSentError(f"{where} was not reached: {words}") from error
        if status not in _GOOD:
            raise AlertNotSentError(f"{where} answered with HTTP status {status}")

    def _connection(self) -> http.client.HTTPConnection:
        place = urlsplit(self.url)
        host = place.hostname or ""
        if place.scheme == "https":
            context = ssl.create_default_context(cafile=self.trusted)
            return http.client.HTTPSConnection(
                host, place.port, timeout=self.timeout_s, context=context
            )
        return http.client.HTTPConnection(host, place.port, timeout=self.timeout_s)
