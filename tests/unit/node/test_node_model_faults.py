"""What health says when the models of the settings cannot be loaded."""

from datetime import UTC, datetime

import pytest
from node_builders import Clock, opened_ledger

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.live_analyst import LiveAnalyst
from dicom_node.bootstrap.model_faults import note_models
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.settings.schema import Settings
from pipeline.errors import ModelBundleError

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)


def with_device(device, folder):
    settings = Settings()
    return settings.model_copy(
        update={
            "node": settings.node.model_copy(update={"data_dir": folder}),
            "worker": settings.worker.model_copy(update={"device": device}),
        }
    )


def make(settings, _layout):
    if settings.worker.device == "cuda":
        raise ModelBundleError("no such device")
    return object()


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        worker = ProcessIdentity(name="worker-0", host="here", pid=1, token="t")  # noqa: S106 - no secret
        ledger.presence.enter(worker, Clock()())
        yield ledger


def warnings_of(ledger, folder):
    status = LedgerStatus(ledger.reports, settings=with_device("cpu", folder), clock=Clock())
    return [one for one in status.health().warnings if "models" in one]


def test_health_names_models_that_cannot_be_loaded_until_they_can(ledger, tmp_path):
    """The worker goes on with those before, so the node stays ready, but somebody must know."""
    tell = note_models(Documents(ledger.database), "worker-0")
    analysts = LiveAnalyst(make, DataLayout(root=tmp_path), tell=tell)

    analysts.of(with_device("cpu", tmp_path))
    assert warnings_of(ledger, tmp_path) == []
    analysts.of(with_device("cuda", tmp_path))
    assert warnings_of(ledger, tmp_path) == [
        "worker-0: the models of the settings cannot be used: no such device"
    ]
    analysts.of(with_device("cpu", tmp_path))
    assert warnings_of(ledger, tmp_path) == []


def test_health_says_why_no_worker_could_start(ledger, tmp_path):
    """A worker without any models ends at once; what it said is still told."""
    tell = note_models(Documents(ledger.database), "worker-0")
    with pytest.raises(ModelBundleError):
        LiveAnalyst(make, DataLayout(root=tmp_path), tell=tell).of(with_device("cuda", tmp_path))
    worker = ProcessIdentity(name="worker-0", host="here", pid=1, token="t")  # noqa: S106 - no secret
    ledger.presence.leave(worker, Clock()())

    assert warnings_of(ledger, tmp_path) == [
        "worker-0: the models of the settings cannot be used: no such device"
    ]
