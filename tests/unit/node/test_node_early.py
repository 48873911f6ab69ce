"""What will be asked for is begun with before it is; nobody sees it if it was for nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ct_builder import build_ct_series
from node_builders import Clock, arrive, opened_ledger, process_identity, small_series

from dicom_node.association.query import RemoteSeries
from dicom_node.early_analysis import EarlyAnalysis
from dicom_node.early_marks import EarlyMarks
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.foresight import Foresight
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import ReprocessRequest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.presence.enter(process_identity(), Clock()())
        yield ledger


@pytest.fixture
def foresight(ledger, clock):
    return Foresight(ledger.database, DEFAULT_RULES, clock=clock)


class FakePreparer:
    """Remembers files as a worker remembers what was seen in them."""

    def __init__(self):
        self.remembered, self.calls, self.meanwhile = None, 0, lambda: None
        self.read_files = ()

    def read(self, files, *, go_on):
        go_on()
        new = set(files) - set(self.read_files)
        self.read_files = tuple(files)
        return len(new)

    def prepare(self, files, *, go_on):
        self.calls += 1
        go_on()
        self.meanwhile()
        go_on()
        self.remembered = tuple(files)

    def forget(self):
        self.remembered, self.read_files = None, ()


@pytest.fixture
def preparer():
    return FakePreparer()


@pytest.fixture
def early(foresight, preparer, tmp_path):
    ticks = iter(range(1000))
    early = EarlyAnalysis(
        foresight=foresight,
        marks=EarlyMarks(tmp_path / "early"),
        preparer=preparer,
        spool_root=tmp_path,
        time_limit_s=600,
        on_overrun=lambda: None,
        timer=lambda: next(ticks),
    )
    yield early
    early.close()
    assert not list((tmp_path / "early").glob("*"))


def judged(ledger, clock):
    AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    ).tick()


def claimed(ledger, clock):
    return ledger.jobs.claim("worker-0", now=clock(), lease_s=60, time_limit_s=600).task


def foreseen(foresight):
    return foresight.next({}, most=1)


def foreseen_files(ledger, clock):
    """Return the files of the job that is made once the quiet time is over."""
    clock.turn(5)
    judged(ledger, clock)
    return claimed(ledger, clock).files


def test_a_whole_series_is_foreseen_with_the_files_of_its_later_job(ledger, foresight, clock):
    """The sender has hung up and there is no gap; the quiet time still runs."""
    arrive(ledger, small_series(), clock)
    found = foreseen(foresight)

    clock.turn(5)
    judged(ledger, clock)

    assert found.files == claimed(ledger, clock).files


def test_a_series_is_not_foreseen_while_its_sender_goes_on(ledger, foresight, clock):
    """Images in order look complete after each of them: only a pause of a second says more."""
    arrive(ledger, small_series(), clock, is_closed=False)
    assert foreseen(foresight) is None

    clock.turn(1)

    assert foreseen(foresight) is not None


def test_a_series_with_a_gap_is_not_foreseen(ledger, foresight, clock):
    """Missing slices are waited for."""
    series = small_series()
    arrive(ledger, series[:4] + series[6:], clock)

    assert foreseen(foresight) is None


def test_what_selection_leaves_out_is_not_foreseen(ledger, foresight, clock):
    """A bone kernel beside the soft one, an angiography: nobody will ask for them."""
    arrive(ledger, build_ct_series(slices=12, series_description="CTA head"), clock)

    assert foreseen(foresight) is None


def test_what_was_analysed_before_is_not_foreseen(ledger, foresight, clock):
    """A late image opens a series again; what becomes of it is up to its job."""
    series = small_series()
    arrive(ledger, series[:-1], clock)
    clock.turn(5)
    judged(ledger, clock)
    arrive(ledger, series[-1:], clock, association_id="association-2")

    assert foreseen(foresight) is None


def test_what_was_prepared_waits_for_the_job(early, preparer, ledger, clock):
    """It is looked at once, however often the worker has nothing to do."""
    arrive(ledger, small_series(), clock)

    assert early.run(lambda: False)
    assert not early.run(lambda: False)
    clock.turn(5)
    judged(ledger, clock)
    assert not early.run(lambda: False)

    names = [path.name for path in preparer.remembered]
    assert names == [path.name for path in claimed(ledger, clock).files]
    assert preparer.calls == 1
    early.ended(str(small_series()[0].SeriesInstanceUID))
    assert preparer.remembered is None


def test_another_image_makes_it_begin_anew_but_not_for_ever(early, preparer, ledger, clock):
    """Two associations bring one series often, four do not; beginning twice is enough."""
    series = build_ct_series(slices=15)
    for number, images in enumerate((series[:12], *([one] for one in series[12:]))):
        arrive(ledger, images, clock, association_id=f"association-{number}")
        early.run(lambda: False)

    assert preparer.calls == 2
    assert preparer.remembered is None


def test_a_change_ends_what_is_under_way(early, preparer, ledger, clock):
    """Half an opinion on half a series is dropped at the next tile."""
    series = small_series()
    arrive(ledger, series[:-1], clock)
    preparer.meanwhile = lambda: arrive(ledger, series[-1:], clock, association_id="other")

    assert early.run(lambda: False)

    assert preparer.remembered is None


def test_a_job_of_another_series_goes_first(early, preparer, ledger, clock):
    """What somebody waits for is not held up by what nobody has asked for yet."""
    arrive(ledger, small_series(), clock)

    def other():
        clock.turn(-5)
        arrive(ledger, build_ct_series(slices=12, seed=9), clock, association_id="other")
        clock.turn(5)
        judged(ledger, clock)

    preparer.meanwhile = other

    early.run(lambda: False)

    assert preparer.remembered is None


def test_the_end_of_the_worker_ends_it(early, preparer, ledger, clock):
    """SIGTERM, or other settings."""
    arrive(ledger, small_series(), clock)

    early.run(lambda: True)

    assert preparer.remembered is None


def test_a_fault_is_left_to_the_job(early, preparer, ledger, clock, caplog):
    """It has attempts that are counted, and a state; early work has neither."""
    arrive(ledger, small_series(), clock)

    def fail():
        raise ValueError("POISON")

    preparer.meanwhile = fail

    assert early.run(lambda: False)

    assert "POISON" not in caplog.text
    assert preparer.remembered is None


def test_a_series_that_gets_no_job_is_forgotten(early, preparer, ledger, clock):
    """Images of two patients in one series: refused when its time has come."""
    series = small_series()
    arrive(ledger, series, clock)
    early.run(lambda: False)
    stranger = build_ct_series(slices=1, patient_id="OTHER")[0]
    stranger.SeriesInstanceUID = series[0].SeriesInstanceUID
    arrive(ledger, [stranger], clock, association_id="other")
    clock.turn(60)
    judged(ledger, clock)

    early.run(lambda: False)

    assert preparer.remembered is None


def test_images_are_read_while_their_series_comes(early, preparer, ledger, clock):
    """The sender's association is open: nothing is looked at yet, but what is there is read."""
    series = small_series(14)
    arrive(ledger, series[:11], clock, is_closed=False)
    assert not early.run(lambda: False)
    assert (len(preparer.read_files), preparer.calls) == (11, 0)
    arrive(ledger, series[11:], clock)

    assert early.run(lambda: False)

    assert preparer.calls == 1
    assert [path.name for path in preparer.remembered] == [
        path.name for path in foreseen_files(ledger, clock)
    ]


def test_much_that_came_at_once_is_followed_without_a_pause(early, ledger, clock):
    """Sixteen images while the worker looked elsewhere: more are on their way."""
    arrive(ledger, small_series(16), clock, is_closed=False)

    assert early.run(lambda: False)
    assert not early.run(lambda: False)


def test_what_nobody_will_ask_for_is_not_read(early, preparer, ledger, clock):
    """An angiography; a series of two patients; fewer images than make a head."""
    arrive(ledger, small_series(series_description="CTA head"), clock, is_closed=False)
    mixed = small_series(seed=1, patient_id="1")
    for image, other in zip(mixed, small_series(seed=1, patient_id="2")[:3], strict=False):
        image.PatientID = other.PatientID
    arrive(ledger, mixed, clock, association_id="mixed", is_closed=False)
    arrive(ledger, small_series(9, seed=2), clock, association_id="few", is_closed=False)

    assert not early.run(lambda: False)
    assert preparer.read_files == ()


def test_one_series_is_read_to_its_end_before_another(early, preparer, ledger, clock):
    """One that came first is seen second: the memory is not passed about."""
    arrive(ledger, small_series(12, seed=5), clock, is_closed=False)
    early.run(lambda: False)
    first = preparer.read_files
    other = small_series(30, seed=6)
    clock.turn(-10)
    arrive(ledger, other[:15], clock, association_id="2", is_closed=False)
    clock.turn(10)
    arrive(ledger, other[15:], clock, association_id="2", is_closed=False)

    early.run(lambda: False)

    assert preparer.read_files == first


def test_the_job_of_another_series_ends_the_reading(early, preparer, ledger, clock):
    """Its memory is for that job; the mark is gone, so that another worker may go on."""
    uid = str(small_series()[0].SeriesInstanceUID)
    arrive(ledger, small_series(), clock, is_closed=False)
    early.run(lambda: False)
    early.begun(uid)
    assert preparer.read_files

    early.begun("1.2.3")

    assert preparer.read_files == ()
    assert early.pause_s() == 0


def test_a_series_that_is_refused_is_not_kept(early, preparer, ledger, clock):
    """An image of another patient comes: at its time the series is set aside."""
    series = small_series()
    arrive(ledger, series, clock, is_closed=False)
    early.run(lambda: False)
    stranger = build_ct_series(slices=1, patient_id="OTHER")[0]
    stranger.SeriesInstanceUID = series[0].SeriesInstanceUID
    arrive(ledger, [stranger], clock, association_id="other")
    clock.turn(60)
    judged(ledger, clock)

    early.run(lambda: False)

    assert preparer.read_files == ()


def test_what_a_reread_asked_for_is_not_begun_with_early(early, preparer, ledger, clock):
    """Nobody waits for it; a run that rests would keep a worker's memory until the evening."""
    series = small_series(study_uid="1.1", series_uid="1.1.1")
    runs = ReprocessLedger(ledger.database)
    run = runs.begin(ReprocessRequest(peer="pacs"), studies=["1.1"], by="anna", now=clock())
    entry = runs.studies.next_study(run, now=clock(), again_at=clock())
    wanted = RemoteSeries(
        study_instance_uid="1.1", series_instance_uid="1.1.1", study_date="", study_time=""
    )
    runs.studies.ask_for(entry, wanted=[wanted], here=[], now=clock())
    arrive(ledger, series, clock)

    assert not early.run(lambda: False)

    assert (preparer.calls, preparer.read_files) == (0, ())


def test_a_place_in_a_study_that_was_rejected_is_free(early, preparer, ledger, clock):
    """The first series cannot be analysed: the second of the study is begun with."""
    arrive(ledger, small_series(study_uid="1.1", series_uid="1.1.1"), clock)
    clock.turn(5)
    judged(ledger, clock)
    claim = ledger.jobs.claim("worker-0", now=clock(), lease_s=60, time_limit_s=600)
    ledger.jobs.reject(claim, "found: a phantom; needed: a head", record={}, now=clock())
    arrive(
        ledger,
        small_series(seed=1, study_uid="1.1", series_uid="1.1.2"),
        clock,
        association_id="2",
    )

    assert early.run(lambda: False)

    assert preparer.calls == 1


def test_two_workers_do_not_begin_with_one_series(early, preparer, ledger, clock, tmp_path):
    """The second finds the mark of the first, and leaves the job to it for a moment."""
    arrive(ledger, small_series(), clock)
    uid = str(small_series()[0].SeriesInstanceUID)
    others = EarlyMarks(tmp_path / "early")
    mark = others.take(uid)

    assert not early.run(lambda: False)
    assert early.pause_s() > 0
    mark.drop()

    assert early.pause_s() == 0
    assert preparer.calls == 0


_DIES = """
import os, sys
from pathlib import Path
from dicom_node.early_marks import EarlyMarks
assert EarlyMarks(Path(sys.argv[1])).take("1.2.3")
os.kill(os.getpid(), 9)
"""


def test_what_killed_a_worker_is_left_to_its_job(tmp_path):
    """A series that kills processes is not begun with again and again without being counted."""
    folder = tmp_path / "early"
    done = subprocess.run([sys.executable, "-c", _DIES, folder], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    marks = EarlyMarks(folder)

    assert marks.take("1.2.3") is None
    assert not marks.are_held()
    marks.clear("1.2.3")
    mark = marks.take("1.2.3")
    assert mark is not None
    mark.drop()


def test_old_marks_of_the_dead_are_tidied_away(tmp_path):
    """Those of the living stay, however old."""
    marks = EarlyMarks(tmp_path)
    mark = marks.take("1.2.3")
    (tmp_path / "dead").touch()
    for path in tmp_path.iterdir():
        os.utime(path, (1000, 1000))

    marks.tidy(before=2000)

    assert list(tmp_path.iterdir()) == [mark.path]
    mark.drop()
