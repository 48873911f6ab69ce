"""Who may call the node, from where, for what, and how often at the same time."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dicom_node.association.caller_certificate import CertificateRule, ShownCertificate
from dicom_node.association.peers import check_ae_title
from dicom_node.association.presentation import VERIFICATION
from dicom_node.association.refusals import RefusalKind

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Storage Commitment Push Model SOP Class (PS3.4, section J.3).
_COMMITMENT = "1.2.840.10008.1.20.1"


class Permission(StrEnum):
    """What a caller may do."""

    ECHO = "echo"  #: C-ECHO
    STORE = "store"  #: C-STORE
    COMMIT = "commit"  #: ask for storage commitment


def permission_for(sop_class_uid: str) -> Permission:
    """Return the permission that a SOP class needs."""
    if sop_class_uid == VERIFICATION:
        return Permission.ECHO
    return Permission.COMMIT if sop_class_uid == _COMMITMENT else Permission.STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One entry of the list of callers.

    Attributes
    ----------
    ae_title : str or None
        Calling AE title; None stands for any.
    network : IPv4Network or IPv6Network or None
        Where it calls from; None stands for anywhere.
    certificate : CertificateRule or None
        Which certificate it must have shown; None stands for any, or none.
    may : frozenset of Permission
        What it may do.
    max_associations : int or None
        How many associations it may have at the same time from one address; None leaves it at
        the node's own limit.

    Raises
    ------
    ValueError
        If the title is none, nothing is permitted or the limit is below one.
    """

    ae_title: str | None
    network: Network | None = None
    certificate: CertificateRule | None = None
    may: frozenset[Permission] = frozenset(Permission)
    max_associations: int | None = None

    def __post_init__(self) -> None:
        if self.ae_title is not None:
            check_ae_title("ae_title", self.ae_title)
        if not self.may:
            raise ValueError("may must name at least one permission")
        if self.max_associations is not None and self.max_associations < 1:
            raise ValueError(f"max_associations must be 1 or more, got {self.max_associations}")

    def has_title(self, ae_title: str) -> bool:
        """Return whether the entry is for this calling AE title."""
        return self.ae_title is None or self.ae_title == ae_title

    def has_address(self, address: str) -> bool:
        """Return whether the entry is for this IP address."""
        if self.network is None:
            return True
        found = _address(address)
        return found is not None and found in self.network

    def has_certificate(self, shown: ShownCertificate | None) -> bool:
        """Return whether the entry is for who showed this certificate, or none."""
        return self.certificate is None or self.certificate.fits(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why an association is rejected, in the fields of A-ASSOCIATE-RJ (PS3.8, table 9-21)."""

    kind: RefusalKind
    result: int
    source: int
    diagnostic: int


_PERMANENT, _TRANSIENT = 1, 2
_SERVICE_USER, _PRESENTATION = 1, 3
_CALLING_TITLE, _CALLED_TITLE, _LOCAL_LIMIT = 3, 7, 2


def _unknown(kind: RefusalKind, diagnostic: int) -> Rejection:
    return Rejection(kind=kind, result=_PERMANENT, source=_SERVICE_USER, diagnostic=diagnostic)


def _full(kind: RefusalKind) -> Rejection:
    return Rejection(kind=kind, result=_TRANSIENT, source=_PRESENTATION, diagnostic=_LOCAL_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One association request.

    Attributes
    ----------
    calling, called : str
        AE titles as given.
    address : str
        IP address of the caller.
    certificate : ShownCertificate or None
        What it showed in the TLS handshake.
    """

    calling: str
    called: str
    address: str
    certificate: ShownCertificate | None = None


#: What an entry must fit, in this order, and what it is called if none does.
_TESTS: tuple[tuple[Callable[[Caller, Call], bool], RefusalKind], ...] = (
    (lambda entry, call: entry.has_title(call.calling), RefusalKind.UNKNOWN_CALLER),
    (lambda entry, call: entry.has_address(call.address), RefusalKind.WRONG_ADDRESS),
    (lambda entry, call: entry.has_certificate(call.certificate), RefusalKind.WRONG_CERTIFICATE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The rule by which association requests are answered.

    Attributes
    ----------
    ae_title : str
        The only called AE title that is answered.
    callers : tuple of Caller
        Who may call.
    max_associations : int
        Of all callers together.
    max_per_caller : int
        Of one title at one address, where its entry says nothing else.
    """

    ae_title: str
    callers: tuple[Caller, ...]
    max_associations: int
    max_per_caller: int

    def knows_address(self, address: str) -> bool:
        """Return whether anybody may call from an address."""
        return any(caller.has_address(address) for caller in self.callers)

    def decide(self, call: Call, open_calls: Sequence[Call]) -> Caller | Rejection:
        """Return the entry by which a call is let in, or why it is rejected.

        Parameters
        ----------
        call
            The request.
        open_calls
            The associations that there are already.
        """
        if call.called != self.ae_title:
            return _unknown(RefusalKind.WRONG_CALLED_TITLE, _CALLED_TITLE)
        fitting = self.callers
        for fits, kind in _TESTS:
            fitting = tuple(one for one in fitting if fits(one, call))
            if not fitting:
                return _unknown(kind, _CALLING_TITLE)
        if len(open_calls) >= self.max_associations:
            return _full(RefusalKind.NODE_LIMIT)
        caller = max(fitting, key=_precision)
        same = Counter((one.calling, one.address) for one in open_calls)
        limit = self.max_per_caller if caller.max_associations is None else caller.max_associations
        if same[call.calling, call.address] >= limit:
            return _full(RefusalKind.CALLER_LIMIT)
        return caller


def _precision(caller: Caller) -> tuple[bool, bool, int]:
    """Return how narrowly an entry describes: by title, by certificate, by smaller network."""
    bits = -1 if caller.network is None else caller.network.prefixlen
    return caller.ae_title is not None, caller.certificate is not None, bits


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return found if mapped is None else mapped
