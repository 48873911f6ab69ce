"""Download of published weights: into a file that is whole and has the right checksum, or none."""

import hashlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from dicom_node.operator_error import OperatorError

#: Where the networks of BLAST-CT's first release lie: a fork that kept them, at a fixed commit,
#: from where they were taken for the measurements on the card.
BLAST_CT_SOURCE = (
    "https://raw.githubusercontent.com/fordanic/blast-ct/"
    "bab1e267247a41eaabb2213dd920cb57ca93a52d/src/data/saved_models/"
)

#: Larger than any published network; a page that never ends is not read to its end.
_LARGEST_BYTES = 256 * 2**20

_BLOCK_BYTES = 64 * 2**10
_PATIENCE_S = 30.0

#: Told the bytes that have come and the bytes expected, None if the sender does not say.
OnBytes = Callable[[int, int | None], None]


def download(url: str, target: Path, *, sha256: str, on_bytes: OnBytes) -> None:
    """Fetch a file and keep it only if its checksum is right.

    Parameters
    ----------
    url : str
        An http or https address.
    target : Path
        Where the file shall lie; written under another name until it is complete.
    sha256 : str
        Expected digest, hexadecimal.
    on_bytes : callable
        Told how much has come.

    Raises
    ------
    OperatorError
        If the address cannot be reached, the transfer breaks off, or the checksum differs. No
        part of the file is left behind.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise OperatorError(f"{url} cannot be fetched: only http and https addresses can")
    partial = target.with_name(f"{target.name}.part")
    try:
        found = _receive(url, partial, on_bytes)
        if found != sha256:
            raise OperatorError(
                f"{url} is not the file it should be: its SHA-256 is {found}, "
                f"expected is {sha256}; nothing was kept"
            )
        partial.replace(target)
    except HTTPError as error:
        raise OperatorError(f"{url} cannot be fetched: {error.code} {error.reason}") from error
    except URLError as error:
        raise OperatorError(
            f"{url} cannot be reached: {error.reason}. On a machine without internet fetch the "
            "files elsewhere and name them on the command line"
        ) from error
    except (OSError, HTTPException) as error:
        raise OperatorError(f"{url} broke off: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _receive(url: str, partial: Path, on_bytes: OnBytes) -> str:
    """Write what an address sends to a file and return its SHA-256."""
    digest = hashlib.sha256()
    came = 0
    with urlopen(url, timeout=_PATIENCE_S) as answer, partial.open("wb") as file:  # noqa: S310  the caller has looked at the scheme
        stated = answer.headers.get("Content-Length")
        expected = int(stated) if stated and stated.isdigit() else None
        while block := answer.read(_BLOCK_BYTES):
            came += len(block)
            if came > _LARGEST_BYTES:
                raise OperatorError(f"{url} sends more than {_LARGEST_BYTES} bytes; given up")
            digest.update(block)
            file.write(block)
            on_bytes(came, expected)
    if expected is not None and came < expected:
        raise OperatorError(f"{url} broke off after {came} of {expected} bytes")
    return digest.hexdigest()
