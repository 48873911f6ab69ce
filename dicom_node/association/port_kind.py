"""What a port speaks that answers otherwise than it should: DICOM as it is, or TLS."""

import socket
import ssl
import time
from dataclasses import replace
from typing import Final

from dicom_node.association.negotiation import negotiate
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import PLAIN, VERIFICATION
from dicom_node.errors import AssociationRejectedError, PeerError

#: In what OpenSSL calls a failure: the other side answered in TLS, though not as was hoped.
_ANSWERED_IN_TLS: Final = ("ALERT", "UNSUPPORTED_PROTOCOL", "CERTIFICATE_VERIFY_FAILED")


def is_answer_in_tls(error: OSError) -> bool:
    """Return whether a handshake failed because of what the other side said in TLS."""
    reason = str(getattr(error, "reason", "") or "")
    return any(words in reason for words in _ANSWERED_IN_TLS)


def speaks_tls(peer: Peer) -> bool:
    """Return whether a port answers a handshake, whoever it says that it is; no more is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(
                (peer.host, peer.port), timeout=peer.connect_timeout_s
            ) as plug,
            context.wrap_socket(plug),
        ):
            return True
    except OSError as error:
        return is_answer_in_tls(error)


def speaks_plain_dicom(peer: Peer) -> bool:
    """Return whether a port accepts or rejects an association without TLS; no more is sent."""
    proposed = [(str(VERIFICATION), str(way)) for way in PLAIN]
    try:
        with negotiate(replace(peer, tls=None), proposed, timer=time.monotonic):
            return True
    except AssociationRejectedError:
        return True
    except PeerError:
        return False
