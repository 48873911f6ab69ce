"""Errors of the results.

ResultError
├── ResultSourceError    the images given are not those that were analysed
└── ResultCheckError     an object built here is not what it must be; carries every fault
"""

from collections.abc import Sequence

from dicom_node.errors import NodeError


class ResultError(NodeError):
    """Whatever keeps a result from being sent."""


class ResultSourceError(ResultError, ValueError):
    """The images given as source do not fit the volume that was analysed."""


class ResultCheckError(ResultError):
    """The inline check found faults; nothing may be put into the outbox.

    Attributes
    ----------
    faults : tuple of str
        Every fault, each with the object, the thing and what was expected.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(f"{len(faults)} faults: " + "; ".join(faults))
        self.faults = tuple(faults)
