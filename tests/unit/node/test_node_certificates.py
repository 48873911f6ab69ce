"""Files that TLS needs: what is refused, and in which words."""

import ssl
from datetime import timedelta

import pytest
from certificate_builder import NOW, Authority, write_key
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dicom_node.association.certificates import check_key_file, read_certificates
from dicom_node.association.tls import (
    ClientTls,
    FreshContext,
    ServerTls,
    TlsFiles,
    client_context,
    own_certificate,
    server_context,
)
from dicom_node.errors import TlsFileError

#: Recommended by RFC 9325, section 4.2, and ChaCha20 (RFC 7905), by OpenSSL's names.
SUITES_1_2 = {
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
}

#: RFC 8446, section 9.1: what must and should be implemented.
SUITES_1_3 = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return the authority of this module's certificates."""
    return Authority(tmp_path_factory.mktemp("ca"))


def files_of(authority, issued, **options):
    return TlsFiles(
        certificate=issued.certificate,
        key=issued.key,
        trusted=authority.certificate,
        **options,
    )


def test_a_certificate_tells_name_dates_and_hosts(authority):
    """The dates are those it was made with."""
    issued = authority.issue("node", hosts=("node.hospital",), addresses=("10.0.0.9",), days=30)

    (found,) = read_certificates(issued.certificate)

    assert found.name == "node"
    assert found.names == ("node.hospital", "10.0.0.9")
    assert found.not_after == NOW + timedelta(days=29)
    assert found.days_left(NOW) == 29


@pytest.mark.parametrize(
    ("days_later", "words"),
    [
        (0, ""),
        (14, ""),
        (15.5, "ends in 13 days"),
        (29.5, "ended on"),
        (-2, "holds only from"),
    ],
)
def test_the_alarm_comes_before_the_end(authority, days_later, words):
    """Fourteen days before, and after it; a certificate of the future is a fault, too."""
    issued = authority.issue("alarm", days=30)
    (found,) = read_certificates(issued.certificate)

    fault = found.fault(NOW + timedelta(days=days_later), warn_days=14)

    assert words in fault
    assert bool(fault) == bool(words)
    assert not fault or str(issued.certificate) in fault


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_that_others_may_use_is_refused(authority, mode):
    """Group or world, read or write: the file, its mode and the remedy are named."""
    issued = authority.issue("shared", mode=mode)

    with pytest.raises(TlsFileError, match=f"shared.key: found mode {mode:04o}.*chmod 600"):
        own_certificate(files_of(authority, issued))


def test_a_key_of_another_certificate_is_refused(authority):
    """A mix-up is found at the start, not at the first caller."""
    one, other = authority.issue("one"), authority.issue("other")
    (certificate,) = read_certificates(one.certificate)

    with pytest.raises(
        TlsFileError, match=r"other\.key: found another key than that of .*one\.pem"
    ):
        check_key_file(other.key, certificate)


def test_a_key_with_a_password_is_refused_without_asking(authority, tmp_path):
    """Nobody sits at the node when it starts."""
    issued = authority.issue("locked")
    key = tmp_path / "locked.key"
    write_key(key, ec.generate_private_key(ec.SECP256R1()), password=b"secret")
    (certificate,) = read_certificates(issued.certificate)

    with pytest.raises(TlsFileError, match="found a key with a password"):
        check_key_file(key, certificate)


def test_a_short_rsa_key_is_refused(authority, tmp_path):
    """RFC 9325, section 4.5: at least 2048 bits."""
    issued = authority.issue("short")
    key = tmp_path / "short.key"
    write_key(key, rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505  refused on purpose
    (certificate,) = read_certificates(issued.certificate)

    with pytest.raises(TlsFileError, match="found an RSA key of 1024 bits; expected 2048"):
        check_key_file(key, certificate)


def test_what_is_no_certificate_is_named(authority, tmp_path):
    """A wrong path and a wrong file."""
    (tmp_path / "note.pem").write_text("no certificate")

    with pytest.raises(TlsFileError, match=r"absent\.pem: No such file"):
        read_certificates(tmp_path / "absent.pem")
    with pytest.raises(TlsFileError, match=r"note\.pem: found no PEM certificate"):
        read_certificates(tmp_path / "note.pem")
    with pytest.raises(TlsFileError, match=r"absent\.key: No such file"):
        check_key_file(
            tmp_path / "absent.key", read_certificates(authority.issue("x").certificate)[0]
        )


def test_contexts_offer_the_profile_and_nothing_else(authority):
    """PS3.15 B.12: TLS 1.2 and 1.3; of TLS 1.2 the recommended suites of RFC 9325 and ChaCha20."""
    files = files_of(authority, authority.issue("suites"))

    for context in (
        server_context(ServerTls(files=files)),
        client_context(ClientTls(files=files)),
    ):
        offered = {cipher["name"] for cipher in context.get_ciphers()}
        assert offered == {*SUITES_1_2, *SUITES_1_3}
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.maximum_version == ssl.TLSVersion.MAXIMUM_SUPPORTED
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.security_level == 2


def test_contexts_are_strict_unless_told_otherwise(authority):
    """Callers show a certificate; peers show one with the right name."""
    files = files_of(authority, authority.issue("strict"))

    server = server_context(ServerTls(files=files))
    open_server = server_context(ServerTls(files=files, requires_certificate=False))
    client = client_context(ClientTls(files=files))
    pinned = client_context(ClientTls(files=files, checks_name=False))

    assert server.verify_mode == ssl.CERT_REQUIRED
    assert open_server.verify_mode == ssl.CERT_NONE
    assert (client.verify_mode, client.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (pinned.verify_mode, pinned.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_only_tls_1_3_can_be_asked_for(authority):
    """A site without old partners."""
    files = files_of(authority, authority.issue("modern"))

    context = server_context(ServerTls(files=files, only_1_3=True))

    assert context.minimum_version == ssl.TLSVersion.TLSv1_3


def test_a_renewed_certificate_is_used_without_a_restart(authority):
    """The context follows its files; a file in the making leaves the old one in use."""
    first, second = authority.issue("renewed"), authority.issue("successor")
    files = files_of(authority, first)
    fresh = FreshContext(ServerTls(files=files))
    before = fresh.current()
    assert fresh.current() is before

    first.certificate.write_bytes(second.certificate.read_bytes())
    with pytest.raises(TlsFileError, match="another key"):
        fresh.current()
    assert fresh.last is before
    first.key.write_bytes(second.key.read_bytes())
    first.key.touch()

    assert fresh.current() is not before
