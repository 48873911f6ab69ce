"""Claims about real anatomy as host of a simulated hematoma."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.volume import CtVolume, regular_grid
from training.phantom.host import AnatomyError, host_from_volume, load_host
from training.phantom.lesion_plan import Site, draw_plan


def _head_of_shapes(*, faces_back: bool = False, has_skull: bool = True) -> CtVolume:
    """Return an egg of brain in a shell of bone, with air cavities where the nose is."""
    z, y, x = np.meshgrid(
        np.arange(-70, 90, 2.5), np.arange(-105, 120, 2.5), np.arange(-95, 96, 2.5), indexing="ij"
    )

    def egg(margin: float) -> NDArray[np.float64]:
        return np.asarray(
            (x / (68 + margin)) ** 2 + ((y - 16) / (88 + margin)) ** 2 + (z / (76 + margin)) ** 2
        )

    hu = np.full(x.shape, -1000 if has_skull else 0, dtype=np.int16)
    if has_skull:
        hu[egg(14) < 1] = 40
        hu[egg(8) < 1] = 1000
    hu[egg(0) < 1] = 35
    if has_skull:
        # The nose: air at the front, low down, between brain and skin.
        hu[(np.abs(x) < 12) & (y > -62) & (y < -40) & (z > -60) & (z < -46)] = -1000
    if faces_back:
        hu = hu[:, ::-1, ::-1].copy()
    return CtVolume(hu_zyx=hu, grid=regular_grid(hu.shape, (2.5, 2.5, 2.5)))


def test_a_head_that_faces_backwards_is_turned_round() -> None:
    """Turned half round about the vertical, a head becomes the same host as before."""
    straight = host_from_volume(_head_of_shapes(), name="a")
    turned = host_from_volume(_head_of_shapes(faces_back=True), name="a")

    assert np.array_equal(straight.hu_zyx, turned.hu_zyx)


def test_a_head_as_large_as_the_template_has_scale_one() -> None:
    """The egg has the extents of the template's cavity, so nothing is stretched."""
    host = host_from_volume(_head_of_shapes(), name="egg")

    assert host.scale == pytest.approx(0.97, abs=0.05)
    assert host.has_skull


def test_the_middle_of_the_brain_is_deepest() -> None:
    """The depth grows inwards and is negative in bone and air."""
    host = host_from_volume(_head_of_shapes(), name="egg")
    points = np.array([[0, 0, 80], [16, 16, 16], [0, 0, 0]], dtype=np.float32)

    _, depth = host.sample((points[0], points[1], points[2]), mirrored=False)

    # The brain is an egg with half axes 68, 88 and 76 mm.
    assert depth[0] > 45
    assert depth[2] < 0


def test_mirroring_swaps_the_sides() -> None:
    """A point on the left of the mirrored host is one on the right of the host."""
    host = host_from_volume(_head_of_shapes(), name="egg")
    x, y, z = (np.array([value], dtype=np.float32) for value in (63.0, 20.0, 10.0))
    one_sided = replace(host, hu_zyx=np.cumsum(np.ones_like(host.hu_zyx), axis=2))

    left, _ = one_sided.sample((x, y, z), mirrored=False)
    mirrored, _ = one_sided.sample((x, y, z), mirrored=True)

    assert left[0] - mirrored[0] == pytest.approx(2 * 63 * host.scale / 2.5, abs=0.1)


def test_a_stripped_brain_is_recognised() -> None:
    """No bone anywhere: the brain needs a skull."""
    assert not host_from_volume(_head_of_shapes(has_skull=False), name="egg").has_skull


def test_empty_air_is_no_head() -> None:
    """Nothing but air is refused."""
    hu = np.full((40, 50, 50), -1000, dtype=np.int16)
    hu[5:9, 20:30, 20:30] = 1200

    with pytest.raises(AnatomyError):
        host_from_volume(CtVolume(hu_zyx=hu, grid=regular_grid(hu.shape, (4, 4, 4))), name="air")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message says which file."""
    with pytest.raises(AnatomyError, match=r"nothing\.nii"):
        load_host(tmp_path / "nothing.nii")


@pytest.mark.data
def test_a_real_head_is_set_upright_and_its_brain_found(data_dir: Path) -> None:
    """InVesalius' Cranium faces backwards in its file; a cavity holds 1.1 to 1.7 litres."""
    host = load_host(data_dir / "invesalius-cranium" / "cranium_ct0051.nii.gz")

    inside_ml = (host.depth_mm > 0).sum() * np.prod(host.spacing_zyx_mm) / 1000
    eyes = np.array([[-33, 33, 0], [-64, -64, 100], [-36, -36, -20]], dtype=np.float32)
    hu, _ = host.sample((eyes[0], eyes[1], eyes[2]), mirrored=False)

    assert 1100 < inside_ml < 1700
    assert host.has_skull
    # Eyes are softer than bone and denser than air, and lie in front; the nape does not.
    assert all(-150 < value < 150 for value in hu[:2])


@pytest.mark.data
@pytest.mark.parametrize(
    ("site", "regions"),
    [
        (Site.BASAL_GANGLIA, {4, 5, 6}),
        (Site.THALAMUS, {16}),
        (Site.CEREBELLUM, {2, 7}),
        (Site.BRAIN_STEM, {1}),
    ],
)
def test_bleeding_points_lie_in_the_regions_of_an_independent_atlas(
    data_dir: Path, site: Site, regions: set[int]
) -> None:
    """Most drawn centres fall within 6 mm of the atlas region that the site is named after."""
    image = nib.load(data_dir / "blast-ct-atlas" / "atlas_template_space.nii.gz")
    atlas, to_voxel = np.asarray(image.dataobj), np.linalg.inv(image.affine)
    rng = np.random.default_rng(8)
    plans = [plan for plan in (draw_plan(rng) for _ in range(1500)) if plan.site is site]

    def is_near(center: tuple[float, float, float]) -> bool:
        # LPS template to the atlas' RAS, on its left side: the right cerebellum has no label.
        voxel = (to_voxel @ [-abs(center[0]), -center[1], center[2], 1])[:3].round().astype(int)
        around = atlas[tuple(slice(max(0, v - 6), v + 7) for v in voxel)]
        return bool(np.isin(around, list(regions)).any())

    assert np.mean([is_near(plan.center) for plan in plans]) > 0.9
