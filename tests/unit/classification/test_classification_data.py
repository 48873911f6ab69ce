"""Cases, splits, slices, augmentation, calibration and recipe."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.special import expit
from triplet_builder import STILL, case, cases, tiny_recipe

from pipeline.classification.transform import to_input
from pipeline.classification.vit import build_vit, logits
from pipeline.prediction import HeLabel
from training.classification.augmentation import augment
from training.classification.calibration import PlattScaling, fit_platt, fold_into_head
from training.classification.case import TripletCase, load_cases, save_case
from training.classification.recipe import read_recipe
from training.classification.simulated_signs import recorded_signs
from training.classification.slices import draw_epoch, slice_set
from training.classification.split import Split, split_cases


def test_a_case_is_read_as_it_was_written(tmp_path):
    """Pictures of any size, outcome and signs come back."""
    images = tuple(np.full((3, size), size, np.uint8) for size in (4, 5))
    written = TripletCase(
        case_id="a", patient_id="p", label=HeLabel.HE, images_yx=images, signs={"swirl": 0.5}
    )
    save_case(tmp_path, written)

    (found,) = load_cases([tmp_path])

    assert (found.case_id, found.patient_id, found.label) == ("a", "p", HeLabel.HE)
    assert found.signs == {"swirl": 0.5}
    for before, after in zip(written.images_yx, found.images_yx, strict=True):
        assert np.array_equal(before, after)


def test_a_case_in_two_folders_is_refused(tmp_path):
    """It could train and validate at once."""
    for folder in ("a", "b"):
        save_case(tmp_path / folder, case(1, expands=True))

    with pytest.raises(ValueError, match="twice"):
        load_cases([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("change", [{"images_yx": ()}, {"signs": {"swirl": 1.5}}])
def test_an_impossible_case_cannot_be_built(change):
    """No picture, or a sign outside [0, 1]."""
    with pytest.raises(ValueError, match=r"no slice|must lie in"):
        dataclasses.replace(case(1, expands=True), **change)


def test_a_split_never_parts_a_patient():
    """Three cases of each of 40 patients stay together, and HE is shared out evenly."""
    many = [
        case(3 * patient + number, expands=patient % 4 == 0, patient=patient)
        for patient in range(40)
        for number in range(3)
    ]

    split = split_cases(many, validation_share=0.25, seed=1)

    sides = [{item.patient_id for item in side} for side in (split.training, split.validation)]
    assert not sides[0] & sides[1]
    assert len(split.training) + len(split.validation) == 120
    expanded = [item for item in split.validation if item.label is HeLabel.HE]
    assert (len(split.validation), len(expanded)) == (30, 6)  # 2 of 10 and 8 of 30 patients


def test_a_split_depends_on_seed_and_patients_only():
    """The order of the cases does not matter; another seed does."""
    many = cases(60)

    def chosen(items, seed):
        split = split_cases(items, validation_share=0.2, seed=seed)
        return {item.patient_id for item in split.validation}

    assert chosen(many, 1) == chosen(many[::-1], 1)
    assert chosen(many, 1) != chosen(many, 2)


def test_a_patient_on_both_sides_is_refused():
    """Cases of one head cannot be handed over as training and validation."""
    with pytest.raises(ValueError, match="both sides"):
        Split(training=tuple(cases(6)), validation=tuple(cases(6, first=5)))


def test_a_side_without_expansion_is_refused():
    """No AUC can be computed on it."""
    with pytest.raises(ValueError, match="HE"):
        Split(training=tuple(cases(6)), validation=(case(100, expands=False),))


def test_slices_are_prepared_as_for_inference():
    """The images of the set are those of the pipeline's transform, case after case."""
    some = cases(3)

    slices = slice_set(some, input_size=16, signs=("left", "unknown"))

    assert slices.cases.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert slices.labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert torch.equal(slices.images[4], to_input(some[1].images_yx[1], input_size=16))
    assert slices.signs[0, 0] == 1
    assert torch.isnan(slices.signs[:, 1]).all()
    assert slices.case_means(torch.arange(9.0)).tolist() == [1, 4, 7]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 0.6), (1.0, 0.2)])
def test_a_known_chance_counts_as_much_as_its_share(share, expected):
    """One who expanded by a chance of 0.2; whose chance is unknown counts by the outcome."""
    lucky = dataclasses.replace(case(1, expands=True), signs={"expansion_probability": 0.2})

    slices = slice_set([lucky, case(2, expands=False)], input_size=8, signs=())

    found = slices.targets(chance_share=share)
    assert found.tolist() == [pytest.approx(expected)] * 3 + [0] * 3


def test_expansion_is_drawn_as_often_as_asked():
    """A third of the cases expand; half of the slices drawn are theirs."""
    slices = slice_set(cases(60), input_size=8, signs=())
    generator = torch.Generator().manual_seed(0)

    batches = [
        batch
        for _ in range(20)
        for batch in draw_epoch(slices, he_share=0.5, batch_size=32, generator=generator)
    ]

    drawn = slices.labels[torch.cat(batches)]
    assert len(drawn) == 20 * 180
    assert float((drawn == HeLabel.HE).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_without_any_change_a_slice_stays_as_it_is():
    """All amounts at zero leave the picture alone."""
    batch = torch.rand(4, 1, 16, 16) * 2 - 1

    assert torch.allclose(augment(batch, STILL, generator=torch.Generator()), batch, atol=1e-5)


def test_half_of_the_slices_are_mirrored():
    """Flipping is left to right, never upside down."""
    batch = torch.arange(256.0).reshape(1, 1, 16, 16).repeat(200, 1, 1, 1) / 128 - 1
    flipping = dataclasses.replace(STILL, flip=True)

    found = augment(batch, flipping, generator=torch.Generator().manual_seed(0))

    kinds = Counter(
        "same"
        if torch.allclose(image, batch[0], atol=1e-4)
        else "mirrored"
        if torch.allclose(image, batch[0].flip(-1), atol=1e-4)
        else "other"
        for image in found
    )
    assert kinds["other"] == 0
    assert 70 < kinds["mirrored"] < 130


def test_no_change_is_larger_than_allowed():
    """A centred spot moves by at most the shift, here 10 % of 64 pixels."""
    batch = torch.full((50, 1, 64, 64), -1.0)
    batch[:, :, 31:33, 31:33] = 1
    moving = dataclasses.replace(STILL, shift=0.1)

    found = augment(batch, moving, generator=torch.Generator().manual_seed(0))

    places = torch.stack([torch.nonzero(image[0] == image.max())[0] for image in found])
    assert (places - 31.5).abs().max() <= 6.4 + 1
    assert (places - 31.5).abs().max() > 3


def test_calibration_finds_the_log_odds_that_made_the_outcomes():
    """Outcomes drawn with log odds 0.5 m - 1 give back 0.5 and -1."""
    rng = np.random.default_rng(0)
    margins = rng.normal(scale=3, size=20000)
    outcomes = rng.random(20000) < expit(0.5 * margins - 1)

    found = fit_platt(margins, outcomes, prevalence=outcomes.mean())

    assert found.scale == pytest.approx(0.5, abs=0.03)
    assert found.offset == pytest.approx(-1, abs=0.06)


def test_calibration_undoes_an_enriched_cohort():
    """Keeping a quarter of the others adds log 4 to the odds; stating the prevalence takes it."""
    rng = np.random.default_rng(0)
    margins = rng.normal(scale=3, size=60000)
    outcomes = rng.random(60000) < expit(0.5 * margins - 1)
    kept = outcomes | (rng.random(60000) < 0.25)

    enriched = fit_platt(margins[kept], outcomes[kept], prevalence=outcomes[kept].mean())
    found = fit_platt(margins[kept], outcomes[kept], prevalence=outcomes.mean())

    assert enriched.offset == pytest.approx(-1 + np.log(4), abs=0.06)
    assert found.offset == pytest.approx(-1, abs=0.06)


def test_a_calibrated_head_gives_the_calibrated_probability():
    """Softmax of the changed head is the sigmoid of the scaled margin."""
    network = build_vit(
        "vit", {"img_size": 16, "patch_size": 8, "in_chans": 1, "embed_dim": 8, "depth": 1,
                "num_heads": 1},
    ).eval()  # fmt: skip
    batch = torch.rand(5, 1, 16, 16)
    scaling = PlattScaling(scale=0.7, offset=-0.9)
    outputs = logits(network, batch).detach()
    expected = scaling.probabilities(outputs[:, HeLabel.HE] - outputs[:, HeLabel.NHE])

    fold_into_head(network, scaling)

    found = torch.softmax(logits(network, batch), dim=1)[:, HeLabel.HE]
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_shipped_recipe_is_complete(pytestconfig):
    """Every key is there, none is unknown, and the network can be built."""
    recipe = read_recipe(pytestconfig.rootpath / "config/training/demo_classification.toml")

    network = build_vit(recipe.network.architecture, recipe.network.arguments)
    assert network.patch_embed.img_size == (recipe.network.input_size,) * 2
    assert sum(value.numel() for value in network.parameters()) <= 3e6


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('name = "x"\nsed = 1\n', "wrong.toml: unknown key sed"),
        ('name = "x"\n', "missing key .*seed"),
        ("[schedule]\nepoch = 3\n", r"\[schedule\]: unknown key epoch"),
        ("[slices]\nroi = 'round'\n", r"\[slices\]: 'round' is not a valid"),
    ],
)
def test_a_faulty_recipe_is_refused_with_file_table_and_key(tmp_path, text, fault):
    """Whoever wrote it knows where to look."""
    path = tmp_path / "wrong.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=fault):
        read_recipe(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("calibration", "isotonic"), ("sensitivities", (1.2,)), ("familiar_share", 1)],
)
def test_choices_that_cannot_be_made_are_refused(key, value):
    """An unknown calibration, a sensitivity above 1, all patients familiar."""
    with pytest.raises(ValueError, match=str(key if key != "calibration" else value)):
        dataclasses.replace(tiny_recipe(epochs=1).validation, **{key: value})


def test_findings_lie_between_zero_and_one():
    """Also beyond the ends of what the simulator draws."""
    found = recorded_signs(
        {"swirl": True}, irregularity=0.9, volume_ml=500.0, expansion_probability=0.25
    )

    assert found == {
        "swirl": 1.0,
        "irregularity": 1.0,
        "size": 1.0,
        "expansion_probability": 0.25,
    }
