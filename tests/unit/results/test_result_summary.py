"""The summary shows picture and numbers to eyes and ears, without any file beside it."""

import base64
import json
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from result_cases import case_with_hematoma, case_without_hematoma, context

from dicom_node.results import wording
from dicom_node.results.summary import analysis_record, rejection_record, write_summary
from pipeline.finding import Compartment
from pipeline.prediction import HeLabel
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode, RejectionReason
from pipeline.triplet import TripletPosition

COMMON = {"series_instance_uid": "1.2.3", "steps_s": {"read": 0.5}}
REASON = RejectionReason(
    code=RejectionCode.NOT_A_HEAD, found="<b>KNEE</b> & more", needed="a head"
)


class Page(HTMLParser):
    """Collects tags with attributes, and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module", params=["found", "none", "rejected"])
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("summary") / "new"
    if request.param == "rejected":
        record = rejection_record(REASON, context=context(), **COMMON)
        write_summary(folder, None, None, record)
    else:
        case = case_with_hematoma() if request.param == "found" else case_without_hematoma()
        record = analysis_record(case.analysis, context=context(), **COMMON)
        write_summary(folder, case.analysis, case.volume, record)
    return request.param, folder, record


def page_of(folder):
    return Page((folder / "summary.html").read_text(encoding="utf-8"))


def test_the_page_stands_alone(written):
    """No script, no style sheet, no image from elsewhere; the picture is inside."""
    _, folder, _ = written
    page = page_of(folder)

    (image,) = page.attributes("img")
    inside = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert inside == (folder / "summary.png").read_bytes()
    assert not page.attributes("script")
    assert not page.attributes("link")


def test_the_page_can_be_read_by_ear(written):
    """Language, title, one heading of first order, main part, described picture, row headers."""
    _, folder, _ = written
    page = page_of(folder)

    assert page.attributes("html")[0]["lang"] == "en"
    assert len(page.attributes("h1")) == len(page.attributes("main")) == 1
    assert len(page.attributes("img")[0]["alt"]) > 20
    assert {attrs["scope"] for attrs in page.attributes("th")} <= {"row", "col"}
    assert {"lang": "zh"} in page.attributes("span")


def test_every_page_says_research_and_demonstration(written):
    """In words, in both languages."""
    _, folder, _ = written
    text = page_of(folder).text

    assert wording.RESEARCH_STATEMENT in text
    assert wording.RESEARCH_USE_ONLY_ZH in text
    assert wording.DEMONSTRATION in text


def test_the_page_says_what_came_out(written):
    """Numbers for a hematoma, the finding for none, the reason for a rejection."""
    kind, folder, record = written
    text = page_of(folder).text

    if kind == "found":
        assert f"{record['volume_ml']:.1f} mL" in text
        assert "0.64" in text
        assert "Expansion predicted" in text
    elif kind == "none":
        assert "No hematoma found" in text
        assert wording.FLAG[QualityFlag.CONTRAST_SUSPECTED] in text
    else:
        assert "<b>KNEE</b> & more" in text


def test_the_record_lies_beside_the_page(written):
    """analysis.json is the record."""
    _, folder, record = written

    assert json.loads((folder / "analysis.json").read_text(encoding="utf-8")) == record


def test_no_patient_gets_into_the_folder(written):
    """Neither page nor record knows who was scanned."""
    _, folder, _ = written

    for path in folder.iterdir():
        assert b"POISON" not in path.read_bytes()


def test_the_picture_shows_the_patient_s_left_on_the_right(tmp_path):
    """The ball of blood lies on the left, whichever way rows and columns were stored."""
    sides = []
    for row, column, position in (
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), "HFS"),
        ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), "FFS"),
        ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), "HFP"),
    ):
        case = case_with_hematoma(row_cosine=row, column_cosine=column, patient_position=position)
        record = analysis_record(case.analysis, context=context(), **COMMON)
        write_summary(tmp_path / position, case.analysis, case.volume, record)
        pixels = np.asarray(
            Image.open(BytesIO((tmp_path / position / "summary.png").read_bytes()))
        ).astype(int)
        magenta = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] > 200)
        columns = np.nonzero(magenta[:, :500])[1]  # first panel: columns 30 to 500
        sides.append("right" if columns.mean() > 265 else "left")

    assert sides == ["right"] * 3


def test_every_value_has_its_words():
    """No flag, label or position is shown as a code."""
    assert set(wording.FLAG) == set(QualityFlag)
    assert set(wording.COMPARTMENT) == set(Compartment)
    assert set(wording.CATEGORY) == set(HeLabel)
    assert set(wording.POSITION) == set(TripletPosition)
