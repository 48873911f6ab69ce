"""Rules tried on scans: those of a folder, of a single header, or of a study that was received."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dicom_node.association.file_format import split_file
from dicom_node.bootstrap import parts
from dicom_node.errors import UnknownEntryError, UnreadableInstanceError
from dicom_node.intake.instance import beginning_of
from dicom_node.intake.selection import Candidate
from dicom_node.intake.selection_explained import Verdict, explain
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.study_candidates import study_candidates
from dicom_node.series_folder import folder_series
from dicom_node.settings.schema import Settings


def try_rules_on_files(settings: Settings, files: Iterable[Path]) -> tuple[Verdict, ...]:
    """Return what the rules say of the series that files belong to, as if of one study.

    Raises
    ------
    OperatorError
        If no file can be read.
    """
    candidates = [one.candidate for one in folder_series(files)]
    return explain(candidates, parts.selection_rules(settings))


def try_rules_on_beginning(settings: Settings, beginning: bytes) -> Verdict:
    """Return what the rules say of the series of a file of which the beginning is there.

    One header stands for its series: how many slices that has is not asked.

    Raises
    ------
    UnreadableInstanceError
        If it is not the beginning of a DICOM file.
    """
    try:
        meta, offset = split_file(beginning)
    except ValueError as error:
        raise UnreadableInstanceError(str(error)) from error
    uid, image, series = beginning_of(beginning[offset:], meta.transfer_syntax_uid)
    rules = replace(parts.selection_rules(settings), minimum_slices=1)
    candidate = Candidate(
        series_instance_uid=uid,
        attributes=series,
        orientation=image.orientation,
        slices=max(1, image.frames),
    )
    (verdict,) = explain([candidate], rules)
    return verdict


def try_rules_on_study(settings: Settings, ledger: Ledger, study_uid: str) -> tuple[Verdict, ...]:
    """Return what the rules say of the series of a study that was received.

    Raises
    ------
    UnknownEntryError
        If the ledger has no images of such a study.
    LedgerUnavailableError
        If it cannot be read.
    """
    candidates = study_candidates(ledger.database, study_uid)
    if not candidates:
        raise UnknownEntryError(f"the ledger has no images of a study {study_uid!r}")
    return explain(candidates, parts.selection_rules(settings))
