"""Studies pulled by hand, put together from the settings."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import has_ledger, no_ledger, place_of
from dicom_node.bootstrap.status import is_alive, seen_ages
from dicom_node.jobs.ledger import Ledger, open_ledger
from dicom_node.jobs.presence import Presence
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.study_search import StudySearch
from dicom_node.processes import Role
from dicom_node.settings.schema import PeerSettings, PriorsBy, Settings

if TYPE_CHECKING:
    from dicom_node.intake.custody import Custody
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
    from dicom_node.association.retrieve import get_series, move_series
    from dicom_node.association.study_query import find_studies
    from dicom_node.manual_runs.pull import Pull
    from dicom_node.manual_runs.standing import Standings

    asked = parts.peer_of(settings, peer)
    # Between two answers of a retrieval lie the images that it sends.
    limit_s = settings.follow_up.fetch_limit_s
    patient = replace(asked, dimse_timeout_s=limit_s, network_timeout_s=limit_s)
    get = partial(
        get_series,
        patient,
        intake=custody_of(settings, ledger),
        clock=clock,
        limits=parts.receive_limits(settings),
    )
    return Pull(
        peer=asked,
        find=find_studies,
        fetch=get if way_of(peer, by) is PriorsBy.GET else partial(move_series, patient),
        standings=Standings(StudySearch(ledger.database)),
        rules=parts.selection_rules(settings),
    )


def way_of(peer: PeerSettings, by: PriorsBy) -> PriorsBy:
    """Return how images come: as asked for, else as the peer gives earlier scans, else C-MOVE."""
    return by or peer.gives_priors or PriorsBy.MOVE


def custody_of(settings: Settings, ledger: Ledger) -> "Custody":
    """Return the node's custody, for images that do not come by its listener."""
    from dicom_node.intake.custody import Custody
    from dicom_node.intake.spool import Spool

    layout = DataLayout(root=settings.node.data_dir)
    spool = Spool(layout.spool, limits=parts.spool_limits(settings))
    return Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt)


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
    ledger = open_ledger(place_of(settings), process=identity)
    try:
        presence = Presence(ledger=ledger.presence, process=identity, clock=clock)
        presence.start()
        try:
            yield ledger
        finally:
            presence.stop()
    finally:
        ledger.close()
