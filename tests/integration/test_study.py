"""The whole study by its real stages on a cohort of small heads, with a budget of seconds."""

import json
import re

import pytest
from study_builder import write_study_cohort, write_tiny_budget
from typer.testing import CliRunner

from training.cli import application
from training.study.stages import STAGES

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study_cohort(folder / "cohort")
    write_tiny_budget(folder / "budget")
    return folder


def study(places, *more):
    budget = places / "budget" / "study_tiny.toml"
    arguments = ("--cohort", places / "cohort", "--budget", budget, "--output", places / "run")
    return CliRunner().invoke(
        application(), ["study", *map(str, (*arguments, "--threads", 1, *more))]
    )


@pytest.fixture(scope="module")
def done(places):
    return study(places)


def results(places):
    """Return what every finished stage wrote, by its name."""
    found = (places / "run").glob("*/*/result.json")
    return {path.parent.parent.name: json.loads(path.read_text())["outcome"] for path in found}


def test_every_stage_but_the_readers_is_done(places, done):
    """Nobody was asked, which is said; nothing fails."""
    failures = [path.read_text() for path in (places / "run").glob("*/*/failure.txt")]

    assert done.exit_code == 0, (done.output, failures)
    assert set(results(places)) == {stage.name for stage in STAGES} - {"readers"}
    assert "no reader study was named" in (places / "run" / "report.html").read_text()


def test_external_patients_are_never_trained_on(places, done):
    """Neither the networks of segmentation nor generator nor classifiers see their scans."""
    assert done.exit_code == 0
    external = {f"p{number:02d}" for number in range(21, 39)}
    splits = [
        json.loads(path.read_text())
        for path in (places / "run").glob("**/splits.json")
        if "nnunet" not in path.parts
    ]

    assert len(splits) == 3, "of benchmark, full segmentation and slices"
    for split in splits:
        assert not external & {*split["train"], *split["validation"], *split["test"]}
        assert split == {**splits[0]}, "the same division everywhere"
    learnt = {path.stem.split("-")[0] for path in (places / "run").glob("*/*/development/*.npz")}
    assert not external & learnt


def test_measures_have_the_keys_of_published_values(places, done):
    """A classifier for each ratio in each set, and the segmentation's Dice."""
    assert done.exit_code == 0
    keys = {one["key"] for found in results(places).values() for one in found["measures"]}

    assert {
        "flow.development.patients",
        "patients.external-1.age_years",
        "segmentation.external-2.dice",
        "slices.real.he",
        "synthesis.1:1.drawn",
        "classification.training.none.auc",
        "classification.external-1.1:1.auc",
        "classification.external-2.none.sensitivity",
    } <= keys


def test_synthetic_slices_bring_the_training_patients_to_the_ratio(places, done):
    """1:1 of N NHE slices and M real HE ones takes N - M synthetic ones."""
    assert done.exit_code == 0
    texts = {
        one["key"]: one["text"] for found in results(places).values() for one in found["measures"]
    }
    (experiments,) = (places / "run" / "classification").glob("*/experiments.json")
    slices = json.loads(experiments.read_text())["slices"]

    he, nhe = int(texts["slices.real.he"]), int(texts["slices.real.nhe"])
    assert int(texts["synthesis.1:1.drawn"]) == nhe - he
    assert slices == {"1:1": {"HE": nhe, "NHE": nhe}, "none": {"HE": he, "NHE": nhe}}


def test_the_report_shows_every_figure_and_the_best_possible_auc(places, done):
    """All pictures that the stages name are embedded."""
    assert done.exit_code == 0
    page = (places / "run" / "report.html").read_text()

    pictures = sum(len(found["pictures"]) for found in results(places).values())
    assert len(re.findall(r'<img src="data:image/png;base64,', page)) == pictures > 20
    assert "Best possible AUC" in page
    assert "SIMULATED DATA" in page


def test_a_second_call_does_nothing_again(places, done):
    """Every stage is cached, and the dry run says so."""
    assert done.exit_code == 0
    before = {
        path: path.stat().st_mtime_ns
        for path in (places / "run").glob("*/*/**/*")
        if path.is_file()
    }

    planned = study(places, "--dry-run")
    again = study(places)

    after = {
        path: path.stat().st_mtime_ns
        for path in (places / "run").glob("*/*/**/*")
        if path.is_file()
    }
    changed = {path.parts[-3] for path, time in after.items() if before.get(path) != time}
    assert again.exit_code == 0
    assert planned.output.count("same inputs") == len(STAGES) - 1
    assert changed <= {"readers"}
