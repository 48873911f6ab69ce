"""Flags that finding and opinion raise: blood elsewhere, an open limit, an unlike patient."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.decision_limits import limits_within
from pipeline.finding import Compartment, VolumeRange
from pipeline.growth.forecast import GrowthForecast
from pipeline.prediction import HePrediction
from pipeline.quality_flags import QualityFlag

#: From which volume a compartment counts as present, in mL. Chosen by geometry, not fitted:
#: what imitates each of them has about this size.
MINIMUM_ML: Mapping[Compartment, float] = MappingProxyType(
    {
        # Partial volume of bone: a rim of half a pixel (0.25 mm) along 10 cm of skull in eight
        # slices of 5 mm has 1 mL and looks like a thin subdural.
        Compartment.EXTRA_AXIAL: 1.0,
        # The blurred edge of the clot: a seam of one pixel (0.5 mm) round a hematoma of 15 mL,
        # whose surface has 29 cm2, has 1.5 mL.
        Compartment.EDEMA: 1.5,
        # The calcified choroid plexus is as bright as blood: two glomera of 1 cm have 1 mL.
        Compartment.INTRAVENTRICULAR: 1.0,
    }
)

#: What `assess_finding` may raise.
FINDING_FLAGS = frozenset(
    {
        QualityFlag.EXTRA_AXIAL_HEMORRHAGE,
        QualityFlag.PRIMARY_INTRAVENTRICULAR,
        QualityFlag.INTRAVENTRICULAR_EXTENSION,
        QualityFlag.VOLUME_UNCERTAIN,
    }
)


def is_present(compartment: Compartment, volume_ml: float) -> bool:
    """Return whether a volume is more than what only looks like the compartment."""
    return volume_ml >= MINIMUM_ML[compartment]


def assess_finding(
    *,
    has_hematoma: bool,
    compartments_ml: Mapping[Compartment, float],
    volume_range: VolumeRange | None,
) -> frozenset[QualityFlag]:
    """Return the flags that hold for what segmentation found.

    Parameters
    ----------
    has_hematoma : bool
        Whether there is an intracerebral hematoma.
    compartments_ml : mapping of Compartment to float
        Volumes of what the network tells apart; what it does not know raises no flag.
    volume_range : VolumeRange or None
        Where the true volume lies.

    Returns
    -------
    frozenset of QualityFlag
        EXTRA_AXIAL_HEMORRHAGE, PRIMARY_INTRAVENTRICULAR or INTRAVENTRICULAR_EXTENSION, and
        VOLUME_UNCERTAIN, where they hold.
    """
    present = {name for name, volume in compartments_ml.items() if is_present(name, volume)}
    ventricular = Compartment.INTRAVENTRICULAR in present
    found = {
        QualityFlag.EXTRA_AXIAL_HEMORRHAGE: Compartment.EXTRA_AXIAL in present,
        QualityFlag.PRIMARY_INTRAVENTRICULAR: ventricular and not has_hematoma,
        QualityFlag.INTRAVENTRICULAR_EXTENSION: ventricular and has_hematoma,
        QualityFlag.VOLUME_UNCERTAIN: volume_range is not None
        and bool(limits_within(volume_range)),
    }
    return frozenset(flag for flag, is_set in found.items() if is_set)


def assess_prediction(prediction: HePrediction) -> frozenset[QualityFlag]:
    """Return UNFAMILIAR where the opinion is on a patient unlike the training cases."""
    return frozenset({QualityFlag.UNFAMILIAR} if prediction.is_unfamiliar else ())


def assess_forecast(forecast: GrowthForecast | None) -> frozenset[QualityFlag]:
    """Return NO_FORECAST where a forecast was wanted and there is none."""
    return frozenset({QualityFlag.NO_FORECAST} if forecast is None else ())


def answerable(
    *,
    has_hematoma: bool,
    compartments_ml: Mapping[Compartment, float],
    volume_range: VolumeRange | None,
) -> frozenset[QualityFlag]:
    """Return the flags of `assess_finding` that the models could have raised.

    A network that cannot tell compartments apart does not say that they are free of blood.
    """
    knows = compartments_ml.keys()
    ventricles = Compartment.INTRAVENTRICULAR in knows
    can = {
        QualityFlag.EXTRA_AXIAL_HEMORRHAGE: Compartment.EXTRA_AXIAL in knows,
        QualityFlag.PRIMARY_INTRAVENTRICULAR: ventricles,
        QualityFlag.INTRAVENTRICULAR_EXTENSION: ventricles and has_hematoma,
        QualityFlag.VOLUME_UNCERTAIN: volume_range is not None,
    }
    return frozenset(flag for flag, is_known in can.items() if is_known)
