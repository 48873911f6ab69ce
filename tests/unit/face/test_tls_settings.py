"""TLS, callers and limits in node.toml, and the alarm before a certificate ends."""

import json
import logging
import threading
from datetime import timedelta
from ipaddress import ip_network

import pytest
from certificate_builder import NOW, Authority

from dicom_node.association.caller_certificate import CertificatePart
from dicom_node.association.callers import Permission
from dicom_node.association.tls_profiles import MODIFIED_CONFIGURATION, TlsProfile
from dicom_node.bootstrap import parts
from dicom_node.bootstrap.certificate_alarm import certificate_state, log_certificates
from dicom_node.bootstrap.child_environment import environment_of_children, profile_fault
from dicom_node.bootstrap.roles import Duty, run_receiver
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.commands.check import findings_of
from dicom_node.commands.serve import in_environment
from dicom_node.configuration.live import LiveSettings
from dicom_node.errors import TlsFileError
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.settings.file import SettingsError, parse_settings


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return the hospital's authority."""
    return Authority(tmp_path_factory.mktemp("ca"))


def settings_of(**tables):
    return parse_settings(tables, source="node.toml", environment={})


def faults_of(**tables):
    with pytest.raises(SettingsError) as caught:
        settings_of(**tables)
    return {fault.key: fault.expected for fault in caught.value.faults}


def tls_table(authority, issued, **options):
    return {
        "enabled": True,
        "certificate": str(issued.certificate),
        "key": str(issued.key),
        "trusted": str(authority.certificate),
    } | options


def test_callers_may_be_titles_and_tables():
    """Title, network, permissions and limit arrive at the receiver; a title alone may all."""
    settings = settings_of(
        node={
            "callers": [
                "CT1",
                {
                    "ae_title": "CT2",
                    "address": "10.0.0.0/28",
                    "may": ["echo", "store"],
                    "max_associations": 2,
                },
                {"ae_title": "*", "address": "10.0.1.1", "may": ["echo"]},
            ]
        }
    )

    plain, table, star = parts.scp_settings(settings).callers

    assert (plain.ae_title, plain.network, plain.may) == ("CT1", None, frozenset(Permission))
    assert (table.ae_title, table.network) == ("CT2", ip_network("10.0.0.0/28"))
    assert table.may == {Permission.ECHO, Permission.STORE}
    assert table.max_associations == 2
    assert (star.ae_title, star.network) == (None, ip_network("10.0.1.1/32"))


def test_certificates_of_callers_arrive_in_their_plain_form(tmp_path):
    """DNS names in lower case, fingerprints without colons; several entries for one title."""
    authority = Authority(tmp_path)
    printed = ":".join(["0A"] * 32)
    rules = ["cn: CT 1", "dns:CT1.Hospital", f"sha256:{printed}"]
    settings = settings_of(
        node={"callers": [{"ae_title": "CT1", "certificate": rule} for rule in rules]},
        tls=tls_table(authority, authority.issue("node")),
    )

    found = [one.certificate for one in parts.scp_settings(settings).callers]

    assert [(one.part, one.value) for one in found] == [
        (CertificatePart.COMMON_NAME, "CT 1"),
        (CertificatePart.DNS_NAME, "ct1.hospital"),
        (CertificatePart.FINGERPRINT, "0a" * 32),
    ]


@pytest.mark.parametrize("rule", ["CT1", "cn:", "dns:a b", "sha256:0A:0B", "md5:0A", "", "cn"])
def test_a_rule_for_certificates_that_is_none_is_refused(rule):
    """What may stand there is said."""
    files = dict.fromkeys(("certificate", "key", "trusted"), "/tls.pem")
    faults = faults_of(
        node={"callers": [{"ae_title": "CT1", "certificate": rule}]},
        tls={"enabled": True} | files,
    )

    assert "for example cn:CT1" in faults["node.callers[1].certificate"]


@pytest.mark.parametrize("tls", [{}, {"enabled": False}, {"callers_need_certificate": False}])
def test_a_rule_for_certificates_needs_callers_that_show_one(tmp_path, tls):
    """Otherwise the caller could never get in."""
    authority = Authority(tmp_path)
    table = tls_table(authority, authority.issue("node"), **tls) if tls else {}
    faults = faults_of(node={"callers": [{"ae_title": "CT1", "certificate": "cn:A"}]}, tls=table)

    assert "tls.callers_need_certificate = true" in faults["node.callers[1].certificate"]


def test_faults_of_callers_are_named_by_their_place():
    """The second entry's address, not the inner workings of the reader."""
    faults = faults_of(
        node={
            "callers": [
                "A TITLE THAT IS TOO LONG",
                {"ae_title": "CT2", "address": "10.0.0.300"},
                {"ae_title": "CT3", "may": ["delete"]},
                {"ae_title": "CT4", "adress": "10.0.0.1"},
                {"ae_title": "CT5", "address": "10.0.0.5/24"},
                {"address": "10.0.0.6"},
            ]
        }
    )

    assert set(faults) == {
        "node.callers[1]",
        "node.callers[2].address",
        "node.callers[3].may[1]",
        "node.callers[4].adress",
        "node.callers[5].address",
        "node.callers[6].ae_title",
    }
    assert "for example 10.0.0.7 or 10.0.0.0/24" in faults["node.callers[2].address"]
    assert faults["node.callers[3].may[1]"] == "one of 'echo', 'store' or 'commit'"
    assert faults["node.callers[4].adress"] == "address"


def test_processes_are_started_with_the_file_of_the_modified_profile(tmp_path, monkeypatch):
    """OpenSSL reads it at the start of a process; a site's own file stays in place."""
    authority = Authority(tmp_path)
    table = tls_table(authority, authority.issue("node"), profile="modified")
    plain, modified = settings_of(), settings_of(tls=table)
    monkeypatch.delenv("OPENSSL_CONF", raising=False)

    assert "OPENSSL_CONF" not in environment_of_children(plain)
    assert environment_of_children(modified)["OPENSSL_CONF"] == str(MODIFIED_CONFIGURATION)
    assert MODIFIED_CONFIGURATION.is_file()
    assert parts.scp_settings(modified).tls.profile is TlsProfile.MODIFIED
    monkeypatch.setenv("OPENSSL_CONF", "/etc/ssl/site.cnf")
    assert environment_of_children(modified)["OPENSSL_CONF"] == "/etc/ssl/site.cnf"


def test_processes_share_two_arenas_unless_the_site_says_otherwise(monkeypatch):
    """MALLOC_ARENA_MAX (mallopt(3)): with one for each thread, freed memory piles up in them."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert environment_of_children(settings_of())["MALLOC_ARENA_MAX"] == "2"

    monkeypatch.setenv("MALLOC_ARENA_MAX", "16")
    assert environment_of_children(settings_of())["MALLOC_ARENA_MAX"] == "16"


def test_a_process_that_is_started_alone_begins_anew_with_that_file(tmp_path, monkeypatch):
    """Once, and only where the profile wants it: nobody else told OpenSSL in time."""
    authority = Authority(tmp_path)
    table = tls_table(authority, authority.issue("node"), profile="modified")
    monkeypatch.delenv("OPENSSL_CONF", raising=False)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    calls = []

    def execute(program, command, environment):
        calls.append((program, command))
        monkeypatch.setenv("OPENSSL_CONF", environment["OPENSSL_CONF"])

    command = ["python", "-m", "dicom_node", "serve", "--only", "receiver"]
    in_environment(command, environment_of_children(settings_of()), execute=execute)
    assert calls == []
    for _ in range(2):
        wanted = environment_of_children(settings_of(tls=table))
        in_environment(command, wanted, execute=execute)
    assert calls == [("python", command)]


def test_the_check_says_that_a_file_of_openssl_will_not_do(tmp_path, monkeypatch):
    """With a file that says nothing of suites, the processes could not keep the profile."""
    authority = Authority(tmp_path)
    table = tls_table(authority, authority.issue("node"), profile="modified")
    (tmp_path / "empty.cnf").write_text("# nothing\n")
    monkeypatch.setenv("OPENSSL_CONF", str(tmp_path / "empty.cnf"))

    assert "without TLS_AES_128_CCM_8_SHA256" in profile_fault(settings_of(tls=table))
    assert profile_fault(settings_of()) == ""


def test_the_modified_profile_has_tls_1_2():
    """PS3.15, B.13: a server speaks both versions."""
    assert faults_of(tls={"profile": "modified", "only_1_3": True}) == {
        "tls.only_1_3": 'false, for tls.profile is "modified"'
    }


def test_limits_arrive_at_the_receiver():
    """Seconds as they are, megabytes as bytes."""
    settings = settings_of(
        node={
            "request_time_s": 1,
            "pdu_time_s": 2,
            "message_time_s": 3,
            "max_object_mb": 4,
            "max_unfinished_mb": 5,
            "max_associations_per_caller": 6,
        }
    )

    scp = parts.scp_settings(settings)

    assert (scp.limits.request_s, scp.limits.pdu_s, scp.limits.message_s) == (1, 2, 3)
    assert scp.limits.max_object_bytes == 4 * 1024 * 1024
    assert scp.limits.max_unfinished_bytes == 5 * 1024 * 1024
    assert scp.max_per_caller == 6


def test_tls_needs_its_files():
    """A listener or a peer with TLS without certificate is a fault before the start."""
    peer = {"name": "pacs", "ae_title": "PACS", "host": "10.0.0.7", "port": 2762, "tls": True}

    listener = faults_of(tls={"enabled": True, "key": "/etc/key.pem"})
    called = faults_of(peers=[peer])

    assert set(listener) == {"tls.certificate", "tls.trusted"}
    assert set(called) == {"tls.certificate", "tls.key", "tls.trusted"}
    assert called["tls.key"] == "the path of a PEM file, for peers[1].tls is true"


def test_a_relative_path_is_no_place_for_a_key():
    """Relative to what: a service has another folder than a shell."""
    assert faults_of(tls={"key": "key.pem"})["tls.key"] == "a path that begins with / or ~"


def test_ports_are_not_shared_and_one_listener_there_must_be(authority):
    """Three listeners, three ports; a node without any receives nothing."""
    issued = authority.issue("ports")

    shared = faults_of(node={"port": 2762}, tls=tls_table(authority, issued))
    web = faults_of(tls=tls_table(authority, issued), web={"port": 2762})
    none = faults_of(node={"plain": False})

    assert shared == {"tls.port": "another port than node.port"}
    assert web == {"web.port": "another port than tls.port"}
    assert none == {"node.plain": "true, or tls.enabled = true beside it"}
    only_tls = settings_of(node={"plain": False}, tls=tls_table(authority, issued))
    assert parts.scp_settings(only_tls).port is None


def test_a_peer_gets_the_files_and_its_name(authority):
    """Strict unless the site says otherwise for this peer."""
    issued = authority.issue("peers")
    common = {"ae_title": "PACS", "host": "10.0.0.7", "port": 2762}
    settings = settings_of(
        tls=tls_table(authority, issued, enabled=False, only_1_3=True),
        peers=[
            {"name": "plain", **common},
            {"name": "strict", **common, "tls": True},
            {"name": "named", **common, "tls": True, "tls_name": "pacs.hospital"},
            {"name": "pinned", **common, "tls": True, "tls_checks_name": False},
        ],
    )

    plain, strict, named, pinned = (parts.peer_of(settings, one).tls for one in settings.peers)

    assert plain is None
    assert (strict.server_name, strict.checks_name, strict.only_1_3) == ("", True, True)
    assert strict.files.key == issued.key
    assert (named.server_name, named.checks_name) == ("pacs.hospital", True)
    assert pinned.checks_name is False
    assert parts.scp_settings(settings).tls is None


# The alarm.


def test_certificates_are_watched_only_where_tls_is_spoken():
    """A node without TLS has nothing to renew."""
    state = certificate_state(settings_of(), NOW)

    assert (state.days_left, state.alarms, state.faults) == ({}, (), ())


def test_the_alarm_names_file_and_date(authority, caplog):
    """Thirty days before the end by default; in the log with the same words."""
    issued = authority.issue("soon", days=40)
    settings = settings_of(tls=tls_table(authority, issued))

    early = certificate_state(settings, NOW)
    late = certificate_state(settings, NOW + timedelta(days=20))
    with caplog.at_level(logging.WARNING):
        log_certificates(settings, lambda: NOW + timedelta(days=20))

    assert early.alarms == late.faults == ()
    assert early.days_left == {"soon.pem: soon": 39, "ca.pem: Hospital CA": 3650}
    assert late.days_left["soon.pem: soon"] == 19
    (words,) = late.alarms
    assert str(issued.certificate) in words
    assert f"{NOW + timedelta(days=39):%Y-%m-%d}" in words
    assert words in caplog.text


@pytest.mark.parametrize(
    ("issue", "words"),
    [({"start": -10, "days": 5}, "ended on"), ({"mode": 0o644}, "found mode 0644")],
)
def test_what_cannot_be_used_is_a_fault(authority, caplog, issue, words):
    """An ended certificate and a key for everybody."""
    settings = settings_of(tls=tls_table(authority, authority.issue("bad", **issue)))

    state = certificate_state(settings, NOW)
    log_certificates(settings, lambda: NOW)

    assert words in " ".join(state.faults)
    assert words in caplog.text


def test_status_shows_alarms_and_days(authority, tmp_path):
    """An alarm does not make the node ill; an ended certificate does."""
    issued = authority.issue("page", days=40)
    settings = settings_of(
        node={"data_dir": str(tmp_path), "free_space_floor_mb": 0},
        tls=tls_table(authority, issued),
    )
    identity = ProcessIdentity(name="test", host="here", pid=1, token="t")  # noqa: S106  no secret
    ledger = open_ledger(tmp_path / "ledger.sqlite", process=identity)
    try:
        views = [
            LedgerStatus(
                ledger.reports,
                settings=settings,
                clock=lambda days=days: NOW + timedelta(days=days),
            ).health()
            for days in (0, 20, 50)
        ]
    finally:
        ledger.close()

    assert [len(view.warnings) for view in views] == [0, 1, 0]
    assert [any("page.pem" in fault for fault in view.faults) for view in views] == [
        False,
        False,
        True,
    ]
    assert json.loads(json.dumps(views[1].as_dict()))["certificate_days"]["page.pem: page"] == 19


def findings(settings):
    found = []
    for one in findings_of(settings):
        if one.subject.endswith("model"):
            break
        found.append(one)
    return found


def test_check_names_what_is_wrong_with_tls(authority, tmp_path):
    """Good, about to end, and unusable."""
    good, soon = authority.issue("good", days=400), authority.issue("ending", days=10)
    broken = authority.issue("broken", mode=0o640)
    data = {"data_dir": str(tmp_path), "free_space_floor_mb": 0}

    told = {
        issued.certificate.stem: [
            (one.good, one.detail)
            for one in findings(
                settings_of(
                    node=data,
                    tls=tls_table(authority, issued),
                    worker={"segmentation_bundle": "x"},
                )
            )
            if one.subject == "TLS"
        ]
        for issued in (good, soon, broken)
    }

    assert (True, "good.pem: good: holds for 398 days") in told["good"]
    assert all(is_good for is_good, _ in told["good"])
    assert next(detail for is_good, detail in told["ending"] if not is_good).startswith(
        "the certificate 'ending'"
    )
    assert any("found mode 0640" in detail for is_good, detail in told["broken"] if not is_good)


def test_the_receiver_does_not_start_with_a_key_for_everybody(authority, tmp_path):
    """It says which file, and what to do."""
    settings = settings_of(
        node={"data_dir": str(tmp_path / "data")},
        tls=tls_table(authority, authority.issue("open", mode=0o644)),
    )
    stop = threading.Event()
    live = LiveSettings(settings, stop=stop)
    duty = Duty(settings=settings, stop=stop, ready=lambda **_: None, live=live)

    with pytest.raises(TlsFileError, match=r"open\.key: found mode 0644.*chmod 600"):
        run_receiver(duty)
