"""The table of published values agrees with itself, and with what the stages measure."""

import pytest

from training.study.outcome import Measure
from training.study.published import read_published
from training.study.report import compared_rows
from training.study.stages import STAGES
from training.synthesis.readers.reader_table import PUBLISHED as TABLE_2

#: Patients with and without expansion: npj Table 1.
PATIENTS = {"training": (218, 885), "external-1": (112, 401), "external-2": (81, 323)}


@pytest.fixture(scope="module")
def values():
    return read_published().values


def test_every_published_value_belongs_to_a_part_of_the_publications(values):
    """And every stage is a part."""
    parts = read_published().stages

    assert {key.split(".")[0] for key in values} == set(parts)
    assert {stage.name for stage in STAGES} <= set(parts)


def test_texts_and_numbers_agree(values):
    """The number is the first one of the text, a share its percentage."""
    for key, one in values.items():
        if one.value is None:
            continue
        first = float(one.text.split()[0].replace(",", ""))
        percent = one.text.split("(")[1].split()[0] if "%" in one.text else None
        told = float(percent) / 100 if percent else first
        assert told == pytest.approx(one.value, abs=6e-4), key


@pytest.mark.parametrize("ratio", ["1:1", "1:2", "none"])
@pytest.mark.parametrize("name", PATIENTS)
def test_table_3_is_the_table_of_whole_patients(values, name, ratio):
    """Counts that give sensitivity and specificity also give accuracy, PPV and NPV."""
    he, nhe = PATIENTS[name]
    row = {
        measure: values[f"classification.{name}.{ratio}.{measure}"].value
        for measure in ("accuracy", "sensitivity", "specificity", "ppv", "npv")
    }

    hits, rejected = round(row["sensitivity"] * he), round(row["specificity"] * nhe)

    assert row["accuracy"] == pytest.approx((hits + rejected) / (he + nhe), abs=1e-3)
    assert row["ppv"] == pytest.approx(hits / (hits + nhe - rejected), abs=1e-3)
    assert row["npv"] == pytest.approx(rejected / (rejected + he - hits), abs=1e-3)


def test_sets_of_the_publication_add_up(values):
    """2,020 patients; 654 and 2,001 HE slices are as many as 2,655 NHE slices, 1:1."""
    counts = {
        role: int(values[f"flow.{role}.patients"].text.replace(",", ""))
        for role in ("all", "development", "external-1", "external-2")
    }
    slices = {
        key: values[key].value
        for key in ("slices.real.he", "slices.real.nhe", "synthesis.1:1.drawn")
    }

    assert counts.pop("all") == sum(counts.values())
    assert slices["slices.real.he"] + slices["synthesis.1:1.drawn"] == slices["slices.real.nhe"]


def test_differences_of_auc_are_those_of_the_aucs(values):
    """Of external sets 1 and 2; the publication rounds after subtracting."""
    for name in ("external-1", "external-2"):
        for other in ("1:1", "none"):
            told = values[f"classification.{name}.1:2-{other}.difference"].value
            best = values[f"classification.{name}.1:2.auc"].value
            less = values[f"classification.{name}.{other}.auc"].value
            assert told == pytest.approx(best - less, abs=1.1e-3)


def test_table_2_is_that_of_the_reader_study(values):
    """Both copies of the published table say the same."""
    ours = {one.text for key, one in values.items() if key.startswith("readers.")}
    theirs = {cell.removeprefix("p = ") for row in TABLE_2 for cell in row if cell}

    assert ours == theirs


def test_a_measure_stands_beside_its_counterpart():
    """With the difference; what is measured otherwise is not subtracted."""
    measures = [
        Measure(key="benchmark.umamba-enc.dice", words="Dice", text="0.900", value=0.9),
        Measure(
            key="benchmark.umamba-enc.iou", words="IoU", text="0.8", value=0.8, comparable=False
        ),
        Measure(key="benchmark.nnunet.dice", words="nnU-Net", text="0.7", value=0.7),
    ]

    rows = compared_rows("benchmark", measures, read_published())

    assert [(row.words, row.ours, row.published, row.difference) for row in rows] == [
        ("Dice", "0.900", "0.937", "-0.037"),
        ("IoU", "0.8", "0.934", "not comparable"),
    ]


def test_a_published_value_without_a_measure_is_still_shown():
    """Nothing of the publication is passed over in silence."""
    rows = compared_rows("benchmark", (), read_published())

    assert {row.published for row in rows} == {"0.937", "0.934"}
    assert {row.ours for row in rows} == {"not measured"}
