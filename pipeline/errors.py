"""Errors of the pipeline.

PipelineError
├── GeometryError          an array does not fit its grid
├── SeriesRejectedError    the series cannot be analysed; carries a RejectionReason
├── EmptyHematomaError     a question about a hematoma that is not there
└── ModelBundleError       weights or card are not what they claim to be
"""

from pipeline.rejection import RejectionReason


class PipelineError(Exception):
    """Whatever the pipeline refuses."""


class GeometryError(PipelineError, ValueError):
    """An array does not fit its grid, or a grid describes no volume."""


class SeriesRejectedError(PipelineError):
    """The series cannot be analysed.

    Attributes
    ----------
    reason : RejectionReason
        What was found and what would have been needed.
    """

    def __init__(self, reason: RejectionReason) -> None:
        super().__init__(reason.message)
        self.reason = reason


class EmptyHematomaError(PipelineError, ValueError):
    """A question about the hematoma was asked of a mask that holds none."""


class ModelBundleError(PipelineError, ValueError):
    """A model bundle is incomplete, altered, or does not fit its use."""
