"""The summary as one self-contained page: no script, no file beside it, readable by ear."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment

from dicom_node.results import wording
from dicom_node.results.record import RecordStatus
from pipeline.quality_flags import QualityFlag

_TITLE: Final = {
    RecordStatus.HEMATOMA_FOUND: "Hematoma found",
    RecordStatus.NO_HEMATOMA_FOUND: "No hematoma found",
    RecordStatus.REJECTED: "Not analysed",
}

#: Of every summary page: light and dark, wide and narrow.
STYLE: Final = """\
:root { color-scheme: light dark; --line: #8884; --mark: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --mark: #ff8a80; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }
.warning { border: 2px solid var(--mark); border-radius: .4rem; padding: .5rem 1rem; }
.warning strong { color: var(--mark); }
figure { margin: 0; }
img { max-width: 100%; height: auto; border-radius: .4rem; }
table { border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { text-align: left; padding: .3rem 1.5rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; }
td { font-variant-numeric: tabular-nums; }
code { overflow-wrap: anywhere; }"""

#: What every summary page begins with: title, picture, numbers, doubts.
OPENING: Final = """<!DOCTYPE html>
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
"""

_PAGE: Final = (
    OPENING
    + """<table>
<caption>Models</caption>
<thead><tr><th scope="col">Task</th><th scope="col">Name</th><th scope="col">Version</th>
<th scope="col">Weights (SHA-256)</th></tr></thead>
<tbody>
{% for task, model in record.model.items() %}<tr><th scope="row">{{ task }}</th>
<td>{{ model.name }}</td><td>{{ model.version }}</td>
<td><code>{{ model.weights_sha256 }}</code></td></tr>
{% endfor %}
</tbody>
</table>
<p>Series <code>{{ record.series_instance_uid }}</code>,
analysed in {{ "%.1f"|format(record.seconds) }} s.</p>
</main>
</body>
</html>
"""
)


def title_of(record: Mapping[str, Any]) -> str:
    """Return the outcome in a few words; blood outside the brain is never passed over."""
    status = RecordStatus(record["status"])
    elsewhere = wording.blood_elsewhere(wording.compartments_of_record(record))
    if status is RecordStatus.NO_HEMATOMA_FOUND and elsewhere:
        return "No hematoma in the brain, blood elsewhere"
    return _TITLE[status]


def summary_page(record: Mapping[str, Any], picture_png: bytes) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    record : mapping
        From `analysis_record` or `rejection_record`.
    picture_png : bytes
        The summary picture, which is put into the page.
    """
    status = RecordStatus(record["status"])
    is_demonstration = any(model["demonstration"] for model in record["model"].values())
    template = Environment(autoescape=True).from_string(_PAGE)
    return template.render(
        record=record,
        style=STYLE,
        title=title_of(record),
        research=wording.RESEARCH_USE_ONLY,
        research_zh=wording.RESEARCH_USE_ONLY_ZH,
        demonstration=wording.DEMONSTRATION_STATEMENT if is_demonstration else "",
        picture=base64.b64encode(picture_png).decode("ascii"),
        description=_description(record, status),
        numbers=numbers_of(record),
        flags=wording.flag_sentences(QualityFlag(value) for value in record["flags"]),
    )


def _description(record: Mapping[str, Any], status: RecordStatus) -> str:
    """Return in words what the picture shows."""
    if status is RecordStatus.REJECTED:
        return "The series was not analysed; the picture repeats the reason."
    if status is RecordStatus.NO_HEMATOMA_FOUND:
        return "Three slices of the head in the brain window; no hematoma was found."
    dashed = (
        " The dashed outline is the forecast of the hematoma at follow-up if it expands."
        if record["forecast"]
        else ""
    )
    return (
        f"{len(record['slice_probabilities'])} slices with the outline of a hematoma of "
        f"{wording.volume_of_record(record)} and the Grad-CAM map of the expansion model, "
        f"where red is important.{dashed}"
    )


def numbers_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was measured and judged, name by name."""
    status = RecordStatus(record["status"])
    if status is RecordStatus.REJECTED:
        return [("Hematoma", "not looked for")]
    others = [
        (f"Volume, {wording.COMPARTMENT[name]}", f"{ml:.1f} mL")
        for name, ml in wording.compartments_of_record(record).items()
    ]
    if status is RecordStatus.NO_HEMATOMA_FOUND:
        return [("Hematoma", "none above the size floor of the model"), *others]
    slices = ", ".join(f"{value:.2f}" for value in record["slice_probabilities"])
    return [
        ("Volume, sum of voxels", wording.volume_of_record(record)),
        ("Volume, surface mesh", f"{record['mesh_volume_ml']:.1f} mL"),
        ("Volume, ABC/2", f"{record['abc2_volume_ml']:.1f} mL"),
        ("Probability of expansion", f"{record['he_probability']:.2f}"),
        ("Category", wording.CATEGORY_OF_NAME[record["he_label"]].capitalize()),
        ("Probability slice by slice, inferior first", slices),
        *_doubts(record),
        *_forecast(record),
        *others,
    ]


def _forecast(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the forecast with its condition; nothing where there is none."""
    words = wording.forecast_of_record(record)
    return [("Forecast volume, not measured", words)] if words else []


def _doubts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the expansion model says of its own opinion."""
    rows = []
    if record["he_probability_spread"] is not None:
        count = len(record["member_probabilities"])
        rows.append(
            (f"Spread over {count} networks (SD)", f"{record['he_probability_spread']:.2f}")
        )
    found = record["familiarity"]
    if found is not None:
        words = wording.familiarity_words(found["distance"] / found["limit"])
        rows.append(("Distance from the training cases", words))
    for point in record["operating_points"]:
        category = wording.CATEGORY_OF_NAME[point["he_label"]].capitalize()
        rows.append(
            (f"Category at {point['name']}", f"{category} (from {point['threshold']:.2f})")
        )
    return rows
