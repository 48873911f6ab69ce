"""The series that a folder of DICOM files holds, and which of them is meant."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dicom_node.association.file_format import split_file
from dicom_node.association.store_request import Sender, StoreRequest
from dicom_node.errors import IntakeError
from dicom_node.intake.instance import ReceivedInstance, receive
from dicom_node.intake.selection import Candidate, SelectionRules, select
from dicom_node.operator_error import ExitCode, OperatorError

#: Nobody sent these files; the header reader wants to know a sender.
_NOBODY = Sender(
    association_id="folder",
    calling_ae_title="",
    called_ae_title="",
    address="",
    opened_at=datetime(1970, 1, 1, tzinfo=UTC),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSeries:
    """One series of a folder.

    Attributes
    ----------
    candidate : Candidate
        What selection sees of it.
    files : tuple of Path
        Its instances.
    """

    candidate: Candidate
    files: tuple[Path, ...]

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return self.candidate.series_instance_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which series is analysed.

    Attributes
    ----------
    series : FolderSeries or None
        The chosen one; None if none may be taken.
    reasons : dict of str to str
        Why each series is taken or not, by Series Instance UID.
    """

    series: FolderSeries | None
    reasons: dict[str, str]


def folder_series(files: Iterable[Path]) -> tuple[FolderSeries, ...]:
    """Return the series that the files belong to, in order of their UIDs.

    Files that cannot be read are left out.

    Raises
    ------
    OperatorError
        If no file can be read.
    """
    by_series: dict[str, list[tuple[Path, ReceivedInstance]]] = {}
    damaged = 0
    for path in files:
        try:
            instance = _read(path)
        except (IntakeError, ValueError):
            damaged += 1
            continue
        by_series.setdefault(instance.series_instance_uid, []).append((path, instance))
    if not by_series:
        raise OperatorError(f"none of the {damaged} DICOM files can be read")
    return tuple(
        FolderSeries(
            candidate=_candidate(uid, [instance for _, instance in members]),
            files=tuple(path for path, _ in members),
        )
        for uid, members in sorted(by_series.items())
    )


def choose(
    series: Sequence[FolderSeries], rules: SelectionRules, *, wanted_uid: str | None = None
) -> Choice:
    """Return which series is analysed.

    A series that is asked for by UID, or that is the only one, is taken whatever the rules say.

    Raises
    ------
    OperatorError
        If no series has the UID asked for; lists those there are.
    """
    by_uid = {one.uid: one for one in series}
    if wanted_uid is not None:
        if wanted_uid not in by_uid:
            known = "\n  ".join(by_uid)
            raise OperatorError(
                f"the folder holds no series {wanted_uid}; it holds\n  {known}",
                exit_code=ExitCode.USAGE,
            )
        return Choice(series=by_uid[wanted_uid], reasons={wanted_uid: "asked for"})
    if len(series) == 1:
        return Choice(series=series[0], reasons={series[0].uid: "the only series"})
    selection = select([one.candidate for one in series], rules)
    reasons = {uid: refusal.reason for uid, refusal in selection.refused.items()}
    chosen = next(iter(selection.chosen), None)
    if chosen is None:
        return Choice(series=None, reasons=reasons)
    return Choice(series=by_uid[chosen], reasons=reasons | {chosen: selection.chosen[chosen]})


def _read(path: Path) -> ReceivedInstance:
    encoded = path.read_bytes()
    meta, offset = split_file(encoded)
    request = StoreRequest(
        sender=_NOBODY,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        data_set=encoded[offset:],
        received_at=_NOBODY.opened_at,
    )
    return receive(request, patient_salt=b"")


def _candidate(uid: str, instances: Sequence[ReceivedInstance]) -> Candidate:
    attributes, _ = Counter(one.series_attributes for one in instances).most_common(1)[0]
    slices = [one.slice_attributes for one in instances]
    orientations = Counter(one.orientation for one in slices if one.frames == 1)
    orientation, alike = next(iter(orientations.most_common(1)), (None, 0))
    return Candidate(
        series_instance_uid=uid,
        attributes=attributes,
        orientation=orientation,
        slices=max(alike, sum(one.frames for one in slices if one.frames > 1)),
    )
