"""Prepared images that several trainings of nnU-Net's loop have in common."""

import os
from collections.abc import Iterable
from pathlib import Path

from training.segmentation.nnunet.layout import NnunetLayout

#: Images and labels, in raw and normalised form. Plans and settings are each training's own.
_IMAGES = ("raw/**/*.nii.gz", "preprocessed/**/*.b2nd", "preprocessed/**/*.pkl")


def share_preparation(target: NnunetLayout, sources: Iterable[NnunetLayout]) -> int:
    """Give a training the images that another has prepared, and return how many.

    Files are hard links, so nothing is copied. Only for trainings on the same cohort and grid,
    which the benchmark's conditions guarantee: each would make the same files. Those that stand
    already are left alone, and so is a source of which a file may be half written.
    """
    for source in sources:
        if source.root.exists() and source.root != target.root and _is_complete(source):
            return _link(source.root, target.root)
    return 0


def _is_complete(source: NnunetLayout) -> bool:
    """Return whether a training has begun there: it does after everything is prepared."""
    return source.results.exists()


def _link(source: Path, target: Path) -> int:
    linked = 0
    for pattern in _IMAGES:
        for path in source.glob(pattern):
            place = target / path.relative_to(source)
            if place.exists():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
            linked += 1
    return linked
