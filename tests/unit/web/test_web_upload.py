"""The page of uploads and pulls: what is taken, what is refused and why, and who may ask."""

import io
import json
import struct
import zipfile

import pytest
from ct_builder import POISON_NAME
from node_builders import file_bytes, small_series, wait_for
from query_provider import QueryProvider
from web_builder import csrf_of, post, web_node

from dicom_node.manual_runs import archive
from dicom_node.settings.schema import Settings
from dicom_node.users.role import UserRole
from dicom_node.web.pages import upload as page

UPLOADS = "/api/v1/uploads"


def images(seed=7):
    return [file_bytes(one) for one in small_series(seed=seed, study_uid=f"1.2.{seed}")]


def zipped(files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def send(node, body, role=UserRole.OPERATOR, **query):
    return node.client().post(UPLOADS, content=body, params=query, headers=node.token(role))


def change(node, /, **tables):
    """Let the pages go by other settings."""
    document = node.settings.model_dump(mode="json")
    for name, values in tables.items():
        document[name] = document[name] | values if isinstance(values, dict) else values
    node.pages.use(Settings.model_validate_json(json.dumps(document)))


def with_peer(node, port):
    change(node, peers=[{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}])


def left_over(node):
    return list(node.settings.node.data_dir.glob("upload-*"))


def test_an_archive_goes_into_custody_like_a_study_that_was_sent(node):
    """Twelve images, from the calling title UPLOAD; nothing else stays on the disk."""
    answer = send(node, zipped({f"A/{n}.dcm": one for n, one in enumerate(images())}))

    assert answer.status_code == 200
    run = answer.json()
    assert (run["accepted"], run["refused"], run["step"]) == (12, 0, "received")
    (series,) = run["series"]
    assert (series["study_instance_uid"], series["images"]) == ("1.2.7", 12)
    assert series["step"] == "receiving"
    (status,) = node.ledger.reports.overview(limit=1).series
    assert status.calling_ae_title == "UPLOAD"
    assert left_over(node) == []


def test_files_of_one_run_are_told_together(node):
    """As the page sends them: one after the other, each the body of a request."""
    header, client = node.token(UserRole.OPERATOR), node.client()
    for one in images()[:3]:
        client.post(UPLOADS, content=one, params={"run": "ab12", "name": "IM1"}, headers=header)
    (run,) = client.get("/api/v1/runs", headers=header).json()["runs"]

    assert (run["run"], run["accepted"], len(run["series"])) == ("ab12", 3, 1)


def test_what_is_not_taken_is_named_with_the_reason(node):
    """A text, a result object, an encoding nobody reads, a cut off image."""
    first = small_series(seed=8)[0]
    capture = small_series(seed=8)[1]
    capture.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    whole = file_bytes(first)
    files = {
        "README": b"hello",
        "capture.dcm": file_bytes(capture),
        "video.dcm": whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4\0", 1),
        "short.dcm": whole[:-100],
        "../up.dcm": whole,
        "/etc/up.dcm": whole,
        "C:\\up.dcm": whole,
    }
    run = send(node, zipped(files)).json()

    reasons = {one["name"]: one["reason"] for one in run["refused_files"]}
    assert run["accepted"] == 0
    assert run["step"] == "refused"
    assert reasons["README"] == "is no DICOM file"
    assert reasons["capture.dcm"] == "is no CT image"
    assert reasons["video.dcm"] == "is encoded in a way that is not read"
    assert reasons["short.dcm"].startswith("An element needs")
    for name in ("../up.dcm", "/etc/up.dcm"):
        assert reasons[name] == "its name leads out of the archive"
    assert sum(reason == "its name leads out of the archive" for reason in reasons.values()) == 3


def test_an_archive_that_would_grow_without_bounds_is_refused(node):
    """100 MB of zeros in 100 kB."""
    answer = send(node, zipped({"zeros.dcm": bytes(100 * 2**20)}))

    assert answer.status_code == 422
    assert "times as long" in answer.json()["detail"]
    assert left_over(node) == []


def test_an_archive_that_lies_about_its_files_is_not_believed(node):
    """The table says one byte, the entry holds a megabyte: no more than a byte is unpacked."""
    body = bytearray(zipped({"a.dcm": bytes(2**20)}))
    table = body.rfind(b"PK\x01\x02")
    struct.pack_into("<I", body, table + 24, 1)

    run = send(node, bytes(body)).json()

    assert run["accepted"] == 0
    (one,) = run["refused_files"]
    assert one["reason"] in {"is damaged in the archive", "is not as long as the archive says"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda body: body[:-30], "cut off"),
        (lambda body: body[:-12] + b"\xff\xff\xff\xff" + body[-8:], "more than"),
        (lambda body: body[:-22] + b"PK\x06\x07" + bytes(16) + body[-22:], "ZIP64"),
    ],
    ids=["cut off", "giant table", "zip64"],
)
def test_a_broken_archive_is_refused_before_its_table_is_read(node, spoil, words):
    """A table of gigabytes would fill the memory."""
    answer = send(node, spoil(zipped({"a.dcm": b"x"})))

    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_an_encrypted_file_is_refused(node):
    """Nobody can give a password here."""
    body = bytearray(zipped({"a.dcm": b"x" * 100}))
    table = body.rfind(b"PK\x01\x02")
    struct.pack_into("<H", body, table + 8, 1)

    assert send(node, bytes(body)).json()["refused_files"][0]["reason"] == "is encrypted"


def test_too_many_files_are_refused(node, monkeypatch):
    """Whatever they hold."""
    monkeypatch.setattr(archive, "MOST_ENTRIES", 3)
    answer = send(node, zipped({str(number): b"" for number in range(4)}))

    assert answer.status_code == 422
    assert "more than 3 files" in answer.json()["detail"]


def test_an_upload_without_room_is_refused_before_it_is_read(node):
    """The floor of the disk holds for uploads, too."""
    change(node, node={"free_space_floor_mb": 10**7})

    answer = send(node, b"x")

    assert answer.status_code == 507
    assert "no room" in answer.json()["detail"]
    assert left_over(node) == []


def test_an_upload_that_is_too_long_is_not_read(node):
    """By what it says of itself, before a byte of it is kept."""
    header = node.token(UserRole.OPERATOR) | {"Content-Length": str(page.LONGEST_UPLOAD + 1)}

    assert node.client().post(UPLOADS, content=b"x", headers=header).status_code == 413


def test_nothing_is_no_upload(node):
    """An empty body."""
    assert send(node, b"").status_code == 422


def test_somebody_elses_run_is_not_added_to(node):
    """Two operators, one name."""
    send(node, images()[0], run="cd34")

    answer = send(node, images()[1], run="cd34")

    assert answer.status_code == 422
    assert "somebody else" in answer.json()["detail"]


def test_the_page_names_refused_files_to_who_may_see_them_and_the_log_does_not(node, caplog):
    """A name in an archive may be a patient's."""
    send(node, zipped({f"{POISON_NAME}.txt": b"x"}))

    html = node.client("otto").get("/upload").text
    assert "POISON" in html
    assert "is no DICOM file" in html
    assert "POISON" not in caplog.text
    assert node.client("vera").get("/upload").status_code == 403


def test_a_pull_runs_in_the_background_and_the_page_shows_how_far(node):
    """By C-GET; the form comes back without the patient in it."""
    scan = small_series(seed=9, study_uid="1.2.9", patient_id="POISON-ID")
    for image in scan:
        image.StudyDate, image.StudyTime, image.AccessionNumber = "20260104", "101500", "A9"
    with QueryProvider(scan).listening() as port:
        with_peer(node, port)
        client = node.client("otto")
        fields = {"peer": "pacs", "named": "patient", "value": "POISON-ID", "by": "get"}
        answer = post(client, "/upload", page="/upload", **fields)
        assert (answer.status_code, answer.headers["location"]) == (303, "/upload")
        wait_for(lambda: "fetched" in client.get("/upload").text.lower(), limit_s=60)
        wait_for(
            lambda: node.pages.sources.manual_runs.all()[0].step.value == "received", limit_s=60
        )

    html = client.get("/upload").text
    assert "12 images" in html
    assert "POISON-ID" not in html
    assert 'hx-trigger="every 3s"' in html


def test_a_pull_that_finds_nothing_says_so(node):
    """In the run, for programs and people."""
    with QueryProvider([]).listening() as port:
        with_peer(node, port)
        header = node.token(UserRole.OPERATOR)
        answer = node.client().post(
            "/api/v1/pulls", json={"peer": "pacs", "study_instance_uid": "1.2.3"}, headers=header
        )
        assert (answer.status_code, answer.json()["step"]) == (202, "looking")
        wait_for(lambda: not node.pages.sources.manual_runs.all()[0].is_open, limit_s=60)

    (run,) = node.client().get("/api/v1/runs", headers=header).json()["runs"]
    assert (run["step"], run["fault"]) == ("refused", "pacs has nothing of study 1.2.3")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"peer": "nobody", "patient_id": "P1"}, 422),
        ({"peer": "pacs"}, 422),
        ({"peer": "pacs", "patient_id": "P*"}, 422),
        ({"peer": "pacs", "patient_id": "P1", "by": "post"}, 422),
    ],
)
def test_a_pull_that_cannot_be_begun_is_refused(node, body, status):
    """No such peer, nothing named, a pattern, another way."""
    answer = node.client().post("/api/v1/pulls", json=body, headers=node.token(UserRole.OPERATOR))

    assert answer.status_code == status


def test_a_pattern_in_the_form_is_told_on_the_page(node):
    """And not repeated."""
    client = node.client("otto")
    with_peer(node, 104)
    fields = {"peer": "pacs", "named": "patient", "value": "SECRET*", "by": ""}
    answer = client.post("/upload", data={"csrf": csrf_of(client.get("/upload").text), **fields})

    assert answer.status_code == 422
    assert "wildcard" in answer.text
    assert "SECRET" not in answer.text


def test_what_a_crash_left_of_an_upload_is_gone_after_the_start(data_folder):
    """Only images in custody stay."""
    (data_folder / "upload-abc.part").write_bytes(b"x")
    with web_node(data_folder) as node:
        assert left_over(node) == []
