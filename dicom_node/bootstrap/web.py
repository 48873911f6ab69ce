"""The pages of a node: its ledger and settings, put together and served."""

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.manual_runs import ManualRuns
from dicom_node.bootstrap.metrics import NodeMetrics
from dicom_node.bootstrap.model_desk import ModelDesk
from dicom_node.bootstrap.model_warm_up import try_models_apart
from dicom_node.bootstrap.node_results import NodeResults
from dicom_node.bootstrap.overview import LedgerOverview
from dicom_node.bootstrap.page_trials import PageTrials
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.bootstrap.watch import NodeWatch
from dicom_node.bootstrap.web_audit import PageAudit
from dicom_node.bootstrap.web_rules import openid_sign_in, session_rules
from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.jobs.deeds import Deeds
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.study_holds import StudyHolds
from dicom_node.jobs.study_search import StudySearch
from dicom_node.settings.schema import Settings
from dicom_node.users.accounts import Accounts
from dicom_node.users.entrance import Entrance
from dicom_node.users.password import Passwords
from dicom_node.web.administration import Following, SettingsDesk, Unfollowed
from dicom_node.web.app import create_app
from dicom_node.web.house import Sources
from dicom_node.web.site import Site
from pipeline import __version__


class NodePages:
    """The web application of a node; it can go by other settings without a restart.

    Parameters
    ----------
    settings, ledger, clock
        Of the node.
    following
        Knows what is wrong with the settings file, and what waits for a restart.
    desk
        Changes the settings file; None if there is none.
    passwords
        Compares passwords.
    try_models
        Loads models somewhere else and lets them see something, before they are put on trial.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: Ledger,
        clock: Callable[[], datetime],
        following: Following | None = None,
        desk: ConfigurationDesk | None = None,
        passwords: Passwords | None = None,
        try_models: Callable[[Settings], None] = try_models_apart,
    ) -> None:
        self._settings = settings
        following = following or Unfollowed()
        self._status = LedgerStatus(
            ledger.reports, settings=settings, clock=clock, configuration=lambda: following.faults
        )
        self._overview = LedgerOverview(
            ledger, status=self._status, settings=settings, clock=clock
        )
        self._audit = PageAudit(settings, ledger.database, clock=clock)
        self._watch = NodeWatch(ledger.database, settings)
        self._metrics = NodeMetrics(ledger, settings=settings, clock=clock)
        self._manual_runs = _manual_runs(settings, ledger, clock)
        self._site = site_of(settings)
        self._clock = clock
        self._openid = openid_sign_in(settings.web, clock)
        self._desk = self._settings_desk(desk, following)
        self.accounts = Accounts(ledger.users, clock=clock)
        self.entrance = _entrance(settings, ledger, passwords or Passwords(), clock)
        self.sources = Sources(
            site=lambda: self._site,
            status=self._status,
            overview=self._overview,
            studies=StudySearch(ledger.database),
            results=NodeResults(ledger, DataLayout(root=settings.node.data_dir)),
            urgent_lane=ledger.urgent_lane,
            rerun=Rerun(database=ledger.database),
            accounts=self.accounts,
            entrance=self.entrance,
            audit=self._audit,
            holds=StudyHolds(ledger.database),
            clock=clock,
            version=__version__,
            desk=self._desk,
            trials=PageTrials(ledger),
            deliveries=ledger.delivery_queue,
            destinations=ledger.destinations,
            worklists=ledger.worklists,
            deeds=Deeds(ledger.database),
            manual_runs=self._manual_runs,
            models=self._model_desk(ledger, try_models),
            watch=self._watch,
            metrics=self._metrics.exposition,
            openid=lambda: self._openid,
        )
        self.app = create_app(self.sources)

    def _settings_desk(self, desk: ConfigurationDesk | None, following: Following) -> SettingsDesk:
        return SettingsDesk(
            desk, in_force=lambda: self._settings, following=following, clock=self._clock
        )

    def _model_desk(self, ledger: Ledger, try_models: Callable[[Settings], None]) -> ModelDesk:
        return ModelDesk(
            self._desk,
            ledger=ledger,
            watch=self._watch,
            clock=self._clock,
            try_models=try_models,
        )

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        for use in (
            self._status.use,
            self._overview.use,
            self._audit.use,
            self._watch.use,
            self._metrics.use,
            self._manual_runs.use,
        ):
            use(settings)
        self._site = site_of(settings)
        if settings.web != self._settings.web:
            self._openid = openid_sign_in(settings.web, self._clock)
        self._settings = settings


def _manual_runs(settings: Settings, ledger: Ledger, clock: Callable[[], datetime]) -> ManualRuns:
    runs = ManualRuns(settings, ledger=ledger, clock=clock)
    runs.tidy()
    return runs


def _entrance(
    settings: Settings, ledger: Ledger, passwords: Passwords, clock: Callable[[], datetime]
) -> Entrance:
    return Entrance(
        ledger.users, passwords=passwords, rules=session_rules(settings.web), clock=clock
    )


def site_of(settings: Settings) -> Site:
    """Return what the pages must know of the settings."""
    web = settings.web
    is_secure = bool(web.certificate) or web.public_url.startswith("https://")
    name = f"ichnode-{web.port}"
    return Site(
        title=settings.node.ae_title,
        zone=ZoneInfo(web.time_zone) if web.time_zone else None,
        is_secure=is_secure,
        cookie=f"__Host-{name}" if is_secure else name,
        open_on_loopback=web.open_on_loopback,
        shows_patient=web.shows_patient,
        viewer_url=web.viewer_url,
        longest_session=timedelta(hours=web.session_h),
        provider=(web.oidc_title or urlsplit(web.oidc_issuer).hostname or ""),
    )
