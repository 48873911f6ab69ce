"""Writes into the audit trail what the ledger shows: received, sent, asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from dicom_node.audit.events import Party, StudyPart, deleted, queried, transferred
from dicom_node.audit.message import Outcome
from dicom_node.audit.trail import AuditTrail
from dicom_node.jobs.audit_ledger import AuditLedger
from dicom_node.jobs.state import SearchState

_KEY = "audit"

#: The processes of a node are started together, but not at the same moment.
_BEFORE = timedelta(seconds=60)

#: Study Root Query/Retrieve Information Model - FIND (PS3.4, C.6.2.3).
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


#: A search that waits has failed and is tried again.
_OUTCOMES: Mapping[SearchState, Outcome] = {
    SearchState.DONE: Outcome.SUCCESS,
    SearchState.PENDING: Outcome.MINOR_FAILURE,
    SearchState.DEAD: Outcome.SERIOUS_FAILURE,
}


class Documents(Protocol):
    """Keeps JSON documents by key."""

    def read(self, key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return a document, None if there is none."""

    def write(self, key: str, document: Any) -> None:  # noqa: ANN401 - JSON
        """Keep a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """The node and its peers, as the trail names them; peers by their names."""

    node: Party
    peers: Mapping[str, Party]

    def peer(self, name: str) -> Party:
        """Return a peer; one that is no longer in the settings by its name alone."""
        return self.peers.get(name, Party(ae_title=name))


class AuditClerk:
    """Looks into the ledger again and again.

    Each row is marked after its message was kept: a process that dies in between writes it twice,
    none is left out. It begins with what happens after the start of the node that turned it on.

    Parameters
    ----------
    ledger
        Rows, and which of them are audited.
    documents
        Where it remembers how far it came.
    trail
        Takes the messages.
    parties
        How node and peers are named.
    patient
        Returns what a patient is called, from one of its images and the ledger's pseudonym.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self,
        *,
        ledger: AuditLedger,
        documents: Documents,
        trail: AuditTrail,
        parties: Parties,
        patient: Callable[[Path | None, str], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._documents = documents
        self._trail = trail
        self._parties = parties
        self._patient = patient
        self._clock = clock

    def begin(self) -> None:
        """Remember where the trail begins, unless it began before. Raises LedgerError.

        Meant for the start of the node: a little earlier, for the receiver may be up already.
        """
        if self._documents.read(_KEY) is None:
            since = self._clock() - _BEFORE
            known = {"since": since.isoformat(), "event": self._ledger.last_event()}
            self._documents.write(_KEY, known)

    @property
    def since(self) -> datetime | None:
        """Where the trail begins, None before `begin`. Raises LedgerError."""
        known = self._documents.read(_KEY)
        return None if known is None else datetime.fromisoformat(known["since"])

    def tick(self) -> None:
        """Write down what is new since `begin`. Raises LedgerError."""
        known = self._documents.read(_KEY)
        if known is None:
            return
        since = datetime.fromisoformat(known["since"])
        self._received(since)
        self._sent(since)
        self._purged(since)
        event = self._searched(known["event"])
        if event != known["event"]:
            self._documents.write(_KEY, {**known, "event": event})

    def forget(self) -> None:
        """Forget how far it came: the site has turned the trail off. Raises LedgerError."""
        if self._documents.read(_KEY) is not None:
            self._documents.write(_KEY, None)

    def _received(self, since: datetime) -> None:
        associations, found = self._ledger.received(since)
        for one in found:
            part = StudyPart(
                study_uid=one.study_uid,
                instances=one.instances,
                patient=self._patient(one.image, one.patient_key),
            )
            source = Party(ae_title=one.caller, address=one.address)
            node = self._parties.node
            if not self._trail.write(transferred(source, node, part, one.at, source_began=True)):
                return
        self._ledger.mark(associations, ())

    def _sent(self, since: datetime) -> None:
        deliveries, found = self._ledger.sent(since)
        for one in found:
            part = StudyPart(
                study_uid=one.study_uid,
                instances=one.instances,
                patient=self._patient(one.image, one.patient_key),
            )
            peer = self._parties.peer(one.destination)
            node = self._parties.node
            if not self._trail.write(transferred(node, peer, part, one.at, source_began=True)):
                return
        self._ledger.mark((), deliveries)

    def _purged(self, since: datetime) -> None:
        """Write down purges; the Patient ID went with the images, so the pseudonym stands."""
        written = []
        for one in self._ledger.purged(since):
            part = StudyPart(
                study_uid=one.study_uid,
                instances=one.instances,
                patient=self._patient(None, one.patient_key),
            )
            message = deleted(
                self._parties.node,
                part,
                one.at,
                user=one.by,
                is_whole_study=one.is_whole_study,
            )
            if not self._trail.write(message):
                break
            written.append(one.purge_id)
        self._ledger.mark_purged(written)

    def _searched(self, after: int) -> int:
        """Write down searches; return the last event that is in the trail."""
        for one in self._ledger.searched(after):
            message = queried(
                self._parties.node,
                self._parties.peer(one.peer),
                STUDY_ROOT_FIND,
                one.at,
                outcome=_OUTCOMES[one.state],
            )
            if not self._trail.write(message):
                return after
            after = one.event_id
        return after
