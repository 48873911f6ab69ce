"""The reader study: blind, kept, and tabulated as published."""

import csv
import dataclasses
import itertools
import json

import numpy as np
import pytest
from diffusion_builder import slice_image, write_triplets
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase
from training.synthesis.readers.answers import Answer, read_answers, record_answer
from training.synthesis.readers.form import reader_form
from training.synthesis.readers.kit import Kind, largest_slice, make_kit, read_key, read_kit
from training.synthesis.readers.reader_table import (
    PUBLISHED,
    reader_table,
    rows_of,
    tabulate,
    write_table,
)
from training.synthesis.triplet_files import find_triplets

ANSWER = {"quality": "4", "authenticity": "3", "verdict": "real"}


@pytest.fixture
def study(tmp_path):
    """Return a study of four real and four synthetic slices."""
    write_triplets(tmp_path / "cases")
    synthetic = [
        TripletCase(
            case_id=f"synthetic-{number}",
            patient_id=f"synthetic-{number}",
            label=HeLabel.HE,
            images_yx=(slice_image(200 + number),),
        )
        for number in range(6)
    ]
    output = tmp_path / "study"
    make_kit(find_triplets([tmp_path / "cases"]), synthetic, output, count=4, seed=1)
    return output


def client(study):
    return TestClient(reader_form(study), base_url="http://127.0.0.1:8765")


def test_readers_cannot_know_what_is_what(study):
    """Their folder holds no identity, no kind, and pictures without any text chunk."""
    kit = read_kit(study)
    kinds = read_key(study)
    names = sorted(path.name for path in (kit.folder / "images").iterdir())
    text = (kit.folder / "kit.json").read_text()

    assert names == [f"{number}.png" for number in range(1, 9)]
    assert not any(word in text for word in ("synthetic", "real", "p0"))
    for path in (kit.folder / "images").iterdir():
        with Image.open(path) as picture:
            assert (picture.size, picture.mode, picture.info) == ((384, 384), "L", {})
    assert sorted(kinds.values()).count(Kind.REAL) == 4
    assert [kinds[code] for code in sorted(kinds)] != sorted(kinds.values())


def test_each_reader_has_an_order_of_their_own(study):
    """The same eight codes, in three orders."""
    orders = read_kit(study).orders

    assert set(orders) == {"A", "B", "C"}
    assert {frozenset(one) for one in orders.values()} == {frozenset(read_key(study))}
    assert len(set(orders.values())) == 3


def test_real_slices_are_the_largest_of_their_triplets():
    """The middle of three; of fewer the one with the largest region."""
    small, large = slice_image(1, side=20), slice_image(2, side=30)

    assert largest_slice([large, small, large]) is small
    assert largest_slice([small, large]) is large


def test_the_sheets_hold_every_code(study):
    """Eight images fit on one sheet of five by four."""
    sheets = sorted((study / "readers" / "sheets").iterdir())

    assert [path.name for path in sheets] == ["sheet_01.png"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (5 * 192, 4 * (192 + 14))


def test_a_kit_is_not_overwritten_and_not_made_of_too_few(study, tmp_path):
    """A lost key would make the answers worthless."""
    real = find_triplets([tmp_path / "cases"])

    with pytest.raises(ValueError, match="already"):
        make_kit(real, [], study, count=1)
    with pytest.raises(ValueError, match="100 real slices"):
        make_kit(real, [], tmp_path / "other")


def test_the_form_leads_through_all_images_and_keeps_every_answer(study):
    """A reader answers one after the other and may stop and go on; nothing is asked twice."""
    browser = client(study)
    asked = []
    for _ in range(8):
        page = browser.get("/A")
        code = page.url.path.split("/")[-1]
        asked.append(code)
        picture = browser.get(f"/A/{code}/image.png")
        assert picture.headers["content-type"] == "image/png"
        browser = client(study)  # as if the program had been started anew
        browser.post(f"/A/{code}", data=ANSWER)

    assert tuple(asked) == read_kit(study).orders["A"]
    assert "8 of 8 images" in browser.get("/A").text
    assert set(read_answers(study, "A")) == set(asked)
    assert read_answers(study, "B") == {}


def test_a_reader_may_think_again(study):
    """The last answer counts and is shown when the page is opened again."""
    browser = client(study)
    code = read_kit(study).orders["B"][0]

    browser.post(f"/B/{code}", data=ANSWER)
    browser.post(f"/B/{code}", data={**ANSWER, "quality": "2", "verdict": "synthetic"})

    answer = read_answers(study, "B")[code]
    assert (answer.quality, answer.verdict) == (2, Kind.SYNTHETIC)
    assert 'name="quality" value="2" required checked' in browser.get(f"/B/{code}").text


def test_the_form_gives_nothing_away_and_takes_nothing_else(study):
    """No key, no foreign file, no half answer, no other reader, host or origin."""
    browser = client(study)
    code = read_kit(study).orders["A"][0]

    assert browser.get("/A/key.csv").status_code == 422
    assert browser.get("/A/..%2F..%2Fkey/image.png").status_code in {404, 422}
    assert browser.get("/Z").status_code == 404
    assert browser.get("/A/999").status_code == 404
    for broken in ({"quality": "4"}, {**ANSWER, "quality": "6"}, {**ANSWER, "verdict": "fake"}):
        assert browser.post(f"/A/{code}", data=broken).status_code == 422
    foreign = {"origin": "http://evil.example"}
    assert browser.post(f"/A/{code}", data=ANSWER, headers=foreign).status_code == 403
    assert browser.get("/", headers={"host": "evil.example"}).status_code == 400
    assert read_answers(study, "A") == {}


def test_a_study_is_tabulated_when_everybody_has_finished(study):
    """Three readers who are always right and grade by kind: ICC 1, kappa 1, all identified."""
    kit, key = read_kit(study), read_key(study)
    for reader in ("A", "B"):
        for code in kit.orders[reader]:
            good = key[code] is Kind.REAL
            record_answer(study, reader, answer(code, 5 if good else 2, key[code]))
    with pytest.raises(ValueError, match="Reader C has 8 of 8"):
        reader_table(study)
    for code in kit.orders["C"]:
        record_answer(study, "C", answer(code, 5 if key[code] is Kind.REAL else 2, key[code]))

    table = reader_table(study)
    write_table(study, table)

    assert (table.quality.real.mean, table.quality.synthetic.mean) == (5, 2)
    assert table.quality.icc.value == pytest.approx(1)
    assert table.kappa.value == pytest.approx(1)
    assert str(table.synthetic_identified) == "4 (100.0 %)"
    assert str(table.quality.synthetic.poor) == "12 (100.0 %)"
    assert json.loads((study / "table2.json").read_text())["readers"] == 3
    with (study / "table2.csv").open() as stream:
        assert len(list(csv.reader(stream))) == 1 + len(PUBLISHED)
    assert "0.719" in (study / "table2.md").read_text()


def answer(code, grade, verdict):
    return Answer(code=code, quality=grade, authenticity=grade, verdict=verdict)


def test_the_table_is_that_of_a_small_example_worked_by_hand():
    """Two real, two synthetic images, three readers.

    Quality, real: (3,4,5) and (3,3,3), means 4 and 3: 3.5 ± 0.71; synthetic: (2,2,2), (1,2,3).
    All grades of real images are 3 or more; one of six of the synthetic ones is.
    Verdicts: the real ones are called real by two readers and by none, the synthetic ones by
    none and by two: one of each is identified by two of three. Kappa: 4 of 12 verdicts are
    "real", chance agrees by (1/3)^2 + (2/3)^2 = 5/9; pairs of readers agree by 1/3, 1, 1, 1/3,
    on average 2/3: (2/3 - 5/9) / (1 - 5/9) = 1/4.
    """
    called_real = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 1, 1]], dtype=bool)
    grades = np.array([[3, 4, 5], [3, 3, 3], [2, 2, 2], [1, 2, 3]])

    table = tabulate(
        real=np.array([True, True, False, False]),
        quality=grades,
        authenticity=grades,
        called_real=called_real,
    )

    assert table.quality.real.mean == pytest.approx(3.5)
    assert table.quality.real.sd == pytest.approx(0.5**0.5)
    assert str(table.quality.real.good) == "6 (100.0 %)"
    assert str(table.quality.synthetic.good) == "1 (16.7 %)"
    assert str(table.real_identified) == "1 (50.0 %)"
    assert str(table.synthetic_identified) == "1 (50.0 %)"
    assert table.kappa.value == pytest.approx(1 / 4)
    assert len(rows_of(table)) == len(PUBLISHED)


def test_all_pairs_of_values_that_never_vary_are_said_to_be_undefined():
    """Everybody says the same of everything."""
    same = np.full((4, 3), 3)
    table = tabulate(
        real=np.array([True, True, False, False]),
        quality=same,
        authenticity=same,
        called_real=np.ones((4, 3), dtype=bool),
    )

    assert table.kappa is None
    assert table.quality.icc is None
    assert rows_of(table)[-1][-1] == "not defined"
    assert table.quality.p_value == 1


def test_an_answer_is_on_the_scale_and_a_broken_file_is_named(study):
    """Grades are 1 to 5; a line that is none stops the table."""
    for name, grade in itertools.product(("quality", "authenticity"), (0, 6)):
        with pytest.raises(ValueError, match=f"{name} is graded 1 to 5"):
            dataclasses.replace(answer("1", 3, Kind.REAL), **{name: grade})
    (study / "answers").mkdir()
    (study / "answers" / "A.csv").write_text("code,quality,authenticity,verdict\n1,7,1,real\n")
    with pytest.raises(ValueError, match=r"A.csv, line 2"):
        read_answers(study, "A")
