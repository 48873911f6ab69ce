"""How the provider is known, where it listens, and to whom."""

from dataclasses import dataclass, field
from enum import StrEnum

from dicom_node.association.callers import Admission, Caller
from dicom_node.association.peers import check_ae_title
from dicom_node.association.receive_limits import ReceiveLimits
from dicom_node.association.tls import DICOM_TLS_PORT, ServerTls


class Reader(StrEnum):
    """Who reads storage requests from the network."""

    STREAM = "stream"  #: `stream_reader`, in pieces as they come
    LIBRARY = "library"  #: pynetdicom


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpSettings:
    """How the provider is known and whom it listens to.

    Attributes
    ----------
    ae_title : str
        The only called AE title that is answered.
    host : str
        Interface of both listeners.
    port : int or None
        TCP port of the listener without TLS; 0 takes a free one, None leaves it out.
    callers : tuple of Caller
        Who may call, from where, for what.
    tls : ServerTls or None
        How TLS is spoken; None leaves that listener out.
    tls_port : int
        TCP port of the listener with TLS; 0 takes a free one.
    max_associations : int
        At the same time; the next one is told "local limit exceeded".
    max_per_caller : int
        Of one title at one address, where its entry says nothing else.
    limits : ReceiveLimits
        How much and how slowly may be sent.
    dimse_timeout_s, network_timeout_s : float
        Patience for a message in pieces and for a silent association.
    reader : Reader
        Who reads storage requests.

    Raises
    ------
    ValueError
        If the title is none, nobody at all may call, or there is no listener.
    """

    ae_title: str
    host: str
    port: int | None
    callers: tuple[Caller, ...]
    tls: ServerTls | None = None
    tls_port: int = DICOM_TLS_PORT
    max_associations: int = 25
    max_per_caller: int = 25
    limits: ReceiveLimits = field(default_factory=ReceiveLimits)
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0
    reader: Reader = Reader.STREAM

    def __post_init__(self) -> None:
        check_ae_title("ae_title", self.ae_title)
        if not self.callers:
            raise ValueError("callers must name at least one caller")
        if self.port is None and self.tls is None:
            raise ValueError("There is no listener: port and tls are both None")

    @property
    def admission(self) -> Admission:
        """The rule by which association requests are answered."""
        return Admission(
            ae_title=self.ae_title,
            callers=self.callers,
            max_associations=self.max_associations,
            max_per_caller=self.max_per_caller,
        )
