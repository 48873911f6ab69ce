"""Bringing scans together, and making smaller baselines."""

import dataclasses
import json
import stat
import sys

import numpy as np
import pytest
from scipy import ndimage

from pipeline.growth.brain import extract_brain, extract_head
from tests.growth_builder import COARSE, case_of, lopsided_head, small_pair
from training.growth.deformable import by_demons, by_greedy
from training.growth.followed import Criteria, Followed
from training.growth.pair import (
    load_pair,
    load_shrunk,
    pair_paths,
    save_pair,
    save_shrunk,
)
from training.growth.prepare import Preparation, UnmatchedError, make_pair, prepare_pairs
from training.growth.shrinking import Shrinking, random_element, shrink_baseline

#: No finer than the grid of 2 mm: quick.
COARSER = Shrinking(erosion_mm=2.0)


def test_the_head_is_found_without_the_rest_and_the_coil():
    """What is thinner than 10 mm beside the head is no part of it: a rest of one voxel here."""
    hu, _ = lopsided_head(spacing=COARSE)
    head = hu > -500
    hu[:, 35:36, 6:30] = 100

    found = extract_head(hu, COARSE)

    assert np.count_nonzero(found & head) > 0.98 * head.sum()
    assert not found[:, 35].any()


def test_a_pair_is_the_brain_with_both_hematomas():
    """Skull and air are cropped away; both volumes are those of balls of 15 and 19 mm."""
    before, after = (lopsided_head(radius_mm=radius, spacing=COARSE) for radius in (15, 19))

    pair = make_pair("p1", *(case_of(*scan, "scan", COARSE) for scan in (before, after)))

    assert pair.baseline_ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.1)
    assert pair.follow_up_ml == pytest.approx(4 / 3 * np.pi * 1.9**3, rel=0.1)
    assert pair.ring_zyx.sum() * 0.125 == pytest.approx(28.7 - 14.1, rel=0.15)
    assert all(np.less(pair.brain_zyx.shape, before[0].shape))
    assert pair.brain_zyx.sum() == pytest.approx(extract_brain(before[0], COARSE).sum(), rel=0.01)


def test_heads_of_two_people_are_not_matched():
    """An egg and a brick do not correlate enough for a pair."""
    rough = (10.0, 10.0, 10.0)
    egg, blood = lopsided_head(spacing=rough)
    brick = np.full_like(egg, -1000)
    brick[5:8, 2:16, 7:10] = 200

    with pytest.raises(UnmatchedError):
        make_pair("p1", case_of(egg, blood, "a", rough), case_of(brick, blood, "b", rough))


def test_demons_find_the_field_between_masks():
    """The original, taken from where the field points, is the target."""
    ball = small_pair(size=40, step_mm=1.0, baseline_mm=11).baseline_zyx
    target = ndimage.binary_erosion(ball, iterations=2)

    field_mm = by_demons(target, ball, (1.0, 0.5, 0.5))

    places = np.indices(ball.shape) + field_mm / np.array([1.0, 0.5, 0.5])[:, None, None, None]
    found = ndimage.map_coordinates(ball.astype(float), places, order=1) >= 0.5
    assert 2 * (found & target).sum() / (found.sum() + target.sum()) > 0.95
    assert 2 * (ball & target).sum() / (ball.sum() + target.sum()) < 0.8


@pytest.mark.parametrize("seed", [1, 2])
def test_a_shrunk_baseline_is_a_little_smaller_and_the_scan_follows(seed):
    """Where blood was taken away there is brain now; within it stays blood; the rest is as it was.

    Two erosions by an element of 0.5 mm voxels take 2 x 0.87 mm (its diagonal) at most: of a ball
    of 12 mm remain (10.27 / 12)^3 = 0.63.
    """
    pair = small_pair(size=40, step_mm=1.0, baseline_mm=12, follow_up_mm=15)
    how = Shrinking(erosion_mm=0.5, most_erosions=2)

    shrunk = shrink_baseline(pair, variant=1, how=how, rng=np.random.default_rng(seed)).of(pair)

    assert 0.62 * pair.baseline_ml < shrunk.baseline_ml < pair.baseline_ml
    assert not (shrunk.baseline_zyx & ~pair.baseline_zyx).any()
    lost = pair.baseline_zyx & ~shrunk.baseline_zyx
    assert pair.baseline_hu_zyx[lost].mean() == pytest.approx(65, abs=1)
    assert shrunk.baseline_hu_zyx[lost].mean() < 50
    assert shrunk.baseline_hu_zyx[shrunk.baseline_zyx].mean() == pytest.approx(64, abs=3)
    assert shrunk.baseline_hu_zyx[~pair.brain_zyx].min() == 1000
    assert shrunk.is_synthetic
    assert shrunk.follow_up_zyx is pair.follow_up_zyx


def test_no_bone_is_drawn_into_the_brain():
    """A hematoma at the skull shrinks away from it and leaves brain, not bone."""
    pair = small_pair(size=40, step_mm=1.0, baseline_mm=10)
    brain = pair.brain_zyx.copy()
    brain[:, :, 31:] = False  # bone to the left, touching the ball's edge at 29.5
    hu = np.where(brain, pair.baseline_hu_zyx, 1000).astype(np.int16)
    pair = dataclasses.replace(pair, brain_zyx=brain, baseline_hu_zyx=hu)

    shrunk = shrink_baseline(
        pair, variant=1, how=Shrinking(erosion_mm=0.5), rng=np.random.default_rng(4)
    ).of(pair)

    assert shrunk.baseline_hu_zyx[brain].max() < 80


def test_elements_are_random_and_always_erode():
    """The centre is in, so that nothing grows; another voxel is in, so that something goes."""
    rng = np.random.default_rng(1)

    elements = [random_element(rng) for _ in range(20)]

    assert all(element[1, 1, 1] and element.sum() > 1 for element in elements)
    assert len({element.tobytes() for element in elements}) == 20


def test_what_was_made_cannot_be_made_again_nor_saved_as_scanned(tmp_path):
    """Synthetic baselines stay marked as such."""
    pair = small_pair()
    shrunk = shrink_baseline(pair, variant=1, how=COARSER, rng=np.random.default_rng(1))

    with pytest.raises(ValueError, match="was made already"):
        shrink_baseline(shrunk.of(pair), variant=2, how=COARSER, rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match="synthetic"):
        save_pair(tmp_path, shrunk.of(pair))
    with pytest.raises(ValueError, match="cannot stand for"):
        shrunk.of(small_pair("somebody else"))
    save_shrunk(tmp_path, shrunk)
    with pytest.raises(ValueError, match="training alone"):
        load_pair(next(tmp_path.glob("*.npz")))
    with pytest.raises(ValueError, match="no pair"):
        pair_paths(tmp_path)


def test_pairs_survive_the_disk(tmp_path):
    """What is read is what was written, arrays and facts."""
    pair = dataclasses.replace(small_pair(), determinant=1.01, correlation=0.98)
    shrunk = shrink_baseline(pair, variant=3, how=COARSER, rng=np.random.default_rng(1))
    save_pair(tmp_path, pair)
    save_shrunk(tmp_path, shrunk)

    (path,) = pair_paths(tmp_path)
    read = load_pair(path)
    (variant,) = load_shrunk(tmp_path, "p1")

    assert np.array_equal(read.follow_up_hu_zyx, pair.follow_up_hu_zyx)
    assert np.array_equal(read.ring_zyx, pair.ring_zyx)
    assert (read.determinant, read.correlation, read.variant) == (1.01, 0.98, 0)
    assert variant.variant == 3
    assert np.array_equal(variant.of(read).baseline_hu_zyx, shrunk.of(pair).baseline_hu_zyx)


def followed(name: str, baseline_ml: float, follow_up_ml: float) -> Followed:
    def read(_spacing):
        scans = [lopsided_head(radius_mm=radius, spacing=COARSE) for radius in (15, 19)]
        first, second = (case_of(*scan, "scan", COARSE) for scan in scans)
        return first, second

    return Followed(patient_id=name, baseline_ml=baseline_ml, follow_up_ml=follow_up_ml, read=read)


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        ((4.9, 20.0), "less than 5 mL"),
        ((20.0, 25.0), "did not expand"),
        ((20.0, 26.1), ""),
        ((8.0, 10.7), ""),
        ((0.0, 3.0), "less than 5 mL"),
    ],
)
def test_who_takes_part_is_as_in_the_paper(volumes, reason):
    """At least 5 mL, and growth by more than 6 mL or 33 % (section 2.1)."""
    objection = Criteria().objection(followed("p", *volumes))

    assert reason in objection
    assert bool(objection) == bool(reason)


def test_a_cohort_is_prepared_once(tmp_path):
    """The second call reads nobody again; pairs of another recipe are not mixed in."""
    patients = [followed("grew", 14.0, 29.0), followed("stayed", 14.0, 15.0)]
    how = Preparation(spacing_zyx_mm=COARSE, shrinking=Shrinking(variants=1, erosion_mm=2.5))

    excluded = prepare_pairs(patients, tmp_path, how)
    written = (tmp_path / "grew.npz").read_bytes()
    again = prepare_pairs([dataclasses.replace(one, read=None) for one in patients], tmp_path, how)

    assert excluded == again == {"stayed": "hematoma did not expand"}
    assert [one.variant for one in load_shrunk(tmp_path, "grew")] == [1]
    assert (tmp_path / "grew.npz").read_bytes() == written
    assert "stayed,hematoma did not expand" in (tmp_path / "exclusions.csv").read_text()
    with pytest.raises(ValueError, match="another way"):
        prepare_pairs(patients, tmp_path, dataclasses.replace(how, seed=2))


def test_greedy_is_asked_with_the_papers_settings_and_its_field_is_read(tmp_path):
    """A stand-in for the program keeps its arguments and writes a field of 1, 2, 3 mm: x, y, z."""
    program = tmp_path / "greedy"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "import numpy as np\n"
        "import SimpleITK as sitk\n"
        f"open({str(tmp_path / 'said.json')!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
        "fixed = sitk.ReadImage(sys.argv[sys.argv.index('-i') + 1])\n"
        "vectors = np.broadcast_to([1.0, 2.0, 3.0], (*fixed.GetSize()[::-1], 3))\n"
        "field = sitk.GetImageFromArray(vectors.astype('f4'), isVector=True)\n"
        "field.CopyInformation(fixed)\n"
        "sitk.WriteImage(field, sys.argv[sys.argv.index('-o') + 1])\n"
    )
    program.write_text(
        program.read_text().replace("/usr/bin/env python3", __import__("sys").executable)
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    ball = small_pair(size=12).baseline_zyx

    field_mm = by_greedy(program)(ball, ball, (2.0, 2.0, 2.0))

    said = " ".join(json.loads((tmp_path / "said.json").read_text()))
    assert "-d 3" in said
    assert "-m NCC 2x2x2 -n 100x50x10" in said
    assert field_mm.shape == (3, 12, 12, 12)
    assert field_mm[:, 0, 0, 0].tolist() == [3.0, 2.0, 1.0]


def test_a_failing_greedy_is_told_in_one_line(tmp_path):
    """Its last words, and its name, are what the user sees."""
    program = tmp_path / "greedy"
    program.write_text("#!/bin/sh\necho first >&2\necho no such metric >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    ball = small_pair(size=12).baseline_zyx

    with pytest.raises(ValueError, match="greedy failed: no such metric"):
        by_greedy(program)(ball, ball, (2.0, 2.0, 2.0))
