"""What a site, twenty sites or a national archive need: measured parts, multiplied by hand.

Every part is a resource that is busy for so many seconds with each study. A resource that is
needed for longer than the others is what breaks first.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

DAY_S = 24 * 3600.0
_GIB = 2.0**30


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The measured parts; docs/scale/report.md says where each comes from.

    Attributes
    ----------
    analysis_s, analysis_image_s : float
        A worker's time for a study, and for each of its images beyond, with a processor.
    gpu_s, gpu_image_s : float
        The same with a GPU: a model, not a measurement.
    query_s : float
        Finding a study and its series at a PACS, without listing its day.
    fetch_image_s : float
        One image over C-GET or C-MOVE, into custody.
    receive_image_s : float
        One image sent by a modality, into custody.
    engine_s : float
        Worker's time for a job beside the analysis: claim, steps, results.
    lock_s, lock_image_s : float
        How long the ledger's one writer is taken by a study, and by each image.
    ledger_bytes, ledger_image_bytes : float
        Rows of a study with results, and of each image.
    image_bytes, result_bytes : float
        An image in the spool, and the results of a study in the outbox.
    """

    analysis_s: float
    analysis_image_s: float
    gpu_s: float
    gpu_image_s: float
    query_s: float
    fetch_image_s: float
    receive_image_s: float
    engine_s: float
    lock_s: float
    lock_image_s: float
    ledger_bytes: float
    ledger_image_bytes: float
    image_bytes: float
    result_bytes: float


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked of the node.

    Attributes
    ----------
    studies : float
        How many there are: of a re-read altogether, else in a day.
    images : float
        Of each, in the series that are fetched or received.
    analysed_images : float
        Of each, in the series that is analysed.
    workers : float
        Processes that analyse.
    gpu : float
        1: each worker has a GPU.
    streams : float
        Nodes that fetch at the same time, one study each.
    ledgers : float
        Ledgers that the studies are divided among.
    hours : float
        Of a day that may be used.
    keep_days : float
        How long images are kept.
    reread : float
        1: an archive is read once; 0: it is what arrives each day.
    """

    studies: float
    images: float = 60.0
    analysed_images: float = 30.0
    workers: float = 1.0
    gpu: float = 0.0
    streams: float = 1.0
    ledgers: float = 1.0
    hours: float = 24.0
    keep_days: float = 1.0
    reread: float = 0.0


def needs(demand: Demand, parts: Parts) -> dict[str, Any]:
    """Return how long each resource is needed, which one breaks first, and how much disk it takes.

    Returns
    -------
    dict
        ``seconds_per_study`` of each resource, divided by how many there are of it; ``first`` to
        break; ``studies_per_day`` at most; of a re-read ``days``, of live work ``utilisation``,
        the share of its time that the scarcest resource is busy; ``ledger_gib`` (of a re-read
        altogether, else in a year), ``spool_gib`` and ``results_gib`` (while images are kept).
    """
    seconds = seconds_per_study(demand, parts)
    first = max(seconds, key=lambda name: seconds[name])
    usable_s = demand.hours * 3600.0
    per_day = usable_s / seconds[first]
    is_reread = demand.reread > 0
    daily = min(per_day, demand.studies) if is_reread else demand.studies
    kept = min(daily * demand.keep_days, demand.studies if is_reread else float("inf"))
    rows = parts.ledger_bytes + parts.ledger_image_bytes * demand.images
    written = demand.studies if is_reread else demand.studies * 365
    return {
        "seconds_per_study": seconds,
        "first": first,
        "studies_per_day": per_day,
        **(
            {"days": demand.studies / per_day}
            if is_reread
            else {"utilisation": demand.studies / per_day}
        ),
        "ledger_gib": written * rows / _GIB,
        "spool_gib": kept * demand.images * parts.image_bytes / _GIB,
        "results_gib": kept * parts.result_bytes / _GIB,
    }


def seconds_per_study(demand: Demand, parts: Parts) -> dict[str, float]:
    """Return for each resource how long a study keeps it busy, divided by how many there are."""
    if demand.gpu:
        analysis_s = parts.gpu_s + parts.gpu_image_s * demand.analysed_images
    else:
        analysis_s = parts.analysis_s + parts.analysis_image_s * demand.analysed_images
    seconds = {
        "workers": (analysis_s + parts.engine_s) / demand.workers,
        "ledger": (parts.lock_s + parts.lock_image_s * demand.images) / demand.ledgers,
    }
    if demand.reread:
        fetch_s = parts.query_s + parts.fetch_image_s * demand.images
        return {**seconds, "fetching": fetch_s / demand.streams}
    return {**seconds, "receiver": parts.receive_image_s * demand.images / demand.streams}


def demand_of(words: Mapping[str, str]) -> Demand:
    """Return a demand from words like ``studies=10e6``. Raises ValueError."""
    known = {one.name for one in fields(Demand)}
    if unknown := set(words) - known:
        raise ValueError(f"{', '.join(sorted(unknown))}: there are {', '.join(sorted(known))}")
    numbers = {name: float(value) for name, value in words.items()}
    demand = Demand(studies=numbers.pop("studies", 100.0), **numbers)
    if min(demand.workers, demand.streams, demand.ledgers, demand.hours, demand.studies) <= 0:
        raise ValueError("workers, streams, ledgers, hours and studies are positive")
    return demand


#: What docs/scale/model.md tells of.
CASES: Mapping[str, Demand] = {
    "1 site": Demand(studies=60, workers=1, keep_days=30),
    "20 sites, one node": Demand(studies=20 * 60, workers=1, keep_days=30),
    "20 sites, one node, 1 GPU": Demand(studies=20 * 60, workers=1, gpu=1, keep_days=30),
    "national, 1 node, 2 workers": Demand(studies=10e6, workers=2, reread=1),
    "national, 1 node, 1 GPU": Demand(studies=10e6, gpu=1, reread=1),
    "national, 8 nodes, 8 GPUs": Demand(
        studies=10e6, workers=8, gpu=1, streams=8, ledgers=8, reread=1
    ),
    "national, 8 hosts, one ledger": Demand(
        studies=10e6, workers=8, gpu=1, streams=8, ledgers=1, reread=1
    ),
    "national, 32 nodes, 32 GPUs": Demand(
        studies=10e6, workers=32, gpu=1, streams=32, ledgers=32, reread=1
    ),
}


def table(parts: Parts) -> dict[str, dict[str, Any]]:
    """Return the cases with what they need."""
    return {
        name: {"demand": asdict(demand), **needs(demand, parts)} for name, demand in CASES.items()
    }
