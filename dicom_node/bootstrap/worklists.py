"""Worklists of Unified Procedure Steps, put together from the settings."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dicom_node.bootstrap.deliverers import web_service
from dicom_node.bootstrap.fetching import custody_of, fetch_from
from dicom_node.settings.schema import Settings
from dicom_node.settings.worklists import FROM_THE_SAME_SERVER, WorklistSettings

if TYPE_CHECKING:
    from dicom_node.intake.custody import Custody
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.worklist_ledger import WorklistStatus
    from dicom_node.worklist.conduct import Conduct, Fetcher
    from dicom_node.worklist.performer import Performer
    from dicom_node.worklist.reports import Place
    from dicom_node.worklist.service import WorklistService

_MEGABYTE = 2**20


class Performers:
    """One performer per worklist; without worklists it does nothing.

    Parameters
    ----------
    settings
        Say which worklists there are.
    ledger
        Of the node.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self, settings: Settings, *, ledger: "Ledger", clock: Callable[[], datetime]
    ) -> None:
        self._performers = [
            _performer(settings, worklist, ledger, clock) for worklist in settings.worklists
        ]

    def start(self) -> None:
        """Begin to look at all worklists."""
        for performer in self._performers:
            performer.start()

    def stop(self) -> None:
        """End; what is in hand goes on with the next start."""
        for performer in self._performers:
            performer.stop()


def worklist_alarms(settings: Settings, servers: "Sequence[WorklistStatus]") -> tuple[str, ...]:
    """Return what is wrong with the worklists of a site, in sentences."""
    names = {worklist.name for worklist in settings.worklists}
    return tuple(
        f"worklist {one.name} has not answered {one.failures} times in a row: {one.reason}"
        for one in servers
        if one.name in names and one.failures
    )


def worklist_server(worklist: WorklistSettings) -> "WorklistService":
    """Return the server of a worklist."""
    from dicom_node.worklist.service import WorklistService

    return WorklistService(service=web_service(worklist, os.environ))


def _performer(
    settings: Settings,
    worklist: WorklistSettings,
    ledger: "Ledger",
    clock: Callable[[], datetime],
) -> "Performer":
    from pydicom.uid import generate_uid

    from dicom_node.jobs.workitem_standing import WorkitemStandings
    from dicom_node.worklist.conduct import Books
    from dicom_node.worklist.performer import Performer

    custody = custody_of(settings, ledger)
    return Performer(
        worklist.name,
        server=worklist_server(worklist),
        books=Books(
            worklists=ledger.worklists,
            standings=WorkitemStandings(ledger.database),
            urgent_lane=ledger.urgent_lane,
        ),
        conduct=_conduct(settings, worklist, _fetcher(settings, worklist, custody, clock)),
        new_uid=lambda: str(generate_uid(prefix=None)),
        clock=clock,
    )


def _conduct(settings: Settings, worklist: WorklistSettings, fetch: "Fetcher | None") -> "Conduct":
    from dicom_node.worklist.conduct import Conduct
    from dicom_node.worklist.workitem import ClaimRules

    station = worklist.station or settings.node.ae_title
    return Conduct(
        claims=ClaimRules(
            codes=frozenset(worklist.codes),
            labels=tuple(re.compile(pattern, re.IGNORECASE) for pattern in worklist.labels),
            station=station,
        ),
        station={"value": station, "scheme": worklist.station_scheme, "meaning": station},
        places=places(settings),
        fetch=fetch,
        fetches_studies=worklist.images_from == FROM_THE_SAME_SERVER,
        poll_s=worklist.poll_s,
        longest_wait_s=worklist.longest_wait_s,
        images_limit_s=worklist.images_limit_s,
        at_most=worklist.at_most,
    )


def places(settings: Settings) -> "Mapping[str, Place]":
    """Return where each destination lets results be retrieved, by its name."""
    from dicom_node.worklist.reports import Place

    return {
        **{peer.name: Place(ae_title=peer.ae_title) for peer in settings.destinations},
        **{peer.name: Place(url=peer.url) for peer in settings.web_destinations},
    }


def _fetcher(
    settings: Settings,
    worklist: WorklistSettings,
    custody: "Custody",
    clock: Callable[[], datetime],
) -> "Fetcher | None":
    """Return how images come that a workitem names, None if they are sent."""
    from dicom_node.worklist.wado import WadoSource

    if not worklist.images_from:
        return None
    if worklist.images_from == FROM_THE_SAME_SERVER:
        return WadoSource(
            service=web_service(worklist, os.environ),
            called_ae_title=settings.node.ae_title,
            intake=custody,
            clock=clock,
            longest=settings.node.max_object_mb * _MEGABYTE,
        )
    (setting,) = (peer for peer in settings.peers if peer.name == worklist.images_from)
    return fetch_from(settings, setting, by=setting.gives_priors, intake=custody, clock=clock)
