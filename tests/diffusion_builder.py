"""Triplets on disk and generators small enough to be trained in an instant."""

import json

import numpy as np
import torch

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase, save_case
from training.cohort.patient_split import PatientSplit, write_split
from training.synthesis.generator import Generator, GeneratorCard, save_generator
from training.synthesis.noise_schedule import NoiseSchedule
from training.synthesis.recipe import Course, SynthesisRecipe
from training.synthesis.ukan import UKanDiffusion

TINY_NETWORK = {
    "width": 8,
    "multipliers": [1, 2],
    "token_widths": [8, 8],
    "residual_blocks": 1,
    "dropout": 0.1,
    "kan_layers": 1,
}


def slice_image(number, *, side=24):
    """Return a dark square with a bright disc whose place depends on the number."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:side, :side]
    centre = rng.uniform(0.35, 0.65, 2) * side
    disc = np.hypot(y - centre[0], x - centre[1]) < side / 5
    return (np.where(disc, 200, 90) + rng.integers(-15, 16, (side, side))).astype(np.uint8)


def write_triplets(folder, *, expanding=6, others=9, held_out=(), slices=3, cut=""):
    """Write one case per patient, the expanding ones first, and a split beside them.

    Patients are p00, p01 ...; those whose number is in `held_out` validate, and the file of
    each is spoilt so that reading its images fails.
    """
    for number in range(expanding + others):
        label = HeLabel.HE if number < expanding else HeLabel.NHE
        images = tuple(
            slice_image(10 * number + place, side=20 + number % 4) for place in range(slices)
        )
        case = TripletCase(
            case_id=f"p{number:02d}-baseline",
            patient_id=f"p{number:02d}",
            label=label,
            images_yx=images,
            cut=cut,
        )
        path = save_case(folder, case)
        if number in held_out:
            _spoil(path, case)
    names = {f"p{number:02d}" for number in range(expanding + others)}
    aside = {f"p{number:02d}" for number in held_out}
    split = PatientSplit(train=frozenset(names - aside), validation=frozenset(aside))
    write_split(folder / "splits.json", split, how="by hand")
    return split


def _spoil(path, case):
    facts = {"case_id": case.case_id, "patient_id": case.patient_id, "signs": {}}
    facts["label"] = case.label.name
    with path.open("wb") as file:
        # An array of objects needs unpickling, which is never allowed: reading it raises.
        np.savez(file, facts=np.array(json.dumps(facts)), image_0=np.array([None], dtype=object))


def tiny_recipe(**changes):
    """Return a recipe of 16 x 16 pixels and 20 time steps."""
    course = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "sheet_every": 1}
    course |= changes.pop("course", {})
    values = {
        "name": "tiny",
        "seed": 4,
        "image_size": 16,
        "network": TINY_NETWORK,
        "noise": NoiseSchedule(steps=20),
        "course": Course(**course),
    }
    return SynthesisRecipe(**{**values, **changes})


def tiny_generator(folder, *, learnt_from=(), seed=0, **arguments):
    """Write a generator with random weights that draws visible structure, and return it."""
    torch.manual_seed(seed)
    network = UKanDiffusion(**{**TINY_NETWORK, "steps": 20, **arguments})
    torch.nn.init.normal_(network.tail[2].weight, std=0.05)
    card = GeneratorCard(
        name="tiny",
        network={**TINY_NETWORK, "steps": 20, **arguments},
        image_size=16,
        noise=NoiseSchedule(steps=20),
        learnt_from=tuple(learnt_from),
    )
    return Generator(card=save_generator(folder, card, network.state_dict()), network=network)
