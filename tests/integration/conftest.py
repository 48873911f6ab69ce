"""What the tests on real associations share."""

import pytest

from dicom_node.association.scp_settings import Reader, ScpSettings


@pytest.fixture(params=list(Reader))
def reader(request, monkeypatch):
    """Run a test with each reader of storage requests: both must pass the same."""
    monkeypatch.setitem(ScpSettings.__init__.__kwdefaults__, "reader", request.param)
    return request.param
