"""What every page is given: the door, the templates, and where to ask."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from dicom_node.jobs.deeds import Deeds
from dicom_node.jobs.delivery_queue import DeliveryQueue
from dicom_node.jobs.destination_ledger import DestinationLedger
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.study_holds import StudyHolds
from dicom_node.jobs.study_search import StudySearch
from dicom_node.jobs.urgent_lane import UrgentLane
from dicom_node.jobs.worklist_ledger import WorklistLedger
from dicom_node.openid.sign_in import OpenIdSignIn
from dicom_node.users.accounts import Accounts
from dicom_node.users.entrance import Entrance
from dicom_node.web.administration import SettingsDesk, Trials
from dicom_node.web.door import Door
from dicom_node.web.entry import Entry
from dicom_node.web.model_source import ModelSource
from dicom_node.web.rendering import Pages
from dicom_node.web.run_source import RunSource
from dicom_node.web.site import Site
from dicom_node.web.source import (
    AuditNotes,
    OverviewSource,
    ResultSource,
    StatusSource,
)
from dicom_node.web.trial_room import TrialRoom
from dicom_node.web.watch_source import WatchSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the pages ask, and whom they tell.

    Attributes
    ----------
    site : Callable
        Returns what the settings want of the pages.
    status : StatusSource
        Series and health.
    overview : OverviewSource
        The node at a glance.
    studies : StudySearch
        Studies.
    results : ResultSource
        Pictures and objects of results.
    urgent_lane : UrgentLane
        Takes studies forward.
    rerun : Rerun
        Has studies analysed again.
    accounts : Accounts
        Users and tokens.
    entrance : Entrance
        Log-in.
    audit : AuditNotes
        Takes down what people do.
    holds : StudyHolds
        Keeps studies from being purged.
    clock : Callable
        Returns the present as an aware time.
    version : str
        Of the node.
    desk : SettingsDesk
        The settings file.
    trials : Trials
        Tries peers and rules.
    deliveries : DeliveryQueue
        What is on its way.
    destinations : DestinationLedger
        Which destinations may be served.
    worklists : WorklistLedger
        What was claimed from worklists.
    deeds : Deeds
        What people did lately.
    manual_runs : RunSource
        Uploads and pulls.
    models : ModelSource
        Models in use and on trial.
    watch : WatchSource or None
        Predictions against outcomes.
    metrics : Callable or None
        Returns the metrics for Prometheus.
    openid : Callable
        Returns the log-in by a provider; None if there is none.
    """

    site: Callable[[], Site]
    status: StatusSource
    overview: OverviewSource
    studies: StudySearch
    results: ResultSource
    urgent_lane: UrgentLane
    rerun: Rerun
    accounts: Accounts
    entrance: Entrance
    audit: AuditNotes
    holds: StudyHolds
    clock: Callable[[], datetime]
    version: str
    desk: SettingsDesk
    trials: Trials
    deliveries: DeliveryQueue
    destinations: DestinationLedger
    worklists: WorklistLedger
    deeds: Deeds
    manual_runs: RunSource
    models: ModelSource
    watch: WatchSource | None = None
    metrics: Callable[[], bytes] | None = None
    openid: Callable[[], OpenIdSignIn | None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a module of pages is given by `dicom_node.web.app`."""

    door: Door
    pages: Pages
    entry: Entry
    sources: Sources
    #: What a page may add to the limits of the length of a request, by the beginning of its path.
    longest_bodies: dict[str, int] = field(default_factory=dict)
    #: Where peers are tried while pages wait.
    trial_room: TrialRoom = field(default_factory=TrialRoom)
