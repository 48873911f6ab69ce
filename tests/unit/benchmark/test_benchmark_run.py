"""A benchmark from architectures to tables and figures, with trainings that take no time."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from pipeline.model_bundle import save_bundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.predictor import ClassMaps, ignore_progress
from pipeline.segmentation.segmenter import Segmenter
from training.cohort.case import IGNORED, Case, save_case
from training.cohort.folder import load_cohort
from training.evaluation.lesions import LesionCount
from training.evaluation.scan_score import ScanScore
from training.segmentation.benchmark.conditions import conditions
from training.segmentation.benchmark.contest import (
    Finished,
    read_run_result,
    run_contest,
    write_run_result,
)
from training.segmentation.benchmark.contestant import Contestant
from training.segmentation.benchmark.examination import Examiner, count_parameters
from training.segmentation.benchmark.example_figure import choose_examples
from training.segmentation.benchmark.held_out import held_out_scans
from training.segmentation.benchmark.report import write_report
from training.segmentation.benchmark.scan_row import ScanRow
from training.segmentation.benchmark.summary import summarise
from training.segmentation.benchmark.training_port import EqualTraining
from training.segmentation.experiment import Budget, Experiment
from training.segmentation.run_result import RunProgress, RunResult

ARGUMENTS = {"features": [4, 8], "slice_strides": [1], "volume_levels": 1, "fold": 2}


def head(number: int, *, bleeds: bool = True) -> Case:
    """Return a box of bone with brain, and a bright cuboid in it that is known but for a rim."""
    hu = np.full((6, 40, 40), 30)
    hu[:, :4] = hu[:, -4:] = hu[:, :, :4] = hu[:, :, -4:] = 900
    hu[:1] = hu[-1:] = 900
    label = np.zeros(hu.shape, dtype=np.uint8)
    if bleeds:
        label[2:4, 12 : 20 + number, 12:24] = 1
        hu[label == 1] = 70
        label[2:4, 30, 12:24] = IGNORED
    return Case(
        case_id=f"sim-{number}-baseline",
        patient_id=f"sim-{number}",
        source="simulated",
        hu_zyx=hu.astype(np.int16),
        label_zyx=label,
        spacing_zyx_mm=(5.0, 2.0, 2.0),
    )


class BrightPredictor:
    """Calls soft tissue brighter than 50 HU hematoma with a probability of one half."""

    def warm_up(self):
        """Be warm."""

    def predict(self, volume, *, on_progress=ignore_progress):
        bright = (volume.hu_zyx > 50) & (volume.hu_zyx < 100)
        on_progress(1.0)
        return ClassMaps(hematoma_zyx=np.where(bright, 0.5, 0.0).astype(np.float32))


def toy_bundle(path: Path, *, cutoff: float) -> Path:
    """Write a compact network that knows nothing; the predictor above sees by its cutoff."""
    network = build_network("CompactUNet", ARGUMENTS)
    card = ModelCard(
        name=path.name,
        version="1",
        task="segmentation",
        architecture="CompactUNet",
        architecture_arguments=ARGUMENTS,
        spacing_zyx_mm=(5.0, 2.0, 2.0),
        patch_size_zyx=(4, 32, 32),
        intensity=Intensity(clip_low_hu=-20, clip_high_hu=100, mean=25, sd=30),
        class_names=("background", "hematoma"),
        probability_cutoff=cutoff,
        minimum_component_ml=0.0,
        training_cohort="none",
        licence="Apache-2.0",
        intended_use="tests",
        demonstration=True,
    )
    return save_bundle(path, card, network.state_dict()).path


class FakeTraining:
    """Writes a bundle instead of training, and remembers what it was asked for."""

    def __init__(self, *, broken: frozenset[str] = frozenset()) -> None:
        self.asked: list[str] = []
        self.broken = broken

    def __call__(self, architecture, folder, *, on_progress):
        self.asked.append(architecture)
        if architecture in self.broken:
            raise RuntimeError(f"{architecture} diverged\nat step 3")
        on_progress(RunProgress(share=1.0, epoch=1, epochs=1, loss=0.5))
        bundle = toy_bundle(folder / "bundle", cutoff=0.9 if architecture == "blind" else 0.1)
        return RunResult(
            architecture=architecture,
            folder=folder,
            bundle=bundle,
            parameters=7,
            seconds=60.0,
            peak_memory_mb=100.0,
            epochs=1,
            iterations=20,
        )


def a_training(folder) -> EqualTraining:
    """Return the same training for everybody, of which only the words are used."""
    return EqualTraining(
        cohorts=(folder,),
        experiment=Experiment(),
        budget=Budget(epochs=1),
        seed=3,
        device="cpu",
    )


class Listener:
    """Hears everything."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def begins(self, contestant):
        self.heard.append(("begins", contestant.name))

    def trains(self, contestant, progress):
        self.heard.append(("trains", contestant.name, progress.share))

    def examined(self, contestant, scans, of):
        self.heard.append(("examined", contestant.name, scans, of))

    def ends(self, contestant, failure):
        self.heard.append(("ends", contestant.name, failure))


@pytest.fixture
def held_out(tmp_path):
    """Three heads with hematoma and one without."""
    for number in range(4):
        save_case(tmp_path / "sim", head(number, bleeds=number < 3))
    cohort = load_cohort(tmp_path / "sim")
    save_case(tmp_path / "train", head(9))
    return held_out_scans(load_cohort(tmp_path / "train"), cohort)


def examiner(held_out) -> Examiner:
    ticks = itertools.count()
    return Examiner(
        scans=held_out.scans,
        device=torch.device("cpu"),
        clock=lambda: float(next(ticks)),
        load=lambda bundle, _: Segmenter(bundle.card, BrightPredictor()),
    )


def contestants(*names):
    return tuple(Contestant(name=name) for name in names)


def test_everybody_is_trained_and_examined(tmp_path, held_out):
    """One row for each scan and contestant; the audience hears every step."""
    train, listener = FakeTraining(), Listener()

    finished, failed = run_contest(
        contestants("blind", "greedy"),
        train,
        examiner(held_out),
        output=tmp_path / "out",
        audience=listener,
    )

    assert failed == []
    assert [len(one.rows) for one in finished] == [4, 4]
    blind, greedy = finished
    assert {row.score.predicted_ml for row in blind.rows} == {0.0}
    assert [row.score.dice for row in greedy.rows] == [1.0, 1.0, 1.0, None]
    assert all(row.seconds == 1.0 for row in blind.rows)
    assert listener.heard[:3] == [
        ("begins", "blind"),
        ("trains", "blind", 1.0),
        ("examined", "blind", 1, 4),
    ]
    assert listener.heard[-1] == ("ends", "greedy", None)


def test_a_second_call_does_nothing_twice(tmp_path, held_out):
    """Finished trainings and examined scans are taken from the folder."""
    train = FakeTraining()
    call = (contestants("blind"), train, examiner(held_out))
    first, _ = run_contest(*call, output=tmp_path / "out", audience=Listener())
    listener = Listener()

    second, _ = run_contest(*call, output=tmp_path / "out", audience=listener)

    assert train.asked == ["blind"]
    assert second == first
    assert [event for event in listener.heard if event[0] == "examined"] == []


def test_scans_that_are_missing_are_examined(tmp_path, held_out):
    """A benchmark that was stopped between scans goes on with the next one."""
    train = FakeTraining()
    call = (contestants("blind"), train, examiner(held_out))
    run_contest(*call, output=tmp_path / "out", audience=Listener())
    rows = tmp_path / "out" / "blind" / "scans.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:3]))
    listener = Listener()

    finished, _ = run_contest(*call, output=tmp_path / "out", audience=listener)

    assert [event for event in listener.heard if event[0] == "examined"] == [
        ("examined", "blind", 4, 4)
    ]
    assert len(finished[0].rows) == 4


def test_one_failure_does_not_stop_the_others(tmp_path, held_out):
    """The reason is told in one line and in full in a file; a later success removes the file."""
    output = tmp_path / "out"
    train = FakeTraining(broken=frozenset({"wild"}))

    finished, failed = run_contest(
        contestants("wild", "blind"),
        train,
        examiner(held_out),
        output=output,
        audience=Listener(),
    )

    assert [one.contestant.name for one in finished] == ["blind"]
    assert failed[0].reason == "RuntimeError: wild diverged"
    assert "Traceback" in (output / "wild" / "failure.txt").read_text()
    run_contest(
        contestants("wild"),
        FakeTraining(),
        examiner(held_out),
        output=output,
        audience=Listener(),
    )
    assert not (output / "wild" / "failure.txt").exists()


def test_a_standing_bundle_takes_part_without_training(tmp_path, held_out):
    """It is examined as it is; what it cost to train nobody knows."""
    bundle = toy_bundle(tmp_path / "shipped", cutoff=0.9)
    train = FakeTraining()
    own_way = Examiner(scans=held_out.scans[:1], device=torch.device("cpu"), clock=lambda: 0.0)

    finished, _ = run_contest(
        (Contestant(name="shipped", bundle=bundle),),
        train,
        own_way,
        output=tmp_path / "out",
        audience=Listener(),
    )

    assert train.asked == []
    assert finished[0].training is None
    assert finished[0].parameters == count_parameters(bundle)


def test_parameters_are_counted(tmp_path):
    """The number is that of the built network."""
    bundle = toy_bundle(tmp_path / "b", cutoff=0.5)
    network = build_network("CompactUNet", ARGUMENTS)

    assert count_parameters(bundle) == sum(p.numel() for p in network.parameters())


def test_the_folder_of_a_benchmark_can_be_moved(tmp_path):
    """What a training cost is kept with paths from the folder on."""
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "compact").mkdir(parents=True)
    folder = old / "compact" / "training"
    result = RunResult(
        architecture="compact",
        folder=folder,
        bundle=folder / "bundle",
        parameters=1,
        seconds=1.0,
        peak_memory_mb=1.0,
        epochs=1,
        iterations=1,
    )
    write_run_result(old / "compact" / "training.json", result)
    old.rename(new)

    found = read_run_result(new / "compact" / "training.json")

    assert found.bundle == new / "compact" / "training" / "bundle"


def row(name, case, *, dice, true_ml=10.0, predicted_ml=10.0, lesions=(1, 1, 0)) -> ScanRow:
    score = ScanScore(
        case_id=case,
        patient_id=case,
        dice=dice,
        iou=None if dice is None else dice / (2 - dice),
        hd95_mm=None if dice is None else 5.0,
        predicted_ml=predicted_ml,
        true_ml=true_ml,
        lesions=LesionCount(true=lesions[0], found=lesions[1], false=lesions[2]),
    )
    return ScanRow(
        contestant=name, bundle_sha256="", score=score, seconds=2.0, peak_memory_mb=50.0
    )


def finished_with(name, rows) -> Finished:
    return Finished(
        contestant=Contestant(name=name), rows=tuple(rows), parameters=5, training=None
    )


def test_summary_of_a_hand_calculation():
    """Scans without hematoma count for false alarms only; lesions are counted over all scans."""
    rows = [
        row("x", "a", dice=0.8, true_ml=10, predicted_ml=12, lesions=(2, 1, 0)),
        row("x", "b", dice=0.0, true_ml=20, predicted_ml=0, lesions=(1, 0, 0)),
        row("x", "c", dice=0.0, true_ml=0, predicted_ml=3, lesions=(0, 0, 2)),
        row("x", "d", dice=None, true_ml=0, predicted_ml=0, lesions=(0, 0, 0)),
    ]

    (found,) = summarise([finished_with("x", rows)], reference="x", draws=50)

    assert (found.scans, found.bleeding_scans, found.missed) == (4, 2, 1)
    assert (found.false_alarms, found.quiet_scans) == (1, 2)
    assert found.measures["dice"].value == pytest.approx(0.4)
    assert found.measures["absolute_error_ml"].value == pytest.approx(11)
    assert found.limits.bias.value == pytest.approx((2 - 20) / 2)
    assert found.lesion_sensitivity.value == pytest.approx(1 / 3)
    assert found.false_lesions.value == pytest.approx(0.5)
    assert found.versus == {}


def test_contestants_are_compared_with_the_reference_in_pairs():
    """A constant gain of 0.1 in every patient; p-values corrected for two contestants."""
    base = [row("r", str(n), dice=0.5 + 0.03 * n) for n in range(8)]
    better = [row("x", str(n), dice=0.6 + 0.03 * n) for n in range(8)]
    same = [row("y", str(n), dice=0.5 + 0.03 * n) for n in range(8)]

    reference, first, second = summarise(
        [finished_with("r", base), finished_with("x", better), finished_with("y", same)],
        reference="r",
        draws=50,
    )

    assert reference.versus == {}
    gain = first.versus["dice"]
    assert gain.comparison.difference.value == pytest.approx(0.1)
    assert gain.comparison.p_value == pytest.approx(2 / 2**8)
    assert gain.p_holm == pytest.approx(2 * 2 / 2**8)
    assert second.versus["dice"].p_holm == 1.0


def test_without_the_reference_nobody_is_compared():
    """A benchmark whose reference failed still has a table."""
    rows = [row("x", str(n), dice=0.5) for n in range(3)]

    assert summarise([finished_with("x", rows)], reference="umamba-enc", draws=20)[0].versus == {}


def test_examples_are_the_best_the_median_and_the_worst_scan():
    """By the mean Dice of all contestants; scans without hematoma are left out."""
    dices = {"a": 0.2, "b": 0.9, "c": 0.5, "d": 0.6, "e": 0.55}
    rows = [row("x", case, dice=dice) for case, dice in dices.items()]
    rows.append(row("x", "quiet", dice=None, true_ml=0, predicted_ml=0))

    found = choose_examples([finished_with("x", rows)])

    assert [(one.label, one.case_id) for one in found] == [
        ("best", "b"),
        ("median", "e"),
        ("worst", "a"),
    ]


def test_report_tells_that_heads_are_simulated(tmp_path, held_out):
    """Tables say it in every row, the summary in its title; figures are drawn."""
    output = tmp_path / "out"
    finished, failed = run_contest(
        contestants("greedy", "wild"),
        FakeTraining(broken=frozenset({"wild"})),
        examiner(held_out),
        output=output,
        audience=Listener(),
    )
    made = conditions(
        load_cohort(tmp_path / "train"),
        held_out,
        a_training(tmp_path),
        hardware="a test",
    )

    write_report(output, finished, failed, held_out, conditions=made, reference="greedy")

    with (output / "benchmark.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    assert {line["data"] for line in rows} == {"simulated heads"}
    summary = json.loads((output / "summary.json").read_text())
    assert summary["contestants"][0]["scans_with_hematoma"] == 3
    assert summary["failed"] == {"wild": "RuntimeError: wild diverged"}
    text = (output / "summary.md").read_text()
    assert text.startswith("# Segmentation benchmark, simulated heads\n")
    assert "wild: RuntimeError: wild diverged" in text
    assert "greedy (reference)" in text
    for name in ("overlap", "volumes", "bland_altman", "examples"):
        assert imread(output / f"{name}.png").std() > 0.01


def test_report_without_anybody_finished_is_still_a_report(tmp_path, held_out):
    """All failed: the table says so, and there is no figure."""
    made = conditions(
        load_cohort(tmp_path / "train"),
        held_out,
        a_training(tmp_path),
        hardware="a test",
    )

    assert write_report(tmp_path, [], [], held_out, conditions=made, reference="x") == []
    assert (tmp_path / "summary.md").exists()
    assert not (tmp_path / "overlap.png").exists()
