"""How images come into custody that nobody sends: from a peer, a worklist's server, a folder."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.settings.schema import PeerSettings, PriorsBy, Settings

if TYPE_CHECKING:
    from dicom_node.association.store_request import Intake
    from dicom_node.intake.custody import Custody
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.prior_seeker import Fetch


def custody_of(settings: Settings, ledger: "Ledger") -> "Custody":
    """Return the node's custody, for images that do not come by its listener."""
    from dicom_node.intake.custody import Custody
    from dicom_node.intake.spool import Spool

    layout = DataLayout(root=settings.node.data_dir)
    spool = Spool(layout.spool, limits=parts.spool_limits(settings))
    return Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt)


def fetch_from(
    settings: Settings,
    setting: PeerSettings,
    *,
    by: PriorsBy,
    intake: "Intake",
    clock: Callable[[], datetime],
) -> "Fetch":
    """Return what has a peer send series: by C-MOVE to the node's listener, or by C-GET."""
    from dicom_node.association.retrieve import get_series, move_series

    # Between two answers of a retrieval lie the images that it sends.
    limit_s = settings.follow_up.fetch_limit_s
    peer = replace(
        parts.peer_of(settings, setting), dimse_timeout_s=limit_s, network_timeout_s=limit_s
    )
    if by is PriorsBy.MOVE:
        return partial(move_series, peer)
    limits = parts.receive_limits(settings)
    return partial(get_series, peer, intake=intake, clock=clock, limits=limits)
