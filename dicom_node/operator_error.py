"""What the person at the keyboard is told: exit codes, and faults they can put right."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What ``ichnode`` returns to the shell."""

    OK = 0  #: done
    FAILED = 1  #: tried, and something did not work
    USAGE = 2  #: wrong arguments or settings; nothing was tried
    REJECTED = 3  #: the series cannot be analysed; the reason is printed
    ALARM = 4  #: done, and an alarm of the watch stands


class OperatorError(Exception):
    """A fault that is explained to the operator in one message, without a traceback.

    Attributes
    ----------
    exit_code : ExitCode
        What the command returns.
    """

    def __init__(self, message: str, *, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
