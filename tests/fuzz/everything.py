"""All targets of the campaign."""

from functools import cache

from fuzz.campaign import Target

NAMES = (
    *("header", "custody", "file_meta", "reader", "pixels"),
    *("settings", "stow_answer", "commitment", "dicom", "http"),
)


@cache
def all_targets() -> tuple[Target, ...]:
    """Return every target, in the order of `NAMES`."""
    from fuzz import (
        data_sets,
        listeners,
        texts,
    )  # heavy; the parent of a campaign needs names only

    return (*data_sets.targets(), *texts.targets(), *listeners.targets())
