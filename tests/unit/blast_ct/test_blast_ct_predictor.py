"""BLAST-CT on scans: what is found where, on the scan's own grid."""

import itertools
import shutil

import numpy as np
import pytest
import torch
from blast_ct_builder import blast_ct_card, ensemble, threshold_network

from pipeline.errors import ModelBundleError
from pipeline.finding import Compartment
from pipeline.segmentation.blast_ct.predictor import BlastCtPredictor
from pipeline.segmentation.blast_ct.published import import_networks
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.segmenter import load_segmenter
from pipeline.volume import AIR_HU, CtVolume, regular_grid
from training.cohort.labelled_series import SHOWN, read_labelled_series, read_slice_labels

CPU = torch.device("cpu")


def volume(hu_zyx, spacing_zyx_mm):
    return CtVolume(
        hu_zyx=hu_zyx.astype(np.int16),
        grid=regular_grid(hu_zyx.shape, spacing_zyx_mm),
    )


def head(*, slices, step_mm, neck_mm=0.0):
    """Return a box of brain (35 HU) in a box of bone, air around, and where its voxels are."""
    z, y, x = np.meshgrid(
        np.arange(slices) * step_mm, np.arange(60.0), np.arange(50.0), indexing="ij"
    )
    hu = np.full(z.shape, AIR_HU)
    inside = (y >= 5) & (y < 55) & (x >= 5) & (x < 45)
    hu[inside] = 35.0
    rim = inside & ((y < 9) | (y >= 51) | (x < 9) | (x >= 41)) & (z >= neck_mm)
    hu[rim] = 1000.0
    return hu, z, y, x


@pytest.fixture
def predictor():
    return BlastCtPredictor(blast_ct_card(), ensemble(threshold_network()), device=CPU)


@pytest.mark.parametrize("step_mm", [1.0, 5.0])
def test_what_is_bright_is_found_where_it_lies(predictor, step_mm):
    """Blood of 70 HU is hematoma, fluid of 10 HU oedema, brain of 35 HU neither."""
    hu, z, y, x = head(slices=round(60 / step_mm), step_mm=step_mm)
    blood = (z >= 20) & (z < 40) & (y >= 20) & (y < 30) & (x >= 15) & (x < 25)
    fluid = (z >= 20) & (z < 40) & (y >= 35) & (y < 45) & (x >= 28) & (x < 38)
    hu[blood], hu[fluid] = 70.0, 10.0

    maps = predictor.predict(volume(hu, (step_mm, 1.0, 1.0)))

    brain = (y > 10) & (y < 50) & (x > 10) & (x < 40)
    found = maps.hematoma_zyx >= 0.5
    np.testing.assert_array_equal(found[brain], blood[brain])
    edema = maps.compartments[Compartment.EDEMA]
    np.testing.assert_array_equal(edema[brain], fluid[brain])
    assert not maps.compartments[Compartment.EXTRA_AXIAL].any()
    assert not maps.compartments[Compartment.INTRAVENTRICULAR].any()


def test_nothing_is_found_outside_the_head_or_below_the_skull_base(predictor):
    """150 mm below the top no brain is left; a bright neck is not looked at."""
    hu, z, y, x = head(slices=60, step_mm=5.0)
    hu[(z < 100) & (y > 20) & (y < 40) & (x > 20) & (x < 30)] = 70.0
    hu[:, 0, 0] = 70.0

    found = predictor.predict(volume(hu, (5.0, 1.0, 1.0))).hematoma_zyx >= 0.5

    assert not found[:, 0, 0].any()
    assert not found[z < 295 - 160].any()


def test_a_scan_without_bone_is_looked_at_all_the_same(predictor):
    """A phantom of soft tissue alone still gets its answer."""
    hu, *_ = head(slices=12, step_mm=5.0)
    hu[hu > 500] = 35.0
    hu[6, 25:35, 20:30] = 70.0

    found = predictor.predict(volume(hu, (5.0, 1.0, 1.0))).hematoma_zyx >= 0.5

    assert found[6, 27:33, 22:28].all()


def test_a_voxel_called_hematoma_is_no_compartment_too(predictor):
    """Hematoma from the cutoff upwards; the others only below it."""
    hu, *_ = head(slices=12, step_mm=5.0)
    hu[5:8, 20:40, 15:35] = np.linspace(0, 90, 20)

    maps = predictor.predict(volume(hu, (5.0, 1.0, 1.0)))

    hematoma = maps.hematoma_zyx >= 0.5
    assert hematoma.any()
    for one in maps.compartments.values():
        assert not (one & hematoma).any()


def test_an_ensemble_is_the_mean_of_its_members():
    """One calls blood hematoma, the other extra-axial: one half each, told as it goes on."""
    other = threshold_network()
    with torch.no_grad():
        other.joint[-1].conv.weight[[1, 2]] = other.joint[-1].conv.weight[[2, 1]]
    hu, *_ = head(slices=6, step_mm=5.0)
    hu[2:4, 20:40, 15:35] = 70.0
    told = []

    maps = BlastCtPredictor(
        blast_ct_card(), ensemble(threshold_network(), other), device=CPU
    ).predict(volume(hu, (5.0, 1.0, 1.0)), on_progress=told.append)

    np.testing.assert_allclose(maps.hematoma_zyx[2:4, 21:39, 16:34], 0.5, atol=1e-5)
    assert all(a <= b for a, b in itertools.pairwise(told))
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("background", "hematoma"), "5 classes"),
        (("background", "a", "b", "c", "d"), "called hematoma"),
        (("background", "hematoma", "tumour", "bone", "air"), "must be"),
    ],
    ids=["too few", "no hematoma", "unknown"],
)
def test_a_card_whose_classes_are_not_those_of_blast_ct_is_refused(names, reason):
    """Rather than calling an output by a wrong name."""
    with pytest.raises(ModelBundleError, match=reason):
        BlastCtPredictor(
            blast_ct_card(class_names=names), ensemble(threshold_network()), device=CPU
        )


@pytest.fixture(scope="module")
def middle_of_a_head(data_dir, tmp_path_factory):
    """Twelve slices of patient 091, four of them labelled, and network 1; the rest is left out."""
    series, folder = data_dir / "real-head-ct", tmp_path_factory.mktemp("scan") / "091"
    folder.mkdir()
    for number in range(14, 26):
        shutil.copy(series / "091" / f"{number:03d}.dcm", folder)
    labels = read_slice_labels(series / "labels.csv", column="Intraparenchymal")
    checkpoint = data_dir / "blast-ct-weights" / "model_1.pt"
    bundle = import_networks([checkpoint], tmp_path_factory.mktemp("bundle"))
    scan = read_labelled_series(folder, labels)
    segmenter = load_segmenter(bundle, device=CPU)
    return scan, bundle, segmenter, segmenter.predict(scan.volume)


@pytest.mark.data
def test_the_published_network_finds_the_bleed_of_a_real_patient(middle_of_a_head):
    """The slice that network 1 calls fullest of blood is one where radiologists saw it."""
    scan, _, segmenter, maps = middle_of_a_head

    assert scan.slices.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    fullest = int(maps.hematoma_zyx.sum(axis=(1, 2)).argmax())
    assert scan.slices[fullest] == SHOWN
    mask = segmenter.findings(maps, scan.volume).hematoma.voxels_zyx
    assert mask[scan.slices == SHOWN].any()


@pytest.mark.data
def test_bfloat16_hardly_moves_a_voxel_of_a_real_bleed(middle_of_a_head):
    """Dice at least 0.998 (0.99897 when written: 10 of 5,300 voxels), sums equal within 0.5 %."""
    scan, bundle, _, exact = middle_of_a_head
    predictor = BlastCtPredictor(bundle.card, load_network(bundle), device=CPU, bfloat16=True)

    rounded = predictor.predict(scan.volume)

    one, other = exact.hematoma_zyx >= 0.5, rounded.hematoma_zyx >= 0.5
    assert one.sum() > 1000
    assert 2 * (one & other).sum() >= 0.998 * (one.sum() + other.sum())
    assert rounded.hematoma_zyx.sum() == pytest.approx(exact.hematoma_zyx.sum(), rel=5e-3)
