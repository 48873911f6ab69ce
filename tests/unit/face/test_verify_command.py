"""``ichnode verify``: what is in custody is compared with the ledger, byte for byte."""

import os
from datetime import timedelta

import pytest
from node_builders import (
    SALT,
    START,
    Clock,
    FakeAnalyst,
    opened_ledger,
    request_of,
    small_series,
)
from postgresql_cluster import HAS_PACKAGES
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.retention import last_scan
from dicom_node.cli.app import app
from dicom_node.delivery.outbox import Outbox
from dicom_node.delivery.purger import Folders, Purger
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.purge_ledger import Cause, PurgeLedger
from dicom_node.jobs.retention import HoldingKind, RetentionRules
from dicom_node.jobs.worker import JobRules, Worker
from dicom_node.operator_error import OperatorError


@pytest.fixture
def layout(tmp_path):
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    return layout


@pytest.fixture
def images(layout):
    """Return the images of a series that a node received and analysed."""
    series = small_series(10)
    clock = Clock()
    with opened_ledger(layout.ledger) as ledger:
        spool = Spool(layout.spool, limits=SpoolLimits(free_floor_bytes=0))
        custody = Custody(spool=spool, register=ledger.arrivals, patient_salt=SALT)
        for ds in series:
            custody.accept(request_of(ds))
        custody.association_closed(request_of(series[0]).sender, START)
        clock.turn(60)
        AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        ).tick()
        worker = Worker(
            name="worker-0",
            queue=ledger.jobs,
            spool_root=layout.spool,
            analyst=FakeAnalyst(),
            store=Outbox(layout.outbox),
            destinations=(),
            rules=JobRules(),
            clock=clock,
            on_overrun=lambda: None,
        )
        assert worker.work_once()
    return sorted(layout.spool.glob("*/*.dcm"))


@pytest.fixture
def verify(layout, images):
    """Return a function that calls the command; it gives exit code and output."""
    assert len(images) == 10
    config = layout.root.parent / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{layout.root}"\n')

    def call(*options):
        done = CliRunner().invoke(app, ["verify", "--config", str(config), *options])
        if isinstance(done.exception, OperatorError):
            return int(done.exception.exit_code), str(done.exception)
        return done.exit_code, done.output

    return call


def test_a_sound_node_is_told_so(verify):
    """Ten images and three results are read again."""
    code, said = verify()

    assert code == 0
    assert "images: 10 in the ledger, 10 intact\n" in said
    assert "results: 3 in the ledger, 3 intact\n" in said


def test_a_flipped_bit_is_found(verify, images):
    """The disk may lie: one bit of the last pixel is enough."""
    data = bytearray(images[3].read_bytes())
    data[-1] ^= 1
    images[3].write_bytes(data)

    code, said = verify()

    assert code == 1
    assert "9 intact, 1 changed" in said
    assert images[3].name in said
    assert images[3].read_bytes() == data  # nothing is deleted or moved


def test_missing_and_headless_files_are_found(verify, images):
    """A file that somebody deleted, and one that a file system emptied."""
    images[0].unlink()
    images[1].write_bytes(b"")

    code, said = verify()

    assert code == 1
    assert "8 intact, 1 changed, 1 missing" in said


def test_a_changed_result_is_found(verify, layout):
    """Results are hashed as whole files."""
    result = min(layout.outbox.glob("*/*.dcm"))
    result.write_bytes(result.read_bytes() + b"\0")

    code, said = verify()

    assert code == 1
    assert "results: 3 in the ledger, 2 intact, 1 changed" in said


def test_an_image_without_a_row_is_recorded_by_repair(verify, layout):
    """The receiver died between file and row, and never started again."""
    extra = small_series(11)[-1]
    spool = Spool(layout.spool, limits=SpoolLimits(free_floor_bytes=0))

    class Deaf:
        def add(self, instance, path):
            del instance
            os.utime(layout.spool / path, (0, 0))

    Custody(spool=spool, register=Deaf(), patient_salt=SALT).accept(request_of(extra))

    assert verify()[0] == 1
    assert "images without a row: 1 recorded, 0 put aside" in verify("--repair")[1]
    assert verify()[0] == 0
    with opened_ledger(layout.ledger) as ledger:
        assert len(ledger.arrivals.known_paths()) == 11


def test_what_was_purged_and_came_back_is_deleted_not_recorded(verify, layout, images):
    """As from an older backup of the spool: its row says that it is gone."""
    content = {path: path.read_bytes() for path in images}
    rules = RetentionRules(follow_up_window=timedelta(0))
    with opened_ledger(layout.ledger) as ledger:
        purger = Purger(
            ledger=PurgeLedger(ledger.database),
            folders=Folders(spool=layout.spool, outbox=layout.outbox, summaries=layout.summaries),
            clock=Clock(),
        )
        held = [one for one in purger.holdings(rules) if one.kind is HoldingKind.IMAGES]
        assert purger.purge(held, rules, cause=Cause.AGE).files == 10
    for path, encoded in content.items():
        path.write_bytes(encoded)
        os.utime(path, (0, 0))

    code, said = verify("--repair")

    assert code == 0, said
    assert list(layout.spool.glob("*/*.dcm")) == []


def test_the_alarm_of_the_daily_scan_follows_what_verify_saw(verify, layout, images):
    """A file that is gone is told by the status; once it is back, no longer."""
    content = images[0].read_bytes()

    def told():
        with opened_ledger(layout.ledger) as ledger:
            return last_scan(ledger).words

    images[0].unlink()
    verify()
    assert "1 images" in told()[0]

    images[0].write_bytes(content)
    verify()
    assert told() == ()


def test_a_young_file_without_a_row_is_left_to_the_receiver(verify, layout):
    """Its row is about to be written."""
    folder = min(layout.spool.iterdir())
    (folder / "new.dcm").write_bytes(b"not yet")

    assert verify("--repair")[0] == 0
    assert (folder / "new.dcm").read_bytes() == b"not yet"


def test_a_broken_ledger_is_named_with_the_way_out(verify, layout):
    """Pages that were overwritten: SQLite finds them, the operator is told what to do."""
    data = bytearray(layout.ledger.read_bytes())
    half = len(data) // 2
    data[half : half + 4096 * 8] = b"\xff" * 4096 * 8
    layout.ledger.write_bytes(data)

    code, said = verify()

    assert code == 1
    assert "ledger.sqlite" in said
    assert "backup" in said
    assert "examines it" not in said  # it does so at this moment


def test_a_file_that_is_no_ledger_is_named_with_the_way_out(verify, layout):
    """It cannot even be opened."""
    layout.ledger.write_bytes(b"this is no database" * 1000)

    code, said = verify()

    assert code == 1
    assert "file is not a database\nStop the node and restore" in said


@pytest.mark.skipif(not HAS_PACKAGES, reason="psycopg or procrastinate is missing")
def test_a_database_that_is_away_is_no_reason_to_restore_anything(tmp_path):
    """Nobody listens on port 1; nothing in custody is in doubt."""
    config = tmp_path / "away.toml"
    config.write_text('[node]\nledger = "postgresql://ichnode@127.0.0.1:1/ichnode"\n')

    done = CliRunner().invoke(app, ["verify", "--config", str(config)])

    assert isinstance(done.exception, OperatorError)
    assert "Connection refused" in str(done.exception)
    assert "backup" not in str(done.exception)
    assert "verify" not in str(done.exception)
