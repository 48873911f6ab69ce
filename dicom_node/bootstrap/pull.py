"""Studies pulled by hand, put together from the settings."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.fetching import custody_of, fetch_from
from dicom_node.bootstrap.ledgers import (
    has_ledger,
    no_ledger,
    open_beside_a_node,
    place_of,
)
from dicom_node.bootstrap.signs_of_life import is_alive, seen_ages
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.presence import Presence
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.study_search import StudySearch
from dicom_node.processes import Role
from dicom_node.settings.schema import PeerSettings, PriorsBy, Settings

if TYPE_CHECKING:
    from dicom_node.manual_runs.pull import Pull


def pull_from(
    settings: Settings,
    peer: PeerSettings,
    *,
    by: PriorsBy,
    ledger: Ledger,
    clock: Callable[[], datetime],
) -> "Pull":
    """Return what looks at a peer and fetches from it; `by` says how, see `way_of`."""
    from dicom_node.association.study_query import find_studies
    from dicom_node.manual_runs.pull import Pull
    from dicom_node.manual_runs.standing import Standings

    return Pull(
        peer=parts.peer_of(settings, peer),
        find=find_studies,
        fetch=fetch_from(
            settings,
            peer,
            by=way_of(peer, by),
            intake=custody_of(settings, ledger),
            clock=clock,
        ),
        standings=Standings(StudySearch(ledger.database)),
        rules=parts.selection_rules(settings),
    )


def way_of(peer: PeerSettings, by: PriorsBy) -> PriorsBy:
    """Return how images come: as asked for, else as the peer gives earlier scans, else C-MOVE."""
    return by or peer.gives_priors or PriorsBy.MOVE


def living_roles(ledger: Ledger, now: datetime) -> frozenset[Role]:
    """Return which of the node's processes work now. Raises LedgerError."""
    seen = seen_ages(ledger.reports.processes(), now)
    return frozenset(role for role in Role if is_alive(role, seen))


@contextmanager
def ledger_of_a_puller(settings: Settings, clock: Callable[[], datetime]) -> Iterator[Ledger]:
    """Open the ledger as a process that takes images: whoever waits for it sees that it lives.

    Raises
    ------
    OperatorError
        If no node has worked here yet.
    LedgerError
        If the ledger cannot be opened.
    """
    if not has_ledger(settings):
        raise no_ledger(settings)
    identity = ProcessIdentity(
        name=f"pull-{os.getpid()}",
        host=socket.gethostname(),
        pid=os.getpid(),
        token=secrets.token_hex(16),
    )
    ledger = open_beside_a_node(place_of(settings), process=identity)
    try:
        presence = Presence(ledger=ledger.presence, process=identity, clock=clock)
        presence.start()
        try:
            yield ledger
        finally:
            presence.stop()
    finally:
        ledger.close()
