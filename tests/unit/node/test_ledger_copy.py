"""A ledger that was a file goes on in a database of PostgreSQL: nothing is lost or changed."""

import pytest
from node_builders import opened_ledger, process_identity, small_series, stored_objects
from postgresql_cluster import running_cluster
from site_builder import COMPARE, Site
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.cli.app import app
from dicom_node.errors import LedgerUnavailableError
from dicom_node.jobs.all_tables import METADATA
from dicom_node.jobs.database import engine_of
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.ledger_copy import copy_ledger
from dicom_node.jobs.tables import JobRow
from dicom_node.lockfile import hold_lock
from dicom_node.operator_error import OperatorError

pytestmark = pytest.mark.sqlite


@pytest.fixture(scope="module")
def cluster():
    return running_cluster()


@pytest.fixture
def layout(tmp_path):
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    (tmp_path / "node.toml").write_text(f'[node]\ndata_dir = "{layout.root}"\n')
    return layout


@pytest.fixture
def ledger(layout, clock):
    """Return a ledger with results, deliveries, a comparison that waits, and a job that waits."""
    with opened_ledger(layout.ledger) as ledger:
        site = Site(ledger, clock, COMPARE)
        ledger.presence.enter(process_identity(), clock())
        site.analyze(small_series(seed=1, study_uid="1.2.1"), "2026-01-05T08:00:00")
        site.send(small_series(seed=2, study_uid="1.2.2"))
        held = site.claim()
        ledger.jobs.complete(
            held,
            stored_objects("2"),
            model_digest="m",
            configuration_digest="c",
            destinations=("pacs", "vna"),
            record={"acquired_at": "2026-01-06T08:00:00", "status": "hematoma_found"},
            now=clock(),
            plans=COMPARE,
        )
        site.send(small_series(seed=3, study_uid="1.2.3"))
        yield ledger


@pytest.fixture
def new_ledger(layout):
    """Make a ledger in which nothing has happened yet."""
    with opened_ledger(layout.ledger):
        pass


def rows_of(engine):
    with engine.reading.connect() as connection:
        return {
            table.name: [
                dict(row)
                for row in connection.execute(
                    select(table).order_by(*table.primary_key.columns)
                ).mappings()
            ]
            for table in METADATA.sorted_tables
        }


def copied(layout, place, **options):
    source, target = engine_of(layout.ledger), engine_of(place)
    try:
        numbers = copy_ledger(source, target, **options)
        return numbers, rows_of(source), rows_of(target)
    finally:
        source.writing.dispose()
        target.writing.dispose()


@pytest.mark.usefixtures("ledger")
def test_every_row_of_every_table_comes_over(layout, cluster):
    """The same values; the numbers that are told are those of the rows."""
    told = []
    numbers, before, after = copied(
        layout, cluster.empty(), on_rows=lambda table, rows: told.append((table, rows))
    )

    assert after == before
    assert numbers == {table: len(rows) for table, rows in before.items()}
    assert min(numbers[name] for name in ("jobs", "instances", "deliveries", "events")) > 1
    assert sum(rows for _, rows in told) == sum(numbers.values())


def test_what_points_to_a_later_row_comes_over(layout, ledger, cluster):
    """An analysis that failed and was tried again later supersedes one with a higher number."""
    with ledger.database.write() as session:
        first, last = session.execute(
            select(func.min(JobRow.job_id), func.max(JobRow.job_id))
        ).one()
        session.execute(update(JobRow).where(JobRow.job_id == first).values(supersedes=last))
    _, before, after = copied(layout, cluster.empty())

    assert after["jobs"] == before["jobs"]
    assert after["jobs"][0]["supersedes"] == last > first


def test_the_node_goes_on_where_it_stood(layout, ledger, clock, cluster):
    """The job that waits is claimed, the next scan is numbered after the last, hashes stay."""
    place = cluster.empty()
    salt = ledger.patient_salt
    copied(layout, place)
    opened = open_ledger(place, process=process_identity())
    try:
        assert opened.patient_salt == salt
        site = Site(opened, clock, COMPARE)
        series = {held.task.study_instance_uid for held in iter(site.claim, None)}
        assert "1.2.3" in series

        site.send(small_series(seed=4, study_uid="1.2.4"))
        assert site.claim().task.study_instance_uid == "1.2.4"
    finally:
        opened.close()


@pytest.mark.usefixtures("new_ledger")
def test_a_database_that_is_not_empty_is_refused_by_name(layout, cluster):
    """It may be another node's; nothing in it is touched."""
    place = cluster.fresh()
    target = engine_of(place)
    before = rows_of(target)
    with pytest.raises(LedgerUnavailableError) as refused:
        copied(layout, place)

    assert cluster.name_of(place) in str(refused.value)
    assert "not empty" in str(refused.value)
    assert "alarm_memory" in str(refused.value) or "associations" in str(refused.value)
    assert rows_of(target) == before
    target.writing.dispose()


def command(layout, *words):
    config = str(layout.root.parent / "node.toml")
    return CliRunner().invoke(app, ["ledger", "copy", *words, "--config", config])


@pytest.mark.usefixtures("new_ledger")
def test_the_command_says_what_it_did_and_what_to_write_into_the_settings(layout, cluster):
    """And leaves the file where it is."""
    place = cluster.empty()
    done = command(layout, place.url)

    assert done.exit_code == 0, done.output
    assert f'ledger = "{place.url}"' in done.output
    assert layout.ledger.is_file()


@pytest.mark.usefixtures("new_ledger")
@pytest.mark.parametrize("name", ["serve", "receiver", "office", "worker-1"])
def test_a_node_at_work_is_not_copied(layout, cluster, name):
    """Whichever process it is; the database stays empty."""
    place = cluster.empty()
    with hold_lock(layout.lock(name)):
        refused = command(layout, place.url)

    assert isinstance(refused.exception, OperatorError)
    assert f"{name}.lock is held by process" in str(refused.exception)
    assert not engine_of(place).exists()


@pytest.mark.parametrize(
    "to", ["sqlite", "mysql://h/x", "postgresql://u:secret@h/x", "postgresql://u@h"]
)
@pytest.mark.usefixtures("new_ledger")
def test_what_is_no_address_is_refused_without_being_repeated(layout, to):
    """A password that somebody typed must not end in a log."""
    refused = command(layout, to)

    assert isinstance(refused.exception, OperatorError)
    assert "--secret-file" in str(refused.exception)
    assert "secret@" not in str(refused.exception)
