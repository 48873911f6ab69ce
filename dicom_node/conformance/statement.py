"""The DICOM conformance statement, rendered from the tables the node runs on.

The sections are those of PS3.2, Annex N (normative since 2024), numbered as there without the N.
A table that code and statement share cannot tell two stories.
"""

import re
from typing import Final

from dicom_node.conformance.network import network_section
from dicom_node.conformance.objects import code_annex, mapping_annex, object_annexes
from dicom_node.conformance.overview import introduction_section, overview_section
from dicom_node.conformance.security import security_annex, security_section
from dicom_node.conformance.services import model_and_services
from dicom_node.settings.schema import Settings
from pipeline import __version__

_HEADING: Final = re.compile(r"^## ([\dA]\S*.*)$", re.MULTILINE)


def conformance_statement() -> str:
    """Return the statement in Markdown; the defaults of the settings are the values it names."""
    settings = Settings()
    before = overview_section(__version__)
    after = "".join(
        [
            introduction_section(),
            model_and_services(settings),
            network_section(settings),
            security_section(settings),
            object_annexes(),
            security_annex(),
            mapping_annex(),
            code_annex(),
        ]
    )
    return before + _contents(before + after) + after


def _contents(text: str) -> str:
    """Return section 2: the headings of the first level."""
    lines = ["\n## 2 Table of Contents\n"]
    for title in _HEADING.findall(text):
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        lines.append(f"- [{title}](#{anchor})")
    return "\n".join(lines) + "\n"
