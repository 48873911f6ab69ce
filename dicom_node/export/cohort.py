"""The folder that leaves the site: de-identified patients, tables and what was left out."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset

from dicom_node.errors import ExportError
from dicom_node.export.deidentify import Subject
from dicom_node.export.exclusion import ExcludedError, Exclusion
from dicom_node.export.key import ExportKey
from dicom_node.export.plan import PlannedPatient, plan_export
from dicom_node.export.scan import (
    ScreenedScan,
    deidentify_scan,
    patient_of,
    screen_scan,
    write_scan,
)
from dicom_node.export.tables import (
    ExportedPatient,
    pair_row,
    read_manifest,
    write_manifest,
    write_tables,
)
from dicom_node.jobs.followed import FollowedPair, FollowedScan
from pipeline import __version__

PATIENTS_FOLDER: Final = "patients"
BASELINE: Final = "baseline"

#: What is being written; a name with a dot, which `ichtrain cohort import` leaves alone.
_PARTIAL: Final = ".partial"
_PATIENT_FILE: Final = "patient.json"

#: Why somebody who was exported earlier is taken out again.
_NO_MORE: Final = frozenset({Exclusion.REFUSED, Exclusion.NO_VERDICT, Exclusion.NO_HEMATOMA})

#: Told how many patients are done, and of how many.
OnPatient = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is exported, and how.

    Attributes
    ----------
    output : Path
        Folder of the export; made if absent.
    spool, outbox : Path
        Where the node keeps images and results.
    since : datetime or None
        Leave out comparisons that were made before.
    with_secondary : bool
        Take secondary images, too: somebody has found no text in them.
    with_characteristics : bool
        Keep sex and age.
    dry_run : bool
        Look at everything and write nothing.
    """

    output: Path
    spool: Path
    outbox: Path
    since: datetime | None = None
    with_secondary: bool = False
    with_characteristics: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export came to.

    Attributes
    ----------
    found : int
        Comparisons in the ledger.
    patients, pairs, expansions : int
        In the export, whether this call or an earlier one has written them.
    new : int
        Patients that this call has written.
    excluded : mapping of Exclusion to int
        Comparisons that are not in the export, by reason.
    """

    found: int
    patients: int
    pairs: int
    expansions: int
    new: int
    excluded: Mapping[Exclusion, int]


def export_cohort(
    pairs: Iterable[FollowedPair],
    key: ExportKey,
    options: ExportOptions,
    *,
    on_patient: OnPatient = lambda _done, _total: None,
) -> ExportReport:
    """Write everybody who may take part, and the tables; a repeat writes only what is new.

    A patient's folder appears whole or not at all. One that an earlier call has written and that
    may no longer take part is taken out again.

    Raises
    ------
    ExportError
        If the folder holds something else or an export with another key, or cannot be written.
    """
    known = list(pairs)
    plan = plan_export(known, since=options.since)
    exporter = _Exporter(key, options, excluded=[reason for _, reason in plan.excluded])
    try:
        exporter.begin()
        for done, patient in enumerate(plan.patients):
            on_patient(done, len(plan.patients))
            exporter.export(patient)
        exporter.withdraw(pair for pair, reason in plan.excluded if reason in _NO_MORE)
        on_patient(len(plan.patients), len(plan.patients))
        exporter.end()
    except OSError as error:
        raise ExportError(f"{options.output}: {error.strerror}") from error
    rows = [row for one in exporter.exported.values() for row in one.rows]
    return ExportReport(
        found=len(known),
        patients=len(exporter.exported),
        pairs=len(rows),
        expansions=sum(row["expanded"] == "yes" for row in rows),
        new=exporter.new,
        excluded=dict(exporter.excluded),
    )


class _Exporter:
    """Writes one patient after the other and counts what becomes of the pairs."""

    def __init__(
        self, key: ExportKey, options: ExportOptions, *, excluded: Sequence[Exclusion]
    ) -> None:
        self._key = key
        self._options = options
        self._root = options.output / PATIENTS_FOLDER
        self.excluded = Counter(excluded)
        self.exported: dict[str, ExportedPatient] = {}
        self.new = 0

    def begin(self) -> None:
        """Make the folder, or see that it is an export made with this key."""
        output = self._options.output
        if output.exists() and any(output.iterdir()):
            manifest = read_manifest(output)
            if manifest is None:
                raise ExportError(f"{output} is not empty and no export; choose another folder")
            if manifest.get("key_check") != self._key.token("manifest"):
                raise ExportError(
                    f"{output} was exported with another key; give that key, or a new folder"
                )
        if not self._options.dry_run:
            # From now on the folder is known for what it is, even if this call is cut off.
            self._root.mkdir(parents=True, exist_ok=True)
            write_manifest(output, self._facts(complete=False))

    def export(self, patient: PlannedPatient) -> None:
        """Screen, de-identify and write one patient."""
        try:
            baseline = self._screen(patient.baseline, patient.pairs[0])
        except ExcludedError as error:
            self.excluded[error.exclusion] += len(patient.pairs)
            return
        identity = "\\".join(baseline.patient)
        name = self._key.pseudonym(identity)
        gone = self.excluded[Exclusion.FILES_GONE]
        later = self._later(patient, baseline)
        if name in self.exported:
            self.excluded[Exclusion.LATER_EPISODE] += len(later)
            return
        if not later:
            # What was exported before its files went from here may stay.
            if self.excluded[Exclusion.FILES_GONE] == gone:
                self._remove(name)
            return
        exported = ExportedPatient(token=self._token(later), rows=tuple(self._rows(later, name)))
        if self._options.dry_run:
            self.exported[name] = exported
            return
        earlier = self._earlier(name)
        if earlier is not None and earlier.token == exported.token:
            self.exported[name] = earlier
            return
        self._remove(name)
        subject = Subject(
            key=self._key,
            pseudonym=name,
            shift=self._key.shift(identity),
            with_zones=baseline.has_zone and all(scan.has_zone for _, scan in later),
            with_characteristics=self._options.with_characteristics,
        )
        self._write(name, subject, baseline, later)

    def withdraw(self, pairs: Iterable[FollowedPair]) -> None:
        """Take out patients that an earlier call has written and that have no verdict any more."""
        for pair in pairs:
            for path in pair.baseline.files[:1]:
                try:
                    identity = patient_of(self._options.spool / path)
                except ExcludedError:
                    continue
                name = self._key.pseudonym("\\".join(identity))
                if name not in self.exported:
                    self._remove(name)

    def end(self) -> None:
        """Write the tables of everybody in the folder."""
        if self._options.dry_run:
            return
        names = sorted(path.parent.name for path in self._root.glob(f"*/{_PATIENT_FILE}"))
        everybody = {name: one for name in names if (one := self._earlier(name)) is not None}
        write_tables(self._options.output, everybody, self.excluded)
        write_manifest(self._options.output, self._facts(complete=True))
        shutil.rmtree(self._options.output / _PARTIAL, ignore_errors=True)

    def _later(
        self, patient: PlannedPatient, baseline: ScreenedScan
    ) -> list[tuple[FollowedPair, ScreenedScan]]:
        """Return the later scans that may go, and count those that may not."""
        found = []
        for pair in patient.pairs:
            try:
                scan = self._screen(pair.follow_up, pair)
                if scan.patient != baseline.patient:
                    raise ExcludedError(Exclusion.SEVERAL_PATIENTS)  # noqa: TRY301 - one list
            except ExcludedError as error:
                self.excluded[error.exclusion] += 1
            else:
                found.append((pair, scan))
        return found

    def _screen(self, scan: FollowedScan, pair: FollowedPair) -> ScreenedScan:
        options = self._options
        return screen_scan(
            [options.spool / path for path in scan.files],
            [options.outbox / path for path in (*pair.masks, *scan.masks)],
            series_uid=scan.series_uid,
            with_secondary=options.with_secondary,
        )

    def _write(
        self,
        name: str,
        subject: Subject,
        baseline: ScreenedScan,
        later: Sequence[tuple[FollowedPair, ScreenedScan]],
    ) -> None:
        """Write a patient beside the export and move the folder into it when it is whole."""
        partial = self._options.output / _PARTIAL / name
        shutil.rmtree(partial, ignore_errors=True)
        try:
            images, mask = deidentify_scan(baseline, subject)
        except ExcludedError as error:
            self.excluded[error.exclusion] += len(later)
            return
        write_scan(partial / BASELINE, images, mask)
        kept = []
        for pair, scan in later:
            try:
                following, its_mask = deidentify_scan(scan, subject)
            except ExcludedError as error:
                self.excluded[error.exclusion] += 1
                continue
            kept.append((pair, scan))
            write_scan(partial / _follow_up(len(kept)), following, its_mask)
        if not kept:
            shutil.rmtree(partial)
            return
        exported = ExportedPatient(
            token=self._token(later),
            rows=tuple(self._rows(kept, name)),
            sex=str(images[0].get("PatientSex") or ""),
            age_years=_years(images[0]),
        )
        content = json.dumps(exported.as_json(), indent=2) + "\n"
        (partial / _PATIENT_FILE).write_text(content, encoding="utf-8")
        partial.replace(self._root / name)
        self.exported[name] = exported
        self.new += 1

    def _remove(self, name: str) -> None:
        if not self._options.dry_run:
            shutil.rmtree(self._root / name, ignore_errors=True)

    def _rows(
        self, later: Sequence[tuple[FollowedPair, ScreenedScan]], name: str
    ) -> Iterable[Mapping[str, str]]:
        folder = f"{PATIENTS_FOLDER}/{name}"
        for number, (pair, _) in enumerate(later, start=1):
            yield pair_row(
                pair,
                patient=name,
                baseline=f"{folder}/{BASELINE}",
                follow_up=f"{folder}/{_follow_up(number)}",
            )

    def _earlier(self, name: str) -> ExportedPatient | None:
        """Return what an earlier call has written of a patient."""
        path = self._root / name / _PATIENT_FILE
        if not path.is_file():
            return None
        return ExportedPatient.of_json(json.loads(path.read_text(encoding="utf-8")))

    def _token(self, later: Sequence[tuple[FollowedPair, ScreenedScan]]) -> str:
        """Return what changes when the scans, the comparisons or the options do."""
        facts = [
            (pair.job_id, pair.baseline.input_digest, pair.follow_up.input_digest)
            for pair, _ in later
        ]
        return self._key.token(json.dumps(facts), json.dumps(self._facts(complete=True)))

    def _facts(self, *, complete: bool) -> dict[str, Any]:
        return {
            "key_check": self._key.token("manifest"),
            "complete": complete,
            "software": f"ichnode {__version__}",
            "patient_characteristics": self._options.with_characteristics,
            "secondary_images": self._options.with_secondary,
        }


def _follow_up(number: int) -> str:
    return f"follow_up_{number}"


def _years(image: Dataset) -> float | None:
    """Return the age at baseline, as far as it is told (PS3.5, section 6.2, AS)."""
    age = str(image.get("PatientAge") or "")
    units = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
    return round(int(age[:3]) * units[age[3]], 2) if age else None
