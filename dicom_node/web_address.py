"""The address of a DICOMweb service, as a site may write it."""

import ipaddress
from urllib.parse import urlsplit


def web_address(value: str) -> str:
    """Return the base address of a DICOMweb service.

    Raises
    ------
    ValueError
        If it is none: no ``https://`` or ``http://``, no host, or more than a path behind it.
        User and password do not belong into it.
    """
    try:
        parts = urlsplit(value)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if (
        not is_address
        or not value.isascii()
        or not value.isprintable()
        or " " in value
        or parts.scheme not in {"https", "http"}
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError("an address like https://pacs.example:8443/dicom-web, without user")
    return value


def hides_a_secret(address: str) -> bool:
    """Return whether what is sent there cannot be overheard: TLS, or this machine alone."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        if parts.scheme == "https" or host == "localhost":
            return True
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
