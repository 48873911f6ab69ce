"""Which suites the two TLS profiles speak, as the client of OpenSSL finds out by trying each.

The lists are those of PS3.15, B.12 (by RFC 9325, section 4.2) and B.13; they stand here once more,
so that the node's tables are held to them.
"""

import os
import shutil
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificate_builder import Authority

from dicom_node.association.tls_profiles import MODIFIED_CONFIGURATION

PROGRAM = Path(__file__).with_name("tls_program.py")

COMMON_1_3 = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
CCM_1_3 = ("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256")
COMMON_1_2 = tuple(
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
)
CCM_1_2 = tuple(f"ECDHE-ECDSA-AES{bits}-{mode}" for bits in (128, 256) for mode in ("CCM", "CCM8"))
#: Neither profile has them: no forward secrecy, no authenticated encryption, DHE, Camellia-CBC.
NEVER_1_2 = (
    *("AES128-GCM-SHA256", "AES256-CCM", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA"),
    *("ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-CAMELLIA128-SHA256", "DHE-RSA-AES128-GCM-SHA256"),
    *("DHE-RSA-AES256-CCM", "ECDHE-ECDSA-NULL-SHA", "AECDH-AES128-SHA"),
)

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program"),
]

needs_old_openssl = pytest.mark.skipif(
    ssl.OPENSSL_VERSION_INFO >= (3, 2), reason="this OpenSSL rates AES-CCM-8 below level 2"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return the hospital's authority."""
    return Authority(tmp_path_factory.mktemp("ca"))


@contextmanager
def provider(profile, issued, authority, *, configuration):
    """Run the program; give its port, or None and its last words."""
    environment = {key: value for key, value in os.environ.items() if key != "OPENSSL_CONF"}
    if configuration is not None:
        environment["OPENSSL_CONF"] = str(configuration)
    with subprocess.Popen(
        [
            *(sys.executable, str(PROGRAM), profile),
            *(str(issued.certificate), str(issued.key), str(authority.certificate)),
        ],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        try:
            yield int(line) if line else None, process
        finally:
            process.stdin.close()
            process.wait(60)


def agreed(port, authority, own, *options):
    """Return the suite that the client of OpenSSL gets, None if the connection is refused."""
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-brief"),
            *("-cert", str(own.certificate), "-key", str(own.key)),
            *("-CAfile", str(authority.certificate), "-verify_return_error", *options),
        ],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    words = [line for line in done.stderr.splitlines() if line.startswith("Ciphersuite:")]
    return words[0].split(": ")[1] if done.returncode == 0 and words else None


def spoken(port, authority, own):
    """Return the suites that are accepted, each tried alone."""
    found = {
        suite
        for suite in (*COMMON_1_3, *CCM_1_3)
        if agreed(port, authority, own, "-tls1_3", "-ciphersuites", suite) == suite
    }
    for suite in (*COMMON_1_2, *CCM_1_2, *NEVER_1_2):
        cipher = ("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
        if agreed(port, authority, own, *cipher) == suite:
            found.add(suite)
    return found


@pytest.mark.parametrize(
    ("profile", "configuration", "more"),
    [
        ("bcp195", None, ()),
        pytest.param(
            "modified", MODIFIED_CONFIGURATION, (*CCM_1_3, *CCM_1_2), marks=needs_old_openssl
        ),
    ],
)
def test_every_suite_of_a_profile_is_spoken_and_no_other(authority, profile, configuration, more):
    """With a certificate of each kind, for a suite of TLS 1.2 is for RSA or for ECDSA."""
    own = authority.issue("modality")
    found = set()
    for issued in (authority.issue("ecdsa"), authority.issue("rsa", rsa_bits=2048)):
        with provider(profile, issued, authority, configuration=configuration) as (port, _):
            found |= spoken(port, authority, own)

    assert found == {*COMMON_1_3, *COMMON_1_2, *more}


@needs_old_openssl
@pytest.mark.parametrize(
    ("options", "ok"),
    [
        (("-groups", "X25519"), True),
        (("-groups", "P-256"), True),
        (("-groups", "P-521"), True),
        (("-groups", "P-224", "-tls1_2"), False),
        (("-groups", "ffdhe2048"), False),
        (("-sigalgs", "ECDSA+SHA256"), True),
        (("-sigalgs", "ECDSA+SHA224", "-tls1_2"), False),
        (("-sigalgs", "ECDSA+SHA1", "-tls1_2", "-cipher", "ALL:@SECLEVEL=0"), False),
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), False),
    ],
)
def test_the_modified_profile_bounds_groups_and_signatures(authority, modified, options, ok):
    """PS3.15, B.13: ECDHE from 256 bits on, SHA-256 or better, TLS 1.2 and 1.3."""
    port, own = modified

    assert (agreed(port, authority, own, *options) is not None) is ok


@pytest.fixture(scope="module")
def modified(authority):
    """Return the port of a provider with the Modified profile, and a caller's certificate."""
    issued = authority.issue("node")
    with provider("modified", issued, authority, configuration=MODIFIED_CONFIGURATION) as one:
        yield one[0], authority.issue("caller")


def test_a_process_that_was_started_otherwise_does_not_claim_the_modified_profile(authority):
    """It would lack two suites of TLS 1.3; it refuses to listen and says how to start it."""
    issued = authority.issue("alone")
    with provider("modified", issued, authority, configuration=None) as (port, process):
        words = process.stderr.read()

    assert port is None
    assert "without TLS_AES_128_CCM_8_SHA256, TLS_AES_128_CCM_SHA256" in words
    assert f"needs OPENSSL_CONF={MODIFIED_CONFIGURATION}" in words
