"""Peers and rules tried for the pages."""

from collections.abc import Mapping, Sequence

from dicom_node.association.peer_trial import Told, TrialStep
from dicom_node.bootstrap import parts
from dicom_node.bootstrap.own_card import OwnCard, own_card
from dicom_node.bootstrap.peer_trial import try_destination
from dicom_node.bootstrap.rule_trial import try_rules_on_beginning, try_rules_on_study
from dicom_node.intake.selection_explained import Verdict
from dicom_node.jobs.ledger import Ledger
from dicom_node.settings.schema import Settings
from dicom_node.web.administration import RuleRow


class PageTrials:
    """Tries what settings say, with the node's own parts.

    Parameters
    ----------
    ledger
        Knows the studies that were received.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def card(self, settings: Settings) -> OwnCard:
        """Return what to enter at the other side."""
        return own_card(settings)

    def peer(self, settings: Settings, name: str, *, told: Told) -> Sequence[TrialStep]:
        """Return what came of trying a peer, each step told at once. Raises UnknownEntryError."""
        return try_destination(settings, name, told=told)

    def rules(self, settings: Settings) -> Mapping[str, Sequence[RuleRow]]:
        """Return the rules in force by their lists, the node's own where the file has none."""
        rules = parts.selection_rules(settings)
        return {
            "include": [_row(one.attribute, one.pattern) for one in rules.include],
            "exclude": [_row(one.attribute, one.pattern) for one in rules.exclude],
            "prefer": [
                _row(one.rule.attribute, one.rule.pattern, one.points) for one in rules.prefer
            ],
            "urgent": [_row(one.attribute, one.pattern) for one in settings.urgent.rules],
        }

    def study(self, settings: Settings, study_uid: str) -> Sequence[Verdict]:
        """Return what the rules say of a received study. Raises UnknownEntryError, LedgerError."""
        return try_rules_on_study(settings, self._ledger, study_uid)

    def header(self, settings: Settings, beginning: bytes) -> Verdict:
        """Return what the rules say of the beginning of a DICOM file. Raises IntakeError."""
        return try_rules_on_beginning(settings, beginning)


def _row(attribute: str, pattern: str, points: int | None = None) -> RuleRow:
    return RuleRow(attribute=str(attribute), pattern=pattern, points=points)
