"""The summary of a comparison as one self-contained page: no script, readable by ear."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment

from dicom_node.results import comparison_wording, wording
from dicom_node.results.summary_page import OPENING, STYLE

_PAGE: Final = (
    OPENING
    + """<p>Segmentation model: {{ model.name }} {{ model.version }}, weights (SHA-256)
<code>{{ model.weights_sha256 }}</code></p>
<p>Baseline series <code>{{ record.baseline_series_instance_uid }}</code>,
follow-up series <code>{{ record.follow_up_series_instance_uid }}</code>,
compared in {{ "%.1f"|format(record.seconds) }} s.</p>
</main>
</body>
</html>
"""
)


def comparison_page(record: Mapping[str, Any], picture_png: bytes) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    record : mapping
        From `dicom_node.results.comparison_record`.
    picture_png : bytes
        The picture, which is put into the page.
    """
    model = record["model"]["segmentation"]
    return (
        Environment(autoescape=True)
        .from_string(_PAGE)
        .render(
            record=record,
            title=title_of(record),
            style=STYLE,
            research=wording.RESEARCH_USE_ONLY,
            research_zh=wording.RESEARCH_USE_ONLY_ZH,
            demonstration=wording.DEMONSTRATION_STATEMENT if model["demonstration"] else "",
            picture=base64.b64encode(picture_png).decode("ascii"),
            description=_description(record),
            numbers=numbers_of(record),
            flags=comparison_wording.notes_of_record(record),
            model=model,
        )
    )


def _description(record: Mapping[str, Any]) -> str:
    if record["change_ml"] is None:
        return "The scans were not compared; the picture repeats the reason."
    return (
        f"The baseline with the outline of a hematoma of {record['baseline_volume_ml']:.1f} mL "
        f"beside the follow-up with one of {record['follow_up_volume_ml']:.1f} mL."
    )


def title_of(record: Mapping[str, Any]) -> str:
    """Return the outcome in a few words, as the heading of a page."""
    return _in_lower_case(comparison_wording.title_of(record))


def numbers_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was measured and judged, name by name."""
    if record["change_ml"] is None:
        return [("Change", "not measured")]
    rows = [
        ("Volume at baseline", _ml(record["baseline_volume_ml"])),
        ("Volume at follow-up", _ml(record["follow_up_volume_ml"])),
        ("Change", comparison_wording.change_of_record(record)),
        ("Time between the scans", comparison_wording.elapsed_words(record["elapsed_hours"])),
        ("Definition", comparison_wording.SHORT_DEFINITION[record["definition"]]),
        ("Verdict", _in_lower_case(comparison_wording.verdict_of_record(record))),
    ]
    for name in ("baseline", "follow_up"):
        beside = record[f"{name}_intraventricular_ml"]
        if beside is not None:
            rows.append((f"Blood in the ventricles at {name.replace('_', '-')}", _ml(beside)))
    if record["is_certain"] is not None:
        same = "yes" if record["is_certain"] else "no"
        rows.append(("Same verdict over the whole range", same))
    if record["registration_correlation"] is not None:
        correlation = f"{record['registration_correlation']:.3f}"
        rows.append(("Correlation of the heads", correlation))
    return rows


def _in_lower_case(verdict: str) -> str:
    """Return a verdict without its capitals, but with those of the units behind it."""
    outcome, bracket, criteria = verdict.partition(" (")
    return f"{outcome.capitalize()}{bracket}{criteria}"


def _ml(value: float) -> str:
    return f"{value:.1f} mL"
