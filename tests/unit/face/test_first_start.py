"""The first start says how to log in; later ones do not."""

import json

from node_builders import Clock, opened_ledger
from web_builder import PASSWORD, QUICK

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.commands.serve import _welcome
from dicom_node.processes import Role
from dicom_node.settings.schema import Settings
from dicom_node.users.entrance import Entrance, SessionRules


def test_a_first_start_prints_a_code_that_works(tmp_path, capsys):
    """Until somebody has logged in; the line before it is as ever."""
    settings = Settings.model_validate_json(json.dumps({"node": {"data_dir": str(tmp_path)}}))
    facts = {Role.RECEIVER: {"port": 11112}, Role.OFFICE: {"web_port": 8180}}
    with opened_ledger(DataLayout(root=tmp_path).ledger) as ledger:
        _welcome(settings, facts)
        ready, first = capsys.readouterr().out.splitlines()

        entrance = Entrance(
            ledger.users, passwords=QUICK, rules=SessionRules(), clock=lambda: Clock().now
        )
        code = first.split()[-1]
        assert entrance.set_first_password("admin", code, PASSWORD, address="127.0.0.1")
        _welcome(settings, facts)

    assert ready.startswith("ready:")
    assert "http://127.0.0.1:8180/first" in first
    assert len(capsys.readouterr().out.splitlines()) == 1
