"""From a folder of scans and masks to a cohort folder; called again, it goes on."""

import hashlib
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.volume import Vector
from training.cohort.case import save_case
from training.cohort.folder import SPLIT_FILE, UNLABELLED_FOLDER
from training.cohort.intake.clinical import ClinicalFacts, ClinicalTable, read_clinical
from training.cohort.intake.criteria import Verdict, apply_criteria
from training.cohort.intake.find import find_scans
from training.cohort.intake.found_scan import FoundScan, MaskKind, StrayFile
from training.cohort.intake.identifiers import Namer
from training.cohort.intake.prepare_scan import Preparation, prepare_scan
from training.cohort.intake.resolve import resolve
from training.cohort.intake.scan_facts import ScanFacts, read_facts, write_facts
from training.cohort.patient_split import PatientSplit, read_split, split_by_hash, write_split
from training.phantom.truth import TRUTH_NAME, read_truth

#: What an import keeps for itself: facts, prepared cases, the salt.
_STATE = ".import"

#: Told what is being done, how much of it is done and how much there is; 0 of all is not known.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What is imported, and how.

    Attributes
    ----------
    source, output : Path
        Folder of scans and masks, and the cohort's folder.
    spacing_zyx_mm : Vector
        Grid of the prepared cases.
    name : str
        Of the data set; empty takes the source folder's.
    label : int or None
        Value of hematoma in NIfTI masks; None takes the only one, or 1 of several.
    keep_ids : bool
        Keep the source's patient identifiers.
    salt : str
        For pseudonyms; empty makes one and keeps it in the cohort's folder.
    allow_empty : bool
        Keep scans whose mask is empty, as examples without hematoma.
    clinical : Path or None
        Table of what images cannot tell.
    clinical_criteria, need_follow_up : bool
        See `apply_criteria`.
    split : Path or None
        A split that somebody has made; None divides by hash.
    validation, test : float
        Shares of patients.
    """

    source: Path
    output: Path
    spacing_zyx_mm: Vector = (5.0, 0.5, 0.5)
    name: str = ""
    label: int | None = None
    keep_ids: bool = False
    salt: str = ""
    allow_empty: bool = False
    clinical: Path | None = None
    clinical_criteria: bool = True
    need_follow_up: bool = False
    split: Path | None = None
    validation: float = 0.2
    test: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCohort:
    """What an import has found.

    Attributes
    ----------
    scans : tuple of ScanFacts
        All scans, used or not.
    verdict : Verdict
        Who was excluded.
    split : PatientSplit
        Of the patients that remain with a mask.
    strays : tuple of StrayFile
        Files that belong to no scan.
    originals : mapping of str to tuple of str
        Patient and path in the source by scan; for a key file, nothing else.
    clinical : mapping of str to ClinicalFacts
        What the clinical table says of the cohort's patients.
    unknown_columns : tuple of str
        Columns of that table that were left out.
    """

    scans: tuple[ScanFacts, ...]
    verdict: Verdict
    split: PatientSplit
    strays: tuple[StrayFile, ...]
    originals: Mapping[str, tuple[str, str]]
    clinical: Mapping[str, ClinicalFacts] = field(default_factory=dict)
    unknown_columns: tuple[str, ...] = ()

    @property
    def included(self) -> tuple[ScanFacts, ...]:
        """Scans that take part."""
        return tuple(one for one in self.scans if one.scan_id not in self.verdict.excluded)


def import_cohort(options: ImportOptions, *, on_progress: OnProgress) -> ImportedCohort:
    """Prepare every scan, decide who takes part, divide the patients and fill the folder.

    Scans whose files have not changed since the last call are not prepared again.

    Raises
    ------
    ValueError
        If the source holds no scan, or a table or split is faulty.
    """
    count = 0

    def seen() -> None:
        nonlocal count
        count += 1
        on_progress("Looking at DICOM files", count, 0)

    table = ClinicalTable(patients={})
    if options.clinical is not None:
        table = read_clinical(options.clinical)
    findings = find_scans(options.source, label=options.label, on_file=seen)
    state = options.output / _STATE
    state.mkdir(parents=True, exist_ok=True)
    namer = Namer(salt=options.salt or _own_salt(state), keep=options.keep_ids)
    found = namer.scans(findings.scans)
    facts = []
    for index, (scan_id, scan) in enumerate(found.items(), start=1):
        facts.append(_facts_of(scan_id, scan, namer, options, state))
        on_progress("Preparing", index, len(found))
    scans = resolve(facts, found)
    clinical = _renamed(table.patients, namer, {one.patient_id for one in scans})
    verdict = apply_criteria(
        scans,
        clinical,
        clinical_criteria=options.clinical_criteria,
        need_follow_up=options.need_follow_up,
    )
    imported = ImportedCohort(
        scans=tuple(scans),
        verdict=verdict,
        split=_divide(scans, verdict, found, options),
        strays=findings.strays,
        originals={scan_id: (scan.patient, scan.where) for scan_id, scan in found.items()},
        clinical=clinical,
        unknown_columns=table.unknown_columns,
    )
    _fill(options.output, state, imported)
    _keep_truth(options.source, options.output)
    return imported


def _facts_of(
    scan_id: str, scan: FoundScan, namer: Namer, options: ImportOptions, state: Path
) -> ScanFacts:
    """Return the facts of a scan, from an earlier call if its files are the same."""
    how = Preparation(
        spacing_zyx_mm=options.spacing_zyx_mm,
        source=options.name or options.source.resolve().name,
        allow_empty=options.allow_empty,
    )
    known = ScanFacts(
        scan_id=scan_id,
        patient_id=namer.patient(scan.patient),
        state=hashlib.sha256(f"{scan.state}{how}".encode()).hexdigest(),
        study=namer.study(scan),
        mask=scan.mask_kind,
        age_years=scan.age_years,
        manufacturer=scan.manufacturer,
        kernel=scan.kernel,
    )
    path = state / f"{scan_id}.json"
    if path.exists():
        earlier = read_facts(path)
        if earlier.state == known.state:
            return earlier
    prepared = prepare_scan(scan, known, how)
    if prepared.case is not None:
        save_case(state, prepared.case)
    write_facts(path, prepared.facts)
    return prepared.facts


def _renamed(
    clinical: Mapping[str, ClinicalFacts], namer: Namer, patients: set[str]
) -> dict[str, ClinicalFacts]:
    """Return the rows of those who have scans, by the cohort's identifiers."""
    named = {namer.patient(original): facts for original, facts in clinical.items()}
    return {patient: facts for patient, facts in named.items() if patient in patients}


def _divide(
    scans: list[ScanFacts],
    verdict: Verdict,
    found: Mapping[str, FoundScan],
    options: ImportOptions,
) -> PatientSplit:
    """Return the split of the patients that remain.

    Raises
    ------
    ValueError
        If a given split lacks a patient or has one on two sides.
    """
    remaining = [one for one in scans if one.scan_id not in verdict.excluded]
    patients = {one.patient_id for one in remaining if one.mask is not MaskKind.NONE}
    if not patients:
        return PatientSplit()
    if options.split is None:
        path = options.output / SPLIT_FILE
        return split_by_hash(
            patients,
            validation=options.validation,
            test=options.test,
            known=read_split(path) if path.exists() else None,
        )
    aliases = {one.scan_id: one.patient_id for one in scans}
    aliases |= {found[one.scan_id].patient: one.patient_id for one in scans}
    names = Counter(found[one.scan_id].name for one in scans)
    aliases |= {
        found[one.scan_id].name: one.patient_id
        for one in scans
        if names[found[one.scan_id].name] == 1
    }
    given = read_split(options.split, aliases=aliases)
    missing = sorted(one for one in patients if given.part_of(one) is None)
    if missing:
        raise ValueError(f"{options.split} names {len(missing)} patients in no part: {missing[0]}")
    return PatientSplit(
        train=given.train & patients,
        validation=given.validation & patients,
        test=given.test & patients,
    )


def _fill(output: Path, state: Path, imported: ImportedCohort) -> None:
    """Put the cases of those who take part into the folder, and take others out of it."""
    wanted = {
        (UNLABELLED_FOLDER if one.mask is MaskKind.NONE else ".", one.scan_id)
        for one in imported.included
    }
    (output / UNLABELLED_FOLDER).mkdir(exist_ok=True)
    every = {one.scan_id for one in imported.scans}
    for place in (".", UNLABELLED_FOLDER):
        for scan_id in every:
            target = output / place / f"{scan_id}.npz"
            target.unlink(missing_ok=True)
            if (place, scan_id) in wanted:
                _link(state / f"{scan_id}.npz", target)
    if not any(place == UNLABELLED_FOLDER for place, _ in wanted):
        shutil.rmtree(output / UNLABELLED_FOLDER)
    if imported.included:
        write_split(output / SPLIT_FILE, imported.split, how="ichtrain cohort import")


def _keep_truth(source: Path, output: Path) -> None:
    """Take along what `ichtrain phantom` knows of a simulated study; leave other files alone."""
    if not (source / TRUTH_NAME).is_file():
        return
    try:
        read_truth(source)
    except (ValueError, KeyError, TypeError):
        return
    shutil.copyfile(source / TRUTH_NAME, output / TRUTH_NAME)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _own_salt(state: Path) -> str:
    path = state / "salt"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
    return path.read_text()
