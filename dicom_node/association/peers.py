"""A DICOM application that the node calls."""

from dataclasses import dataclass

from dicom_node.association.compression import COMPRESSED
from dicom_node.association.tls import ClientTls

#: Longest AE title (PS3.5, section 6.2, VR AE).
MAX_AE_TITLE_LENGTH = 16

_MAX_PORT = 65535

#: Explicit and Implicit VR Little Endian: what every DICOM application can read.
PLAIN_ENCODINGS = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")

_TIMEOUTS = ("connect_timeout_s", "acse_timeout_s", "dimse_timeout_s", "network_timeout_s")

#: Largest P-DATA-TF that the node takes. 131072 bytes halve the cost of an image against the
#: usual 16384; unlimited is slower again (measured with pynetdicom 3.0.4).
MAX_PDU = 131072


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where a peer listens and how it is called.

    Attributes
    ----------
    name : str
        The site's own short name, used in the ledger, in logs and on the command line.
    ae_title : str
        Called AE title.
    host, port
        Where it listens.
    calling_ae_title : str
        How the node introduces itself.
    max_pdu : int
        Largest P-DATA-TF that the node takes in answers, in bytes; 0 is unlimited.
    connect_timeout_s, acse_timeout_s, dimse_timeout_s, network_timeout_s : float
        Patience for the TCP connection, for the answer to the association request, for each
        C-STORE or C-ECHO response, and with a silent connection.
    encodings : tuple of str
        UIDs of the transfer syntaxes that uncompressed objects are offered in, preferred first;
        one of them must be able to hold anything.
    tls : ClientTls or None
        How TLS is spoken with it; None leaves the connection open to listeners.

    Raises
    ------
    ValueError
        If a title, the port or a time-out is out of range.
    """

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae_title: str
    max_pdu: int = MAX_PDU
    connect_timeout_s: float = 10.0
    acse_timeout_s: float = 30.0
    dimse_timeout_s: float = 60.0
    network_timeout_s: float = 60.0
    encodings: tuple[str, ...] = PLAIN_ENCODINGS
    tls: ClientTls | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("A peer needs a name")
        check_ae_title("ae_title", self.ae_title)
        check_ae_title("calling_ae_title", self.calling_ae_title)
        if not 1 <= self.port <= _MAX_PORT:
            raise ValueError(f"port must be 1 to {_MAX_PORT}, got {self.port}")
        if COMPRESSED.issuperset(self.encodings):
            raise ValueError("A peer needs at least one encoding without compression of pixels")
        if self.max_pdu < 0:
            raise ValueError(f"max_pdu must not be negative, got {self.max_pdu}")
        for field in _TIMEOUTS:
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} must be positive, got {getattr(self, field)}")


def check_ae_title(field: str, title: str) -> None:
    """Refuse what is no AE title (PS3.5, section 6.2).

    Raises
    ------
    ValueError
        If the title is empty, too long, or holds a backslash or control character.
    """
    plain = title.isascii() and title.isprintable() and "\\" not in title
    if not plain or not title.strip() or len(title) > MAX_AE_TITLE_LENGTH:
        raise ValueError(
            f"{field} must be 1 to {MAX_AE_TITLE_LENGTH} printable ASCII characters "
            f"without a backslash, got {title!r}"
        )
