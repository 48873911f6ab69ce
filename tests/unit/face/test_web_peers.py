"""DICOMweb servers in the settings."""

import pytest

from dicom_node.bootstrap.deliverers import web_carrier
from dicom_node.bootstrap.parts import destination_names
from dicom_node.settings.file import SettingsError, parse_settings


def parse(*web_peers, peers=()):
    document = {"web_peers": list(web_peers), "peers": list(peers)}
    return parse_settings(document, source="node.toml", environment={})


#: Where a token lies, not the token.
TOKEN_FILE = {"secret_file": "/run/token"}
TOKEN_VARIABLE = {"secret_variable": "VNA_TOKEN"}


def vna(**options):
    return {"name": "vna", "url": "https://vna.example/dicom-web", **options}


def test_a_server_is_a_destination_like_a_peer():
    """Names of both stand in the ledger, side by side."""
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "10.0.0.7", "port": 104}

    settings = parse(vna(receives_results=True), peers=[{**pacs, "receives_results": True}])

    assert destination_names(settings) == ("pacs", "vna")


def test_a_secret_may_come_from_the_environment():
    """As containers give it; the settings name the variable."""
    (settings,) = parse(vna(**TOKEN_VARIABLE)).web_peers

    carrier = web_carrier(settings, {"VNA_TOKEN": "abc"})

    assert carrier.destination.secret.authorization() == "Bearer abc"


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        (vna(url="ftp://vna.example/"), "an address like https://"),
        (vna(url="https://user:pass@vna.example/"), "without user"),
        (vna(url="https://vna.example/?a=b"), "an address like https://"),
        (vna(url="https:///dicom-web"), "an address like https://"),
        (vna(url="http://vna.example/", **TOKEN_FILE), "a secret is sent there"),
        (vna(usr="x"), "expected user"),
        (vna(user="a:b"), "web_peers"),
    ],
)
def test_what_cannot_work_is_named(peer, words):
    """Before anything is sent."""
    with pytest.raises(SettingsError, match=words):
        parse(peer)


def test_a_name_stands_for_one_partner():
    """Deliveries are kept by name."""
    pacs = {"name": "vna", "ae_title": "PACS", "host": "10.0.0.7", "port": 104}

    with pytest.raises(SettingsError, match="a name that no other peer has"):
        parse(vna(), peers=[pacs])


def test_plain_http_is_for_this_machine_or_for_no_secret():
    """A token on loopback cannot be overheard."""
    assert parse(vna(url="http://127.0.0.1:8042/dicom-web", **TOKEN_FILE)).web_peers
    assert parse(vna(url="http://vna.example/dicom-web")).web_peers
