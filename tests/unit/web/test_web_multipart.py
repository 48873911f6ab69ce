"""A form with files: read in pieces of any size, taken file by file, refused before it is kept."""

import pytest
from node_builders import file_bytes, small_series
from web_builder import csrf_of

from dicom_node.users.role import UserRole
from dicom_node.web.multipart import (
    BrokenFormError,
    FormReader,
    PartBegins,
    PartEnds,
    PartGoesOn,
    boundary_of,
)
from dicom_node.web.pages import upload_form

#: As RFC 7578 has it; a file holds the beginning of the boundary, another is empty.
BODY = (
    b"ignored\r\n--b0\r\n"
    b'Content-Disposition: form-data; name="csrf"\r\n\r\nabc\r\n--b0\r\n'
    b'Content-Disposition: form-data; name="file"; filename="\xc3\xa4 1.dcm"\r\n'
    b"Content-Type: application/dicom\r\n\r\n1\r\n--b\r\n\r\n--2\r\n--b0\r\n"
    b'content-disposition: form-data; filename=""; name=file\r\n\r\n\r\n--b0--\r\nignored'
)
FIELDS = [("csrf", "", b"abc"), ("file", "ä 1.dcm", b"1\r\n--b\r\n\r\n--2"), ("file", "", b"")]


def fields(chunks, boundary="b0"):
    reader, found = FormReader(boundary), []
    for chunk in chunks:
        for event in reader.feed(chunk):
            if isinstance(event, PartBegins):
                found.append([event.name, event.file_name, b"", False])
            elif isinstance(event, PartGoesOn):
                found[-1][2] += event.content
            elif isinstance(event, PartEnds):
                found[-1][3] = True
    reader.close()
    assert all(is_over for *_, is_over in found)
    return [tuple(one[:3]) for one in found]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
def test_fields_are_the_same_however_they_come(size):
    """Cut anywhere: within a boundary, a header, between CR and LF."""
    assert fields([BODY[at : at + size] for at in range(0, len(BODY), size)]) == FIELDS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY[:-20],
        b"--b0\r\nContent-Disposition: form-data; name=a\r\n",
        b"--b0xx",
        b"--b0\r\n" + b"x" * 9000,
    ],
)
def test_a_broken_form_is_told(body):
    """It ends early, or a header has no end."""
    with pytest.raises(BrokenFormError):
        fields([body])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/form-data; boundary="a b"', "a b"),
        ("multipart/form-data; charset=x; boundary=----X1", "----X1"),
        ("multipart/mixed; boundary=b", ""),
        ("multipart/form-data", ""),
        ("multipart/form-data; boundary=" + "x" * 71, ""),
        ("application/x-www-form-urlencoded", ""),
        ("", ""),
    ],
)
def test_the_boundary_is_that_of_the_standard(content_type, boundary):
    """At most 70 characters of a few kinds (RFC 2046, 5.1.1)."""
    assert boundary_of(content_type) == boundary


def images(number):
    return [file_bytes(one) for one in small_series(seed=9, study_uid="1.2.9")[:number]]


def sent(client, files, secret=None):
    """Send a form as a browser does: the secret first."""
    secret = csrf_of(client.get("/upload").text) if secret is None else secret
    parts = [("csrf", (None, secret)), *(("file", (name, one)) for name, one in files)]
    return client.post("/upload/files", files=parts)


def left_over(node):
    return list(node.settings.node.data_dir.glob("upload-*"))


def test_a_plain_form_takes_several_files_and_says_what_became_of_them(node):
    """Two images and one text: as one run, with the study and a reason."""
    client = node.client("otto")
    first, second = images(2)

    page = sent(client, [("1.dcm", first), ("2.dcm", second), ("notes.txt", b"no DICOM")])
    (run,) = client.get("/api/v1/runs", headers=node.token(UserRole.OPERATOR)).json()["runs"]

    assert page.status_code == 200
    assert "3 files came; 2 images were taken, 1 file was not taken." in page.text
    assert "notes.txt" in page.text
    assert "1.2.9" in page.text
    assert (run["accepted"], run["refused"]) == (2, 1)
    assert left_over(node) == []


def test_the_page_needs_no_script(node):
    """The form names where it goes and how."""
    page = node.client("otto").get("/upload").text

    assert 'action="/upload/files" enctype="multipart/form-data"' in page
    assert "noscript" not in page
    assert page.index('name="csrf"', page.index("/upload/files")) < page.index('name="file"')


def test_a_form_from_elsewhere_is_refused_before_a_file_is_kept(node):
    """A wrong secret, none, or one that comes after the files."""
    client = node.client("otto")
    secret = csrf_of(client.get("/upload").text)
    (image,) = images(1)

    wrong = sent(client, [("1.dcm", image)], secret="0" * 64)
    late = client.post("/upload/files", files=[("file", ("1.dcm", image)), ("csrf", secret)])

    assert (wrong.status_code, late.status_code) == (403, 403)
    assert client.get("/api/v1/runs", headers=node.token(UserRole.OPERATOR)).json()["runs"] == []
    assert left_over(node) == []
    assert sent(node.client("vera"), [("1.dcm", image)]).status_code == 403


def test_a_form_without_files_says_so(node):
    """Also one that breaks off in the middle."""
    client = node.client("otto")
    secret = csrf_of(client.get("/upload").text)
    head = "multipart/form-data; boundary=b0"
    broken = f'--b0\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{secret}\r\n--b0\r\n'

    assert sent(client, [("", b"")]).status_code == 422
    answer = client.post("/upload/files", content=broken, headers={"Content-Type": head})
    assert (answer.status_code, "broke off" in answer.text) == (400, True)


def test_a_form_takes_so_many_files(node, monkeypatch):
    """More belong into an archive."""
    monkeypatch.setattr(upload_form, "MOST_FILES", 1)
    first, second = images(2)

    answer = sent(node.client("otto"), [("1.dcm", first), ("2.dcm", second)])

    assert answer.status_code == 413
    assert "zip archive" in answer.text
    assert left_over(node) == []
