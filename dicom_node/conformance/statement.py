"""The DICOM conformance statement, rendered from the tables the node runs on.

The sections are those of PS3.2, Annex N (normative since 2024). A table that code and statement
share cannot tell two stories.
"""

import re
from typing import Final

from dicom_node.conformance.delivery import delivery_section
from dicom_node.conformance.network import network_section
from dicom_node.conformance.objects import code_annex, mapping_annex, object_annexes
from dicom_node.conformance.overview import introduction_section, overview_section
from dicom_node.conformance.query import query_section
from dicom_node.conformance.security import security_section
from dicom_node.conformance.services import model_and_services
from dicom_node.conformance.worklist import worklist_section
from dicom_node.settings.schema import Settings
from pipeline import __version__

_HEADING: Final = re.compile(r"^(#{2,3}) ([\dA]\S*.*|Annex .*)$", re.MULTILINE)

#: Where the next heading of these parts begins.
_NEXT: Final = re.compile(r"(?=^#{3,4} )", re.MULTILINE)

_SECURITY_HEAD: Final = """
## 8 Security

### 8.1 Introduction

By default the node listens on its own machine only, without TLS, to a short list of AE titles. A
hospital's node names addresses, and certificates where TLS is spoken. No patient attribute is
written to logs, ledger reports or the status page.

### 8.2 External network requirements

A clock that is right (NTP); the times of results are the node's. Name resolution only where
settings name hosts. Nothing else is called but configured peers, repositories and mail servers.

### 8.3 TCP port configuration

| Port | Use |
| --- | --- |
| {port} (`node.port`) | DICOM without TLS, listening |
| {tls_port} (`tls.port`) | DICOM with TLS, listening, if turned on |
| {web_port} (`web.port`) | pages, probes and metrics, listening, if turned on |
| of each peer | outgoing |
"""

_SECURITY_REST: Final = """
### 8.5 User Identity Negotiation support

Not supported, neither as initiator nor as acceptor.

### 8.6 Web services security features

STOW-RS, UPS-RS, WADO-RS: TLS 1.2 or later with verified certificate and name; basic or bearer
authentication.
"""


def conformance_statement() -> str:
    """Return the statement in Markdown; the defaults of the settings are the values it names."""
    settings = Settings()
    _, commitment, stow = _NEXT.split(delivery_section(settings))
    after = "".join(
        [
            introduction_section(),
            model_and_services(
                settings,
                commitment=commitment,
                query=query_section(settings),
                stow=stow,
                worklist=worklist_section(),
            ),
            network_section(settings),
            _security(settings),
            object_annexes(),
            _audit(settings),
            mapping_annex(),
            code_annex(),
        ]
    )
    before = overview_section(__version__)
    return before + _contents(before + after) + after


def _security(settings: Settings) -> str:
    _, transport, access, _ = _NEXT.split(security_section(settings))
    head = _SECURITY_HEAD.format(
        port=settings.node.port, tls_port=settings.tls.port, web_port=settings.web.port
    )
    return f"{head}\n{transport}{_SECURITY_REST}\n{access}"


def _audit(settings: Settings) -> str:
    """Return annex A.C: the details of security that section 8 leaves out."""
    *_, audit = _NEXT.split(security_section(settings))
    return f"\n## Annex A.C Security details\n\n{audit}"


def _contents(text: str) -> str:
    """Return section 2: the headings of the first two levels."""
    lines = ["\n## 2 Table of contents\n"]
    for level, title in _HEADING.findall(text):
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        if level == "##":
            lines.append(f"- [{title}](#{anchor})")
    return "\n".join(lines) + "\n"
