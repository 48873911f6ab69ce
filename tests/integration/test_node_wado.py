"""WADO-RS on loopback: images come into custody as if they had been sent."""

import errno
import threading
from dataclasses import replace

import pytest
from ct_builder import build_ct_series
from node_builders import SALT, Clock, file_bytes, opened_ledger
from sqlalchemy import select
from ups_server import UpsServer

from dicom_node.association.query import RemoteSeries
from dicom_node.errors import PeerError
from dicom_node.intake.custody import Custody
from dicom_node.intake.disk import Disk
from dicom_node.intake.spool import Spool
from dicom_node.jobs.tables import AssociationRow, InstanceRow
from dicom_node.web_service import WebService
from dicom_node.worklist.multipart import BrokenMultipartError, boundary_of, parts
from dicom_node.worklist.wado import WadoSource

STUDY = "1.2.826.0.1.3680043.8.498.91"


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def images():
    return build_ct_series(slices=4, shape_yx=(16, 16), study_uid=STUDY)


@pytest.fixture
def server(images):
    server = UpsServer()
    key = (STUDY, images[0].SeriesInstanceUID)
    server.images[key] = [file_bytes(image) for image in images]
    return server


@pytest.fixture
def source(ledger, tmp_path, server):
    spool = Spool(tmp_path / "spool")
    custody = Custody(spool=spool, register=ledger.arrivals, patient_salt=SALT)
    with server.listening() as port:
        yield WadoSource(
            service=WebService(name="tasks", url=f"http://127.0.0.1:{port}/dicom-web"),
            called_ae_title="ICHNODE",
            intake=custody,
            clock=Clock(),
            longest=1 << 20,
        )


def remote(series_uid):
    return RemoteSeries(
        study_instance_uid=STUDY, series_instance_uid=series_uid, study_date="", study_time=""
    )


def fetch(source, series_uid=""):
    (found,) = source([remote(series_uid)], stop=threading.Event())
    return found


def kept(ledger):
    with ledger.database.read() as session:
        return sorted(session.scalars(select(InstanceRow.sop_instance_uid)))


@pytest.mark.parametrize("by_series", [True, False], ids=["series", "study"])
def test_images_come_into_custody(ledger, source, images, by_series):
    """Every image of the series, or of the study; the association is closed behind them."""
    found = fetch(source, images[0].SeriesInstanceUID if by_series else "")

    assert (found.completed, found.failed) == (4, 0)
    assert kept(ledger) == sorted(image.SOPInstanceUID for image in images)
    with ledger.database.read() as session:
        (row,) = session.scalars(select(AssociationRow))
        assert (row.calling_ae_title, row.closed_at is not None) == ("tasks", True)


def test_what_is_no_ct_is_left_out(ledger, source, server, images):
    """A study has reports and pictures, too."""
    other = images[0]
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    key = (STUDY, other.SeriesInstanceUID)
    server.images[key] = [file_bytes(other), *server.images[key][1:]]

    assert fetch(source).completed == 3
    assert other.SOPInstanceUID not in kept(ledger)


def test_a_server_without_the_images_says_so(source):
    """HTTP 404."""
    found = fetch(source, "1.2.9")

    assert (found.completed, found.message) == (0, "tasks has no such images")


def test_an_image_that_is_too_long_is_refused(ledger, source, server):
    """Longer than node.max_object_mb: the rest of the answer is not read."""
    server.images = {(STUDY, "1.2.9"): [b"\0" * ((1 << 20) + 1)]}

    with pytest.raises(PeerError, match="longer than 1048576 bytes"):
        fetch(source, "1.2.9")
    assert kept(ledger) == []


def test_a_part_that_is_no_dicom_file_is_counted_as_failed(source, server):
    """The others are kept."""
    server.images[(STUDY, "1.2.9")] = [b"<html>"]

    found = fetch(source)

    assert (found.completed, found.failed) == (4, 1)


def reader(data, size):
    """Return a function that gives data in pieces of a size."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return lambda _: pieces.pop(0) if pieces else b""


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_parts_are_told_apart_however_they_come(size):
    """Boundaries may be cut anywhere, and a part may hold half of one (RFC 2046, 5.1.1)."""
    contents = [b"first", b"", b"--b", b"\r\n--", b"\0" * 500]
    body = b"preamble\r\n" + b"".join(
        b"--bound\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in contents
    )

    found = list(parts(reader(body + b"--bound--\r\nepilogue", size), b"bound", longest=1000))

    assert found == contents


@pytest.mark.parametrize(
    "body", [b"", b"--bound", b"--bound\r\n\r\nabc", b"--bound\r\n\r\nabc\r\n--bound"]
)
def test_an_answer_that_breaks_off_is_noticed(body):
    """A part is whole only if its boundary came."""
    with pytest.raises(BrokenMultipartError):
        list(parts(reader(body, 5), b"bound", longest=1000))


@pytest.mark.parametrize("kind", ["application/json", "multipart/related", ""])
def test_an_answer_of_another_kind_is_refused(kind):
    """Some servers answer with a page."""
    with pytest.raises(BrokenMultipartError):
        boundary_of(kind)


class FullDisk(Disk):
    """Has room for so many files."""

    def __init__(self, files):
        self.files = files

    def write(self, path, parts):
        self.files -= 1
        if self.files < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(path, parts)


def test_a_node_that_cannot_store_breaks_off_and_asks_for_all_of_it_later(
    ledger, tmp_path, source, images
):
    """Two of four images are here: that is no fetch that came to its end."""
    spool = Spool(tmp_path / "full", disk=FullDisk(2))
    full = Custody(spool=spool, register=ledger.arrivals, patient_salt=SALT)

    with pytest.raises(PeerError, match=r"the node itself refused an image with 0xA700"):
        fetch(replace(source, intake=full), images[0].SeriesInstanceUID)

    assert len(kept(ledger)) == 2
