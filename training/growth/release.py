"""From a run to a bundle: the network of all patients, the error that the folds have shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.forecast_error import ForecastError
from pipeline.growth.forecaster import ARCHITECTURE
from pipeline.model_bundle import ModelBundle, save_bundle
from pipeline.model_card import ModelCard
from pipeline.volume_error import LEVEL, conformal_rank
from training.growth.arms import PLANS, Arm
from training.growth.evaluation import CUTOFF
from training.growth.folds import EVERYBODY
from training.growth.run import GrowthRun
from training.growth.scores import GrowthScore

#: Added to every baseline volume for the scale: differences of a few mL are a matter of chance
#: whatever the volume. 2 mL is the error of a careful reader of a hematoma of 20 mL in 5 mm
#: slices (10 %).
FLOOR_ML = 2.0


def fit_forecast_error(scores: Sequence[GrowthScore], *, cohort: str) -> ForecastError | None:
    """Return the error whose quantile is the residual of rank ceil((n + 1) * 0.95).

    Parameters
    ----------
    scores : sequence of GrowthScore
        Of patients whom the networks had not seen, one each.
    cohort : str
        Who they are.

    Returns
    -------
    ForecastError or None
        None if the patients are too few for the level.
    """
    residuals = sorted(abs(one.error_ml) / (one.baseline_ml + FLOOR_ML) for one in scores)
    try:
        rank = conformal_rank(len(residuals), LEVEL)
    except ValueError:
        return None
    return ForecastError(
        quantile=residuals[rank - 1],
        floor_ml=FLOOR_ML,
        patients=len(residuals),
        cohort=cohort,
    )


def release_growth(
    run: GrowthRun,
    arm: Arm,
    bundle: Path,
    *,
    scores: Sequence[GrowthScore],
    facts: Mapping[str, Any],
) -> ModelBundle:
    """Write the bundle of an arm and return it.

    Parameters
    ----------
    run : GrowthRun
        Whose network of everybody is released.
    arm : Arm
        Which.
    bundle : Path
        Its folder.
    scores : sequence of GrowthScore
        Of the arm's folds.
    facts : mapping
        What only a person can say: name, version, licence, intended_use, demonstration, and
        perhaps training_cohort and metrics.

    Raises
    ------
    ValueError
        If the arm was not trained on everybody, or a fact is missing or not for a person to say.
    """
    fold = next(fold for fold in run.folds if fold.number == EVERYBODY)
    if not run.is_done(arm, fold):
        raise ValueError(
            f"Arm {arm} has no network of all patients; "
            "`ichtrain growth train --everybody` makes it"
        )
    known = {"name", "version", "licence", "intended_use", "demonstration"}
    missing = sorted(known - set(facts))
    unknown = sorted(set(facts) - known - {"training_cohort", "metrics"})
    if missing or unknown:
        raise ValueError(f"Facts lack {missing} and should not have {unknown}")
    recipe = run.recipe
    patients = len(fold.learning) + len(fold.deciding)
    cohort = str(facts.get("training_cohort") or f"{patients} patients with expanding hematomas")
    card = ModelCard(
        task="growth",
        architecture=ARCHITECTURE,
        architecture_arguments=recipe.network_arguments(arm),
        spacing_zyx_mm=recipe.spacing_zyx_mm,
        patch_size_zyx=recipe.patch_size_zyx,
        intensity=recipe.intensity,
        class_names=("background", "hematoma"),
        probability_cutoff=CUTOFF,
        forecast_error=fit_forecast_error(scores, cohort=cohort),
        training_cohort=cohort,
        metrics={**_measured(scores, arm), **facts.get("metrics", {})},
        **{name: facts[name] for name in sorted(known)},
    )
    return save_bundle(bundle, card, run.network(arm, fold).state_dict())


def _measured(scores: Sequence[GrowthScore], arm: Arm) -> dict[str, Any]:
    """Return the cross-validation's means, for the card."""
    overlaps = [one.growth_dice for one in scores if one.growth_dice is not None]
    lesions = [one.lesion_dice for one in scores if one.lesion_dice is not None]
    return {
        "cross_validation": {
            "arm": PLANS[arm].words,
            "patients": len(scores),
            "growth_dice": _mean(overlaps),
            "lesion_dice": _mean(lesions),
            "volume_error_ml": _mean([one.error_ml for one in scores]),
            "absolute_volume_error_ml": _mean([abs(one.error_ml) for one in scores]),
        }
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
