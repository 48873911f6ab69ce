"""Ratios side by side: synthetic slices enter training and nothing else."""

import csv
import dataclasses
import hashlib
import json

import numpy as np
import pytest
from triplet_builder import case, cases, tiny_recipe

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase, save_case
from training.classification.evaluation import evaluate
from training.classification.experiments import ExperimentPlan, run_experiments, slice_counts
from training.classification.release import classifier_card
from training.classification.split import Split, divide, split_by_part
from training.cohort.patient_split import PatientSplit, write_split
from training.synthesis.augmented_set import IMAGE_LIST, MANIFEST, MANIFEST_FORMAT
from training.synthesis.provenance import SYNTHETIC_PREFIX, SyntheticLeakError, fingerprint


def natural_recipe(epochs=2):
    """Return the tiny recipe without a fixed share of HE slices."""
    recipe = tiny_recipe(epochs=epochs)
    return dataclasses.replace(recipe, balance=dataclasses.replace(recipe.balance, he_share=0.0))


def synthetic_case(number):
    """Return one synthetic slice of an expanding hematoma."""
    name = f"{SYNTHETIC_PREFIX}test-{number:03d}"
    return TripletCase(
        case_id=name,
        patient_id=name,
        label=HeLabel.HE,
        images_yx=case(number, expands=True).images_yx[:1],
    )


def write_set(folder, count, ratio, learnt_from=()):
    """Write a set as `ichtrain synthesis sample` does."""
    manifest = {
        "format": MANIFEST_FORMAT,
        "synthetic": True,
        "ratio": ratio,
        "real_he": 24,
        "real_nhe": 48,
        "synthetic_he": count,
        "generator": "test",
        "generator_sha256": "0" * 64,
        "learnt_from": list(learnt_from),
        "sampler": "ddim",
        "steps": 10,
        "guidance": 1.0,
        "seed": 0,
    }
    folder.mkdir()
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with (folder / IMAGE_LIST).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["case_id", "image_sha256"])
        writer.writeheader()
        for number in range(count):
            one = synthetic_case(number)
            save_case(folder, one)
            digest = hashlib.sha256(np.ascontiguousarray(one.images_yx[0]).tobytes()).hexdigest()
            writer.writerow({"case_id": one.case_id, "image_sha256": digest})
    return folder


@pytest.fixture
def split():
    """Return 24 training cases, 8 of them HE, and 12 validation cases."""
    return Split(training=tuple(cases(24)), validation=tuple(cases(12, first=24)))


def plan(split, **changes):
    """Return a plan of one ratio."""
    return ExperimentPlan(
        **{
            "recipe": natural_recipe(),
            "split": split,
            "ratios": ("none",),
            "synthetic": (),
            "judged": {},
            **changes,
        }
    )


def test_synthetic_slices_enter_training_only(split, tmp_path):
    """24 HE and 48 NHE slices become 48 and 48; nobody else's side changes."""
    folder = write_set(tmp_path / "set", 24, "1:1")

    found = plan(split, ratios=("none", "1:1"), synthetic=(folder,)).split_for("1:1")

    assert slice_counts(found.training) == {HeLabel.HE: 48, HeLabel.NHE: 48}
    assert found.validation == split.validation


def test_no_synthetic_image_is_ever_validated_or_judged_on(split):
    """Neither a split nor an evaluation takes one."""
    false = synthetic_case(1)

    with pytest.raises(SyntheticLeakError, match="synthetic images in validation"):
        Split(training=split.training, validation=(*split.validation, false))
    with pytest.raises(SyntheticLeakError, match="synthetic images in evaluation"):
        evaluate(None, [false])


def test_a_generator_that_saw_validation_patients_is_refused(split, tmp_path):
    """Its images would carry them into training."""
    seen = fingerprint(split.validation[0].patient_id)
    folder = write_set(tmp_path / "set", 24, "1:1", learnt_from=[seen])

    with pytest.raises(SyntheticLeakError, match="trained on 1 patients"):
        plan(split, ratios=("1:1",), synthetic=(folder,))


def test_a_ratio_without_its_set_is_refused(split, tmp_path):
    """1:2 is there already; 1:1 needs a set of 1:1, not of 3:2."""
    folder = write_set(tmp_path / "set", 48, "3:2")

    assert plan(split, ratios=("1:2",)).split_for("1:2") == split
    with pytest.raises(ValueError, match=r"--ratio 1:1"):
        plan(split, ratios=("1:1",), synthetic=(folder,))


def test_drawing_a_fixed_share_is_refused(split):
    """It would undo the very ratio that is compared."""
    with pytest.raises(ValueError, match="he_share = 0"):
        plan(split, recipe=tiny_recipe(epochs=1))


def test_patients_cannot_be_judged_on_what_was_learned(split):
    """An external set with a training patient is no external set."""
    with pytest.raises(ValueError, match="also learned"):
        plan(split, judged={"external": split.training[:1]})


def test_every_ratio_is_fitted_judged_and_compared(split, tmp_path):
    """Two classifiers, two sets, DeLong's test for the pair, figures and bundles."""
    folder = write_set(tmp_path / "set", 24, "1:1")
    heard = []
    chosen = plan(
        split,
        ratios=("none", "1:1"),
        synthetic=(folder,),
        judged={"centre 4": cases(18, first=100)},
    )

    def tell(ratio, record):
        heard.append((ratio, record.epoch))

    found = run_experiments(chosen, output=tmp_path / "out", version="1", on_epoch=tell)
    again = run_experiments(chosen, output=tmp_path / "out", version="1", on_epoch=tell)

    assert heard == [("none", 1), ("none", 2), ("1:1", 1), ("1:1", 2)]
    assert again == found == json.loads((tmp_path / "out/experiments.json").read_text())
    assert found["slices"]["1:1"] == {"HE": 48, "NHE": 48}
    pair = found["sets"]["centre 4"]["delong"][0]
    assert (pair["first"], pair["second"]) == ("ViT-real", "ViT-1:1")
    assert 0 <= pair["p_value"] <= pair["p_value_holm"] <= 1
    scores = found["sets"]["centre 4"]["scores"]["ViT-1:1"]
    assert {"auc", "accuracy", "sensitivity", "specificity", "ppv", "npv"} <= set(scores)
    for name in ("roc", "measures", "confusion", "reliability", "decision"):
        assert (tmp_path / f"out/centre 4/{name}.png").stat().st_size > 5000
    assert (tmp_path / "out/1-1/bundle/card.json").exists()


def test_the_card_counts_synthetic_slices_apart(split, tmp_path):
    """Patients are real ones; synthetic slices are named as such."""
    from training.classification.fitting import fit

    folder = write_set(tmp_path / "set", 24, "1:1")
    mixed = plan(split, ratios=("1:1",), synthetic=(folder,)).split_for("1:1")
    fitted = fit(mixed, natural_recipe(1), output=tmp_path / "fit", on_epoch=[].append)

    card = classifier_card(fitted, natural_recipe(1), mixed, version="1", cohort="Centres 1-3")

    assert "24 hematomas (8 expanding) in 24 patients" in card.training_cohort
    assert "24 synthetic slices" in card.training_cohort
    assert not card.demonstration


def test_a_file_divides_the_patients(tmp_path):
    """splits.json beside the triplets decides; a patient without a part is refused."""
    some = cases(9)
    names = [one.patient_id for one in some]
    parts = PatientSplit(train=frozenset(names[:4]), validation=frozenset(names[4:8]))
    write_split(tmp_path / "splits.json", parts, how="test")

    with pytest.raises(ValueError, match="1 cases are in no part"):
        divide(some, [tmp_path], given=None, validation_share=0.2, seed=0)
    found = divide(some[:8], [tmp_path], given=None, validation_share=0.2, seed=0)

    assert found == split_by_part(some[:8], parts)
    assert [one.patient_id for one in found.validation] == names[4:8]
