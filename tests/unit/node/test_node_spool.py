"""The spool: complete files or none."""

import errno
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from node_builders import FakeDisk, encoded, received, small_series

from dicom_node.association.file_format import split_file
from dicom_node.errors import SpoolFullError, SpoolWriteError
from dicom_node.intake.disk import Disk
from dicom_node.intake.spool import Spool, SpoolLimits

LIMITS = SpoolLimits(free_floor_bytes=1000)


def test_the_file_holds_the_data_set_byte_for_byte(tmp_path):
    """Behind the header stands what the sender sent, and the header says who sent it."""
    ds = small_series(1)[0]
    spool = Spool(tmp_path, limits=LIMITS)

    path = spool.put(received(ds))

    meta, offset = split_file(spool.read(path))
    assert spool.read(path)[offset:] == encoded(ds)
    assert meta.sop_instance_uid == ds.SOPInstanceUID
    assert (meta.calling_ae_title, meta.called_ae_title) == ("MODALITY", "ICHNODE")


def test_bytes_are_synced_before_the_name_and_the_name_before_the_answer(tmp_path):
    """Write and sync, rename, sync the folder: in this order, nothing left out."""
    disk = FakeDisk()

    Spool(tmp_path, limits=LIMITS, disk=disk).put(received(small_series(1)[0]))

    assert disk.calls == ["sync_folder", "write", "rename", "sync_folder"]


def test_a_journal_spares_the_second_sync(tmp_path):
    """Where a synced file keeps its name: content first, then the final name, one sync."""
    disk = FakeDisk(journals=True)
    spool = Spool(tmp_path, limits=LIMITS, disk=disk)
    first, second = small_series(2)

    spool.put(received(first))
    assert disk.calls == ["sync_folder", "write", "rename"]

    spool.put(received(second))
    assert disk.calls == ["sync_folder", "write", "rename", "write", "rename"]


def test_a_name_that_was_lost_is_given_again(tmp_path):
    """After a power cut the file may have the name it was written under."""
    spool = Spool(tmp_path, limits=LIMITS)
    path = spool.put(received(small_series(1)[0]))
    before = spool.read(path)
    (tmp_path / path).rename(tmp_path / f"{path}.7-8.part")

    assert spool.settle_parts() == 0
    assert spool.read(path) == before


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"?", lambda _: b""])
def test_a_part_that_is_not_whole_gets_no_name(tmp_path, damage):
    """The digest in its name tells a complete part from another."""
    spool = Spool(tmp_path, limits=LIMITS)
    path = spool.put(received(small_series(1)[0]))
    part = tmp_path / f"{path}.7-8.part"
    part.write_bytes(damage(spool.read(path)))
    (tmp_path / path).unlink()

    assert spool.settle_parts() == 1
    assert list(spool.files()) == []
    assert not part.exists()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_reserves_nothing_stores_all_the_same(tmp_path, monkeypatch, code):
    """Room is asked for before the first byte only where there is such a thing."""

    def refuse(*_):
        raise OSError(code, "injected")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    instance = received(small_series(1)[0])
    spool = Spool(tmp_path, limits=LIMITS)

    assert (
        spool.read(spool.put(instance)) == instance.request.file_header + instance.request.data_set
    )


def test_a_disk_without_room_says_so_before_the_first_byte(tmp_path, monkeypatch):
    """The file system knows before anything is written; nothing is left behind."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, "injected")

    monkeypatch.setattr("os.posix_fallocate", refuse)

    with pytest.raises(SpoolFullError):
        Spool(tmp_path, limits=LIMITS).put(received(small_series(1)[0]))

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_kind_of_file_system_is_read_from_the_mounts(tmp_path):
    """`df` and the node agree on whether this is one of the journals that were tried."""
    told = subprocess.run(
        ["df", "--output=fstype", str(tmp_path)], check=True, capture_output=True, text=True
    )
    kind = told.stdout.split()[-1]
    assert Disk().names_last_with_files(tmp_path) == (kind in {"ext4", "xfs"})


def test_the_disk_is_never_filled_beyond_the_floor(tmp_path):
    """The instance would fit, but results and ledger need room too."""
    instance = received(small_series(1)[0])
    room_for_it = len(instance.request.data_set) + len(instance.request.file_header) + 1000

    with pytest.raises(SpoolFullError):
        Spool(tmp_path, limits=LIMITS, disk=FakeDisk(free=room_for_it - 1)).put(instance)

    Spool(tmp_path, limits=LIMITS, disk=FakeDisk(free=room_for_it)).put(instance)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, SpoolFullError),
        (errno.EDQUOT, SpoolFullError),
        (errno.EIO, SpoolWriteError),
        (errno.EROFS, SpoolWriteError),
    ],
)
@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_failing_disk_leaves_nothing_behind(tmp_path, step, code, error):
    """Half a file is removed, and the error tells a full disk from a broken one."""
    disk = FakeDisk()
    disk.fault[step] = OSError(code, "injected")

    with pytest.raises(error):
        Spool(tmp_path, limits=LIMITS, disk=disk).put(received(small_series(1)[0]))

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_unsynced_folder_is_no_custody(tmp_path):
    """If the last sync fails the sender must not hear Success."""
    spool = Spool(tmp_path, limits=LIMITS, disk=(disk := FakeDisk()))
    spool.put(received(small_series(2)[0]))
    disk.fault["sync_folder"] = OSError(errno.EIO, "injected")

    with pytest.raises(SpoolWriteError):
        spool.put(received(small_series(2)[1]))


def test_the_same_content_is_one_file_and_another_content_is_another(tmp_path):
    """A repeat changes nothing; a version never replaces what was acknowledged."""
    ds = small_series(1)[0]
    spool = Spool(tmp_path, limits=LIMITS)
    first = spool.put(received(ds))
    before = spool.read(first)

    assert spool.put(received(ds)) == first
    ds.SeriesDescription = "CORRECTED"
    second = spool.put(received(ds))

    assert second != first
    assert spool.read(first) == before
    assert set(spool.files()) == {first, second}


def test_parallel_senders_of_one_instance_do_not_disturb_each_other(tmp_path):
    """Eight associations send the same image at once; the file is whole."""
    instance = received(small_series(1)[0])
    spool = Spool(tmp_path, limits=LIMITS)

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(spool.put, [instance] * 32))

    (path,) = paths
    assert spool.read(path) == instance.request.file_header + instance.request.data_set


def test_what_was_being_written_is_removed_at_start(tmp_path):
    """A part was never acknowledged."""
    spool = Spool(tmp_path, limits=LIMITS)
    path = spool.put(received(small_series(1)[0]))
    part = tmp_path / path.parent / "half.dcm.1-2.part"
    part.write_bytes(b"half")

    assert spool.settle_parts() == 1
    assert not part.exists()
    assert list(spool.files()) == [path]


def test_names_of_files_tell_no_uid(tmp_path):
    """UIDs come from outside and never become a path."""
    ds = small_series(1)[0]

    path = Spool(tmp_path, limits=LIMITS).put(received(ds))

    assert ds.SOPInstanceUID not in str(path)
    assert ds.SeriesInstanceUID not in str(path)
