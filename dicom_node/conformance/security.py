"""Section 8 of the statement and annex A.C: security, its profiles, suites and limits."""

from collections.abc import Collection, Mapping
from typing import Final

from dicom_node.association.tls_profiles import TLS_1_2_SUITES, TLS_1_3_SUITES, TlsProfile
from dicom_node.audit.codes import Event, EventType
from dicom_node.settings.schema import Settings

_HEAD: Final = """
## 8 Security

### 8.1 Introduction

By default the node listens on its own machine only, without TLS, to a short list of AE titles. A
hospital's node names addresses, and certificates where TLS is spoken. No patient attribute is
written to logs, ledger reports or the status page.

### 8.2 External Network Requirements

A clock that is right (NTP); the times of results are the node's. Name resolution only where
settings name hosts. Nothing is called but what the settings name: peers, repositories, worklists,
mail servers, web hooks, a collector of traces, a provider of log-ins.

### 8.3 TCP Port Configuration

| Port | Use |
| --- | --- |
| {port} (`node.port`) | DICOM without TLS, listening |
| {tls_port} (`tls.port`) | DICOM with TLS, listening, if turned on |
| {web_port} (`web.port`) | pages, probes and metrics, listening, if turned on |
| of each peer | outgoing |
"""

_TRANSPORT: Final = """
### 8.4 DICOM Security Profiles Support

Secure transport: the node conforms to the BCP 195 RFC 8996, 9325 TLS Secure Transport Connection
Profile (PS3.15, B.12): as server on a port of its own ({port}, `tls.port`), beside the plain
listener or in its place, and as client of peers that are marked so. With
`tls.profile = "modified"` it keeps to the closed list of the Modified BCP 195 RFC 8996, 9325 TLS
Secure Transport Connection Profile (B.13) instead. Of that list the suites with Camellia are
missing, for OpenSSL has none of them. It needs an OpenSSL before 3.2: later ones rate AES-CCM-8
too low for the level that keeps short keys out, and then the node refuses to start with that
profile.

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
"""

_WEB: Final = """
### 8.5 User Identity Negotiation Support

Not supported, neither as initiator nor as acceptor.

### 8.6 Web Services Security Features

STOW-RS, UPS-RS, WADO-RS: TLS 1.2 or later with verified certificate and name; basic or bearer
authentication.
"""

_ACCESS: Final = """
### 8.7 Other Security Features

Callers are told apart by AE title, IP address and, over TLS, certificate (common name, DNS name
or fingerprint; `node.callers`), and each by what it may do: Verification, Storage, Storage
Commitment. Contexts of the others are rejected with result 3.

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
"""

_ANNEX: Final = """
## Annex A.C Security Details

### A.C.1 External Network Requirement Details

None beyond section 8.2. The node itself uses no DHCP, LDAP or DNS service discovery.

### A.C.2 DICOM Security Profile Details

Secure transport stands in section 8.4.

#### A.C.2.2 Audit Trail Messages

If a site turns it on (`audit.enabled`), the node writes audit messages by the schema of PS3.15,
A.5.1, and sends them by the Audit Trail Message Transmission Profile SYSLOG-TLS (PS3.15, A.6) or
SYSLOG-UDP (A.7), as `audit.transport` says. The patient of transferred instances is told by a
pseudonym unless the site wants the Patient ID (`audit.patient`); queries are named without their
identifiers. See [observability.md](observability.md).

| | |
| --- | --- |
| Messages | {events} |
| Event types | {kinds} |

No patient attribute is written to logs, ledger reports or the status page. How it is set up is in
[security.md](security.md).
"""


def security_section(settings: Settings) -> str:
    """Return section 8 in Markdown; the defaults of the settings are the values it names."""
    node, tls = settings.node, settings.tls
    ports = _HEAD.format(port=node.port, tls_port=tls.port, web_port=settings.web.port)
    transport = _TRANSPORT.format(
        port=tls.port,
        suites_1_3=", ".join(TLS_1_3_SUITES[TlsProfile.BCP_195]),
        suites_1_2=", ".join(TLS_1_2_SUITES[TlsProfile.BCP_195]),
        more_1_3=_further(TLS_1_3_SUITES),
        more_1_2=_further(TLS_1_2_SUITES),
    )
    access = _ACCESS.format(
        per_caller=node.max_associations_per_caller,
        request_s=node.request_time_s,
        pdu_s=node.pdu_time_s,
        message_s=node.message_time_s,
        silence_s=node.network_timeout_s,
        object_mb=node.max_object_mb,
        unfinished_mb=node.max_unfinished_mb,
    )
    return f"{ports}{transport}{_WEB}{access}"


def security_annex() -> str:
    """Return annex A.C in Markdown: the details of security that section 8 leaves out."""
    return _ANNEX.format(
        events=", ".join(one.value[1] for one in Event),
        kinds=", ".join(one.value[1] for one in EventType),
    )


def _further(suites: Mapping[TlsProfile, Collection[str]]) -> str:
    """Return the suites that only the Modified profile has."""
    common = suites[TlsProfile.BCP_195]
    return ", ".join(one for one in suites[TlsProfile.MODIFIED] if one not in common)
