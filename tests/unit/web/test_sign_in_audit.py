"""Log-ins reach the audit trail from the ledger: once, in order, failures as such."""

import json

import pytest
from web_builder import PASSWORD

from dicom_node.audit.message import Outcome
from dicom_node.bootstrap.sign_in_office import SignInOffice
from dicom_node.errors import AccountError
from dicom_node.settings.schema import Settings
from dicom_node.users.entrance import SessionRules


def office_of(node, *, enabled):
    settings = Settings.model_validate_json(
        json.dumps(
            {
                "node": {"data_dir": str(node.settings.node.data_dir)},
                "audit": {"enabled": enabled},
            }
        )
    )
    office = SignInOffice(
        settings, ledger=node.ledger.users, rules=SessionRules(), clock=node.clock
    )
    told = []
    if enabled:
        office._trail.write = lambda message: told.append(message) or True
    return office, told


def test_log_ins_are_told_once(node):
    """In, out and in vain, with name and address (PS3.15, A.5.3.12)."""
    entrance = node.pages.entrance
    entrance.log_out(entrance.log_in("vera", PASSWORD, address="10.0.0.5"), address="10.0.0.5")
    with pytest.raises(AccountError):
        entrance.log_in("vera", "wrong", address="10.0.0.6")
    office, told = office_of(node, enabled=True)

    office.tick()
    office.tick()

    assert [(one.types[0].value, one.outcome) for one in told] == [
        ("110122", Outcome.SUCCESS),
        ("110123", Outcome.SUCCESS),
        ("110122", Outcome.MINOR_FAILURE),
    ]
    assert [one.participants[0].address for one in told] == ["10.0.0.5", "10.0.0.5", "10.0.0.6"]
    assert node.ledger.users.unaudited() == ()


def test_a_trail_that_is_turned_on_later_begins_then(node):
    """What happened while the site wanted none is not told afterwards."""
    node.pages.entrance.log_in("vera", PASSWORD, address="10.0.0.5")
    office_of(node, enabled=False)[0].tick()
    office, told = office_of(node, enabled=True)

    office.tick()

    assert told == []


def test_sessions_that_are_over_are_forgotten(node):
    """The ledger does not grow with every log-in."""
    secret = node.pages.entrance.log_in("vera", PASSWORD, address="10.0.0.5")
    node.clock.turn(13 * 3600)

    office_of(node, enabled=False)[0].tick()

    assert node.ledger.users.session(secret) is None
    assert node.pages.entrance.session(secret) is None
