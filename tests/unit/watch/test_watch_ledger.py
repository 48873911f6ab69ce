"""From rows of a ledger to the report of `ichnode watch`, and the exit code that says an alarm."""

import json
import logging
import shutil

import pytest
from ct_builder import POISON_BIRTH_DATE, POISON_ID, POISON_NAME
from node_builders import Clock, opened_ledger
from site_builder import ADMISSION, COMPARE, LATER, NEXT_DAY, PAIRING, Site, scan
from watch_builder import analysis_facts, comparison_facts

from dicom_node.bootstrap.watch import NodeWatch
from dicom_node.commands.watch import run
from dicom_node.jobs.pairs import PairLedger
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.state import JobKind
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import load_settings
from dicom_node.settings.schema import Settings, WatchSettings


def analyzed(site, number, *, patient, at, facts=None):
    """Send a scan and finish its analysis with a whole record."""
    site.send(scan(number, patient_id=patient))
    held = site.claim()
    assert held.task.kind is JobKind.ANALYSIS
    return site.complete(held, acquired_at=at, **(facts or analysis_facts()))


def finish(site, kind, facts):
    """Finish the job that waits, which must be of this kind."""
    held = site.claim()
    assert held.task.kind is kind
    return site.complete(held, **facts)


def test_a_comparison_brings_its_prediction(ledger, clock):
    """What the baseline's analysis said stands beside what the comparison found."""
    site = Site(ledger, clock)
    baseline = analyzed(site, 1, patient="A", at=ADMISSION, facts=analysis_facts(0.8))
    follow_up = analyzed(site, 2, patient="A", at=NEXT_DAY)
    job = finish(site, JobKind.COMPARISON, comparison_facts(expanded=True))

    jobs = PairLedger(ledger.database).watched()

    (found,) = jobs.comparisons
    assert (found.job_id, found.baseline.job_id) == (job.job_id, baseline.job_id)
    assert found.follow_up_series_uid == follow_up.series_instance_uid
    assert found.baseline.record["he_probability"] == 0.8
    assert found.baseline.finished_at <= found.follow_up_received_at
    assert [one.job_id for one in jobs.analyses] == [baseline.job_id, follow_up.job_id]


def test_an_earlier_baseline_that_comes_late_replaces_the_pair(ledger, clock):
    """The last comparison of a follow-up counts; the one before it compared too little."""
    site = Site(ledger, clock)
    analyzed(site, 2, patient="A", at=NEXT_DAY)
    analyzed(site, 3, patient="A", at=LATER)
    finish(site, JobKind.COMPARISON, comparison_facts(expanded=False, elapsed_h=12.0))
    first = analyzed(site, 1, patient="A", at=ADMISSION)
    for _ in range(2):
        finish(site, JobKind.COMPARISON, comparison_facts(expanded=True))

    found = PairLedger(ledger.database).watched().comparisons

    assert {one.baseline.job_id for one in found} == {first.job_id}
    assert len(found) == 2


def test_a_shadow_stands_beside_its_analysis(ledger, clock):
    """What models on trial said is read with the job that they repeated."""
    site = Site(ledger, clock, plans=PlanningRules(pairing=PAIRING, with_shadow=True))
    baseline = analyzed(site, 1, patient="A", at=ADMISSION)
    finish(site, JobKind.SHADOW, analysis_facts(0.2, classifier="d"))

    (found,) = PairLedger(ledger.database).watched().shadows

    assert found.analysis_job_id == baseline.job_id
    assert found.record["he_probability"] == 0.2


def test_what_waits_or_failed_says_nothing(ledger, clock):
    """A comparison that no worker has done, and an analysis that gave up."""
    site = Site(ledger, clock)
    analyzed(site, 1, patient="A", at=ADMISSION)
    analyzed(site, 2, patient="A", at=NEXT_DAY)
    held = site.claim()
    ledger.jobs.fail(held, "no luck", again_at=None, now=clock())

    assert PairLedger(ledger.database).watched().comparisons == ()


#: What no log and no report may name.
PATIENT = (POISON_NAME, POISON_ID, POISON_BIRTH_DATE, "PATIENT-")


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    """Return the ledger of a node that saw six small hematomas and then six large ones."""
    path = tmp_path_factory.mktemp("drifting") / "ledger.sqlite"
    with opened_ledger(path) as ledger:
        site = Site(ledger, Clock(), plans=COMPARE)
        for number in range(12):
            volume_ml = 10.0 + number if number < 6 else 80.0 + number
            facts = analysis_facts(0.3 + 0.01 * (number % 6), volume_ml=volume_ml)
            analyzed(site, number + 1, patient=f"PATIENT-{number}", at=ADMISSION, facts=facts)
    return path


@pytest.fixture
def config(tmp_path, drifting):
    """Return the settings of that node, with a ledger of its own."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(drifting, data / "ledger.sqlite")
    path = tmp_path / "node.toml"
    limits = "window = 6\nminimum = 6\ndrift_p_value = 0.01"
    path.write_text(f'[node]\ndata_dir = "{data}"\n[watch]\n{limits}\n')
    return path


@pytest.mark.sqlite
def test_the_office_logs_a_change_once(config, caplog):
    """The alarm comes, stays silent, and goes when a limit changes; no patient is named."""
    settings = load_settings(config, {})
    calm = settings.model_copy(update={"watch": WatchSettings()})
    with opened_ledger(settings.node.data_dir / "ledger.sqlite") as ledger:
        watched = NodeWatch(ledger.database, settings)
        with caplog.at_level(logging.INFO):
            watched.tick()
            watched.tick()
            standing = watched.standing()
            NodeWatch(ledger.database, calm).tick()

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert standing == ("The volumes of hematomas have drifted from what is expected.",)
    assert not any(word in caplog.text for word in PATIENT)


def test_the_watch_looks_again_only_when_a_job_has_ended(ledger, clock):
    """A page that is asked for again costs nothing; new jobs, settings and time renew it."""
    now, site = [0.0], Site(ledger, clock)
    analyzed(site, 1, patient="A", at=ADMISSION)
    watched = NodeWatch(ledger.database, Settings(), timer=lambda: now[0])

    first = watched.look()
    site.send(scan(2, patient_id="B"))
    waiting = watched.look()
    held = site.claim()
    site.complete(held, acquired_at=ADMISSION, **analysis_facts())
    ended = watched.look()
    watched.use(Settings())
    other_rules = watched.look()
    now[0] = 301.0
    later = watched.look()

    assert waiting is first
    assert ended is not first
    assert other_rules is not ended
    assert later is not other_rules
    assert watched.look() is later


@pytest.mark.sqlite
def test_the_command_ends_with_the_code_of_an_alarm(config, tmp_path, capsys):
    """Exit code 4, tables for people, JSON for programs, a picture for both."""
    code = run(config=config, as_json=False, plot=tmp_path / "watch.png")
    tables = capsys.readouterr().out
    again = run(config=config, as_json=True, plot=None)
    text = capsys.readouterr().out

    assert (code, again) == (ExitCode.ALARM, ExitCode.ALARM)
    assert "ALARM: The volumes of hematomas have drifted" in tables
    assert "No patient has an outcome yet" in tables
    assert [alarm["name"] for alarm in json.loads(text)["alarms"]] == ["volume_drift"]
    assert (tmp_path / "watch.png").is_file()
    assert not any(word in tables + text for word in PATIENT)


@pytest.mark.sqlite
def test_a_picture_that_cannot_be_written_is_said_so(config, tmp_path):
    """The message names the file."""
    with pytest.raises(OperatorError, match=r"nowhere.watch\.png"):
        run(config=config, as_json=False, plot=tmp_path / "nowhere" / "watch.png")
