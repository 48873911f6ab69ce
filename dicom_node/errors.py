"""Errors of the node.

NodeError
├── IntakeError                   an instance was not taken into custody; the sender keeps it
│   ├── SpoolFullError            the disk is low
│   ├── SpoolWriteError           the disk refused for another reason
│   ├── CustodyRecordError        bytes are safe, but the ledger could not say so
│   ├── UnreadableInstanceError   the encoded data set cannot be understood
│   └── InstanceMismatchError     the data set is not what the C-STORE request announced
├── LedgerError                   the ledger refused
│   ├── LedgerUnavailableError    it could not be read or written
│   │   └── LedgerDamagedError    what it holds is not sound
│   ├── LedgerVersionError        it was written by another version of the node
│   ├── IllegalTransitionError    a move that the table of states does not list
│   ├── LostLeaseError            the claim belongs to somebody else by now
│   └── UnknownEntryError         no such series, job or delivery
├── OutboxError                   result objects could not be made durable
├── TlsFileError                  a certificate, key or list of authorities cannot be used
├── ExportError                   scans cannot leave the site: key, folder or contents are at fault
├── UnreadableCommitmentError     a request for or report of storage commitment makes no sense
├── QueryRefusedError             a peer does not answer queries, or answered with a failure
├── UnaskablePatientError         the images do not say whom to ask for
├── AccountError                  an account, a password or a token cannot be made or used
└── DeliveryError                 a result did not reach its destination
    ├── CommitmentRefusedError    the peer takes part, but not in storage commitment
    └── PeerError                 the peer as a whole did not take part
        ├── PeerUnreachableError      no TCP connection
        ├── AssociationRejectedError  the peer answered A-ASSOCIATE-RJ
        ├── AssociationAbortedError   the association was aborted or broke
        └── PeerTimeoutError          the peer did not answer in time
"""

import traceback

from pipeline.errors import PipelineError


class NodeError(Exception):
    """Whatever the node refuses. Messages never hold a patient attribute."""


class IntakeError(NodeError):
    """An instance was not taken into custody; the sender keeps its copy."""


class SpoolFullError(IntakeError):
    """There is less room on the disk than the floor that is kept free."""


class SpoolWriteError(IntakeError, OSError):
    """The disk refused to store an instance for another reason than room."""


class CustodyRecordError(IntakeError):
    """The bytes are on disk, but the ledger could not record them."""


class UnreadableInstanceError(IntakeError, ValueError):
    """The encoded data set cannot be understood."""


class InstanceMismatchError(IntakeError, ValueError):
    """The data set is not the instance that the C-STORE request announced."""


class LedgerError(NodeError):
    """The ledger refused."""


class LedgerUnavailableError(LedgerError):
    """The ledger could not be read or written.

    Attributes
    ----------
    words : str
        Why, without what to do about it.
    """

    def __init__(self, words: str, *, advice: str = "") -> None:
        super().__init__(f"{words}; {advice}" if advice else words)
        self.words = words


class LedgerDamagedError(LedgerUnavailableError):
    """What the ledger holds is not sound: it must be examined, perhaps restored."""


class LedgerVersionError(LedgerError):
    """The ledger was written by another version of the node."""


class IllegalTransitionError(LedgerError, ValueError):
    """A move between states that the table does not list."""


class LostLeaseError(LedgerError):
    """The claim expired and belongs to somebody else, or to nobody."""


class UnknownEntryError(LedgerError, LookupError):
    """The ledger holds no such series, job or delivery."""


class OutboxError(NodeError, OSError):
    """Result objects could not be made durable."""


class ExportError(NodeError):
    """Scans cannot leave the site: key, folder or contents are at fault."""


class TlsFileError(NodeError):
    """A certificate, a key or a list of authorities cannot be used."""


class TlsProfileError(TlsFileError):
    """The TLS library does not offer the suites of the profile that the site wants."""


class QueryRefusedError(NodeError):
    """A peer takes part, but not in queries, or answered one with a failure."""


class UnaskablePatientError(NodeError, ValueError):
    """The images do not say whom to ask for, or not in a way that can be asked."""


class AccountError(NodeError):
    """An account, a password or a token cannot be made or used."""


class DeliveryError(NodeError):
    """A result did not reach its destination."""


class UnreadableCommitmentError(NodeError, ValueError):
    """A request for storage commitment, or a report of it, lacks what it must hold."""


class CommitmentRefusedError(DeliveryError):
    """The peer takes part, but refuses to take or report storage commitment."""


class PeerError(DeliveryError):
    """The peer as a whole did not take part: nothing more can be sent for now.

    Attributes
    ----------
    reached : bool
        Whether there was an association at all.
    """

    reached: bool = True


class PeerUnreachableError(PeerError, ConnectionError):
    """No TCP connection to the peer."""

    reached: bool = False


class AssociationRejectedError(PeerError):
    """The peer answered A-ASSOCIATE-RJ (PS3.8, section 9.3.4).

    Attributes
    ----------
    result, source, reason : int
        The three fields of the answer.
    """

    def __init__(self, message: str, *, result: int, source: int, reason: int) -> None:
        super().__init__(message)
        self.result = result
        self.source = source
        self.reason = reason


class AssociationAbortedError(PeerError, ConnectionError):
    """The association was aborted, or the connection broke."""


class PeerTimeoutError(PeerError, TimeoutError):
    """The peer did not answer in time."""


def describe_error(
    error: BaseException, *, trusted: tuple[type[BaseException], ...] = (NodeError, PipelineError)
) -> str:
    """Return what an error says, without what a foreign library might quote.

    Only the messages of `trusted` errors are known to be free of patient attributes. Of any
    other error the type is named, and the place where it was raised.
    """
    if isinstance(error, trusted):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} in {last.name}, line {last.lineno}"


def stack_of(error: BaseException) -> str:
    """Return the traceback of an error without its message, for the log.

    The message of an outside library may quote a data element; the frames do not.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return "\n  ".join([type(error).__name__, *lines])
