"""The fitted error of a forecast's volume, and the range that follows from it.

As `pipeline.volume_error`, a conformal interval: on patients whom the networks had not seen, the
error of the forecast volume is divided by a scale, and a high quantile of these residuals times
the scale of a new patient gives the range. The scale is the measured baseline volume and a
floor: large hematomas are misjudged by more millilitres than small ones. The residuals come from
the folds of a cross-validation, the forecast from a network fitted to everybody, as in the
jackknife+ family [1]_, whose promise is weaker than the stated level: about 90 % are sure, the
level itself is what is seen in practice.

References
----------
.. [1] R. F. Barber, E. J. Candes, A. Ramdas, R. J. Tibshirani, "Predictive inference with the
   jackknife+", Annals of Statistics 49 (2021) 486-507.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.finding import VolumeRange
from pipeline.volume_error import check_fit, range_around


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastError:
    """How far forecast volumes were off, in patients whom the networks had not seen.

    Attributes
    ----------
    quantile : float
        Residual in multiples of the scale, at `pipeline.volume_error.LEVEL` with the
        finite-sample correction.
    floor_ml : float
        Added to the baseline volume for the scale.
    patients : int
        Patients that the quantile was fitted on.
    cohort : str
        Who they were.

    Raises
    ------
    ValueError
        If a number is impossible, the cohort is not named, or the patients are too few for the
        level.
    """

    quantile: float
    floor_ml: float
    patients: int
    cohort: str

    def __post_init__(self) -> None:
        check_fit(
            quantile=self.quantile,
            floor_ml=self.floor_ml,
            patients=self.patients,
            cohort=self.cohort,
        )

    def scale_ml(self, baseline_ml: float) -> float:
        """Return the scale of a patient: baseline volume and floor."""
        return baseline_ml + self.floor_ml

    def range_of(self, forecast_ml: float, *, baseline_ml: float) -> VolumeRange:
        """Return the range round a forecast volume in mL; its lower end is never negative."""
        return range_around(forecast_ml, self.quantile * self.scale_ml(baseline_ml))


def forecast_error_from_fields(fields: Mapping[str, Any]) -> ForecastError:
    """Return the error that a card's JSON object describes.

    Raises
    ------
    ValueError
        If a field is missing, unknown or impossible.
    """
    names = {item.name for item in dataclasses.fields(ForecastError)}
    if set(fields) != names:
        raise ValueError(f"forecast_error holds {', '.join(sorted(names))}, got {sorted(fields)}")
    if type(fields["patients"]) is not int:
        raise ValueError("forecast_error: patients must be a whole number")
    return ForecastError(
        quantile=float(fields["quantile"]),
        floor_ml=float(fields["floor_ml"]),
        patients=fields["patients"],
        cohort=str(fields["cohort"]),
    )
