"""Cases whose outcome can be seen: what will expand is bright on the left."""

import numpy as np

from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from training.classification.case import TripletCase
from training.classification.recipe import (
    Augmentation,
    Balance,
    Calibration,
    Choices,
    Network,
    Recipe,
    Schedule,
)

STILL = Augmentation(
    flip=False, rotation_deg=0, shift=0, scale=0, contrast=0, brightness=0, noise=0
)


def case(number: int, *, expands: bool, patient: int | None = None) -> TripletCase:
    """Return a noisy case with a bright spot on the left if it expands, else on the right."""
    rng = np.random.default_rng(number)
    images = []
    for _ in range(3):
        image = rng.integers(60, 120, (32, 32)).astype(np.uint8)
        column = 4 if expands else 20
        image[12:20, column : column + 8] = 230
        images.append(image)
    return TripletCase(
        case_id=f"case-{number:03d}",
        patient_id=f"patient-{number if patient is None else patient:03d}",
        label=HeLabel.HE if expands else HeLabel.NHE,
        images_yx=tuple(images),
        signs={"left": float(expands)},
    )


def cases(count: int, *, first: int = 0) -> list[TripletCase]:
    """Return cases of which every third expands."""
    return [case(number, expands=number % 3 == 0) for number in range(first, first + count)]


def tiny_recipe(*, epochs: int, augmentation: Augmentation = STILL) -> Recipe:
    """Return a recipe for a network that learns the spot within seconds."""
    return Recipe(
        name="tiny",
        seed=5,
        validation_share=0.25,
        network=Network(
            architecture="vit",
            arguments={
                "img_size": 32,
                "patch_size": 8,
                "in_chans": 1,
                "embed_dim": 16,
                "depth": 1,
                "num_heads": 2,
                "drop_path_rate": 0.1,
            },
            input_size=32,
        ),
        slices=SliceInput(),
        schedule=Schedule(
            epochs=epochs,
            batch_size=16,
            warmup_epochs=1,
            learning_rate=3e-3,
            final_learning_rate=1e-3,
            weight_decay=0.0,
            averaging=0.8,
            gradient_limit=1.0,
        ),
        balance=Balance(
            he_share=0.5,
            prevalence=1 / 3,
            signs_weight=1.0,
            signs_only_epochs=0,
            label_smoothing=0.0,
        ),
        augmentation=augmentation,
        validation=Choices(
            calibration=Calibration.PLATT, sensitivities=(0.9,), familiar_share=0.95
        ),
    )
