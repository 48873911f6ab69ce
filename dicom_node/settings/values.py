"""What single values in the settings may be, each with the words for what is expected."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field

from dicom_node.web_address import web_address

#: Longest AE title (PS3.5, section 6.2, VR AE).
MAX_AE_TITLE_LENGTH = 16

#: Entry of ``node.callers`` that lets everybody in.
ANY_CALLER = "*"

#: The ledger as a file in the data directory.
SQLITE: Final = "sqlite"

_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]*[\x21-\x5b\x5d-\x7e])?")
_PEER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def _ae_title(value: str) -> str:
    if len(value) > MAX_AE_TITLE_LENGTH or not _AE_TITLE.fullmatch(value):
        raise ValueError(
            "an AE title: 1 to 16 printable ASCII characters, no backslash, "
            "no space at either end (PS3.5, section 6.2)"
        )
    return value


def _peer_name(value: str) -> str:
    if not _PEER_NAME.fullmatch(value):
        raise ValueError(
            "a short name: lower-case letters, digits, '-' and '_', at most 32 characters"
        )
    return value


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value) or re.fullmatch(r"[\d.]+", value):
            raise ValueError("an IP address or host name, for example 10.0.0.7") from None
    return value


def _regular_expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from error
    return value


def _home(value: Path) -> Path:
    return value.expanduser()


def _caller_title(value: str) -> str:
    return value if value == ANY_CALLER else _ae_title(value)


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(
            "an IP address or network, for example 10.0.0.7 or 10.0.0.0/24"
        ) from error
    return value


def _caller_certificate(value: str) -> str:
    """Return a rule for certificates with DNS names and fingerprints in their plain form."""
    part, _, wanted = (word.strip() for word in value.partition(":"))
    if part == "cn" and wanted:
        return f"cn:{wanted}"
    if part == "dns" and _HOST_NAME.fullmatch(wanted):
        return f"dns:{wanted.lower()}"
    fingerprint = wanted.replace(":", "").lower()
    if part == "sha256" and _FINGERPRINT.fullmatch(fingerprint):
        return f"sha256:{fingerprint}"
    raise ValueError(
        "cn:NAME, dns:HOST or sha256:FINGERPRINT (64 hexadecimal digits) of the certificate that "
        "the caller shows, for example cn:CT1"
    )


def _file(value: str) -> str:
    if value and not value.startswith(("/", "~")):
        raise ValueError("a path that begins with / or ~")
    return str(_home(Path(value))) if value else value


def ledger_address(value: str) -> str:
    """Return "sqlite", or the URL of a PostgreSQL database without a password; else ValueError."""
    if value == SQLITE:
        return value
    parts = urlsplit(value)
    if (
        parts.scheme != "postgresql"
        or not parts.path.strip("/")
        or parts.password is not None
        or "password" in parse_qs(parts.query)
        or not value.isprintable()
        or " " in value
    ):
        raise ValueError(
            f'"{SQLITE}" or an address like "postgresql://ichnode@db.hospital.example/ichnode", '
            "its password in ledger_secret_file"
        )
    return value


def _hook_address(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
        raise ValueError("an address that begins with https:// or http://, without a password")
    return value


def _mail_address(value: str) -> str:
    if not re.fullmatch(r"[^\s@<>,]+@[^\s@<>,]+", value):
        raise ValueError("a mail address, for example ct@hospital.example")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
CallerTitle = Annotated[str, AfterValidator(_caller_title)]
CallerCertificate = Annotated[str, AfterValidator(_caller_certificate)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Millimetres = Annotated[float, Field(gt=0, le=50)]
HomePath = Annotated[Path, AfterValidator(_home)]
Network = Annotated[str, AfterValidator(_network)]
HookAddress = Annotated[str, AfterValidator(_hook_address)]  #: empty for none
LedgerAddress = Annotated[str, AfterValidator(ledger_address)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
FileName = Annotated[str, AfterValidator(_file)]  #: empty for none
PeerName = Annotated[str, AfterValidator(_peer_name)]
Pattern = Annotated[str, AfterValidator(_regular_expression)]
ServiceAddress = Annotated[str, AfterValidator(web_address)]


def _encodings(value: tuple[str, ...]) -> tuple[str, ...]:
    if not {"explicit", "implicit", "deflated"}.intersection(value):
        raise ValueError(
            'at least one of "explicit", "implicit" and "deflated": only captures can be "jpegls" '
            'or "rle"'
        )
    return value


#: How uncompressed objects may travel; the last two are for captures.
Encoding = Literal["explicit", "implicit", "deflated", "jpegls", "rle"]
Encodings = Annotated[tuple[Encoding, ...], AfterValidator(_encodings)]
