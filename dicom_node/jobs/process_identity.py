"""Who writes into the ledger."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """One run of one process of the node.

    Attributes
    ----------
    name : str
        Its part, for example ``receiver`` or ``worker-0``; the same after a restart.
    host : str
        Name of the machine.
    pid : int
        Process number.
    token : str
        Unique for ever; another one after a restart.
    """

    name: str
    host: str
    pid: int
    token: str
