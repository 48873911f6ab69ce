"""The traits of one simulated patient's head, drawn before anything is built."""

from dataclasses import dataclass

import numpy as np

#: Age of patients with spontaneous intracerebral hemorrhage: mean 60, SD 13.4 years (Table 1 of
#: the npj Digital Medicine study that the pipeline follows, training set); 71 % are male.
AGE_MEAN_YEARS, AGE_SD_YEARS, MALE_SHARE = 60.1, 13.4, 0.71


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTraits:
    """What makes one head differ from another.

    Attributes
    ----------
    age_years : int
        Age; drives atrophy.
    is_male : bool
        Sex; men have slightly larger heads.
    scale_xyz : tuple of float
        Size of the head against the template, for each axis.
    atrophy : float
        Share of brain lost, 0 (none) to 1 (severe): widens sulci.
    ventricle_scale : float
        Radius of the ventricles against the template.
    gray_hu, white_hu, fluid_hu : float
        Hounsfield units of grey matter, white matter and cerebrospinal fluid.
    skull_mm, scalp_mm : float
        Thickness of skull and scalp.
    """

    age_years: int
    is_male: bool
    scale_xyz: tuple[float, float, float]
    atrophy: float
    ventricle_scale: float
    gray_hu: float
    white_hu: float
    fluid_hu: float
    skull_mm: float
    scalp_mm: float


def draw_traits(rng: np.random.Generator) -> HeadTraits:
    """Return the traits of a random adult."""
    age = int(np.clip(rng.normal(AGE_MEAN_YEARS, AGE_SD_YEARS), 18, 95))
    is_male = bool(rng.random() < MALE_SHARE)
    size = rng.normal(0.955 if is_male else 0.925, 0.025)
    atrophy = float(np.clip((age - 35) / 60 + rng.normal(0, 0.2), 0.0, 1.0))
    white = rng.normal(29.5, 2.0)
    x, y, z = size * (1 + rng.normal(0, 0.02, 3))
    return HeadTraits(
        age_years=age,
        is_male=is_male,
        scale_xyz=(float(x), float(y), float(z)),
        atrophy=atrophy,
        ventricle_scale=float(np.clip(0.8 + 0.75 * atrophy + rng.normal(0, 0.18), 0.55, 2.1)),
        gray_hu=float(white + rng.normal(9.3, 1.2)),
        white_hu=float(white),
        fluid_hu=float(rng.normal(6.5, 2.0)),
        skull_mm=float(np.clip(rng.normal(6.8, 1.0), 4.5, 10.0)),
        scalp_mm=float(np.clip(rng.normal(6.0, 1.4), 3.0, 11.0)),
    )
