"""What the office does about log-ins again and again: write them down, forget what is over."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from dicom_node.audit import people
from dicom_node.audit.message import Outcome
from dicom_node.bootstrap.audit import audit_trail, node_party
from dicom_node.jobs.user_ledger import SignIn, SignInEntry, UserLedger
from dicom_node.settings.schema import Settings
from dicom_node.users.entrance import SessionRules, tidy

_TIDY_EVERY_TICKS: Final = 720


class SignInOffice:
    """Brings log-ins from the ledger into the audit trail, where a process that dies loses none.

    Each row is marked after its message was kept. Where the site wants no trail, rows are marked
    without one, so that a trail that is turned on later begins with what happens then.

    Parameters
    ----------
    settings, ledger, clock
        Of the node.
    rules
        How long sessions last.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: UserLedger,
        rules: SessionRules,
        clock: Callable[[], datetime],
    ) -> None:
        self._trail = audit_trail(settings)
        self._node = node_party(settings)
        self._ledger = ledger
        self._rules = rules
        self._clock = clock
        self._ticks = 0

    def tick(self) -> None:
        """Write down what is new; now and then forget what is over. Raises LedgerError."""
        kept = [one.sign_in_id for one in self._ledger.unaudited() if self._write(one)]
        if kept:
            self._ledger.mark_audited(kept)
        if self._ticks % _TIDY_EVERY_TICKS == 0:
            tidy(self._ledger, self._rules, self._clock())
        self._ticks += 1

    def _write(self, one: SignInEntry) -> bool:
        return self._trail.write(
            people.authenticated(
                self._node,
                people.Person(user_id=one.name or "unknown", address=one.address),
                one.at,
                logs_in=one.outcome is not SignIn.OUT,
                outcome=(
                    Outcome.MINOR_FAILURE if one.outcome is SignIn.FAILED else Outcome.SUCCESS
                ),
            )
        )
