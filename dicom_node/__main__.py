"""Entry point of ``ichnode`` and of ``python -m dicom_node``."""

import os
import signal

#: What a shell reports for a process that SIGTERM has ended.
_ENDED_BY_SIGTERM = 128 + int(signal.SIGTERM)


def main() -> None:
    """Run the command line; SIGTERM ends it in a container, too, from its first moment.

    The kernel gives the first process of a container no signal that it has no handler for: SIGTERM
    would be lost until ``serve`` listens for it, and always for the other commands. As elsewhere
    it ends the process at once, without waiting for threads.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda _signum, _frame: os._exit(_ENDED_BY_SIGTERM))
    from dicom_node.cli.app import main as command_line

    command_line()


if __name__ == "__main__":
    main()
