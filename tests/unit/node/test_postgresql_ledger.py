"""A ledger on PostgreSQL keeps what one of SQLite keeps, and says what is wrong."""

import importlib.util
import threading

import pytest
from node_builders import Clock, arrive, process_identity, small_series
from postgresql_cluster import GUARDED, PASSWORD, running_cluster
from sqlalchemy import select

from dicom_node.errors import LedgerUnavailableError, LedgerVersionError
from dicom_node.jobs import upgrade as upgrading
from dicom_node.jobs.database import Database, engine_of
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.ledger_place import PostgresqlPlace
from dicom_node.jobs.tables import SCHEMA_VERSION, EventRow, InstanceRow, MetaRow, SeriesRow
from dicom_node.jobs.timeline import EventKind, record


@pytest.fixture(scope="module")
def cluster():
    return running_cluster()


@pytest.fixture
def database(cluster):
    opened = Database(cluster.fresh())
    yield opened
    opened.close()


def schema(cluster, place):
    """Return what PostgreSQL's catalogs say of every table: columns, keys, indices."""
    name = cluster.name_of(place)
    columns = cluster.sql(
        "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        database=name,
    )
    keys = cluster.sql(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        database=name,
    )
    indices = cluster.sql(
        "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'", database=name
    )
    return sorted(map(repr, columns)), sorted(map(repr, keys)), sorted(map(repr, indices))


@pytest.fixture
def old_place(cluster):
    """Return a database with the tables of version 1 and one series."""
    place = cluster.empty()
    engine = engine_of(place)
    with engine.writing.begin() as connection:
        upgrading.make_version(connection, 1)
        connection.exec_driver_sql(
            "INSERT INTO ledger_meta VALUES ('schema_version', '1'), ('patient_salt', '00ff')"
        )
        connection.exec_driver_sql(
            "INSERT INTO series (series_uid, study_uid, state, reason, calling_ae_title,"
            " first_received_at, last_received_at, eligible, flags) VALUES ('1.2', '1',"
            " 'chosen', '', 'CT', '2026-01-05T08:00:00.000000+00:00',"
            " '2026-01-05T08:00:00.000000+00:00', false, '')"
        )
    yield place
    engine.writing.dispose()


def test_a_database_without_an_encoding_keeps_every_letter(cluster):
    """A server that was set up without a locale makes databases in SQL_ASCII."""
    name = "ascii"
    cluster.sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
    database = Database(cluster.place(name))
    try:
        with database.write() as session:
            session.add(MetaRow(key="ward", value="Zürich 神经"))
        with database.read() as session:
            kept = session.get(MetaRow, "ward")
    finally:
        database.close()

    assert cluster.sql("SHOW server_encoding", database=name) == [(b"SQL_ASCII",)]
    assert kept.value == "Zürich 神经"


def test_version_1_goes_up_when_asked_and_down_again(cluster, old_place):
    """A process refuses and says what to do; the tables are then those of a new ledger."""
    before = schema(cluster, old_place)
    with pytest.raises(LedgerVersionError, match="ichnode ledger upgrade"):
        Database(old_place)
    engine = engine_of(old_place)
    try:
        assert upgrading.upgrade(engine).found == 1
        ledger = open_ledger(old_place, process=process_identity())
        assert [row.series_instance_uid for row in ledger.reports.overview().series] == ["1.2"]
        assert ledger.patient_salt == bytes([0x00, 0xFF])
        ledger.close()
        assert schema(cluster, old_place) == schema(cluster, cluster.fresh())

        assert upgrading.downgrade(engine, 1).found == SCHEMA_VERSION
        assert schema(cluster, old_place) == before
    finally:
        engine.writing.dispose()


def test_nobody_is_upgraded_under(cluster, old_place):
    """Who was seen lately is named, with its host."""
    cluster.sql(
        "INSERT INTO processes VALUES ('t', 'receiver', 'ct-gateway', 7,"
        " '2026-01-05T08:30:00.000000+00:00', '2026-01-05T08:30:00.000000+00:00', NULL)",
        database=cluster.name_of(old_place),
    )
    engine = engine_of(old_place)
    try:
        assert upgrading.at_work(engine, since=Clock()()) == ("receiver on ct-gateway",)
    finally:
        engine.writing.dispose()


def test_values_come_back_as_sqlite_would_give_them(database):
    """Texts of any length, without U+0000; numbers above 2**31; sorted byte by byte."""
    texts = ["1.2.10", "1.2.9", "1.2.a", "1.2.B", "x" * 300, "nul\x00here"]
    with database.write() as session:
        for number, text in enumerate(texts):
            record(session, Clock()(), text, EventKind.COMPLETE, job_id=2**40 + number)
    with database.read() as session:
        found = session.execute(
            select(EventRow.series_uid, EventRow.job_id).order_by(EventRow.series_uid)
        ).all()

    expected = sorted(text.replace("\x00", "\N{REPLACEMENT CHARACTER}") for text in texts)
    assert [text for text, _ in found] == expected
    assert {number for _, number in found} == {2**40 + place for place in range(len(texts))}


def test_a_transaction_is_alone_until_it_ends(database):
    """The second one reads what the first one wrote, however long that took."""
    began, seen = threading.Event(), []

    def second():
        began.set()
        with database.write() as session:
            seen.append(session.get_one(MetaRow, "told").value)

    thread = threading.Thread(target=second)
    with database.write() as session:
        assert session.get(MetaRow, "told") is None
        thread.start()
        assert began.wait(60)
        session.add(MetaRow(key="told", value="by the first"))
        session.flush()
        assert not seen
    thread.join(60)

    assert seen == ["by the first"]


def test_a_reader_sees_one_moment(database):
    """What is committed meanwhile belongs to the next reading."""
    with database.read() as session:
        first = session.scalars(select(MetaRow.key)).all()
        with database.write() as other:
            other.add(MetaRow(key="later", value=""))
        assert session.scalars(select(MetaRow.key)).all() == first


def test_a_password_is_read_from_its_file_and_never_said(cluster, tmp_path):
    """It opens the database; a wrong one is refused in words that do not hold it."""
    cluster.sql(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'")
    cluster.sql(f"CREATE DATABASE {GUARDED} OWNER {GUARDED}")
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    url = f"postgresql://{GUARDED}@/{GUARDED}?host={cluster.folder}"
    Database(PostgresqlPlace(url=url, secret_file=secret)).close()

    secret.write_text("wrong horse\n")
    with pytest.raises(LedgerUnavailableError) as refused:
        Database(PostgresqlPlace(url=url, secret_file=secret))
    assert "password authentication failed" in str(refused.value)
    assert "wrong horse" not in str(refused.value)

    secret.chmod(0o644)
    with pytest.raises(LedgerUnavailableError, match="chmod 600"):
        Database(PostgresqlPlace(url=url, secret_file=secret))


def test_a_refusal_names_no_value(database):
    """Only the kind of the fault is told, for PostgreSQL's own words quote the row."""
    with pytest.raises(LedgerUnavailableError) as refused, database.write() as session:
        session.add(MetaRow(key="schema_version", value="a secret"))
    assert "UniqueViolation" in str(refused.value)
    assert "schema_version" not in str(refused.value)


def test_a_server_that_is_away_is_named():
    """With host and reason, so that somebody can go there."""
    with pytest.raises(LedgerUnavailableError, match=r"127\.0\.0\.1.*refused"):
        Database(PostgresqlPlace(url="postgresql://ichnode@127.0.0.1:1/ichnode"))


def test_without_the_packages_it_says_which(monkeypatch):
    """The default installation brings none of them."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(LedgerUnavailableError, match=r"psycopg .*ichnode\[postgresql\]"):
        engine_of(PostgresqlPlace(url="postgresql://ichnode@db/ichnode"))


def test_a_copy_is_made_by_the_tools_of_the_server(database, tmp_path):
    """`ichnode backup` says which."""
    with pytest.raises(LedgerUnavailableError, match="pg_dump"):
        database.copy_to(tmp_path / "copy")


def test_a_connection_that_broke_is_replaced(cluster, database):
    """A restart of the server costs one transaction at most."""
    with database.read() as session:
        session.scalars(select(MetaRow.key)).all()
    cluster.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ichnode'"
    )
    assert database.version == SCHEMA_VERSION


def test_two_hosts_write_one_ledger(cluster, clock):
    """Images of two receivers on two hosts become one study; each host sees the other's."""
    place = cluster.fresh()
    one = open_ledger(place, process=process_identity(run="one"))
    other = open_ledger(place, process=process_identity(run="two"))
    try:
        series = small_series()
        threads = [
            threading.Thread(
                target=arrive,
                args=(ledger, part, clock),
                kwargs={"association_id": name, "is_closed": False},
            )
            for ledger, part, name in ((one, series[::2], "a"), (other, series[1::2], "b"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        with one.database.read() as session:
            assert len(session.scalars(select(InstanceRow)).all()) == len(series)
            assert len(session.scalars(select(SeriesRow)).all()) == 1
    finally:
        one.close()
        other.close()
