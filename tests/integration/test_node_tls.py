"""Associations over TLS: what is spoken, who is let in, and what is said about the others."""

import shutil
import socket
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificate_builder import Authority
from fuzz import wire
from node_builders import Clock, encoded, file_bytes, result_objects, small_series, wait_for
from pydicom.uid import CTImageStorage

from dicom_node.association.caller_certificate import CertificatePart, CertificateRule
from dicom_node.association.callers import Caller
from dicom_node.association.peers import Peer
from dicom_node.association.receive_limits import ReceiveLimits
from dicom_node.association.refusals import RefusalKind
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.association.tls import ClientTls, ServerTls, TlsFiles
from dicom_node.association.tls_profiles import TLS_1_2_SUITES, TlsProfile
from dicom_node.association.verification import echo

HOST = "127.0.0.1"

ANYBODY = (Caller(ae_title=None),)


class MemoryIntake:
    """Keeps what it is given."""

    def __init__(self):
        self.requests = []

    def accept(self, request):
        self.requests.append(request)

    def association_closed(self, sender, at):
        """Forget it."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return the hospital's authority."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Return an authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("other"), "Other CA")


@pytest.fixture(scope="module")
def node(authority):
    """Return the node's certificate."""
    return authority.issue("node")


@pytest.fixture(scope="module")
def modality(authority):
    """Return a caller's certificate."""
    return authority.issue("modality")


def files_of(issued, authority, **options):
    return TlsFiles(
        certificate=issued.certificate, key=issued.key, trusted=authority.certificate, **options
    )


@contextmanager
def listening(
    issued,
    authority,
    *,
    intake=None,
    plain=False,
    limits=None,
    revoked=None,
    callers=ANYBODY,
    **options,
):
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE",
            host=HOST,
            port=0 if plain else None,
            tls_port=0,
            tls=ServerTls(files=files_of(issued, authority, revoked=revoked), **options),
            callers=callers,
            limits=limits or ReceiveLimits(),
        ),
        intake=intake or MemoryIntake(),
        clock=Clock(),
    )
    provider.start()
    try:
        yield provider
    finally:
        provider.stop(grace_s=0.5)


def peer(port, tls, **options):
    return Peer(
        **{
            "name": "pacs",
            "ae_title": "ICHNODE",
            "host": HOST,
            "port": port,
            "calling_ae_title": "MODALITY",
            "tls": tls,
        }
        | options
    )


@pytest.fixture
def files(tmp_path):
    """Three images as files."""
    paths = []
    for number, ds in enumerate(small_series(3)):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(file_bytes(ds))
    return [outgoing_file(path) for path in paths]


# The node on both sides.


def test_images_travel_through_tls(node, modality, authority, files):
    """The node's user and the node's provider, each with a certificate of the same authority."""
    intake = MemoryIntake()

    with listening(node, authority, intake=intake) as scp:
        tls = ClientTls(files=files_of(modality, authority))
        outcomes = send_files(peer(scp.tls_port, tls), files)

    assert all(one.accepted for one in outcomes)
    for request, file in zip(intake.requests, files, strict=True):
        assert file.path.read_bytes().endswith(request.data_set)


def test_plain_and_tls_stand_side_by_side(node, modality, authority):
    """Two ports, one node; without the plain one there is only the other."""
    tls = ClientTls(files=files_of(modality, authority))

    with listening(node, authority, plain=True) as scp:
        assert echo(peer(scp.port, None)).ok
        assert echo(peer(scp.tls_port, tls)).ok
        assert scp.ports == {"port": scp.port, "tls_port": scp.tls_port}
    with listening(node, authority) as scp:
        assert list(scp.ports) == ["tls_port"]
        with pytest.raises(RuntimeError):
            _ = scp.port


def test_the_wrong_port_is_told_apart(node, modality, authority):
    """TLS to the plain port and plain to the TLS port: no association, and the log knows why."""
    tls = ClientTls(files=files_of(modality, authority))

    with listening(node, authority, plain=True) as scp:
        tls_to_plain = echo(peer(scp.port, tls))
        plain_to_tls = echo(peer(scp.tls_port, None))
        wait_for(lambda: len(scp.refusals.totals()) == 2)
        totals = scp.refusals.totals()

    assert (tls_to_plain.ok, plain_to_tls.ok) == (False, False)
    assert "No TLS with pacs" in tls_to_plain.message
    assert totals == {RefusalKind.TLS_ON_PLAIN_PORT: 1, RefusalKind.TLS_FAILED: 1}


def test_a_peer_must_be_who_it_is_called(node, modality, authority):
    """The certificate is for localhost and 127.0.0.1; another name must be allowed by hand."""
    files = files_of(modality, authority)
    other = ClientTls(files=files, server_name="pacs.hospital")
    pinned = ClientTls(files=files, server_name="pacs.hospital", checks_name=False)

    with listening(node, authority) as scp:
        refused = echo(peer(scp.tls_port, other))
        accepted = echo(peer(scp.tls_port, pinned))

    assert not refused.ok
    assert "Hostname mismatch" in refused.message
    assert accepted.ok


def test_a_peer_of_an_unknown_authority_is_refused(node, stranger, authority):
    """The node does not send patients' data to whoever has some certificate."""
    tls = ClientTls(files=files_of(stranger.issue("me"), stranger))

    with listening(node, authority) as scp:
        result = echo(peer(scp.tls_port, tls))

    assert not result.ok
    assert "is not believed: self-signed certificate" in result.message


@pytest.mark.parametrize(
    ("issue", "word"),
    [
        ({"start": -10, "days": 5}, "certificate has expired"),
        ({"start": 5, "days": 5}, "certificate is not yet valid"),
    ],
)
def test_a_peer_whose_certificate_does_not_hold_is_refused(authority, modality, issue, word):
    """Ended five days ago, or begins in five days."""
    tls = ClientTls(files=files_of(modality, authority))

    with listening(authority.issue("dated", **issue), authority) as scp:
        result = echo(peer(scp.tls_port, tls))

    assert not result.ok
    assert word in result.message


def test_missing_files_are_named_to_the_sender(modality, authority, tmp_path):
    """A delivery waits, and its reason names the file."""
    files = TlsFiles(
        certificate=modality.certificate, key=tmp_path / "gone.key", trusted=authority.certificate
    )

    result = echo(peer(1, ClientTls(files=files)))

    assert not result.ok
    assert "gone.key: No such file or directory" in result.message


# Callers that are not let in, as other programs see it.


def connect(port, context, *, name="localhost"):
    """Shake hands as a client and wait for the server's opinion; return the protocol."""
    with (
        socket.create_connection((HOST, port), timeout=60) as raw,
        context.wrap_socket(raw, server_hostname=name) as plug,
    ):
        plug.settimeout(0.4)
        try:
            # With TLS 1.3 a refused client learns it with its first read.
            if plug.recv(1) == b"":
                return "closed"
        except TimeoutError:
            pass
        return plug.version()


def client(authority, issued=None, **bounds):
    context = ssl.create_default_context(cafile=authority.certificate)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    for key, value in bounds.items():
        setattr(context, key, value)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_today_are_spoken(node, modality, authority, version):
    """PS3.15 B.12: TLS 1.2 shall, TLS 1.3 may and is preferred."""
    with listening(node, authority) as scp:
        only = connect(scp.tls_port, client(authority, modality, maximum_version=version))
        best = connect(scp.tls_port, client(authority, modality))

    assert only == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    assert best == "TLSv1.3"


@pytest.mark.parametrize("suite", TLS_1_2_SUITES[TlsProfile.BCP_195].values())
def test_every_listed_suite_of_tls_1_2_is_spoken(authority, modality, suite):
    """Three for certificates with RSA keys, three for elliptic curves."""
    issued = authority.issue(suite, rsa_bits=2048 if "RSA" in suite.split("-")[1] else None)
    context = client(authority, modality, maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(suite)

    with listening(issued, authority) as scp:
        assert connect(scp.tls_port, context) == "TLSv1.2"


def refused(scp, context):
    """Make a connection that must fail, and wait until the provider has counted it."""
    try:
        came_to = connect(scp.tls_port, context)
    except (ssl.SSLError, ConnectionError):
        came_to = "closed"
    assert came_to == "closed"
    wait_for(lambda: scp.refusals.totals().get(RefusalKind.TLS_FAILED) == 1)


@pytest.mark.parametrize(
    "suite", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA"]
)
def test_weak_suites_are_refused(authority, modality, suite, caplog):
    """No forward secrecy, or no authenticated encryption (RFC 9325, section 4.1)."""
    context = client(authority, modality, maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(suite)

    with listening(authority.issue("weak", rsa_bits=2048), authority) as scp:
        refused(scp, context)

    assert "no cipher suite is known to both sides" in caplog.text


def test_a_site_may_refuse_tls_1_2(node, modality, authority, caplog):
    """Where all partners speak TLS 1.3."""
    context = client(authority, modality, maximum_version=ssl.TLSVersion.TLSv1_2)

    with listening(node, authority, only_1_3=True) as scp:
        refused(scp, context)

    assert "has no TLS 1.2 or 1.3" in caplog.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_title_is_of_no_use_with_another_certificate(node, modality, authority, caplog, version):
    """The thief is a partner of the hospital and knows the title; the modality gets in."""
    callers = (
        Caller(
            ae_title="MODALITY",
            certificate=CertificateRule(part=CertificatePart.COMMON_NAME, value="modality"),
        ),
    )
    thief = authority.issue("thief")
    with listening(
        node, authority, callers=callers, plain=True, only_1_3=version is ssl.TLSVersion.TLSv1_3
    ) as scp:
        own = echo(peer(scp.tls_port, ClientTls(files=files_of(modality, authority))))
        stolen = echo(peer(scp.tls_port, ClientTls(files=files_of(thief, authority))))
        plain = echo(peer(scp.port, None))
        totals = scp.refusals.totals()

    assert own.ok
    for refused in (stolen, plain):
        assert "Calling AE title not recognised" in refused.message
    assert totals == {RefusalKind.WRONG_CERTIFICATE: 2}
    assert "calling AE title known, but not with this certificate" in caplog.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_caller_without_a_certificate_is_refused(node, authority, caplog, version):
    """Mutual authentication is the default."""
    with listening(node, authority) as scp:
        refused(scp, client(authority, maximum_version=version))

    assert "the caller showed no certificate" in caplog.text
    assert HOST in caplog.text


def test_a_caller_without_a_certificate_is_let_in_where_the_site_says_so(node, authority):
    """Encryption without authentication of the caller."""
    with listening(node, authority, requires_certificate=False) as scp:
        assert connect(scp.tls_port, client(authority)) == "TLSv1.3"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("stranger", "unable to get local issuer certificate"),
        ("ended", "certificate has expired"),
        ("revoked", "certificate revoked"),
    ],
)
def test_a_caller_with_a_certificate_that_is_not_believed_is_refused(
    node, authority, stranger, caplog, kind, words
):
    """Of another authority, out of date, or on the revocation list."""
    issued = {
        "stranger": lambda: stranger.issue("caller"),
        "ended": lambda: authority.issue("ended", start=-20, days=10),
        "revoked": lambda: authority.issue("revoked"),
    }[kind]()
    revoked = authority.revoke(issued) if kind == "revoked" else None

    with listening(node, authority, revoked=revoked) as scp:
        refused(scp, client(authority, issued))

    assert words in caplog.text


def test_who_is_not_on_the_revocation_list_is_let_in(node, modality, authority):
    """The list does not shut everybody out."""
    revoked = authority.revoke(authority.issue("lost"))

    with listening(node, authority, revoked=revoked) as scp:
        assert connect(scp.tls_port, client(authority, modality)) == "TLSv1.3"


def test_a_silent_handshake_holds_nobody_up(node, modality, authority):
    """While ten strangers say nothing, a modality is served; then they are disconnected."""
    tls = ClientTls(files=files_of(modality, authority))
    limits = ReceiveLimits(request_s=1.5)

    with listening(node, authority, limits=limits) as scp:
        mute = [socket.create_connection((HOST, scp.tls_port), timeout=60) for _ in range(5)]
        assert echo(peer(scp.tls_port, tls)).ok
        wait_for(lambda: scp.refusals.totals().get(RefusalKind.TLS_FAILED) == 5)
        for one in mute:
            assert one.recv(1) == b""
            one.close()


def test_a_renewed_certificate_is_shown_to_the_next_caller(authority, modality):
    """Without a restart."""
    first, second = authority.issue("year1"), authority.issue("year2")

    with listening(first, authority) as scp:
        for issued in (first, second):
            first.certificate.write_bytes(issued.certificate.read_bytes())
            first.key.write_bytes(issued.key.read_bytes())
            with (
                socket.create_connection((HOST, scp.tls_port), timeout=60) as raw,
                client(authority, modality).wrap_socket(raw, server_hostname="localhost") as plug,
            ):
                shown = dict(pair[0] for pair in plug.getpeercert()["subject"])["commonName"]
            assert shown == issued.certificate.stem


def test_a_record_may_end_one_pdu_and_hold_the_next(node, modality, authority, reader):
    """A proxy that puts TLS around a sender cuts the stream into records where it likes."""
    del reader  # both are tried
    image = small_series(1)[0]
    uid, data = str(image.SOPInstanceUID), encoded(image)
    command = wire.command(wire.C_STORE, CTImageStorage, has_data=True, uid=uid)
    # A command set in two pieces is the library's business, whoever reads the others.
    begin = wire.fragment(1, 1, command[:20]) + wire.fragment(1, 3, command[20:])
    first, last = wire.fragment(1, 0, data[:400]), wire.fragment(1, 2, data[400:])
    intake = MemoryIntake()

    with (
        listening(node, authority, intake=intake) as scp,
        socket.create_connection((HOST, scp.tls_port), timeout=60) as raw,
        client(authority, modality).wrap_socket(raw, server_hostname="localhost") as plug,
    ):
        plug.sendall(wire.association_request())
        assert plug.recv(65536)[0] == wire.ACCEPT
        plug.sendall(begin + first[:100])
        plug.sendall(first[100:] + last)
        answer = plug.recv(65536)

    assert wire.element(0x0900, b"\0\0") in answer
    assert [one.data_set for one in intake.requests] == [data]


# Other makers' programs.


def run(*arguments):
    return subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def needs(tool):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


@pytest.mark.acceptance
@pytest.mark.parametrize("profile", ["+py", "+px"])
def test_dcmtk_sends_over_tls(node, modality, authority, tmp_path, profile):
    """Tool storescu with the non-downgrading and the plain BCP 195 profile of DCMTK."""
    needs("storescu")
    intake = MemoryIntake()
    for number, ds in enumerate(small_series(3)):
        (tmp_path / f"{number}.dcm").write_bytes(file_bytes(ds))

    with listening(node, authority, intake=intake) as scp:
        sent = run(
            *("storescu", "+tls", modality.key, modality.certificate),
            *("+cf", authority.certificate, profile, "-aet", "STORESCU", "-aec", "ICHNODE"),
            *(HOST, scp.tls_port, *sorted(tmp_path.glob("*.dcm"))),
        )

    assert sent.returncode == 0, sent.stderr
    assert len(intake.requests) == 3


@pytest.mark.acceptance
def test_dcmtk_without_certificate_is_refused(node, authority):
    """An anonymous client (+tla)."""
    needs("echoscu")

    with listening(node, authority) as scp:
        asked = run(
            *("echoscu", "+tla", "+cf", authority.certificate, "-aec", "ICHNODE"),
            *(HOST, scp.tls_port),
        )

    assert asked.returncode != 0
    assert scp.refusals.totals() == {RefusalKind.TLS_FAILED: 1}


@pytest.mark.acceptance
def test_dcmtk_takes_results_over_tls(modality, authority, tmp_path):
    """The node as sender, DCMTK's storescp as PACS that demands a certificate."""
    needs("storescp")
    pacs = authority.issue("pacs")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    results = []
    for one in result_objects():
        path = tmp_path / f"{one.sop_instance_uid}.dcm"
        path.write_bytes(one.encoded)
        results.append(outgoing_file(path))
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        port = reserved.getsockname()[1]
    tls = ClientTls(files=files_of(modality, authority))
    with subprocess.Popen(
        [
            *("storescp", "+tls", str(pacs.key), str(pacs.certificate)),
            *("+cf", str(authority.certificate), "-aet", "PACS", "-od", str(inbox), "+B"),
            str(port),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            target = peer(port, tls, ae_title="PACS")
            wait_for(lambda: echo(target).ok)
            outcomes = send_files(target, results)
            plain = echo(peer(port, None, ae_title="PACS", acse_timeout_s=2.0))
        finally:
            process.terminate()

    assert [one.accepted for one in outcomes] == [True] * len(results)
    assert len(list(inbox.iterdir())) == len(results)
    assert not plain.ok


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("options", "ok"),
    [
        (["-tls1_3"], True),
        (["-tls1_2"], True),
        (["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], False),
        (["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"], False),
        (["-tls1_2", "-cipher", "AES256-SHA"], False),
        (["-tls1_2", "-cipher", "aNULL:eNULL@SECLEVEL=0"], False),
    ],
)
def test_openssl_agrees_on_what_is_spoken(node, modality, authority, options, ok):
    """The client of OpenSSL, which can be told to try what Python would not."""
    needs("openssl")

    with listening(node, authority) as scp:
        done = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"{HOST}:{scp.tls_port}"),
                *("-cert", str(modality.certificate), "-key", str(modality.key)),
                *("-CAfile", str(authority.certificate), "-verify_return_error"),
                *("-verify_hostname", "localhost", *options),
            ],
            input="",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ("Cipher is (NONE)" not in done.stdout) is ok
    assert (done.returncode == 0) is ok


@pytest.mark.acceptance
def test_the_commands_of_the_manual_make_usable_certificates(tmp_path):
    """The block of docs/security.md is run as it stands; then the node listens and is called."""
    needs("openssl")
    manual = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    commands = manual.split("```sh\n")[1].split("```")[0]

    subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, check=True, capture_output=True)

    files = TlsFiles(
        certificate=tmp_path / "node.pem", key=tmp_path / "node.key", trusted=tmp_path / "ca.pem"
    )
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE",
            host=HOST,
            port=None,
            tls_port=0,
            tls=ServerTls(files=files),
            callers=(Caller(ae_title="MODALITY"),),
        ),
        intake=MemoryIntake(),
        clock=Clock(),
    )
    provider.start()
    try:
        assert echo(peer(provider.tls_port, ClientTls(files=files))).ok
    finally:
        provider.stop(grace_s=0.5)
