"""The augmented set: how many, alike to real slices, marked, and kept out of validation."""

import csv
import json

import numpy as np
import pytest
import torch
from diffusion_builder import slice_image, tiny_generator, write_triplets

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase, load_cases
from training.classification.split import Split
from training.cohort.patient_split import PatientSplit
from training.synthesis.augmented_set import (
    Ratio,
    parse_ratio,
    read_synthetic_cases,
    with_synthetic,
    write_augmented_set,
)
from training.synthesis.drawing import DrawingOptions, draw
from training.synthesis.learning_slices import LearningSlices
from training.synthesis.matching import look_alikes, match_grey_levels, native_grey
from training.synthesis.provenance import (
    SyntheticLeakError,
    fingerprint,
    is_synthetic,
    require_clean_split,
)
from training.synthesis.samplers import Sampler
from training.synthesis.triplet_files import find_triplets

QUICK = DrawingOptions(steps=3)


def written(tmp_path, *, ratio="1:1", name="set", learnt=(), cut="", **options):
    """Return folder and manifest of a set for four HE and nine NHE patients in training."""
    cases = tmp_path / "cases"
    split = write_triplets(cases, held_out=(0, 5), cut=cut)
    generator = tiny_generator(tmp_path / "generator", learnt_from=map(fingerprint, learnt))
    manifest = write_augmented_set(
        generator,
        find_triplets([cases]),
        split,
        ratio=parse_ratio(ratio),
        output=tmp_path / name,
        options=options.pop("options", QUICK),
        **options,
    )
    return tmp_path / name, manifest


def test_the_papers_sets_have_the_papers_sizes():
    """654 HE and 2655 NHE slices need 2001 more for 1:1 and 674 more for 1:2."""
    assert Ratio(he=1, nhe=1).missing(he=654, nhe=2655) == 2001
    assert parse_ratio("1:2").missing(he=654, nhe=2655) == 674


def test_a_ratio_that_is_reached_or_none_is_refused():
    """1:4 holds in the paper's cohort already, nearly."""
    with pytest.raises(ValueError, match="already"):
        Ratio(he=1, nhe=5).missing(he=654, nhe=2655)
    for text in ("1", "1:0", "a:b", "1:2:3", "1.5:2"):
        with pytest.raises(ValueError, match="ratio"):
            parse_ratio(text)


def test_every_image_is_marked_with_seed_and_generator(tmp_path):
    """12 HE and 27 NHE slices train: 15 images, each with a line of its own."""
    folder, manifest = written(tmp_path, seed=3)

    with (folder / "images.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    cases = read_synthetic_cases(folder)
    content = json.loads((folder / "manifest.json").read_text())

    assert (manifest.real_he, manifest.real_nhe, manifest.synthetic_he) == (12, 27, 15)
    assert [int(row["seed"]) for row in rows] == [3_000_000 + number for number in range(15)]
    assert {row["synthetic"] for row in rows} == {"yes"}
    assert {row["generator_sha256"] for row in rows} == {content["generator_sha256"]}
    assert content["synthetic"] is True
    assert all(is_synthetic(case.patient_id) and is_synthetic(case.case_id) for case in cases)
    assert not (folder / "draws").exists()


def test_the_files_are_those_of_real_triplets(tmp_path):
    """Same reader, type and sizes, and grey levels of the same distribution."""
    folder, _ = written(tmp_path)

    cases = load_cases([folder])
    grey = np.concatenate([case.images_yx[0].ravel() for case in cases])
    real = np.concatenate(
        [
            slice_image(10 * number + place, side=20 + number % 4).ravel()
            for number in (1, 2, 3, 4)
            for place in range(3)
        ]
    )

    assert len(cases) == 15
    assert {case.label for case in cases} == {HeLabel.HE}
    assert {case.images_yx[0].shape for case in cases} <= {(20, 20), (21, 21), (22, 22), (23, 23)}
    assert grey.dtype == np.uint8
    # The random generator draws much black and white, which stay.
    inside = grey[(grey >= 8) & (grey <= 247)]
    shares = np.linspace(0.05, 0.95, 10)
    assert np.quantile(inside, shares) == pytest.approx(np.quantile(real, shares), abs=3)


def test_an_interrupted_set_goes_on_and_a_smaller_one_has_the_same_draws(tmp_path):
    """What is drawn is a function of seed and generator, whatever it shares a batch with."""

    def stop(done, _):
        if done >= 8:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        written(tmp_path, name="parts", batch_size=4, on_progress=stop)
    with pytest.raises(ValueError, match="0 of 15 images"):
        read_synthetic_cases(tmp_path / "parts")
    written(tmp_path, name="parts", batch_size=5)
    written(tmp_path, name="whole", batch_size=15)

    for one, other in zip(
        read_synthetic_cases(tmp_path / "parts"),
        read_synthetic_cases(tmp_path / "whole"),
        strict=True,
    ):
        assert one.case_id == other.case_id
        assert np.abs(one.images_yx[0].astype(int) - other.images_yx[0]).max() <= 1
    with pytest.raises(ValueError, match="another set"):
        written(tmp_path, name="parts", ratio="1:2")


def test_synthetic_images_never_reach_validation_or_test(tmp_path):
    """They join the training side, nowhere else; every other way is refused."""
    folder, _ = written(tmp_path, learnt=("p01", "p02"))
    synthetic = read_synthetic_cases(folder)

    def case(patient, label=HeLabel.HE):
        return TripletCase(
            case_id=patient, patient_id=patient, label=label, images_yx=(slice_image(1),)
        )

    def split(*validation):
        return Split(
            training=(case("p08"), case("p09", HeLabel.NHE)),
            validation=(*validation, case("p10", HeLabel.NHE)),
        )

    joined = with_synthetic(split(case("p00")), folder)

    assert not any(is_synthetic(one.patient_id) for one in joined.validation)
    assert sum(is_synthetic(one.patient_id) for one in joined.training) == len(synthetic)
    # A teacher of the generator is held out by another split: its likeness would train.
    with pytest.raises(SyntheticLeakError, match="trained on 1 patients"):
        with_synthetic(split(case("p01")), folder)
    for part in ("validation", "test"):
        with pytest.raises(SyntheticLeakError, match=part):
            require_clean_split(PatientSplit(**{part: frozenset({synthetic[0].patient_id})}), ())
        with pytest.raises(SyntheticLeakError, match=part):
            require_clean_split(PatientSplit(**{part: frozenset({"p01"})}), [fingerprint("p01")])
    # Whoever gathers real triplets from the folder of synthetic ones finds none.
    with pytest.raises(ValueError, match="No triplet"):
        find_triplets([folder])


def test_a_generator_that_saw_held_out_patients_draws_no_set(tmp_path):
    """Patient p00 validates."""
    with pytest.raises(SyntheticLeakError, match="validation"):
        written(tmp_path, learnt=("p00", "p01"))


def test_a_changed_image_is_noticed(tmp_path):
    """The list holds a digest of every image."""
    folder, _ = written(tmp_path)
    first, second = sorted(folder.glob("synthetic-*.npz"))[:2]
    content = second.read_bytes()

    second.write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match="not the image"):
        read_synthetic_cases(folder)
    second.write_bytes(content)
    assert len(read_synthetic_cases(folder)) == 15


def test_grey_levels_are_matched_by_one_rising_function():
    """Uniform levels become squared ones, which they have to resemble between black and white."""
    rng = np.random.default_rng(8)
    images = [rng.uniform(0, 255, (40, 50)).astype(np.float32) for _ in range(4)]
    real = [np.rint(255 * rng.uniform(0, 1, (60, 60)) ** 2).astype(np.uint8) for _ in range(4)]

    matched = np.stack(match_grey_levels(images, real))

    # Of squares 8 to 247 of 255 the roots, 0.177 to 0.984, are uniform.
    levels = np.stack(images)
    between = (levels > 8) & (levels < 247)
    expected = 255 * (0.177 + 0.807 * (levels - 8) / 239) ** 2
    assert np.abs(matched - expected)[between].max() < 9
    assert np.abs(matched - levels)[~between].max() <= 1
    order = np.argsort(np.stack(images).ravel())
    assert (np.diff(matched.ravel()[order].astype(int)) >= 0).all()


def test_bone_and_air_stay_what_they_are():
    """More or less of them than real slices have makes neither grey bone nor white hematomas."""
    rng = np.random.default_rng(10)
    real = rng.integers(1, 200, 1000).astype(np.uint8)
    real[:100], real[100:150] = 255, 0
    image = rng.uniform(1, 200, (100, 10)).astype(np.float32)
    image[:20], image[20:40] = 255, 0

    more = match_grey_levels([image], [real.reshape(50, 20)])[0]
    less = match_grey_levels([image[40:]], [real.reshape(50, 20)])[0]

    assert (more[:20] == 255).all()
    assert (more[20:40] == 0).all()
    assert (more[40:] == less).all()
    assert less.max() < 205


def test_an_image_takes_the_size_of_its_look_alikes():
    """Twelve dark real slices are small, twelve bright ones large."""
    level = torch.linspace(-0.1, 0.1, 12)
    images = torch.cat([level - 0.8, level + 0.8])[:, None, None, None].expand(-1, 1, 16, 16)
    slices = LearningSlices(
        images=images,
        labels=torch.zeros(24),
        shapes_yx=((30, 30),) * 12 + ((90, 90),) * 12,
        patients=("p",) * 24,
    )
    drawn = torch.tensor([-0.7, 0.7])[:, None, None, None].expand(-1, 1, 16, 16)

    dark, bright = look_alikes(drawn, slices, seeds=[1, 2])
    alike = [np.full(slices.shapes_yx[place], 100, np.uint8) for place in (dark, bright)]

    assert dark < 12 <= bright
    assert [one.shape for one in native_grey(drawn, alike, seeds=[1, 2])] == [(30, 30), (90, 90)]


def test_a_synthetic_case_says_how_its_model_was_cut(tmp_path):
    """Real slices cut otherwise cannot be trained on together with it."""
    folder, _ = written(tmp_path, cut="square 10 mm")

    assert {case.cut for case in read_synthetic_cases(folder)} == {"square 10 mm"}


@pytest.mark.parametrize("sampler", list(Sampler))
def test_an_image_is_a_function_of_its_seed(tmp_path, sampler):
    """Drawn alone or with others it is the same, up to rounding."""
    generator = tiny_generator(tmp_path)
    options = DrawingOptions(sampler=sampler, steps=4)

    alone = draw(generator, [7], options=options)
    together = draw(generator, [6, 7, 8], options=options)

    assert torch.allclose(alone[0], together[1], atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=0.1)


def test_guidance_moves_images_towards_their_class(tmp_path):
    """Without it the class alone counts; with it the picture changes."""
    generator = tiny_generator(tmp_path, classes=2)
    torch.nn.init.normal_(generator.network.class_embedding.weight)

    def drawn(label, guidance):
        options = DrawingOptions(steps=3, guidance=guidance)
        return draw(generator, [1], options=options, label=label)

    assert not torch.allclose(drawn(HeLabel.HE, 0.0), drawn(HeLabel.NHE, 0.0), atol=1e-4)
    assert not torch.allclose(drawn(HeLabel.HE, 0.0), drawn(HeLabel.HE, 2.0), atol=1e-4)


def test_a_colour_generator_gives_grey_images(tmp_path):
    """Three channels are averaged."""
    generator = tiny_generator(tmp_path, image_channels=3)

    assert draw(generator, [1, 2], options=QUICK).shape == (2, 1, 16, 16)
