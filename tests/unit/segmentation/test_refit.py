"""Refitting the last layers of a published network to other patients."""

import dataclasses

import numpy as np
import pytest
import torch
from blast_ct_builder import NARROW, blast_ct_card, ensemble, narrow_network, published_checkpoint
from network_formula import formula_image

from pipeline.model_bundle import load_bundle, save_bundle
from pipeline.segmentation.blast_ct.engine import class_probabilities, pathway_outputs
from pipeline.segmentation.blast_ct.folding import fold
from pipeline.segmentation.networks.blast_ct import DeepMedic, load_published
from pipeline.segmentation.segmenter import load_segmenter
from training.cohort.case import IGNORED, Case, save_case
from training.segmentation.evaluation import volume_of
from training.segmentation.refit.frozen import FrozenPathways
from training.segmentation.refit.joint_head import JointHead
from training.segmentation.refit.recipe import RefitRecipe, read_refit_recipe
from training.segmentation.refit.refit import look_at_scans, refit_bundle, training_scans
from training.segmentation.refit.voxels import load_voxels

CPU = torch.device("cpu")
SHAPE = (21, 17, 19)
REGION = (slice(3, 18), slice(2, 16), slice(5, 18))
PLANES = [4, 9, 14]
RECIPE = RefitRecipe(
    steps=300, learning_rate=0.02, scans_per_step=2, voxels_per_step=512, others_share=0.0
)


def head_case(number, *, blood_hu=65):
    """Return a head of 96 x 80 mm with a brain of 30 HU and a ball of blood."""
    z, y, x = np.indices((9, 48, 40))
    offset = (z - 4) * 2.5, y - 24, x - 20
    radius = np.sqrt(sum(step**2 for step in offset))
    hu = np.full(z.shape, -1000.0)
    hu[radius < 18] = 900
    hu[radius < 16] = 30
    rng = np.random.default_rng(number)
    hu += rng.normal(0, 3, hu.shape)
    centre = (4, 24 + int(rng.integers(-4, 5)), 20 + int(rng.integers(-4, 5)))
    ball = (
        sum(
            ((axis - at) * step) ** 2
            for axis, at, step in zip((z, y, x), centre, (2.5, 1, 1), strict=True)
        )
        < 6**2
    )
    hu[ball] = blood_hu
    return Case(
        case_id=f"ball-{number}",
        patient_id=f"ball-{number}",
        source="ball",
        hu_zyx=np.round(hu).astype(np.int16),
        label_zyx=ball.astype(np.uint8),
        spacing_zyx_mm=(5.0, 2.0, 2.0),
    )


@pytest.fixture
def published(tmp_path):
    """Return a bundle with random weights that give features of the size of one."""
    card = blast_ct_card(architecture_arguments={"networks": 1, **NARROW})
    network = DeepMedic(**NARROW)
    load_published(network, published_checkpoint(seed=5, **NARROW))
    save_bundle(tmp_path / "published", card, ensemble(network).state_dict())
    return load_bundle(tmp_path / "published", task="segmentation")


@pytest.fixture
def cases(tmp_path):
    folder = tmp_path / "cases"
    for number in range(6):
        save_case(folder, head_case(number))
    return folder


def looked_at(published, cases, recipe, folder):
    return look_at_scans(
        training_scans([cases], recipe),
        FrozenPathways(published),
        recipe,
        folder=folder,
        on_part=lambda name, done, of: None,  # noqa: ARG005  nobody watches
    )


def refitted(published, voxels, recipe, output):
    return refit_bundle(
        published,
        voxels,
        recipe,
        output=output,
        facts={},
        on_step=lambda step, loss: None,  # noqa: ARG005
    )


def test_head_on_pathway_outputs_is_the_network():
    """Features that are kept hold everything that the joint layers look at."""
    folded = fold(narrow_network(), device=CPU)
    image = formula_image(SHAPE)

    features = list(pathway_outputs(folded, image, region=REGION, planes=PLANES))
    head = JointHead(narrow_network(), folded.alive)
    with torch.inference_mode():
        shares = [torch.softmax(head(plane.flatten(0, 1)), dim=1) for plane in features]
    found = np.stack([share.numpy().T for share in shares], axis=1)

    whole = class_probabilities(folded, image, region=REGION, planes=PLANES)
    np.testing.assert_allclose(found.reshape(whole.shape), whole, atol=2e-6)


def test_refit_bundle_finds_what_the_published_network_did_not(published, cases, tmp_path):
    """Blood that random weights cannot see is found in a head that was not learnt from."""
    unseen = head_case(99)

    made = refitted(
        published, looked_at(published, cases, RECIPE, tmp_path / "v"), RECIPE, tmp_path / "b"
    )
    before, after = (
        _dice(load_segmenter(bundle, device=CPU).probability(volume_of(unseen)) >= 0.5, unseen)
        for bundle in (published, made)
    )

    assert before < 0.3
    assert after > 0.7


def _dice(found, case):
    truth = case.label_zyx == 1
    return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + truth.sum())


def test_pathways_stay_as_published(published, cases, tmp_path):
    """Only the joint layers change, and of the first one not its norm."""
    recipe = dataclasses.replace(RECIPE, steps=3)
    made = refitted(
        published, looked_at(published, cases, recipe, tmp_path / "v"), recipe, tmp_path / "b"
    )

    changed = {
        name
        for name, value in made.weights.items()
        if not torch.equal(value, published.weights[name])
    }

    assert changed
    assert all(".joint." in name and ".joint.0.norm." not in name for name in changed)
    assert not any("running" in name for name in changed)


def test_a_kept_share_of_one_gives_the_published_network_back(published, cases, tmp_path):
    recipe = dataclasses.replace(RECIPE, steps=3, kept_share=1.0)

    made = refitted(
        published, looked_at(published, cases, recipe, tmp_path / "v"), recipe, tmp_path / "b"
    )

    for name, value in published.weights.items():
        torch.testing.assert_close(made.weights[name], value, msg=name)


def test_held_out_patients_are_not_read(published, cases, tmp_path):
    """With every patient held out there is nothing to learn from, and the refit says so."""
    recipe = dataclasses.replace(RECIPE, validation_fractions={"ball": 1.0})

    assert training_scans([cases], recipe) == []
    with pytest.raises(ValueError, match="No scan"):
        refitted(published, [], recipe, tmp_path / "b")


def test_scans_looked_at_before_are_kept(published, cases, tmp_path):
    """An interrupted refit goes on: a voxel file that stands is not made again."""
    recipe = dataclasses.replace(RECIPE, scans={"ball": 2}, validation_fraction=0.0)
    first = looked_at(published, cases, recipe, tmp_path / "v")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "v").iterdir()}

    again = looked_at(published, cases, recipe, tmp_path / "v")

    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "v").iterdir()} == stamps
    assert [scan.case_id for scan in again] == [scan.case_id for scan in first]
    assert len(first) == 2


def test_copies_with_small_bleeds_hold_more_hematoma(published, cases, tmp_path):
    recipe = dataclasses.replace(
        RECIPE, scans={"ball": 1}, inserted={"ball": 1}, validation_fraction=0.0
    )

    plain, copy = looked_at(published, cases, recipe, tmp_path / "v")

    assert copy.case_id == f"{plain.case_id}-inserted-1"
    assert (copy.weight * (copy.label == 1)).sum() >= (plain.weight * (plain.label == 1)).sum()


def test_weights_of_chosen_voxels_add_up_to_the_voxels_of_their_kind(published, tmp_path):
    """A few hundred rest voxels stand for all of them, so that shares can be worked out."""
    folder = tmp_path / "one"
    case = head_case(3)
    save_case(folder, case)
    recipe = dataclasses.replace(RECIPE, validation_fraction=0.0)

    looked_at(published, folder, recipe, tmp_path / "v")
    voxels = load_voxels(tmp_path / "v" / "ball-3.npz")

    # 2 mm pixels become 1 mm ones: four per pixel, give or take the rim.
    assert voxels.weight[voxels.label == 1].sum() == pytest.approx(
        4 * np.count_nonzero(case.label_zyx == 1), rel=0.15
    )
    assert IGNORED not in voxels.label


def test_an_ensemble_is_refused(tmp_path):
    card = blast_ct_card(architecture_arguments={"networks": 2, **NARROW})
    pair = ensemble(narrow_network(), narrow_network())
    save_bundle(tmp_path / "pair", card, pair.state_dict())

    with pytest.raises(ValueError, match="one network"):
        FrozenPathways(load_bundle(tmp_path / "pair", task="segmentation"))


def test_unknown_keys_of_a_recipe_are_named(tmp_path):
    path = tmp_path / "refit.toml"
    path.write_text("stpes = 5\n")

    with pytest.raises(ValueError, match="stpes"):
        read_refit_recipe(path)
