"""``ichnode urgent``: a study goes before all others, or does so no more."""

from pathlib import Path

from dicom_node.bootstrap.audit import note_intervention
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.errors import UnknownEntryError
from dicom_node.operator_error import ExitCode, OperatorError


def run(study: str, *, off: bool, config: Path | None) -> int:
    """Put a study into the urgent lane or take it out."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        lane = ledger.urgent_lane
        try:
            now = utc_now()
            series = (lane.calm if off else lane.hurry)(study, now)
        except UnknownEntryError as error:
            raise OperatorError(str(error)) from error
    what = "urgent no more" if off else "urgent"
    note_intervention(settings, f"made {what}", now, studies=[study])
    say(f"the study, {series} series, is {what}")
    return ExitCode.OK
