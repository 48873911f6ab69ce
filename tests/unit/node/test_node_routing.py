"""Which destinations a result goes to."""

import pytest

from dicom_node.jobs.routing import Receives, Route, destinations_for

ROUTES = (
    Route(name="archive"),
    Route(name="neurosurgery", receives=Receives.FINDINGS),
    Route(name="scanner", receives=Receives.SENDER, ae_title="CT1"),
)


def comparison(*, expanded):
    """Return the record of a comparison; None: it could not be told."""
    return {"kind": "comparison", "status": "compared", "expanded": expanded}


@pytest.mark.parametrize(
    ("record", "caller", "names"),
    [
        ({"status": "hematoma_found"}, "CT1", "archive neurosurgery scanner"),
        ({"status": "hematoma_found"}, "CT2", "archive neurosurgery"),
        ({"status": "no_hematoma_found"}, "CT1", "archive scanner"),
        ({"status": "rejected"}, "CT2", "archive"),
        (comparison(expanded=True), "CT2", "archive neurosurgery"),
        (comparison(expanded=None), "CT2", "archive neurosurgery"),
        (comparison(expanded=False), "CT2", "archive"),
        ({}, "", "archive"),
    ],
)
def test_results_go_where_the_site_wants_them(record, caller, names):
    """All to the archive, findings to one, and back to the sender what the sender sent."""
    assert destinations_for(ROUTES, record=record, calling_ae_title=caller) == tuple(names.split())


def test_the_values_are_those_of_the_settings():
    """A site's file outlives a version."""
    assert [one.value for one in Receives] == ["all", "findings", "sender"]
