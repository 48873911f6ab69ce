"""The summary of a comparison as one self-contained page: no script, readable by ear."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment

from dicom_node.results import comparison_wording, wording
from dicom_node.results.summary_page import STYLE

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} - {{ research }}</title>
<style>
{{ style }}
</style>
</head>
<body>
<header class="warning" role="note">
<p><strong>{{ record.research_use_only }}</strong>
<br><span lang="zh">{{ research_zh }}</span></p>
{% if demonstration %}<p><strong>{{ demonstration }}</strong></p>{% endif %}
</header>
<main>
<h1>{{ title }}</h1>
{% for reason in record.reasons %}<p>Reason: {{ reason }}</p>
{% endfor %}
<figure>
<img src="data:image/png;base64,{{ picture }}" alt="{{ description }}">
<figcaption>{{ description }}</figcaption>
</figure>
<table>
<caption>Numbers</caption>
<tbody>
{% for name, value in numbers %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}
</tbody>
</table>
<h2>Doubts and remarks</h2>
{% if flags %}<ul>
{% for flag in flags %}<li>{{ flag }}</li>
{% endfor %}
</ul>{% else %}<p>None was raised.</p>{% endif %}
<p>Segmentation model: {{ model.name }} {{ model.version }}, weights (SHA-256)
<code>{{ model.weights_sha256 }}</code></p>
<p>Baseline series <code>{{ record.baseline_series_instance_uid }}</code>,
follow-up series <code>{{ record.follow_up_series_instance_uid }}</code>,
compared in {{ "%.1f"|format(record.seconds) }} s.</p>
</main>
</body>
</html>
"""


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
            title=comparison_wording.title_of(record).capitalize(),
            style=STYLE,
            research=wording.RESEARCH_USE_ONLY,
            research_zh=wording.RESEARCH_USE_ONLY_ZH,
            demonstration=wording.DEMONSTRATION_STATEMENT if model["demonstration"] else "",
            picture=base64.b64encode(picture_png).decode("ascii"),
            description=_description(record),
            numbers=_numbers(record),
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


def _numbers(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    if record["change_ml"] is None:
        return [("Change", "not measured")]
    rows = [
        ("Volume at baseline", _ml(record["baseline_volume_ml"])),
        ("Volume at follow-up", _ml(record["follow_up_volume_ml"])),
        ("Change", comparison_wording.change_of_record(record)),
        ("Time between the scans", comparison_wording.elapsed_words(record["elapsed_hours"])),
        ("Definition", comparison_wording.SHORT_DEFINITION[record["definition"]]),
        ("Verdict", comparison_wording.verdict_of_record(record).capitalize()),
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


def _ml(value: float) -> str:
    return f"{value:.1f} mL"
