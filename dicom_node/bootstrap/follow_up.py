"""Comparisons with earlier scans, put together from the settings."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.fetching import custody_of, fetch_from
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.shadow import has_shadow
from dicom_node.settings.schema import PeerSettings, Settings

if TYPE_CHECKING:
    from dicom_node.association.store_request import Intake
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.pairing import PairingRules
    from dicom_node.jobs.planning import PlanningRules
    from dicom_node.jobs.prior_seeker import PriorSeeker, PriorSource

#: Each wait is this many times the one before it.
_BACKOFF_FACTOR = 2.0


def planning_rules(settings: Settings) -> "PlanningRules":
    """Return what follows an analysis."""
    from dicom_node.jobs.planning import PlanningRules

    return PlanningRules(
        pairing=pairing_rules(settings),
        prior_peers=tuple(peer.name for peer in settings.prior_sources),
        with_shadow=has_shadow(settings),
    )


def pairing_rules(settings: Settings) -> "PairingRules | None":
    """Return when two scans of a patient are compared, None if the site does not want it."""
    from dicom_node.jobs.pairing import PairingRules

    follow_up = settings.follow_up
    if not follow_up.enabled:
        return None
    return PairingRules(
        window=timedelta(hours=follow_up.window_h),
        minimum_interval=timedelta(hours=follow_up.minimum_interval_h),
    )


def prior_seeker(
    settings: Settings, *, ledger: "Ledger", clock: Callable[[], datetime]
) -> "PriorSeeker":
    """Return whoever looks at the peers for earlier scans; without such peers it does nothing."""
    from dicom_node.association.query import find_ct_series
    from dicom_node.jobs.prior_seeker import PriorSeeker, SeekingRules
    from dicom_node.jobs.retry import RetryPolicy

    follow_up = settings.follow_up
    custody = custody_of(settings, ledger)
    return PriorSeeker(
        ledger=ledger.priors,
        sources={
            peer.name: _source(settings, peer, custody, clock) for peer in settings.prior_sources
        },
        spool_root=DataLayout(root=settings.node.data_dir).spool,
        rules=SeekingRules(
            window=timedelta(hours=follow_up.window_h),
            selection=parts.selection_rules(settings),
            retry=RetryPolicy(
                max_attempts=follow_up.search_attempts,
                first_delay_s=follow_up.first_retry_s,
                factor=_BACKOFF_FACTOR,
                cap_s=follow_up.longest_wait_s,
            ),
        ),
        find=find_ct_series,
        clock=clock,
    )


def _source(
    settings: Settings, setting: PeerSettings, intake: "Intake", clock: Callable[[], datetime]
) -> "PriorSource":
    from dicom_node.jobs.prior_seeker import PriorSource

    fetch = fetch_from(settings, setting, by=setting.gives_priors, intake=intake, clock=clock)
    return PriorSource(peer=parts.peer_of(settings, setting), fetch=fetch)
