"""Whether saliency means something: where it lies, and what the opinion loses without it.

References
----------
.. [1] J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", Int. J. Comput. Vis.
   126 (2018) 1084-1102: the pointing game.
.. [2] V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of
   Black-box Models", BMVC 2018: deletion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from pipeline.classification.classifier import Classifier
from pipeline.statistics.estimate import Estimate
from training.classification.case import TripletCase
from training.evaluation.bootstrap import bootstrap_statistic

#: Shares of the picture that are taken away, one after the other.
_STEPS = np.linspace(0, 1, 11)

#: Side of the blocks of a random order, as part of the picture's: Grad-CAM is as smooth.
_BLOCK = 1 / 8

#: Standard deviation of the blur, as part of the picture's side: 3 to 6 mm, wider than most
#: signs, and narrow enough to leave a hematoma where it is.
_BLUR = 1 / 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSaliency:
    """The saliency of one case, mean over its slices.

    Attributes
    ----------
    patient_id : str
        Whose.
    inside : float
        Share of the saliency that lies inside the hematoma.
    area : float
        Share of the picture that the hematoma covers: what a map without any idea would have.
    points_inside : float
        Share of slices whose most salient pixel lies inside the hematoma [1]_.
    deletion : float
        Mean probability of expansion while ever more of the most salient pixels are blurred
        beyond recognition [2]_; the lower, the better the map knows what spoke for expansion.
    random_deletion : float
        The same with blocks blurred in random order.
    """

    patient_id: str
    inside: float
    area: float
    points_inside: float
    deletion: float
    random_deletion: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencyScores:
    """Means over cases with 95 % intervals over patients.

    Attributes
    ----------
    cases : int
        How many had a mask and a map that is not empty.
    inside, area, points_inside, deletion, random_deletion : Estimate
        As in `CaseSaliency`.
    deletion_gain : Estimate
        Random less salient deletion; above 0 the maps are better than chance.
    """

    cases: int
    inside: Estimate
    area: Estimate
    points_inside: Estimate
    deletion: Estimate
    random_deletion: Estimate
    deletion_gain: Estimate


def judge_saliency(
    classifier: Classifier, case: TripletCase, *, rng: np.random.Generator
) -> CaseSaliency | None:
    """Return the saliency of a case; None without masks, or where no map shows anything."""
    maps = classifier.heat_maps(case.images_yx)
    rows = []
    for heat_yx, image_yx, mask_yx in zip(maps, case.images_yx, case.masks_yx, strict=False):
        if not heat_yx.any():
            continue
        peak = np.unravel_index(int(heat_yx.argmax()), heat_yx.shape)
        rows.append(
            (
                float(heat_yx[mask_yx].sum() / heat_yx.sum()),
                float(mask_yx.mean()),
                float(mask_yx[peak]),
                _deletion(classifier, image_yx, heat_yx),
                _deletion(classifier, image_yx, _random_blocks(heat_yx.shape, rng)),
            )
        )
    if not rows:
        return None
    inside, area, points, deletion, random_deletion = np.mean(rows, axis=0).tolist()
    return CaseSaliency(
        patient_id=case.patient_id,
        inside=inside,
        area=area,
        points_inside=points,
        deletion=deletion,
        random_deletion=random_deletion,
    )


def summarise_saliency(
    found: Sequence[CaseSaliency], *, seed: int = 0, draws: int = 2000
) -> SaliencyScores:
    """Return the means of some cases.

    Raises
    ------
    ValueError
        If there is no case.
    """
    if not found:
        raise ValueError("No case has a mask and a map that shows anything")
    patients = [one.patient_id for one in found]

    def mean_of(values: Sequence[float]) -> Estimate:
        array = np.asarray(values)
        return bootstrap_statistic(
            lambda cases: float(array[cases].mean()),
            patients,
            rng=np.random.default_rng(seed),
            draws=draws,
        )

    return SaliencyScores(
        cases=len(found),
        inside=mean_of([one.inside for one in found]),
        area=mean_of([one.area for one in found]),
        points_inside=mean_of([one.points_inside for one in found]),
        deletion=mean_of([one.deletion for one in found]),
        random_deletion=mean_of([one.random_deletion for one in found]),
        deletion_gain=mean_of([one.random_deletion - one.deletion for one in found]),
    )


def _deletion(
    classifier: Classifier, image_yx: NDArray[np.uint8], order_yx: NDArray[np.floating]
) -> float:
    """Return the mean probability while pixels are blurred, those of highest order first.

    One grey for all would not take signs away but make some: a grey patch in a bright hematoma
    is a black hole or a swirl, which goes before expansion.
    """
    sigma = max(image_yx.shape) * _BLUR
    blurred = ndimage.gaussian_filter(image_yx.astype(np.float32), sigma).astype(np.uint8).ravel()
    places = np.argsort(-order_yx, axis=None, kind="stable")
    pictures = []
    for share in _STEPS:
        left, gone = image_yx.copy().ravel(), places[: round(share * image_yx.size)]
        left[gone] = blurred[gone]
        pictures.append(left.reshape(image_yx.shape))
    return classifier.judge(pictures).probability


def _random_blocks(shape_yx: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an order in which blocks of the picture follow one another by chance."""
    side = max(round(max(shape_yx) * _BLOCK), 1)
    rows, columns = (-(-length // side) for length in shape_yx)
    ranks = rng.permutation(rows * columns).reshape(rows, columns).astype(np.float64)
    whole = np.kron(ranks, np.ones((side, side)))
    return np.asarray(whole[: shape_yx[0], : shape_yx[1]], dtype=np.float64)
