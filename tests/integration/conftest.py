"""What the tests on real associations share."""

import pytest
from ct_builder import build_ct_series, save_series

from dicom_node.association.scp_settings import Reader, ScpSettings
from dicom_node.association.storage_scu import outgoing_file


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three images, to be sent."""
    folder = tmp_path_factory.mktemp("images")
    save_series(build_ct_series(slices=3, spacing_mm=1.0), folder)
    return [outgoing_file(path) for path in sorted(folder.glob("*.dcm"))]


@pytest.fixture(params=list(Reader))
def reader(request, monkeypatch):
    """Run a test with each reader of storage requests: both must pass the same."""
    monkeypatch.setitem(ScpSettings.__init__.__kwdefaults__, "reader", request.param)
    return request.param
