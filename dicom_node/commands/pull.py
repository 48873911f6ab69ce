"""``ichnode pull``: a study that somebody names, fetched from a peer and analysed."""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dicom_node.association.retrieve import Retrieval
from dicom_node.association.study_query import StudyWish
from dicom_node.bootstrap.audit import note_intervention
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.pull import ledger_of_a_puller, living_roles, pull_from, way_of
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.analysis_bar import showing
from dicom_node.commands.configuration_desk import operator
from dicom_node.commands.screen import console, say, show_table
from dicom_node.commands.site import peer_named, settings_of
from dicom_node.errors import LedgerError, UnaskablePatientError
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.study_search import StudySearch
from dicom_node.manual_runs.offer import Offer
from dicom_node.manual_runs.pull import Pull, advice
from dicom_node.manual_runs.standing import SeriesStanding, Standings, Step
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.processes import Role
from dicom_node.settings.schema import PriorsBy, Settings
from dicom_node.status_view import series_row

_LOOK_S: Final = 0.5

_HEADERS = ("study", "taken", "modality", "series", "images", "", "why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says."""

    patient: str = field(repr=False)
    study: str
    accession: str = field(repr=False)
    peer: str
    by: str
    dry_run: bool
    again: bool
    wait: bool
    patience_s: float

    def wish(self) -> StudyWish:
        """Return what is asked for. Raises OperatorError."""
        patient = sys.stdin.readline().strip() if self.patient == "-" else self.patient
        try:
            return StudyWish(patient_id=patient, study_uid=self.study, accession=self.accession)
        except UnaskablePatientError as error:
            raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error

    def way(self) -> PriorsBy:
        """Return how images shall come. Raises OperatorError."""
        try:
            return PriorsBy(self.by)
        except ValueError as error:
            raise OperatorError(
                f"--by is move or get, not {self.by!r}", exit_code=ExitCode.USAGE
            ) from error


@dataclass(kw_only=True)
class Report:
    """What is told at the end."""

    offer: Offer
    fetched: Sequence[Retrieval] = ()
    fault: str = ""
    standings: Sequence[SeriesStanding] = ()
    words: list[str] = field(default_factory=list)


def run(asked: Asked, *, as_json: bool, config: Path | None) -> int:
    """Look, show, fetch, wait, tell."""
    wish, by = asked.wish(), asked.way()
    _, settings = settings_of(config)
    peer = peer_named(settings, asked.peer)
    with ledger_of_a_puller(settings, utc_now) as ledger:
        pull = pull_from(settings, peer, by=by, ledger=ledger, clock=utc_now)
        stop = threading.Event()
        report = Report(offer=pull.look(wish, stop=stop))
        if not as_json:
            _show(report.offer)
        if not asked.dry_run:
            roles = living_roles(ledger, utc_now())
            if Role.RECEIVER not in roles and report.offer.wanted:
                _check_way(way_of(peer, by))
            _bring(pull, report, asked, settings, ledger, shows=not as_json)
            if len(roles) < len(Role):
                report.words.append("no node runs here; the analysis begins with: ichnode serve")
            elif asked.wait and not report.fault:
                _wait(report, asked, ledger, shows=not as_json)
    if as_json:
        sys.stdout.write(json.dumps(_facts(report), indent=2, default=str) + "\n")
    else:
        _tell(report, settings)
    return _code(report, asked)


def _check_way(by: PriorsBy) -> None:
    if by is PriorsBy.MOVE:
        raise OperatorError(
            "no node runs here that could receive the images of a C-MOVE; "
            "start it (ichnode serve), or take them with --by get"
        )


def _bring(
    pull: Pull,
    report: Report,
    asked: Asked,
    settings: Settings,
    ledger: Ledger,
    *,
    shows: bool,
) -> None:
    """Fetch what is wanted, and have analysed again what is here."""
    offer, now = report.offer, utc_now()
    if offer.wanted:
        note_intervention(settings, f"pulled from {pull.peer.name}", now, studies=offer.studies)
        report.fetched = _fetch(pull, offer, shows=shows)
        report.fault = advice(
            report.fetched,
            node_title=settings.node.ae_title,
            peer_title=pull.peer.ae_title,
        )
    if not asked.again:
        return
    for study in offer.here_studies:
        try:
            Rerun(database=ledger.database).study(study, by=operator(), now=utc_now())
        except LedgerError as error:
            report.words.append(f"study {study}: {error}")
        else:
            note_intervention(settings, "analysed again", utc_now(), studies=[study])


def _fetch(pull: Pull, offer: Offer, *, shows: bool) -> Sequence[Retrieval]:
    """Fetch in a thread, and show meanwhile how many images have come."""
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as pool:
        done = pool.submit(pull.bring, offer, stop=stop)
        try:
            with showing(console()) as bar:
                bar.begin("fetching")
                while not done.done():
                    here = sum(one.images for one in _standings(pull.standings, offer))
                    if shows and offer.images:
                        bar.advance(min(1.0, here / offer.images))
                    threading.Event().wait(_LOOK_S)
        except BaseException:
            stop.set()
            raise
        return done.result()


def _standings(standings: Standings, offer: Offer) -> tuple[SeriesStanding, ...]:
    series = (*offer.wanted, *offer.here)
    return standings.of([(one.study_instance_uid, one.series_instance_uid) for one in series])


def _wait(report: Report, asked: Asked, ledger: Ledger, *, shows: bool) -> None:
    """Wait until nothing more is to come of the series."""
    standings = Standings(StudySearch(ledger.database))
    until = time.monotonic() + asked.patience_s
    say_step = _steps(lambda line: say(line) if shows else None)
    with showing(console()) as bar:
        while True:
            report.standings = _standings(standings, report.offer)
            if all(one.is_over for one in report.standings):
                return
            say_step(bar.begin, report.standings)
            if time.monotonic() > until:
                report.words.append(
                    f"not done within {asked.patience_s:g} s; the node goes on with it"
                )
                return
            threading.Event().wait(_LOOK_S)


def _steps(
    tell: Callable[[str], None],
) -> Callable[[Callable[[str], None], Sequence[SeriesStanding]], None]:
    """Return what shows a step when it is another one than before."""
    last = ""

    def show(begin: Callable[[str], None], standings: Sequence[SeriesStanding]) -> None:
        nonlocal last
        open_steps = dict.fromkeys(one.step.value for one in standings if not one.is_over)
        words = ", ".join(open_steps)
        if words != last:
            last = words
            begin(words)
            if not console().is_terminal:
                tell(words)

    return show


def _show(offer: Offer) -> None:
    show_table(
        _HEADERS,
        [
            (
                one.series.study_instance_uid,
                one.series.study_date,
                one.modality,
                one.series.description or one.series.series_instance_uid,
                "" if one.series.instances is None else str(one.series.instances),
                "fetch" if one.is_fetched else "here" if one.fits else "leave",
                one.reason,
            )
            for one in offer.series
        ],
        styles=["green" if one.fits else "dim" for one in offer.series],
    )
    studies = len({one.series.study_instance_uid for one in offer.series})
    say(
        f"{len(offer.series)} series of {studies} {'study' if studies == 1 else 'studies'}; "
        f"{len(offer.wanted)} to fetch ({offer.images} images), {len(offer.here)} here already"
    )


def _tell(report: Report, settings: Settings) -> None:
    layout = DataLayout(root=settings.node.data_dir)
    images = sum(one.completed for one in report.fetched)
    if report.fetched:
        say(f"{images} images of {len(report.fetched)} series fetched")
    if report.fault:
        say(report.fault, style="red")
    for one in report.standings:
        told = ": ".join(word for word in (one.step.value, one.reason) if word)
        say(f"series {one.series_uid}, {one.images} images, {told}", style="bold")
        if one.status is not None:
            row = series_row(one.status, has_picture=lambda job: layout.picture(job) is not None)
            for line in (row.opinion, *row.flags, *row.follow_up, *row.delivered):
                if line:
                    say(f"  {line}")
    for study in report.offer.studies if report.standings else ():
        say(f"more: ichnode studies show {study}")
    for word in report.words:
        say(word, style="yellow")


def _facts(report: Report) -> dict[str, Any]:
    return {
        "series": [one.as_dict() for one in report.offer.series],
        "fetched": [
            {
                "series_instance_uid": one.series.series_instance_uid,
                "completed": one.completed,
                "failed": one.failed,
                "message": one.message,
            }
            for one in report.fetched
        ],
        "fault": report.fault,
        "notes": report.words,
        "standings": [
            {
                "series_instance_uid": one.series_uid,
                "study_instance_uid": one.study_uid,
                "step": one.step.value,
                "reason": one.reason,
                "images": one.images,
            }
            for one in report.standings
        ],
    }


def _code(report: Report, asked: Asked) -> int:
    offer = report.offer
    if asked.dry_run:
        return ExitCode.OK if offer.studies else ExitCode.FAILED
    if report.fault or not offer.studies:
        return ExitCode.FAILED
    if not asked.wait or not report.standings:
        return ExitCode.OK if not asked.wait else ExitCode.FAILED
    steps = {one.study_uid: Step.FAILED for one in report.standings}
    for one in report.standings:
        # Of a study's series one is analysed; the others are there in case it cannot be.
        if one.step is Step.DONE:
            steps[one.study_uid] = Step.DONE
    failed = any(not one.is_over or one.step is Step.FAILED for one in report.standings)
    everywhere = all(step is Step.DONE for step in steps.values())
    return ExitCode.OK if everywhere and not failed else ExitCode.FAILED
