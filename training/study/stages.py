"""The stages of the study, in an order in which each comes after those that it reads."""

from training.study.benchmark_stage import BENCHMARK
from training.study.classification_stage import CLASSIFICATION
from training.study.flow_stage import FLOW
from training.study.growth_stage import GROWTH
from training.study.patients_stage import PATIENTS
from training.study.readers_stage import READERS
from training.study.segmentation_stage import SEGMENTATION
from training.study.slices_stage import SLICES
from training.study.stage import Stage
from training.study.synthesis_stage import SYNTHESIS

#: A further stage takes its place here; the report then has a section of it.
STAGES: tuple[Stage, ...] = (
    FLOW,
    PATIENTS,
    BENCHMARK,
    SEGMENTATION,
    SLICES,
    SYNTHESIS,
    READERS,
    CLASSIFICATION,
    GROWTH,
)


def choose_stages(text: str) -> frozenset[str]:
    """Return the names in a list separated by commas; ``all`` for all of them.

    Raises
    ------
    ValueError
        If a name is unknown; names those there are.
    """
    known = [stage.name for stage in STAGES]
    wanted = known if text == "all" else [one.strip() for one in text.split(",") if one.strip()]
    for name in wanted:
        if name not in known:
            raise ValueError(f"Stage {name!r} is unknown; there are {', '.join(known)}")
    if not wanted:
        raise ValueError(f"--stages names none; there are {', '.join(known)}")
    return frozenset(wanted)
