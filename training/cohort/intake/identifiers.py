"""Names of patients and scans within a cohort."""

import hashlib
import hmac
import re
from collections.abc import Sequence

from training.cohort.intake.found_scan import FoundScan

#: Digits of a pseudonym: one chance in a million of a collision among 1,000 patients.
_DIGITS = 10
_SCAN_DIGITS = 6

_ODD = re.compile(r"[^A-Za-z0-9._-]+")


class Namer:
    """Gives patients and scans their identifiers; the same input always gets the same.

    Parameters
    ----------
    salt : str
        Secret of the site: whoever knows it can recompute pseudonyms of known patients.
    keep : bool
        Keep the source's own identifiers.
    """

    def __init__(self, *, salt: str, keep: bool) -> None:
        self._salt = salt.encode()
        self._keep = keep

    def patient(self, original: str) -> str:
        """Return the cohort's identifier of a patient."""
        if self._keep:
            return _safe(original)
        return f"P{self._digest(f'patient/{original}')[:_DIGITS]}"

    def scan(self, found: FoundScan) -> str:
        """Return the cohort's identifier of a scan, which is also a file name."""
        patient = self.patient(found.patient)
        if not self._keep:
            return f"{patient}-{self._digest(f'scan/{found.key}')[:_SCAN_DIGITS]}"
        name = _safe(found.name)
        says_whose = re.match(rf"{re.escape(patient)}($|[-_.])", name)  # b is not in baseline
        return name if says_whose else f"{patient}-{name}"

    def study(self, found: FoundScan) -> str:
        """Return a name for the visit, empty if the source names none."""
        return self._digest(f"study/{found.study}")[:_DIGITS] if found.study else ""

    def scans(self, found: Sequence[FoundScan]) -> dict[str, FoundScan]:
        """Return scans by identifier.

        Raises
        ------
        ValueError
            If two scans would have the same one.
        """
        named: dict[str, FoundScan] = {}
        for scan in found:
            name = self.scan(scan)
            if name in named:
                raise ValueError(
                    f"Two scans would both be called {name}; let them have different names, "
                    "or do without --keep-ids"
                )
            named[name] = scan
        return named

    def _digest(self, text: str) -> str:
        return hmac.new(self._salt, text.encode(), hashlib.sha256).hexdigest()


def _safe(text: str) -> str:
    return _ODD.sub("_", text).strip("._") or "unnamed"
