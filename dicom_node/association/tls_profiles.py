"""The two TLS profiles of DICOM that the node speaks, as tables of suites (PS3.15, B.12 and B.13).

Python sets the suites of TLS 1.2. Those of TLS 1.3, the groups and the signature algorithms are
read by OpenSSL from the file that the environment variable OPENSSL_CONF names, when a process
starts; `MODIFIED_CONFIGURATION` is that file for the profile B.13.
"""

import ssl
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dicom_node.errors import TlsProfileError

#: By their IANA names, the node's preference first; suites of TLS 1.2 with OpenSSL's names.
_GCM_AND_CHACHA: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
_CCM: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_256_CCM": "ECDHE-ECDSA-AES256-CCM",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CCM": "ECDHE-ECDSA-AES128-CCM",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8": "ECDHE-ECDSA-AES256-CCM8",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8": "ECDHE-ECDSA-AES128-CCM8",
}
_TLS_1_3: Final = (
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_GCM_SHA256",
)
_TLS_1_3_CCM: Final = ("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256")

#: Read by OpenSSL at the start of a process, if OPENSSL_CONF names it.
MODIFIED_CONFIGURATION: Final = Path(__file__).with_name("modified_profile.cnf")

#: The variable by which OpenSSL is told.
CONFIGURATION_VARIABLE: Final = "OPENSSL_CONF"


class TlsProfile(StrEnum):
    """A secure transport connection profile; the values are those of the settings."""

    BCP_195 = "bcp195"  #: BCP 195 RFC 8996, 9325 (PS3.15, B.12)
    MODIFIED = "modified"  #: Modified BCP 195 RFC 8996, 9325 (PS3.15, B.13)


#: Suites of TLS 1.2: IANA names to OpenSSL's.
TLS_1_2_SUITES: Final = MappingProxyType(
    {TlsProfile.BCP_195: _GCM_AND_CHACHA, TlsProfile.MODIFIED: {**_GCM_AND_CHACHA, **_CCM}}
)

#: Suites of TLS 1.3; OpenSSL calls them by the IANA names.
TLS_1_3_SUITES: Final = MappingProxyType(
    {TlsProfile.BCP_195: _TLS_1_3, TlsProfile.MODIFIED: (*_TLS_1_3, *_TLS_1_3_CCM)}
)


def cipher_string(profile: TlsProfile) -> str:
    """Return what OpenSSL is told of the suites of TLS 1.2.

    Level 2: RSA and DH from 2048 bits on, elliptic curves from 224 bits on, no SHA-1 signatures.
    """
    return ":".join([*TLS_1_2_SUITES[profile].values(), "@SECLEVEL=2"])


def check_offer(context: ssl.SSLContext, profile: TlsProfile) -> None:
    """Refuse a context of a server that does not offer exactly the suites of the profile.

    Raises
    ------
    TlsProfileError
        Saying what is missing or too much, and how that is changed.
    """
    wanted = {*TLS_1_2_SUITES[profile].values(), *TLS_1_3_SUITES[profile]}
    offered = {suite["name"] for suite in context.get_ciphers()}
    missing, surplus = sorted(wanted - offered), sorted(offered - wanted)
    if profile is TlsProfile.MODIFIED and (missing or surplus):
        words = [f"without {', '.join(missing)}"] if missing else []
        words += [f"with {', '.join(surplus)}"] if surplus else []
        raise TlsProfileError(
            f"tls.profile: found OpenSSL {' and '.join(words)}; expected the suites of "
            f'"{profile}". `ichnode serve` starts its processes so; one that is started alone '
            f"needs {CONFIGURATION_VARIABLE}={MODIFIED_CONFIGURATION}"
        )
