"""What the conformance statement says on security: profiles, suites, limits."""

from collections.abc import Collection, Mapping

from dicom_node.association.tls_profiles import TLS_1_2_SUITES, TLS_1_3_SUITES, TlsProfile
from dicom_node.settings.schema import Settings

_TEXT = """
### 8.4 DICOM security profiles: secure transport

The node conforms to the BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15,
B.12): as server on a port of its own ({port}, `tls.port`), beside the plain listener or in its
place, and as client of peers that are marked so. With `tls.profile = "modified"` it keeps to the
closed list of the Modified BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (B.13)
instead. Of that list the suites with Camellia are missing, for OpenSSL has none of them. It needs
an OpenSSL before 3.2: later ones rate AES-CCM-8 too low for the level that keeps short keys out,
and then the node refuses to start with that profile.

| Property | Value |
| --- | --- |
| Versions | TLS 1.3 (preferred) and TLS 1.2; `tls.only_1_3` refuses 1.2 |
| Suites of TLS 1.3 | {suites_1_3} |
| Suites of TLS 1.2 | {suites_1_2} |
| Keys and signatures | RSA and DH from 2048 bits, elliptic curves from 224 bits on; no SHA-1 |
| B.13: further suites of TLS 1.3 | {more_1_3} |
| B.13: further suites of TLS 1.2 | {more_1_2} |
| B.13: groups | X25519, P-256, P-384, P-521; no DHE |
| B.13: signatures | ECDSA, RSA-PSS, RSA with SHA-256, SHA-384, SHA-512 |
| Certificates | X.509 in PEM; the key unencrypted, readable for the node's account only |
| Callers | must show a certificate of a trusted authority (`tls.callers_need_certificate`) |
| Peers | must show one that is issued for their host name or address (`tls_name`, \
`tls_checks_name`) |
| Revocation | lists in PEM, for the certificates of partners (`tls.revoked`) |
| Compression, renegotiation, session tickets | none |

### 8.7 Other security features: access and limits

Callers are told apart by AE title, IP address and, over TLS, certificate (common name, DNS name
or fingerprint; `node.callers`), and each by what it may do: Verification, Storage, Storage
Commitment. Contexts of the others are rejected with result 3.
User identity negotiation is not supported.

| Limit | Value | Beyond it |
| --- | --- | --- |
| Associations of one caller | {per_caller} (`node.max_associations_per_caller`) | \
A-ASSOCIATE-RJ, result 2, source 3, reason 2 |
| Time to the association request | {request_s:g} s (`node.request_time_s`) | connection closed |
| Time for a PDU | {pdu_s:g} s (`node.pdu_time_s`) | A-ABORT, source 2, reason 6 |
| Time for a message | {message_s:g} s (`node.message_time_s`) | A-ABORT, source 2 |
| Silence | {silence_s:g} s (`node.network_timeout_s`) | A-ABORT |
| PDU longer than negotiated | | A-ABORT, source 2, reason 6 |
| Length of an object | {object_mb} MB (`node.max_object_mb`) | status A703H |
| Objects being received | {unfinished_mb} MB (`node.max_unfinished_mb`) | status A704H |

### A.C.1 Audit trail

If a site turns it on (`audit.enabled`), the node writes audit messages by the schema of PS3.15,
A.5.1, and sends them by the Audit Trail Message Transmission Profile SYSLOG-TLS (PS3.15, A.6) or
SYSLOG-UDP (A.7), as `audit.transport` says: Application Activity, DICOM Instances Transferred,
DICOM Instances Accessed and DICOM Study Deleted (purges), Query, Security Alert (node
authentication, software configuration) and Export. The patient of
transferred instances is told by a pseudonym unless the site wants the Patient ID
(`audit.patient`); queries are named without their identifiers. See
[observability.md](observability.md).

No patient attribute is written to logs, ledger reports or the status page. How it is set up is in
[security.md](security.md).
"""


def security_section(settings: Settings) -> str:
    """Return the sections on secure transport and access in Markdown."""
    node, tls = settings.node, settings.tls
    return _TEXT.format(
        port=tls.port,
        suites_1_3=", ".join(TLS_1_3_SUITES[TlsProfile.BCP_195]),
        suites_1_2=", ".join(TLS_1_2_SUITES[TlsProfile.BCP_195]),
        more_1_3=_further(TLS_1_3_SUITES),
        more_1_2=_further(TLS_1_2_SUITES),
        per_caller=node.max_associations_per_caller,
        request_s=node.request_time_s,
        pdu_s=node.pdu_time_s,
        message_s=node.message_time_s,
        silence_s=node.network_timeout_s,
        object_mb=node.max_object_mb,
        unfinished_mb=node.max_unfinished_mb,
    )


def _further(suites: Mapping[TlsProfile, Collection[str]]) -> str:
    """Return the suites that only the Modified profile has."""
    common = suites[TlsProfile.BCP_195]
    return ", ".join(one for one in suites[TlsProfile.MODIFIED] if one not in common)
