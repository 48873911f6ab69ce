"""A refit from prepared cases to a bundle; what is slow is kept, so that it can go on."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.model_bundle import ModelBundle, save_bundle
from training.cohort.case import Case
from training.cohort.folder import SPLIT_FILE, ScanFile, load_cohort, scans_in
from training.cohort.patient_split import Part
from training.cohort.split import in_validation
from training.segmentation.refit.fit import fit
from training.segmentation.refit.frozen import FrozenPathways
from training.segmentation.refit.joint_head import JointHead
from training.segmentation.refit.recipe import RefitRecipe
from training.segmentation.refit.small_bleeds import with_small_bleeds
from training.segmentation.refit.voxels import Voxels, choose_voxels, load_voxels, save_voxels

#: Told what is done, the number of parts done, and of how many.
OnPart = Callable[[str, int, int], None]


def training_scans(folders: Sequence[Path], recipe: RefitRecipe) -> list[ScanFile]:
    """Return the scans of training patients, as many of each source as the recipe wants.

    A folder with a ``splits.json`` is divided as that says, any other by a hash of the patient.

    Raises
    ------
    ValueError
        If a folder holds no prepared case.
    """
    found: dict[str, list[ScanFile]] = {}
    for folder in folders:
        for scan in _training_part(folder, recipe):
            found.setdefault(scan.source, []).append(scan)
    chosen = []
    for source, scans in sorted(found.items()):
        limit = min(recipe.scans.get(source, len(scans)), len(scans))
        places = np.linspace(0, len(scans) - 1, limit).round().astype(int)
        chosen += [scans[place] for place in places]
    return chosen


def _training_part(folder: Path, recipe: RefitRecipe) -> list[ScanFile]:
    if (folder / SPLIT_FILE).exists():
        return list(load_cohort(folder).part(Part.TRAIN))
    return [
        scan
        for scan in scans_in(folder)
        if not in_validation(scan.patient_id, fraction=_share(scan, recipe))
    ]


def _share(scan: ScanFile, recipe: RefitRecipe) -> float:
    return recipe.validation_fractions.get(scan.source, recipe.validation_fraction)


def look_at_scans(
    scans: Sequence[ScanFile],
    pathways: FrozenPathways,
    recipe: RefitRecipe,
    *,
    folder: Path,
    on_part: OnPart,
) -> list[Voxels]:
    """Return voxels of every scan and of its copies; those kept in the folder are not made again.

    This is the slow part: the pathways take half a minute per scan on one processor core.
    """
    head = JointHead(pathways.network, pathways.alive)
    names = [
        (scan, number)
        for scan in scans
        for number in range(recipe.inserted.get(scan.source, 0) + 1)
    ]
    found = []
    for done, (scan, number) in enumerate(names):
        name = f"{scan.case_id}-inserted-{number}" if number else scan.case_id
        on_part(name, done, len(names))
        path = folder / f"{name}.npz"
        if not path.exists():
            rng = np.random.default_rng(_seed(recipe.seed, name))
            case: Case = scan.read()
            if number:
                case = with_small_bleeds(case, number, rng)
            save_voxels(folder, choose_voxels(case, pathways, head, rng))
        found.append(load_voxels(path))
    return found


def _seed(seed: int, name: str) -> int:
    """Return a seed of its own for each scan, the same in whatever order they are looked at."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big")


def check_facts(facts: Mapping[str, Any]) -> None:
    """Refuse facts that only the network decides, before hours are spent.

    Raises
    ------
    ValueError
        If there is such a fact; the message names it and those that can be said.
    """
    unknown = sorted(set(facts) - _FACTS)
    if unknown:
        raise ValueError(f"{', '.join(unknown)} of the card cannot be said; {sorted(_FACTS)} can")


def refit_bundle(
    bundle: ModelBundle,
    scans: Sequence[Voxels],
    recipe: RefitRecipe,
    *,
    output: Path,
    facts: Mapping[str, Any],
    on_step: Callable[[int, float], None],
) -> ModelBundle:
    """Fit the joint layers and write the bundle.

    Parameters
    ----------
    bundle : ModelBundle
        With the published network.
    scans : sequence of Voxels
        Of training patients.
    recipe : RefitRecipe
        How.
    output : Path
        Folder of the new bundle.
    facts : mapping
        Fields of the card to say anew: name, version, licence, intended_use, demonstration,
        training_cohort (put before what the card said), metrics, probability_cutoff,
        minimum_component_ml.
    on_step : callable
        Told the number of steps done and the loss of the last one.

    Raises
    ------
    ValueError
        If there is no scan, or the facts name what only the network decides.
    """
    check_facts(facts)
    pathways = FrozenPathways(bundle)
    head = JointHead(pathways.network, pathways.alive)
    fit(head, scans, recipe, on_step=on_step)
    head.write_to(pathways.network)
    weights = {
        f"networks.0.{name}": value for name, value in pathways.network.state_dict().items()
    }
    given = dict(facts)
    cohort = (
        f"{given.pop('training_cohort', '')} {_described(scans)} {bundle.card.training_cohort}"
    )
    card = dataclasses.replace(
        bundle.card,
        training_cohort=cohort.strip(),
        metrics={"refit": dataclasses.asdict(recipe), **given.pop("metrics", {})},
        volume_error=None,
        training_statistics=None,
        weights_sha256="",
        **{"version": f"{bundle.card.version}-refit", **given},
    )
    return save_bundle(output, card, weights)


_FACTS = frozenset(
    {
        *("name", "version", "licence", "intended_use", "demonstration", "training_cohort"),
        *("metrics", "probability_cutoff", "minimum_component_ml"),
    }
)


def _described(scans: Sequence[Voxels]) -> str:
    return (
        f"Joint layers refitted on {', '.join(_counts(scans))}; pathways as published, from the "
        "following."
    )


def _counts(scans: Sequence[Voxels]) -> Iterator[str]:
    for source in sorted({scan.source for scan in scans}):
        own = [scan for scan in scans if scan.source == source]
        copies = sum("-inserted-" in scan.case_id for scan in own)
        more = f" and {copies} copies with small simulated bleeds" if copies else ""
        yield f"{len(own) - copies} scans of {source}{more}"
