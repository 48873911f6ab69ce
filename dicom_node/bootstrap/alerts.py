"""Alerts, put together from the settings."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.settings.schema import Settings
from pipeline import __version__

if TYPE_CHECKING:
    from dicom_node.alerts.alert import Channel
    from dicom_node.alerts.herald import Herald
    from dicom_node.jobs.ledger import Ledger


def channels(settings: Settings) -> "tuple[Channel, ...]":
    """Return the ways by which a site wants to be told; none if it named none."""
    from dicom_node.alerts.mail import Mail, MailSecurity
    from dicom_node.alerts.webhook import Webhook

    wanted = settings.alerts
    found: list[Channel] = []
    if wanted.webhook_url:
        found.append(
            Webhook(
                url=wanted.webhook_url,
                secret_file=_path(wanted.webhook_secret_file),
                trusted=_path(wanted.trusted),
            )
        )
    if wanted.mail_to:
        found.append(
            Mail(
                host=wanted.smtp_host,
                port=wanted.smtp_port,
                sender=wanted.mail_from,
                to=wanted.mail_to,
                security=MailSecurity(wanted.smtp_security),
                user=wanted.smtp_user,
                password_file=_path(wanted.smtp_password_file),
                trusted=_path(wanted.trusted),
            )
        )
    return tuple(found)


def herald(settings: Settings, ledger: "Ledger", clock: Callable[[], datetime]) -> "Herald":
    """Return who tells the channels; without channels it writes down what stands."""
    from dicom_node.alerts.book import AlertRules
    from dicom_node.alerts.herald import Herald
    from dicom_node.alerts.shelf import LedgerShelf
    from dicom_node.jobs.documents import Documents

    return Herald(
        node=settings.node.ae_title,
        version=__version__,
        channels=channels(settings),
        shelf=LedgerShelf(Documents(ledger.database)),
        rules=AlertRules(
            pause_s=settings.alerts.pause_s, repeat_s=settings.alerts.repeat_h * 3600.0
        ),
        clock=clock,
        count=ledger.tallies.add,
    )


class AlertOffice:
    """What the office does about alerts again and again.

    Parameters
    ----------
    settings, ledger, clock
        Of the node.
    configuration
        Returns what is wrong with the settings file.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: "Ledger",
        clock: Callable[[], datetime],
        configuration: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        from dicom_node.bootstrap.standing import StandingAlerts

        self._standing = StandingAlerts(
            ledger,
            settings=settings,
            clock=clock,
            node_since=clock(),
            configuration=configuration,
        )
        self._herald = herald(settings, ledger, clock)

    def tick(self) -> None:
        """Look, write down and tell. Raises LedgerError."""
        self._herald.tell(self._standing.look())


def _path(name: str) -> Path | None:
    return Path(name) if name else None
