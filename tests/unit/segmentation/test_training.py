"""Recipe, patches, loss, trainer, scores and release."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from pipeline.model_bundle import load_bundle
from pipeline.segmentation.segmenter import load_segmenter
from training.cohort.case import IGNORED, Case, save_case
from training.evaluation.bootstrap import bootstrap_mean
from training.evaluation.scores import dice, score_mask
from training.release import release_segmentation
from training.segmentation.augmentation import Augmentation, sample_patch
from training.segmentation.evaluation import score_cases, summarise
from training.segmentation.insertion import brain_interior, insert_bleed, insert_extra_axial
from training.segmentation.loss import dice_and_cross_entropy
from training.segmentation.patches import CasePool, draw_patch
from training.segmentation.progress_picture import draw_progress
from training.segmentation.recipe import Recipe, Sampling, Schedule, read_recipe
from training.segmentation.trainer import Trainer

STILL = Augmentation(
    rotation_deg=0, large_rotation_deg=0, scale=0, gain=0, offset_hu=0, noise_hu=0.6, blur_mm=0.21
)

FACTS = {
    "name": "toy",
    "version": "1",
    "training_cohort": "toy",
    "metrics": {},
    "licence": "Apache-2.0",
    "intended_use": "tests",
    "demonstration": True,
    "probability_cutoff": 0.5,
    "minimum_component_ml": 0.0,
}


def recipe(**changes) -> Recipe:
    fields = {
        "architecture": "CompactUNet",
        "architecture_arguments": {
            "features": [8, 16],
            "slice_strides": [1],
            "volume_levels": 1,
            "fold": 2,
        },
        "spacing_zyx_mm": (5.0, 2.0, 2.0),
        "patch_size_zyx": (4, 64, 64),
        "tile_size_zyx": (4, 64, 64),
        "clip_low_hu": -20.0,
        "clip_high_hu": 100.0,
        "mean_hu": 25.0,
        "sd_hu": 30.0,
        "schedule": Schedule(
            steps=140,
            learning_rate=5e-3,
            warm_up_steps=5,
            validate_every=70,
            checkpoint_every=10,
            ema_decay=0.8,
        ),
        "sampling": Sampling(
            validation_fraction=0.3,
            inserted_bleed_share=0,
            extra_axial_share=0,
            ventricular_share=0,
        ),
        "augmentation": STILL,
    }
    return Recipe(**{**fields, **changes})


def toy_case(number: int) -> Case:
    rng = np.random.default_rng(number)
    hu = rng.normal(30, 3, (4, 64, 64))
    label = np.zeros(hu.shape, dtype=np.uint8)
    y, x = rng.integers(8, 30, size=2)
    label[0:4, y : y + 24, x : x + 24] = 1
    hu[label == 1] += 35
    for edge in (np.s_[:, :6], np.s_[:, -6:], np.s_[:, :, :6], np.s_[:, :, -6:]):
        hu[edge] = 900
    return Case(
        case_id=f"toy-{number}",
        patient_id=f"toy-{number}",
        source="toy",
        hu_zyx=hu.astype(np.int16),
        label_zyx=label,
        spacing_zyx_mm=(5.0, 2.0, 2.0),
    )


@pytest.fixture
def cases_folder(tmp_path):
    for number in range(8):
        save_case(tmp_path / "cases", toy_case(number))
    return tmp_path / "cases"


def test_shipped_recipe_is_readable():
    """Every key of the recipe in config/training is known and none is missing."""
    from pathlib import Path

    path = Path(__file__).parents[3] / "config" / "training" / "demo_segmentation.toml"

    assert read_recipe(path).architecture == "CompactUNet"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed = 3\n", "unknown key speed"),
        ("architecture = 'a'\n", "missing key"),
        ("[schedule]\nstep = 1\n", "unknown key step"),
    ],
)
def test_faulty_recipe_is_refused_by_the_name_of_the_key(tmp_path, text, message):
    """A misspelt or absent key is named."""
    path = tmp_path / "recipe.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=message):
        read_recipe(path)


def test_patch_without_augmentation_is_a_crop_or_its_mirror_image():
    """With every range at zero only left and right may be exchanged."""
    case = toy_case(1)
    plain = case.hu_zyx.astype(np.float32)

    patch, label = sample_patch(
        case.hu_zyx,
        case.label_zyx,
        corner_z=0,
        centre_yx=(31.5, 31.5),
        shape_zyx=(4, 64, 64),
        outside_hu=-20.0,
        rng=np.random.default_rng(0),
        augmentation=STILL,
    )

    same = np.abs(patch - plain).max() < 0.1
    mirrored = np.abs(patch[..., ::-1] - plain).max() < 0.1
    assert same or mirrored
    assert label.sum() == case.label_zyx.sum()


def test_beyond_the_scan_there_is_air_that_nobody_judges():
    """Slices and pixels outside the scan are air and their label is ignored."""
    case = toy_case(1)

    patch, label = sample_patch(
        case.hu_zyx,
        case.label_zyx,
        corner_z=-2,
        centre_yx=(0.0, 31.5),
        shape_zyx=(4, 64, 64),
        outside_hu=-20.0,
        rng=np.random.default_rng(0),
        augmentation=STILL,
    )

    assert (patch[:2] == -20).all()
    assert (label[:2] == IGNORED).all()
    assert (label[2:, :31] == IGNORED).all()
    assert (label[2:, 33:] != IGNORED).all()


def ringed_head() -> np.ndarray:
    y, x = np.mgrid[0:192, 0:160]
    radius = np.hypot((y - 96) / 90, (x - 80) / 72)
    plane = np.where(radius < 1, 100.0, -20.0)
    return np.repeat(np.where(radius < 0.9, 30.0, plane)[None], 6, axis=0).astype(np.float32)


def test_inserted_bleed_is_labelled_where_it_is_bright():
    """The label of a drawn bleed is the bright region inside the skull."""
    rng = np.random.default_rng(4)
    patch, label = ringed_head(), np.zeros((6, 192, 160), dtype=np.uint8)
    interior, _ = brain_interior(patch)

    insert_bleed(patch, label, interior, rng, spacing_zyx_mm=(5.0, 0.5, 0.5))

    assert label.sum() > 50
    assert patch[label == 1].mean() > 45
    assert not (label[~interior] == 1).all()
    assert label[ringed_head() > 90].sum() == 0


def test_extra_axial_blood_stays_at_the_skull_and_unlabelled():
    """A crescent is bright, near the bone, and no intracerebral hematoma."""
    patch = ringed_head()
    interior, distance = brain_interior(patch)
    before = patch.copy()

    insert_extra_axial(patch, interior, distance, np.random.default_rng(2))

    changed = np.abs(patch - before) > 5
    assert changed.any()
    assert distance[changed].max() < 35


def test_drawn_patches_are_normalised_and_reproducible(cases_folder):
    """The same seed draws the same patch; values lie in the clipped, scaled range."""
    plan = recipe()
    pool = CasePool(
        folders=[cases_folder], spacing_zyx_mm=(5.0, 2.0, 2.0), validation_fraction=0.3
    )
    pool.refresh()

    first, label = draw_patch(pool, plan, np.random.default_rng(5))
    second, _ = draw_patch(pool, plan, np.random.default_rng(5))

    np.testing.assert_array_equal(first, second)
    assert first.shape == label.shape == (4, 64, 64)
    assert first.min() >= (-20 - 25) / 30 - 1e-6
    assert first.max() <= (100 - 25) / 30 + 1e-6


def test_pool_takes_in_cases_that_appear_later(cases_folder):
    """A cohort may grow while it is trained on; nothing is read twice."""
    pool = CasePool(
        folders=[cases_folder], spacing_zyx_mm=(5.0, 2.0, 2.0), validation_fraction=0.3
    )

    assert pool.refresh() == 8
    save_case(cases_folder, toy_case(99))
    assert pool.refresh() == 1


def test_pool_brings_cases_to_the_grid_of_the_recipe(tmp_path):
    """A case of 2 mm pixels, 128 mm wide, has 32 pixels of 4 mm; its square keeps its volume."""
    save_case(tmp_path, toy_case(1))
    pool = CasePool(folders=[tmp_path], spacing_zyx_mm=(5.0, 4.0, 4.0), validation_fraction=0)

    pool.refresh()

    (case,) = pool.training["toy"]
    assert case.hu_zyx.shape == (4, 32, 32)
    assert case.spacing_zyx_mm == (5.0, 4.0, 4.0)
    assert case.hematoma_ml == pytest.approx(toy_case(1).hematoma_ml, rel=0.1)


def test_empty_pool_is_refused(tmp_path):
    """Without a case nothing can be drawn; the folder is named."""
    pool = CasePool(folders=[tmp_path], spacing_zyx_mm=(5.0, 2.0, 2.0), validation_fraction=0.3)

    with pytest.raises(ValueError, match="No training case"):
        draw_patch(pool, recipe(), np.random.default_rng(0))


def test_perfect_logits_cost_nothing_and_wrong_ones_much():
    """Certain and right is near 0; certain and wrong is above 1."""
    labels = torch.zeros(1, 2, 32, 32, dtype=torch.uint8)
    labels[:, :, 8:24, 8:24] = 1
    right = torch.stack([1.0 - labels, labels.float()], dim=1) * 20

    assert dice_and_cross_entropy(right, labels, voxel_ml=0.00125) < 0.01
    assert dice_and_cross_entropy(-right, labels, voxel_ml=0.00125) > 1


def test_a_bleed_weighs_the_same_on_a_coarse_grid_and_on_a_fine_one():
    """Each voxel of the coarse grid is eight of the fine one: the loss does not see it."""
    coarse = torch.zeros(1, 6, 6, 6, dtype=torch.uint8)
    coarse[:, 2:4, 2:4, 2:4] = 1
    logits = torch.randn(1, 2, 6, 6, 6, generator=torch.Generator().manual_seed(2))
    fine, fine_logits = coarse, logits
    for axis in (-3, -2, -1):
        fine = fine.repeat_interleave(2, axis)
        fine_logits = fine_logits.repeat_interleave(2, axis)

    one = dice_and_cross_entropy(logits, coarse, voxel_ml=0.04)
    other = dice_and_cross_entropy(fine_logits, fine, voxel_ml=0.005)

    # The share of hardest voxels is rounded to whole ones.
    torch.testing.assert_close(one, other, rtol=0.02, atol=0)


def test_ignored_voxels_do_not_matter():
    """Whatever is said about unknown voxels, the loss is the same."""
    labels = torch.zeros(1, 2, 8, 8, dtype=torch.uint8)
    labels[:, 0] = IGNORED
    logits = torch.randn(1, 2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[:, :, 0] += 5 * torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))

    assert dice_and_cross_entropy(logits, labels, voxel_ml=0.00125) == dice_and_cross_entropy(
        other, labels, voxel_ml=0.00125
    )


def test_training_learns_resumes_and_releases(cases_folder, tmp_path):
    """A bright square is learnt in 140 steps, in two runs, and survives as a bundle."""
    plan = recipe()
    pool = CasePool(
        folders=[cases_folder], spacing_zyx_mm=(5.0, 2.0, 2.0), validation_fraction=0.3
    )
    half = dataclasses.replace(plan, schedule=dataclasses.replace(plan.schedule, steps=70))
    Trainer(half, pool, folder=tmp_path / "run").run()

    trainer = Trainer(plan, pool, folder=tmp_path / "run")
    assert trainer.step == 70
    seen = []
    trainer.run(on_progress=seen.append)
    draw_progress(tmp_path / "run" / "log.csv", tmp_path / "log.png")

    state = torch.load(tmp_path / "run" / "average.pt", weights_only=True)
    release_segmentation(tmp_path / "bundle", plan, state, facts=FACTS)
    segmenter = load_segmenter(load_bundle(tmp_path / "bundle"), device=torch.device("cpu"))
    scores = score_cases(segmenter, [toy_case(1000)])
    assert [progress.step for progress in seen] == list(range(71, 141))
    assert seen[-1].scores["toy"] > 0.6
    assert scores[0].dice is not None
    assert scores[0].dice > 0.6
    assert (tmp_path / "log.png").stat().st_size > 1000


def test_training_ends_at_its_time_limit(cases_folder, tmp_path):
    """With a clock that jumps a minute per look, a limit of 5 minutes allows few steps."""
    ticks = itertools.count(0, 60)
    plan = recipe(schedule=Schedule(steps=1000, limit_minutes=5, validate_every=999))
    pool = CasePool(
        folders=[cases_folder], spacing_zyx_mm=(5.0, 2.0, 2.0), validation_fraction=0.3
    )

    trainer = Trainer(plan, pool, folder=tmp_path, clock=lambda: float(next(ticks)))
    trainer.run()

    assert trainer.step <= 5


def test_dice_by_hand():
    """Masks of 4 and 6 voxels sharing 3: 2 * 3 / 10."""
    first, second = np.zeros(20, dtype=bool), np.zeros(20, dtype=bool)
    first[0:4] = True
    second[1:7] = True

    assert dice(first, second) == pytest.approx(0.6)
    assert dice(first[10:], second[10:]) is None


def test_unknown_voxels_are_not_scored():
    """A false voxel where nobody knows the truth costs nothing."""
    truth, found = np.zeros(10, dtype=bool), np.zeros(10, dtype=bool)
    truth[0:4] = found[0:5] = True
    known = np.ones(10, dtype=bool)
    known[4] = False

    score = score_mask(found, truth, known=known, voxel_ml=0.5, patient_id="a")

    assert score.dice == 1.0
    assert score.predicted_ml == 2.0
    assert score.error_ml == 0.0


def test_interval_of_clustered_scans_is_that_of_patients():
    """Ten equal scans per patient add nothing: the interval is that of one scan each."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.8, 0.1, 30)
    names = [f"p{i}" for i in range(30)]

    single = bootstrap_mean(list(values), names, rng=np.random.default_rng(1))
    repeated = bootstrap_mean(list(values) * 10, names * 10, rng=np.random.default_rng(1))

    # Normal theory: half width near 1.96 * sd / sqrt(30).
    half_width = 1.96 * values.std(ddof=1) / np.sqrt(30)
    assert (single.high - single.low) / 2 == pytest.approx(half_width, rel=0.1)
    assert repeated.low == pytest.approx(single.low)
    assert (repeated.scans, repeated.patients) == (300, 30)


def test_summary_counts_misses_and_false_alarms():
    """One found, one missed, one healthy scan with a false alarm."""
    known = np.ones(10, dtype=bool)
    blood, nothing = np.arange(10) < 4, np.zeros(10, dtype=bool)
    pairs = [(blood, blood), (nothing, blood), (blood, nothing)]

    summary = summarise(
        [
            score_mask(found, truth, known=known, voxel_ml=1.0, patient_id=str(i))
            for i, (found, truth) in enumerate(pairs)
        ]
    )

    assert summary["missed"] == 1
    assert summary["false_alarms_without_hematoma"] == "1 of 1"
    assert summary["dice"]["mean"] == 0.5
