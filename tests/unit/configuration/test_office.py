"""What office and worker make of changed settings: an audit message, other models."""

import base64
import threading
from datetime import UTC, datetime

import pytest
from node_builders import Clock, opened_ledger

from dicom_node.bootstrap.audit import audit_spool
from dicom_node.bootstrap.configuration import ConfigurationOffice
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.live_analyst import LiveAnalyst
from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.configuration.edits import SetValue
from dicom_node.configuration.live import LiveSettings
from dicom_node.settings.file import load_settings
from dicom_node.settings.schema import Settings
from pipeline.errors import ModelBundleError

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)


def test_who_changed_the_settings_is_audited_once(tmp_path):
    """From the history, so that a change made while the office was away is not lost."""
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n[audit]\nenabled = true\n')
    desk = ConfigurationDesk(path, environment={})
    desk.change([SetValue(table="web", key="port", value=8181)], who="ada", now=NOW)
    settings = load_settings(path, {})
    live = LiveSettings(settings, stop=threading.Event(), desk=desk)

    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        for _ in range(2):  # the second office begins where the first one ended
            office = ConfigurationOffice(live, ledger=ledger, clock=Clock())
            office.tick()
            office.tick()

    texts = [one.read_text() for one in audit_spool(settings).waiting()]
    assert len(texts) == 1
    assert 'UserID="ada"' in texts[0]
    assert base64.b64encode(b"changed: web").decode() in texts[0]  # no value: it may be a secret


def with_device(device):
    return Settings().model_copy(
        update={"worker": Settings().worker.model_copy(update={"device": device})}
    )


def test_models_are_loaded_again_only_when_others_are_wanted(tmp_path, caplog):
    """Other peers leave them warm; models that cannot be loaded leave those before at work."""
    made = []

    def make(settings, _):
        if settings.worker.device == "cuda":
            raise ModelBundleError("no such device")
        made.append(settings.worker.device)
        return object()

    analysts = LiveAnalyst(make, DataLayout(root=tmp_path))
    first = analysts.of(with_device("auto"))
    other_node = with_device("auto").model_copy(
        update={"node": Settings().node.model_copy(update={"port": 104})}
    )

    assert analysts.of(other_node) is first
    assert analysts.of(with_device("cuda")) is first
    assert "those before stay at work: no such device" in caplog.text
    assert analysts.of(with_device("cpu")) is not first
    assert made == ["auto", "cpu"]
    with pytest.raises(ModelBundleError):
        LiveAnalyst(make, DataLayout(root=tmp_path)).of(with_device("cuda"))
