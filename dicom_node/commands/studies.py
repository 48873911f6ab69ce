"""``ichnode studies``: what was received, what became of it, and an operator's say in it."""

import json
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.bootstrap.audit import note_intervention
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.commands.configuration_desk import operator
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.errors import LedgerError
from dicom_node.intake.instance import accession_key, patient_id_key
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.study_search import StudyQuery, StudySearch, StudyStatus
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.status_view import SeriesRow, series_row

_HEADERS = ("study", "received", "series", "state", "opinion", "door to result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for, as the command line says it; times are ISO 8601."""

    text: str
    patient: str = field(repr=False)
    accession: str = field(repr=False)
    states: tuple[str, ...]
    callers: tuple[str, ...]
    outcome: str
    urgent: bool
    since: str
    until: str

    def query(self, patient_salt: bytes) -> StudyQuery:
        """Return it as the ledger is asked. Raises OperatorError if a time is none."""
        patient, accession = _typed(self.patient), _typed(self.accession)
        return StudyQuery(
            text=self.text,
            patient_id_key=patient_id_key(patient, patient_salt=patient_salt),
            accession_key=accession_key(accession, patient_salt=patient_salt),
            states=self.states,
            callers=self.callers,
            outcome=self.outcome,
            urgent=self.urgent,
            since=_time(self.since),
            until=_time(self.until),
        )


def run_list(wanted: Wanted, *, limit: int, as_json: bool, config: Path | None) -> int:
    """Print the studies that fit, the latest first."""
    _, settings = settings_of(config)
    layout = DataLayout(root=settings.node.data_dir)
    with ledger_for_reading(settings) as ledger:
        query = wanted.query(ledger.patient_salt)
        page = StudySearch(ledger.database).find(query, limit=limit)
    found = [(study, _rows(study, layout)) for study in page.studies]
    if as_json:
        document = {
            "total": page.total,
            "studies": [_facts(study, rows) for study, rows in found],
        }
        sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
        return ExitCode.OK
    if found:
        show_table(_HEADERS, [_cells(study, rows) for study, rows in found])
    shown = f"{len(found)} of {page.total}" if len(found) < page.total else str(page.total)
    say(f"{shown} {'study' if page.total == 1 else 'studies'}")
    return ExitCode.OK


def run_show(study_uid: str, *, as_json: bool, config: Path | None) -> int:
    """Print a study with the whole history of its series."""
    _, settings = settings_of(config)
    layout = DataLayout(root=settings.node.data_dir)
    with ledger_for_reading(settings) as ledger:
        study = StudySearch(ledger.database).study(study_uid)
        if study is None:
            raise OperatorError(f"the ledger knows no study {study_uid!r}")
        status = LedgerStatus(ledger.reports, settings=settings, clock=utc_now)
        rows = _rows(study, layout)
        history = {
            row.series_instance_uid: status.timeline(row.series_instance_uid) for row in rows
        }
    if as_json:
        document = _facts(study, rows)
        for facts in document["series"]:
            events = history[facts["series_instance_uid"]]
            facts["timeline"] = [
                {"at": one.at, "kind": one.kind, "text": one.text} for one in events
            ]
        sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
        return ExitCode.OK
    say(f"study {study_uid}")
    for row in rows:
        say("")
        told = ": ".join(word for word in (row.state, row.reason) if word)
        say(f"series {row.series_instance_uid}, {row.images} images, {told}", style="bold")
        for line in (row.opinion, *row.flags, *row.follow_up, *row.delivered, row.urgency):
            if line:
                say(f"  {line}")
        show_table(
            ("at", "what", ""),
            [(one.at, one.kind, one.text) for one in history[row.series_instance_uid]],
        )
    return ExitCode.OK


def run_rerun(study_uid: str, *, config: Path | None) -> int:
    """Analyse a study again with the models and settings of today."""
    _, settings = settings_of(config)
    now = utc_now()
    with ledger_for_reading(settings) as ledger:
        try:
            series = Rerun(database=ledger.database).study(study_uid, by=operator(), now=now)
        except LedgerError as error:
            raise OperatorError(str(error)) from error
    note_intervention(settings, "analysed again", now, studies=[study_uid])
    say(f"{series} series {'is' if series == 1 else 'are'} analysed again; other results replace")
    say("those before, the same results are not sent twice")
    return ExitCode.OK


def _typed(value: str) -> str:
    """Return a value, or the next line of standard input for a hyphen."""
    return sys.stdin.readline().strip() if value == "-" else value


def _rows(study: StudyStatus, layout: DataLayout) -> tuple[SeriesRow, ...]:
    return tuple(
        series_row(one, has_picture=lambda job_id: layout.picture(job_id) is not None)
        for one in study.series
    )


def _facts(study: StudyStatus, rows: tuple[SeriesRow, ...]) -> dict[str, Any]:
    return {
        "study_instance_uid": study.study_instance_uid,
        "series": [row.as_dict() for row in rows],
    }


def _cells(study: StudyStatus, rows: tuple[SeriesRow, ...]) -> tuple[str, ...]:
    """Return a study as a line: what counts is the series that got furthest."""
    told = max(rows, key=lambda row: (bool(row.opinion), row.job_id or 0, row.images))
    seconds = told.door_to_result_s
    return (
        study.study_instance_uid,
        max(row.received_at for row in rows),
        str(len(rows)),
        f"{told.state}{' (urgent)' if told.urgency else ''}",
        told.opinion or told.reason,
        "" if seconds is None else f"{seconds:.0f} s",
    )


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise OperatorError(
            f"{text!r} is no time; one looks like 2026-11-22 or 2026-11-22T08:30",
            exit_code=ExitCode.USAGE,
        ) from error
