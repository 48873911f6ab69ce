"""What a settings file may say, and how its faults are told."""

import pytest

from dicom_node.settings.file import (
    SettingsError,
    find_settings_file,
    load_settings,
    parse_settings,
)
from dicom_node.settings.schema import Settings


def faults_of(document):
    with pytest.raises(SettingsError) as caught:
        parse_settings(document, source="node.toml", environment={})
    return {fault.key: fault for fault in caught.value.faults}


def test_an_empty_file_gives_a_node_that_listens_to_this_machine_only():
    """Without any setting nobody outside can reach the node."""
    settings = parse_settings({}, source="node.toml", environment={})

    assert settings == Settings()
    assert settings.node.host == "127.0.0.1"
    assert settings.web.host == "127.0.0.1"
    assert settings.destinations == ()


def test_every_fault_is_named_at_once():
    """An operator corrects a file in one go."""
    faults = faults_of(
        {
            "node": {"port": "eleven", "ae_title": "MUCH TOO LONG A TITLE"},
            "peers": [{"name": "pacs", "ae_title": "PACS", "host": "10.0.0.7", "port": 70000}],
            "worker": {"attempts": 0},
            "web": {"enabled": 1},
        }
    )

    assert set(faults) == {
        "node.port",
        "node.ae_title",
        "peers[1].port",
        "worker.attempts",
        "web.enabled",
    }
    assert faults["node.port"].found == '"eleven"'
    assert faults["node.port"].expected == "a whole number"
    assert faults["worker.attempts"].expected == "1 or more"


def test_a_misspelt_key_is_told_which_was_meant():
    """An unknown key is a fault, never ignored."""
    faults = faults_of({"node": {"ae_titel": "X"}, "assembley": {}})

    assert faults["node.ae_titel"].expected == "ae_title"
    assert faults["assembley"].expected == "assembly"


def test_a_misspelt_key_of_a_list_is_told_which_was_meant():
    """The rows of a list have their own keys."""
    faults = faults_of(
        {
            "peers": [
                {"name": "p", "ae_title": "P", "host": "h", "port": 1, "recieves_results": True}
            ]
        }
    )

    assert faults["peers[1].recieves_results"].expected == "receives_results"


def test_a_key_without_default_must_be_there():
    """A peer without an address is no peer."""
    faults = faults_of({"peers": [{"name": "pacs", "ae_title": "PACS"}]})

    assert set(faults) == {"peers[1].host", "peers[1].port"}
    assert faults["peers[1].host"].found == "nothing"


def test_two_peers_cannot_share_a_name():
    """The command line calls a peer by its name."""
    peer = {"name": "pacs", "ae_title": "PACS", "host": "10.0.0.7", "port": 104}

    assert set(faults_of({"peers": [peer, peer]})) == {"peers[2].name"}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"assembly": {"quiet_time_s": 300}}, "assembly.force_time_s"),
        ({"delivery": {"first_retry_s": 60, "longest_wait_s": 5}}, "delivery.longest_wait_s"),
        ({"web": {"port": 11112}}, "web.port"),
        ({"node": {"data_dir": "var"}}, "node.data_dir"),
    ],
)
def test_values_that_contradict_one_another_are_faults(table, key):
    """Each value is right alone; together they are not."""
    assert set(faults_of(table)) == {key}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"peers": 5}, "peers"),
        ({"peers": [{"name": ["pacs"]}], "web_peers": [{"name": "vna"}]}, "peers[1].name"),
        ({"web_peers": [{"name": ["vna"]}]}, "web_peers[1].name"),
        ({"worklists": [{"images_from": ["web"]}]}, "worklists[1].images_from"),
        ({"tracing": {"otlp_url": "http://[", "secret_file": "/t"}}, "tracing.otlp_url"),
    ],
)
def test_values_of_another_kind_are_named_like_any_other_fault(table, key):
    """What compares keys with one another does not stumble over them."""
    assert key in faults_of(table)


@pytest.mark.parametrize("title", ["", "A" * 17, " X", "X ", "A\\B", "Ä", "A\nB"])
def test_what_is_no_ae_title_is_refused(title):
    """PS3.5, section 6.2: at most 16 characters, no backslash, no control character."""
    assert set(faults_of({"node": {"ae_title": title}})) == {"node.ae_title"}


@pytest.mark.parametrize("title", ["A", "A" * 16, "CT SCANNER 1", "x.y-z_1"])
def test_what_is_an_ae_title_is_taken(title):
    """Inner spaces and lower case are allowed by the standard."""
    settings = parse_settings({"node": {"ae_title": title}}, source="", environment={})

    assert settings.node.ae_title == title


@pytest.mark.parametrize("host", ["", "a b", "http://pacs", "256.1.1.1", "1.2.3", "pacs:104"])
def test_what_is_no_host_is_refused(host):
    """A port or scheme glued to the host is found here, not at night."""
    assert set(faults_of({"node": {"host": host}})) == {"node.host"}


@pytest.mark.parametrize("host", ["10.0.0.7", "::1", "pacs", "pacs.hospital.example"])
def test_what_is_a_host_is_taken(host):
    """Addresses of both families and names."""
    assert parse_settings({"node": {"host": host}}, source="", environment={}).node.host == host


def test_a_peer_that_receives_something_is_a_destination():
    """A peer that receives no results is only there for echo and send."""
    row = {"ae_title": "P", "host": "h", "port": 104}
    settings = parse_settings(
        {"peers": [{"name": "a", **row}, {"name": "b", "receives_results": True, **row}]},
        source="",
        environment={},
    )

    assert [peer.name for peer in settings.destinations] == ["b"]


def test_the_environment_moves_the_data_directory(tmp_path):
    """A service manager says where data lie without editing the file."""
    settings = parse_settings(
        {"node": {"port": 104}}, source="", environment={"ICHNODE_DATA_DIR": str(tmp_path)}
    )

    assert settings.node.data_dir == tmp_path
    assert settings.node.port == 104


def test_a_file_that_is_no_toml_is_one_fault_with_its_line(tmp_path):
    """The parser's position is passed on."""
    path = tmp_path / "node.toml"
    path.write_text("[node]\nport = \n")

    with pytest.raises(SettingsError, match="line 2"):
        load_settings(path, {})


def test_a_named_file_that_is_missing_is_never_replaced_by_a_default(tmp_path):
    """A wrong path must not start the node with other settings."""
    with pytest.raises(SettingsError, match="no such file"):
        find_settings_file(tmp_path / "other.toml", {})


def test_the_command_line_goes_before_the_environment(tmp_path):
    """The nearer word counts."""
    named, other = tmp_path / "a.toml", tmp_path / "b.toml"
    named.touch()
    other.touch()
    environment = {"ICHNODE_CONFIG": str(other)}

    assert find_settings_file(named, environment) == named
    assert find_settings_file(None, environment) == other


def test_the_working_folder_goes_before_the_shipped_file(tmp_path, monkeypatch):
    """A site keeps its own file beside what it starts."""
    own = tmp_path / "config" / "node.toml"
    own.parent.mkdir()
    own.touch()
    monkeypatch.chdir(tmp_path)

    assert find_settings_file(None, {}) == own


def test_settings_cannot_be_changed():
    """What was checked stays what is used."""
    settings = Settings()

    with pytest.raises(ValueError, match="frozen"):
        settings.node.port = 1


def test_a_ledger_on_a_server_is_an_address_without_a_password():
    """A password in it is a fault, and the fault does not repeat it."""
    node = {"ledger": "postgresql://ichnode@db.example:5433/ichnode?sslmode=verify-full"}
    right = {"node": {**node, "ledger_secret_file": "/etc/ichnode/ledger"}}
    assert parse_settings(right, source="node.toml", environment={}).node.ledger == node["ledger"]
    for wrong in (
        "postgresql://ichnode:hunter2@db.example/ichnode",
        "postgresql://db.example/ichnode?user=i&password=hunter2",
        "postgresql://db.example",
        "mysql://db.example/ichnode",
        "ledger.sqlite",
    ):
        (fault,) = faults_of({"node": {"ledger": wrong}}).values()
        assert fault.key == "node.ledger"
        assert "hunter2" not in str(fault)


def test_a_password_for_a_file_is_a_mistake():
    """Somebody meant a server and forgot its address."""
    assert set(faults_of({"node": {"ledger_secret_file": "/etc/ichnode/ledger"}})) == {
        "node.ledger_secret_file"
    }
