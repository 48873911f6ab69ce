"""How the reader refuses a series."""

from pipeline.errors import SeriesRejectedError
from pipeline.rejection import RejectionCode, RejectionReason


def refusal(code: RejectionCode, *, found: str, needed: str) -> SeriesRejectedError:
    """Return the error to raise; neither text may hold a patient attribute."""
    return SeriesRejectedError(RejectionReason(code=code, found=found, needed=needed))
