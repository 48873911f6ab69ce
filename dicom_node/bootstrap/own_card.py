"""What an administrator enters at the other side to know this node: for copying."""

import socket
from dataclasses import asdict, dataclass
from typing import Any

from dicom_node.association.presentation import ACCEPTED, PROPOSED, UNCOMPRESSED
from dicom_node.settings.schema import Settings

#: Addresses that are no address for somebody else.
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCard:
    """The node as another DICOM application has to know it.

    Attributes
    ----------
    ae_title, host : str
        How it is called, and where.
    port, tls_port : int or None
        Without and with TLS; None where it does not listen.
    callers_need_certificate : bool
        Whether a caller with TLS must show a certificate.
    takes, sends : tuple of str
        SOP classes that it takes, and that it sends, each with its UID.
    encodings : tuple of str
        Transfer syntaxes of what it takes.
    notes : tuple of str
        What else to think of.
    """

    ae_title: str
    host: str
    port: int | None
    tls_port: int | None
    callers_need_certificate: bool
    takes: tuple[str, ...]
    sends: tuple[str, ...]
    encodings: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the card for JSON."""
        return asdict(self)

    @property
    def text(self) -> str:
        """The card as lines to copy."""
        ports = [f"{self.port}"] if self.port is not None else []
        if self.tls_port is not None:
            proof = "with" if self.callers_need_certificate else "without"
            ports.append(f"{self.tls_port} with TLS, {proof} a certificate of the caller")
        lines = [
            ("AE title", self.ae_title),
            ("Address", self.host),
            ("Port", " and ".join(ports)),
            ("Takes", "; ".join(self.takes)),
            ("Encodings", "; ".join(self.encodings)),
            ("Sends", "; ".join(self.sends)),
            *(("Note", note) for note in self.notes),
        ]
        return "\n".join(f"{name + ':':<11}{value}" for name, value in lines)


def own_card(settings: Settings) -> OwnCard:
    """Return the card of the node that these settings describe."""
    node, tls = settings.node, settings.tls
    host = node.host
    if host in _ANYWHERE:
        host = f"{socket.gethostname()} (any address of this machine)"
    notes = []
    if node.host in {"127.0.0.1", "::1"}:
        notes.append("the node listens on this machine alone; set node.host for others")
    if settings.destinations:
        names = ", ".join(peer.ae_title for peer in settings.destinations)
        notes.append(f"{names} must allow {node.ae_title} to store what it sends")
    if any(peer.gives_priors == "move" for peer in settings.prior_sources):
        notes.append(f"C-MOVE: {node.ae_title} must be a known destination with this address")
    if any(peer.commitment for peer in settings.destinations):
        notes.append("storage commitment is reported to the same address and port")
    return OwnCard(
        ae_title=node.ae_title,
        host=host,
        port=node.port if node.plain else None,
        tls_port=tls.port if tls.enabled else None,
        callers_need_certificate=tls.callers_need_certificate,
        takes=tuple(f"{one.name} {one.sop_class_uid}" for one in ACCEPTED),
        sends=tuple(f"{one.name} {one.sop_class_uid}" for one in PROPOSED),
        encodings=(
            *(syntax.name for syntax in UNCOMPRESSED),
            "JPEG, JPEG-LS, JPEG 2000, HTJ2K and RLE",
        ),
        notes=tuple(notes),
    )
