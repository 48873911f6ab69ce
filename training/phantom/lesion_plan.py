"""What bleeds: place, volume, age and signs of a hematoma, drawn before it is shaped."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from training.phantom.fields import Point

_Number = TypeVar("_Number", float, NDArray[np.float64])


class Site(StrEnum):
    """Where a spontaneous hematoma starts."""

    BASAL_GANGLIA = "basal_ganglia"
    THALAMUS = "thalamus"
    LOBAR = "lobar"
    CEREBELLUM = "cerebellum"
    BRAIN_STEM = "brain_stem"


#: Shares of the sites, rounded from hospital series of hypertensive hemorrhage, in which the
#: basal ganglia make about half, thalamus and lobes 15-20 % each, cerebellum 5-10 %, stem 5 %.
SITE_SHARES: dict[Site, float] = {
    Site.BASAL_GANGLIA: 0.52,
    Site.THALAMUS: 0.17,
    Site.LOBAR: 0.18,
    Site.CEREBELLUM: 0.08,
    Site.BRAIN_STEM: 0.05,
}

#: Median and interquartile range of the baseline volume in mL (npj Digital Medicine study,
#: Table 1, training set: 20.36 (21.95)).
VOLUME_MEDIAN_ML, VOLUME_IQR_ML = 20.4, 21.95

#: Log-normal spread that gives this IQR: 20.4 (e^{0.6745 s} - e^{-0.6745 s}) = 21.95.
VOLUME_LOG_SD = 0.761

#: Factor on the volume at each site (deep and infratentorial spaces are small), chosen so that
#: the whole cohort keeps its median, and the largest volume a site can hold.
_SITE_VOLUME: dict[Site, tuple[float, float]] = {
    Site.BASAL_GANGLIA: (1.2, 130.0),
    Site.THALAMUS: (0.6, 45.0),
    Site.LOBAR: (1.45, 140.0),
    Site.CEREBELLUM: (0.75, 45.0),
    Site.BRAIN_STEM: (0.3, 14.0),
}

#: Centre (template mm, patient's left) and spread of the bleeding point at each fixed site.
_SITE_CENTER: dict[Site, tuple[Point, Point]] = {
    Site.BASAL_GANGLIA: ((26, 0, 3), (3, 7, 5)),
    Site.THALAMUS: ((13, 17, 6), (2.5, 4, 4)),
    Site.CEREBELLUM: ((18, 60, -36), (5, 6, 4)),
    Site.BRAIN_STEM: ((2, 27, -32), (2.5, 2, 5)),
}


#: Median and log-normal spread of the time from onset to the first scan, and its limits.
HOURS_MEDIAN, HOURS_LOG_SD, HOURS_LIMITS = 4.0, 0.8, (0.5, 24.0)

#: Oedema in mm: its mean grows by so much from 2 mm with log(1 + hours / 3).
EDEMA_START_MM, EDEMA_GROWTH_MM, EDEMA_SD_MM, EDEMA_LIMITS_MM = 2.0, 2.0, 1.0, (0.3, 10.0)

#: How often each sign is seen in a hematoma of median volume and time.
SIGN_SHARES: dict[str, float] = {
    "black_hole": 0.15,
    "blend": 0.16,
    "swirl": 0.28,
    "satellite": 0.25,
    "fluid_level": 0.03,
}

#: What raises the log odds of all signs at once: volume, early scan, and a patient's own part.
TENDENCY_PER_LOG_VOLUME, TENDENCY_PER_LOG_HOURS, TENDENCY_SD = 0.45, -0.25, 0.5

#: Irregularity of the outline: mean, what the tendency adds, spread, limits.
IRREGULARITY_MEAN, IRREGULARITY_PER_TENDENCY, IRREGULARITY_SD = 0.2, 0.05, 0.08
IRREGULARITY_LIMITS = (0.05, 0.5)

#: Amplitude from which an outline would be called irregular: that of one hematoma in five.
IRREGULAR_FROM = 0.28


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionSigns:
    """Signs on the first scan that are known to go before expansion.

    Attributes
    ----------
    black_hole, blend, swirl, satellite, fluid_level : bool
        Dark enclosed spot; two parts of unlike density; dark whorls; small bleeds beside the
        large one; sedimented blood.
    irregularity : float
        Relative amplitude of the deformation of the outline, 0.05 (smooth) to 0.5.
    """

    black_hole: bool
    blend: bool
    swirl: bool
    satellite: bool
    fluid_level: bool
    irregularity: float

    @property
    def is_irregular(self) -> bool:
        """Whether the outline would be called irregular."""
        return self.irregularity > IRREGULAR_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionPlan:
    """One hematoma before it is shaped.

    Attributes
    ----------
    site : Site
        Where it starts.
    side : int
        1 the patient's left, -1 the right.
    center : Point
        Bleeding point in template mm.
    volume_ml : float
        Volume at the first scan.
    elongation : tuple of float
        Relative radii along x, y, z; their product is one.
    yaw_deg : float
        Turn of the long axis about z.
    lobes : int
        Number of overlapping lumps.
    blood_hu : float
        Mean density of the clot.
    edge_mm : float
        Width of its edge.
    hours_from_onset : float
        Time of the first scan after onset.
    reaches_ventricle : bool
        Whether blood breaks into the ventricles.
    ventricle_fill : float
        Share of the ventricles that then fills, 0 to 1.
    edema_mm : float
        Thickness of the oedema around it.
    signs : ExpansionSigns
        Signs on the first scan.
    """

    site: Site
    side: int
    center: Point
    volume_ml: float
    elongation: Point
    yaw_deg: float
    lobes: int
    blood_hu: float
    edge_mm: float
    hours_from_onset: float
    reaches_ventricle: bool
    ventricle_fill: float
    edema_mm: float
    signs: ExpansionSigns


def draw_plan(rng: np.random.Generator) -> LesionPlan:
    """Return a random hematoma."""
    sites = list(SITE_SHARES)
    site = sites[rng.choice(len(sites), p=list(SITE_SHARES.values()))]
    side = int(rng.choice((-1, 1)))
    factor, largest = _SITE_VOLUME[site]
    volume = VOLUME_MEDIAN_ML * factor * np.exp(rng.normal(0, VOLUME_LOG_SD * 0.87))
    volume = float(np.clip(volume, 0.6, largest))
    hours = float(np.clip(np.exp(rng.normal(np.log(HOURS_MEDIAN), HOURS_LOG_SD)), *HOURS_LIMITS))
    elongation = np.exp(rng.normal(0, 0.16, 3)) * _SITE_ELONGATION[site]
    elongation /= np.prod(elongation) ** (1 / 3)
    return LesionPlan(
        site=site,
        side=side,
        center=_draw_center(rng, site, side),
        volume_ml=volume,
        elongation=(float(elongation[0]), float(elongation[1]), float(elongation[2])),
        yaw_deg=float(rng.normal(-12 * side, 14)),
        lobes=int(rng.choice((1, 2, 3, 4), p=(0.45, 0.3, 0.17, 0.08))),
        blood_hu=float(np.clip(rng.normal(65, 4.5), 53, 77)),
        edge_mm=float(rng.uniform(1.0, 2.8)),
        hours_from_onset=hours,
        reaches_ventricle=bool(rng.random() < _breakthrough_chance(site, volume)),
        ventricle_fill=float(rng.beta(1.3, 2.0)),
        edema_mm=float(np.clip(rng.normal(edema_mean_mm(hours), EDEMA_SD_MM), *EDEMA_LIMITS_MM)),
        signs=_draw_signs(rng, volume, hours),
    )


def edema_mean_mm(hours: _Number) -> _Number:
    """Return the mean thickness of the oedema in mm so many hours after onset."""
    mean: _Number = EDEMA_START_MM + EDEMA_GROWTH_MM * np.log1p(hours / 3)
    return mean


def sign_tendency(volume_ml: float, hours: _Number) -> _Number:
    """Return what volume and time add to the log odds of every sign."""
    by_volume = TENDENCY_PER_LOG_VOLUME * np.log(volume_ml / VOLUME_MEDIAN_ML)
    tendency: _Number = by_volume + TENDENCY_PER_LOG_HOURS * np.log(hours / HOURS_MEDIAN)
    return tendency


_SITE_ELONGATION: dict[Site, tuple[float, float, float]] = {
    Site.BASAL_GANGLIA: (0.78, 1.35, 1.0),
    Site.THALAMUS: (0.9, 1.15, 1.0),
    Site.LOBAR: (0.95, 1.1, 0.95),
    Site.CEREBELLUM: (1.1, 1.0, 0.9),
    Site.BRAIN_STEM: (1.1, 0.85, 1.1),
}


def _draw_center(rng: np.random.Generator, site: Site, side: int) -> Point:
    if site is Site.LOBAR:
        return _draw_lobar_center(rng, side)
    center, spread = _SITE_CENTER[site]
    x, y, z = np.asarray(center) + rng.normal(0, 1, 3) * np.asarray(spread)
    return (float(side * x), float(y), float(z))


def _draw_lobar_center(rng: np.random.Generator, side: int) -> Point:
    """Return a point in frontal, temporal, parietal or occipital white matter."""
    lobes: tuple[tuple[Point, Point], ...] = (
        ((30, -38, 20), (8, 12, 14)),
        ((46, 8, -18), (5, 14, 6)),
        ((36, 38, 34), (8, 12, 10)),
        ((26, 70, 12), (7, 8, 8)),
    )
    center, spread = lobes[rng.choice(4, p=(0.35, 0.25, 0.27, 0.13))]
    x, y, z = np.asarray(center) + rng.normal(0, 1, 3) * np.asarray(spread)
    return (float(side * x), float(y), float(z))


def _breakthrough_chance(site: Site, volume_ml: float) -> float:
    """Return the chance of intraventricular blood: about 40 % in all, most at the thalamus."""
    base = {
        Site.BASAL_GANGLIA: 0.22,
        Site.THALAMUS: 0.55,
        Site.LOBAR: 0.12,
        Site.CEREBELLUM: 0.25,
        Site.BRAIN_STEM: 0.2,
    }[site]
    return float(min(base + volume_ml / 150, 0.9))


def _draw_signs(
    rng: np.random.Generator, volume_ml: float, hours_from_onset: float
) -> ExpansionSigns:
    """Return signs whose frequencies lie in the published range of 10 to 40 % each.

    They are commoner in large and early hematomas, as in life.
    """
    tendency = sign_tendency(volume_ml, hours_from_onset) + rng.normal(0, TENDENCY_SD)

    def shows(share: float) -> bool:
        logit = np.log(share / (1 - share)) + tendency
        return bool(rng.random() < 1 / (1 + np.exp(-logit)))

    mean = IRREGULARITY_MEAN + IRREGULARITY_PER_TENDENCY * tendency
    irregularity = mean + rng.normal(0, IRREGULARITY_SD)
    return ExpansionSigns(
        black_hole=shows(SIGN_SHARES["black_hole"]),
        blend=shows(SIGN_SHARES["blend"]),
        swirl=shows(SIGN_SHARES["swirl"]),
        satellite=shows(SIGN_SHARES["satellite"]),
        fluid_level=shows(SIGN_SHARES["fluid_level"]),
        irregularity=float(np.clip(irregularity, *IRREGULARITY_LIMITS)),
    )
