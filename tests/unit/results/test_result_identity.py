"""Result UIDs depend on what a result depends on, and on nothing else."""

import re
from dataclasses import replace

import pytest
from result_cases import CLASSIFICATION_CARD, SEGMENTATION_CARD

from dicom_node.results.identity import (
    ResultRole,
    device_uid_of,
    digest_of_instances,
    model_device_uid,
    result_identity,
)

CARDS = (SEGMENTATION_CARD, CLASSIFICATION_CARD)


def identity(**changed):
    values = {
        "sop_instance_uids": ["1.2.1", "1.2.2"],
        "models": CARDS,
        "configuration_digest": "settings-1",
    } | changed
    series = values.pop("series", "1.2")
    return result_identity(series, **values)


def uids(result):
    return [result.uid(role) for role in ResultRole]


def test_the_same_analysis_has_the_same_uids():
    """Order and repetition of the instances do not matter."""
    again = identity(sop_instance_uids=["1.2.2", "1.2.1", "1.2.2"])

    assert uids(again) == uids(identity())


def test_uids_are_those_of_this_formula():
    """Old results must be found again: the formula is pinned by one value."""
    assert identity().uid(ResultRole.REPORT) == "2.25.177305673577835757884161075079903049642"


@pytest.mark.parametrize(
    "changed",
    [
        {"series": "1.3"},
        {"sop_instance_uids": ["1.2.1"]},
        {"sop_instance_uids": ["1.2.1", "1.2.2", "1.2.3"]},
        {"models": (replace(SEGMENTATION_CARD, name="other"), CLASSIFICATION_CARD)},
        {"models": (SEGMENTATION_CARD, replace(CLASSIFICATION_CARD, version="2"))},
        {"models": (SEGMENTATION_CARD, replace(CLASSIFICATION_CARD, weights_sha256="ef" * 32))},
        {"configuration_digest": "settings-2"},
    ],
    ids=str,
)
def test_whatever_changes_gives_new_uids(changed):
    """Not one UID of a changed analysis is an old one."""
    assert not set(uids(identity(**changed))) & set(uids(identity()))


def test_roles_and_parts_differ():
    """Every object, series and part has a UID of its own."""
    result = identity()
    made = [*uids(result), *(result.uid(ResultRole.CAPTURE, part) for part in ("a", "b"))]

    assert len(set(made)) == len(ResultRole) + 2


@pytest.mark.parametrize("uid", uids(identity()))
def test_uids_are_valid(uid):
    """2.25 and a decimal UUID without leading zero, at most 64 characters (PS3.5, B.2)."""
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{1,38}", uid)
    assert len(uid) <= 64


def test_a_lesion_is_tracked_across_models():
    """Another model that looks at the same series tracks the same lesion."""
    other = identity(models=(replace(SEGMENTATION_CARD, version="9"), CLASSIFICATION_CARD))

    assert other.lesion_uid("hematoma-1") == identity().lesion_uid("hematoma-1")
    assert other.lesion_uid("hematoma-1") != other.lesion_uid("hematoma-2")
    assert other.lesion_uid("hematoma-1") != identity(series="1.3").lesion_uid("hematoma-1")


def test_new_weights_are_a_new_device():
    """IHE AIR: a new Device UID whenever a model changes."""
    retrained = replace(SEGMENTATION_CARD, weights_sha256="ef" * 32)

    assert model_device_uid(retrained) != model_device_uid(SEGMENTATION_CARD)
    assert device_uid_of("ichnode", "0.1.0", (retrained, CLASSIFICATION_CARD)) != device_uid_of(
        "ichnode", "0.1.0", CARDS
    )


def test_the_digest_is_that_of_the_sorted_uids():
    """SHA-256 of the UIDs joined by line feeds, computed with `sha256sum`."""
    assert digest_of_instances(["2", "1"]) == (
        "b598b3a62a3f7cedb17e66d1cb31d53dffeebaf5c07e2c60d5e31971936fd35e"
    )
