"""A context that could not stand in an object cannot be built."""

from dataclasses import replace
from datetime import datetime

import pytest
from result_cases import CLASSIFICATION_CARD, SEGMENTATION_CARD, context


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"now": datetime(2026, 1, 5, 9, 0)}, "aware"),  # noqa: DTZ001 - naive on purpose
        ({"software_versions": ()}, "version"),
        ({"manufacturer": ""}, "1 to 64"),
        ({"model_name": "x" * 65}, "1 to 64"),
    ],
)
def test_what_cannot_be_written_is_refused(changed, named):
    """Time must be aware; texts are LO with a value."""
    with pytest.raises(ValueError, match=named):
        context(**changed)


def test_one_demonstration_model_makes_a_demonstration():
    """A single card trained on simulated data marks the whole result."""
    real = {
        "segmentation_card": replace(SEGMENTATION_CARD, demonstration=False),
        "classification_card": replace(CLASSIFICATION_CARD, demonstration=False),
    }

    assert not context(**real).is_demonstration
    assert context(**(real | {"classification_card": CLASSIFICATION_CARD})).is_demonstration


def test_the_observer_has_the_uid_that_was_given():
    """A site may register its device; otherwise the UID follows the models."""
    assert context(device_uid="1.2.3").observer_uid == "1.2.3"
    assert context().observer_uid.startswith("2.25.")
