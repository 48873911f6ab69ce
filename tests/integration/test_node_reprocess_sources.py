"""Where a re-read finds its studies: a PACS asked day by day, a tree of files."""

import threading
from datetime import date

import pytest
from node_builders import SALT, Clock, file_bytes, opened_ledger, small_series
from query_provider import QueryProvider

from dicom_node.association.peers import Peer
from dicom_node.association.study_listing import find_study_uids
from dicom_node.errors import QueryRefusedError
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import ReprocessRequest, RunState, StudyState
from dicom_node.jobs.study_search import StudySearch
from dicom_node.manual_runs.standing import Standings
from dicom_node.manual_runs.upload import UploadDesk
from dicom_node.reprocessing.folder import GONE, FolderSource
from dicom_node.reprocessing.reprocessor import Reprocessor

FREE = threading.Event()
DAY = date(2026, 1, 4)


def study(number, *, day="20260104", time="101500"):
    images = small_series(2, seed=number, study_uid=f"1.2.{number}", series_uid=f"1.3.{number}")
    for image in images:
        image.StudyDate, image.StudyTime = day, time
    return images


def listed(images, **changes):
    provider = QueryProvider(images)
    provider.ignores_keys = changes.pop("ignores_keys", False)
    with provider.listening() as port:
        peer = Peer(
            name="pacs", ae_title="PACS", host="127.0.0.1", port=port, calling_ae_title="ICHNODE"
        )
        options = {"modality": "CT", "stop": FREE, **changes}
        return set(find_study_uids(peer, DAY, **options)), len(provider.asked)


def test_a_day_is_asked_for_and_no_other():
    """A PACS that ignores the date is not believed."""
    images = [*study(1), *study(2, day="20260105"), *study(3, time="235959")]

    assert listed(images) == ({"1.2.1", "1.2.3"}, 1)
    assert listed(images, ignores_keys=True) == ({"1.2.1", "1.2.3"}, 1)
    assert listed(images, modality="MR")[0] == set()


def test_a_day_of_many_studies_is_asked_for_in_halves():
    """Of five studies two are answered at most; by time every one of them is found, none twice."""
    times = ["000000", "060000", "115959", "120000", "235959"]
    images = [one for number, time in enumerate(times) for one in study(number, time=time)]

    found, queries = listed(images, most=2)

    assert found == {f"1.2.{number}" for number in range(5)}
    assert queries > 1


def test_a_peer_that_heeds_no_time_is_told_of():
    """Else the rest of the day would be lost without a word."""
    images = [one for number in range(3) for one in study(number)]

    with pytest.raises(QueryRefusedError, match="list of studies"):
        listed(images, most=2)


class Tree:
    """A folder of files, and a run over it."""

    def __init__(self, tmp_path, ledger):
        self.root, self.ledger, self.clock = tmp_path / "tree", ledger, Clock()
        self.root.mkdir()
        self.runs = ReprocessLedger(ledger.database)
        spool = Spool(tmp_path / "spool", limits=SpoolLimits(free_floor_bytes=0))
        self.desk = UploadDesk(
            intake=Custody(
                spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt
            ),
            ae_title="ICHNODE",
            longest=2**24,
            clock=self.clock,
        )
        self.taken = []

    def save(self, folder, number, *, images=12, part=slice(None)):
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        series = small_series(images, seed=number, study_uid=f"1.2.{number}")
        for image in series:
            image.SeriesInstanceUID = f"1.3.{number}"
        for image in series[part]:
            (place / f"{image.SOPInstanceUID}.dcm").write_bytes(file_bytes(image))

    def take(self, paths):
        self.taken.append(len(paths))
        return self.desk.take_files(paths, title="REPROCESS", address="")

    def reprocessor(self):
        def source(run):
            del run
            return FolderSource(
                self.root,
                ledger=self.runs,
                take=self.take,
                standings=Standings(StudySearch(self.ledger.database)),
                rules=DEFAULT_RULES,
                salt=SALT,
                clock=self.clock,
            )

        return Reprocessor(
            ledger=self.runs, source_of=source, has_room=lambda: True, clock=self.clock
        )

    def begin(self):
        request = ReprocessRequest(folder=str(self.root))
        return self.runs.begin(request, by="anna", now=self.clock())

    def states(self, run):
        return {one.study_uid: one.state for one in self.runs.studies.entries(run)}


@pytest.fixture
def tree(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Tree(tmp_path, ledger)


def test_a_tree_is_read_folder_by_folder(tree):
    """Two studies in one folder are two; neighbouring folders of one study are one."""
    tree.save("flat", 1)
    tree.save("flat", 2)
    tree.save("study/a", 3, part=slice(0, 6))
    tree.save("study/b", 3, part=slice(6, None))
    (tree.root / "flat" / "README").write_text("no image")
    (tree.root / "empty").mkdir()
    run = tree.begin()
    reprocessor = tree.reprocessor()
    while reprocessor.work_once():
        pass

    assert tree.taken == [12, 12, 12]
    assert tree.states(run) == dict.fromkeys(["1.2.1", "1.2.2", "1.2.3"], StudyState.QUEUED)
    status = tree.runs.run(run, tree.clock())
    assert (status.units, status.units_done) == (3, 3)


def test_a_tree_goes_on_where_the_office_was_killed(tree):
    """Folders that are done with are not read again, though no name of one is stored."""
    for number in (1, 2, 3):
        tree.save(f"PATIENT^{number}", number)
    run = tree.begin()
    first = tree.reprocessor()
    first.work_once()
    first.work_once()
    second = tree.reprocessor()
    while second.work_once():
        pass

    assert tree.taken == [12, 12, 12]
    assert len(tree.states(run)) == 3
    assert b"PATIENT^" not in (tree.root.parent / "ledger.sqlite").read_bytes()


def test_files_that_are_gone_fail_their_study(tree):
    """A disk is exchanged in the middle; the run ends all the same, and says so."""
    tree.save("a", 1)
    run = tree.begin()
    entry = tree.runs.studies.this_study(run, "1.2.9", now=tree.clock(), again_at=tree.clock())
    assert entry is not None
    tree.root.joinpath("a").rename(tree.root.parent / "elsewhere")
    reprocessor = tree.reprocessor()
    reprocessor.work_once()
    reprocessor.work_once()

    assert [(one.state, one.reason) for one in tree.runs.studies.entries(run)] == [
        (StudyState.FAILED, GONE)
    ]
    assert tree.runs.run(run, tree.clock()).state is RunState.FINISHED


def test_a_tree_that_cannot_be_read_is_waited_for(tree):
    """A share that is not mounted ends no run; its path is not told."""
    run = tree.begin()
    tree.root.rmdir()
    tree.reprocessor().work_once()

    status = tree.runs.run(run, tree.clock())
    assert status.state is RunState.RUNNING
    assert status.note == "the folder cannot be read: No such file or directory"
