"""The report on a synthetic set: distances, score, copies, probes."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.classification.transform import to_batch
from training.synthesis.quality.distances import (
    Spread,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from training.synthesis.quality.features import FeatureNetwork
from training.synthesis.quality.marks import Mark, strongest_marks
from training.synthesis.quality.memorisation import Memorisation, check_memorisation
from training.synthesis.quality.probe import Probe, ProbeResult, probe_images
from training.synthesis.sample_sheet import to_grey, write_sheet

REPORT, PAGE, PAIRS = "quality.json", "quality.md", "nearest.png"

#: Parts of the inception score; fewer where there are few images.
_PARTS = 10

_PAIRS_SHOWN, _PAIR_SIZE = 16, 96

Images = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How good a synthetic set is.

    Attributes
    ----------
    features : str
        Network that distances and score were made with.
    synthetic, real : int
        Slices compared.
    frechet : float
        Squared Frechet distance of all synthetic to all real slices: the FID, if the features
        are Inception's.
    frechet_half, frechet_real_halves : float
        The same for as many synthetic slices as half the patients have, and of one half of the
        patients to the other: what cannot be undercut.
    kernel, kernel_real_halves : Spread
        Kernel distance (KID) likewise; it needs no equal sizes.
    score, score_real : Spread
        Inception score.
    too_near, copies, median_ratio : float
        See `Memorisation`.
    probes : tuple of ProbeResult
        How well synthetic slices are told from real ones.
    marks : tuple of Mark
        What differs most, taken alone.
    """

    features: str
    synthetic: int
    real: int
    frechet: float
    frechet_half: float
    frechet_real_halves: float
    kernel: Spread
    kernel_real_halves: Spread
    score: Spread
    score_real: Spread
    too_near: float
    copies: float
    median_ratio: float
    probes: tuple[ProbeResult, ...]
    marks: tuple[Mark, ...]


def judge(
    synthetic: Images,
    real: Images,
    *,
    patients: Sequence[str],
    network: FeatureNetwork,
    probes: Sequence[Probe] = tuple(Probe),
    seed: int = 0,
    on_stage: Callable[[str], None] = lambda _: None,
) -> tuple[Quality, Memorisation]:
    """Return the quality of synthetic slices beside the real ones they were learnt from.

    Parameters
    ----------
    synthetic, real : sequence of ndarray of uint8
        Slices at native size.
    patients : sequence of str
        Patient of each real slice.
    network : FeatureNetwork
        For distances and score.
    probes : sequence of Probe
        Which ones are asked.
    seed : int
        Of halves, subsets and probes.
    on_stage : callable
        Told what is done next.

    Raises
    ------
    ValueError
        If there are too few images or patients; the message says for what.
    """
    rng = np.random.default_rng(seed)
    on_stage("features")
    new, old = network.describe(synthetic), network.describe(real)
    one, other = _halves(patients, rng)
    few = rng.permutation(len(synthetic))[: len(one)]
    parts = min(_PARTS, len(synthetic), len(real))
    on_stage("copies")
    memorised = check_memorisation(synthetic, real, patients=patients)
    found = []
    for probe in probes:
        on_stage(f"probe by {probe}")
        found.append(probe_images(probe, synthetic, real, patients=patients, seed=seed))
    quality = Quality(
        features=network.name,
        synthetic=len(synthetic),
        real=len(real),
        frechet=frechet_distance(new.features, old.features),
        frechet_half=frechet_distance(new.features[few], old.features[one]),
        frechet_real_halves=frechet_distance(old.features[one], old.features[other]),
        kernel=kernel_distance(new.features, old.features, rng=rng),
        kernel_real_halves=kernel_distance(old.features[one], old.features[other], rng=rng),
        score=inception_score(new.probabilities, rng=rng, parts=parts),
        score_real=inception_score(old.probabilities, rng=rng, parts=parts),
        too_near=memorised.too_near,
        copies=memorised.copies,
        median_ratio=memorised.median_ratio,
        probes=tuple(found),
        marks=strongest_marks(synthetic, real),
    )
    return quality, memorised


def write_report(
    output: Path, quality: Quality, memorised: Memorisation, *, synthetic: Images, real: Images
) -> None:
    """Write the numbers as JSON and as a page, and a sheet of the nearest pairs."""
    output.mkdir(parents=True, exist_ok=True)
    content = json.dumps(dataclasses.asdict(quality), indent=1) + "\n"
    (output / REPORT).write_text(content)
    rows = "\n".join(f"| {name} | {value} |" for name, value in table_of(quality))
    (output / PAGE).write_text(
        "# Quality of the synthetic slices\n\n| measure | value |\n|---|---|\n"
        f"{rows}\n\n{PAIRS}: the synthetic slices nearest to a learnt one, that one below.\n"
    )
    nearest = np.argsort(memorised.distances)[:_PAIRS_SHOWN]
    pairs = [synthetic[index] for index in nearest]
    pairs += [real[memorised.nearest[index]] for index in nearest]
    shown = to_grey(to_batch(pairs, input_size=_PAIR_SIZE))
    write_sheet(output / PAIRS, list(shown), columns=len(nearest))


def table_of(quality: Quality) -> list[tuple[str, Any]]:
    """Return the rows that a reader wants, with what each number is to be compared with."""
    kernel, floor = quality.kernel, quality.kernel_real_halves
    score, real = quality.score, quality.score_real
    rows: list[tuple[str, Any]] = [
        ("feature network", quality.features),
        ("synthetic and real slices", f"{quality.synthetic} and {quality.real}"),
        ("Frechet distance", f"{quality.frechet:.3f}"),
        (
            "Frechet distance at half size (real against real)",
            f"{quality.frechet_half:.3f} ({quality.frechet_real_halves:.3f})",
        ),
        (
            "Kernel distance (real against real)",
            f"{kernel.mean:.4f} ± {kernel.sd:.4f} ({floor.mean:.4f} ± {floor.sd:.4f})",
        ),
        (
            "Inception score (real)",
            f"{score.mean:.3f} ± {score.sd:.3f} ({real.mean:.3f} ± {real.sd:.3f})",
        ),
        ("Nearer to a learnt slice than 95 % of patients (0.05)", f"{quality.too_near:.3f}"),
        ("Copies (0)", f"{quality.copies:.3f}"),
        ("Median distance, of that between patients (1)", f"{quality.median_ratio:.2f}"),
    ]
    rows += [(f"AUC of the probe by {one.probe} (0.5)", one.auc) for one in quality.probes]
    marks = ", ".join(str(one) for one in quality.marks)
    return [*rows, ("AUC of single statistics, the strongest (0.5)", marks)]


def _halves(
    patients: Sequence[str], rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the slices of either half of the patients, as many in both."""
    names = sorted(set(patients))
    chosen = {names[index] for index in rng.permutation(len(names))[: len(names) // 2]}
    inside = np.array([one in chosen for one in patients])
    one, other = np.flatnonzero(inside), np.flatnonzero(~inside)
    size = min(len(one), len(other))
    return rng.permutation(one)[:size], rng.permutation(other)[:size]
