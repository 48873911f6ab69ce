"""Custody: file, row, Success."""

import errno

import pytest
from node_builders import (
    SALT,
    START,
    FakeDisk,
    encoded,
    file_bytes,
    opened_ledger,
    request_of,
    small_series,
)

from dicom_node.association.store_answer import STATUS_OF_ERROR, StoreStatus, handle_store
from dicom_node.errors import CustodyRecordError, IntakeError, LedgerUnavailableError
from dicom_node.intake.custody import Custody
from dicom_node.intake.spool import Spool, SpoolLimits

LIMITS = SpoolLimits(free_floor_bytes=1000)


class ListRegister:
    """Keeps rows in a list, and refuses on demand."""

    def __init__(self) -> None:
        self.rows = []
        self.refuses = False

    def add(self, instance, path):
        if self.refuses:
            raise LedgerUnavailableError("injected")
        self.rows.append((instance, path))

    def close_association(self, sender, at):
        del sender, at

    def known_paths(self):
        return frozenset(path for _, path in self.rows)

    def condemned_paths(self):
        return frozenset()

    def condemn_again(self, paths):
        del paths
        return frozenset()


@pytest.fixture
def register():
    return ListRegister()


@pytest.fixture
def disk():
    return FakeDisk()


@pytest.fixture
def custody(tmp_path, register, disk):
    spool = Spool(tmp_path, limits=LIMITS, disk=disk)
    return Custody(spool=spool, register=register, patient_salt=SALT)


def test_success_means_file_and_row(custody, register, tmp_path):
    """After Success the bytes are in a file and the file is recorded."""
    ds = small_series(1)[0]

    assert handle_store(request_of(ds), custody) is StoreStatus.SUCCESS

    ((instance, path),) = register.rows
    assert instance.sop_instance_uid == ds.SOPInstanceUID
    assert (tmp_path / path).read_bytes().endswith(encoded(ds))


def test_a_row_is_written_only_for_a_file_that_is_there(custody, register, disk):
    """Whatever the disk refuses, no row claims the instance."""
    for step, status in (
        ("write", StoreStatus.OUT_OF_RESOURCES),
        ("rename", StoreStatus.OUT_OF_RESOURCES),
        ("sync_folder", StoreStatus.OUT_OF_RESOURCES),
    ):
        disk.fault = {step: OSError(errno.ENOSPC, "injected")}

        assert handle_store(request_of(small_series(1)[0]), custody) is status
        assert register.rows == []


def test_without_a_row_there_is_no_success_and_the_repeat_succeeds(custody, register):
    """The sender keeps its copy; its next attempt finds everything in order."""
    register.refuses = True
    request = request_of(small_series(1)[0])

    assert handle_store(request, custody) is StoreStatus.CANNOT_RECORD
    register.refuses = False

    assert handle_store(request, custody) is StoreStatus.SUCCESS
    assert len(register.rows) == 1


def test_every_intake_error_has_a_status():
    """No refusal can reach a sender without a DIMSE status, none of them Success."""
    assert set(STATUS_OF_ERROR) == set(IntakeError.__subclasses__())
    assert len(set(STATUS_OF_ERROR.values())) == len(STATUS_OF_ERROR)
    for status in STATUS_OF_ERROR.values():
        assert status >> 12 in {0xA, 0xC}


def test_unforeseen_errors_are_failures_and_are_not_quoted(caplog):
    """A fault of the node is logged by type and place; its message may quote a data set."""

    class Faulty:
        def accept(self, request):
            del request
            raise KeyError("POISON^DONOTLOG")

        def association_closed(self, sender, at):
            del sender, at

    assert handle_store(request_of(small_series(1)[0]), Faulty()) is StoreStatus.UNFORESEEN
    assert "KeyError" in caplog.text
    assert "POISON" not in caplog.text


def test_garbage_is_not_understood(custody, register):
    """0xC000, and nothing is kept of it."""
    request = request_of(small_series(1)[0], data_set=b"\xff" * 100)

    assert handle_store(request, custody) is StoreStatus.CANNOT_UNDERSTAND
    assert register.rows == []


def test_a_start_adopts_files_without_a_row(custody, register, tmp_path):
    """Killed between file and row: the file is found and recorded, the rest is put aside."""
    register.refuses = True
    with pytest.raises(CustodyRecordError):
        custody.accept(request_of(small_series(1)[0]))
    register.refuses = False
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "garbage.dcm").write_bytes(b"no instance")
    (folder / "half.dcm.1-2.part").write_bytes(b"half")

    recovery = custody.recover(START)

    assert (recovery.removed_parts, recovery.adopted, recovery.quarantined) == (1, 1, 1)
    ((instance, _),) = register.rows
    assert instance.request.sender.calling_ae_title == "MODALITY"
    assert (tmp_path / "quarantine" / "garbage.dcm").read_bytes() == b"no instance"
    assert custody.recover(START).adopted == 0


def test_a_foreign_file_in_the_spool_is_adopted_too(custody, register, tmp_path):
    """A file that an operator copies into the spool is an instance like any other."""
    (tmp_path / "by-hand").mkdir()
    ds = small_series(1)[0]
    (tmp_path / "by-hand" / "image.dcm").write_bytes(file_bytes(ds))

    custody.recover(START)

    ((instance, _),) = register.rows
    assert instance.sop_instance_uid == ds.SOPInstanceUID


def test_a_deleted_file_is_noticed(custody, register, tmp_path, caplog):
    """A row without its file is an error that an operator must see."""
    custody.accept(request_of(small_series(1)[0]))
    ((_, path),) = register.rows
    (tmp_path / path).unlink()

    assert custody.recover(START).missing == (path,)
    assert str(path) in caplog.text


def test_the_real_ledger_is_a_register(tmp_path):
    """Custody and ledger fit: accepted, known, and adopted only once."""
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        spool = Spool(tmp_path / "spool", limits=LIMITS)
        custody = Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt)
        custody.accept(request_of(small_series(1)[0]))

        assert ledger.arrivals.known_paths() == frozenset(spool.files())
        assert custody.recover(START).adopted == 0
