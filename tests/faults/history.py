"""What happens to the node of the campaign, step by step."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from faults import correspondence, rereads, roles, tasks
from faults.roles import World
from faults.stage import NO_DOOM, Doom, Life, Stage
from node_builders import small_series
from pydicom.dataset import Dataset

#: The fewest slices that default selection takes, and one that comes late.
_SLICES = 11

#: Without this one of them a series has a gap.
_INNER = 5

#: Within the quiet time.
_AT_ONCE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of the history: images are sent, or a process of the node works."""

    name: str
    images: tuple[Dataset, ...] = ()
    action: Callable[[World], None] | None = None
    after: timedelta = timedelta(seconds=200)

    def run(self, stage: Stage, doom: Doom = NO_DOOM) -> tuple[Life, bool]:
        """Let it happen; return how the process lived and whether all images were acknowledged."""
        stage.turn(self.after)
        if self.action is None:
            return stage.receive(self.images, doom)
        return stage.live(self.action, doom), True


def history() -> tuple[tuple[Step, ...], dict[str, str], tuple[Dataset, ...]]:
    """Return the steps, when the scan of each series was taken, and what the PACS has."""
    first = small_series(_SLICES, seed=1, study_uid="1.2.1")
    second = small_series(_SLICES, seed=2, study_uid="1.2.2")
    other = small_series(_SLICES, seed=3, study_uid="1.2.2")[4]
    for name in ("SOPInstanceUID", "SeriesInstanceUID"):
        setattr(other, name, getattr(second[4], name))
    shuffled = random.Random(6).sample(second, len(second))  # noqa: S311 - an order, no secret
    begun = tuple(image for image in shuffled if image is not second[_INNER])
    prior = small_series(_SLICES, seed=4, study_uid="1.2.0")
    steps = [Step(name="receiver first scan", images=tuple(first[:-1]))]
    steps += _work("first scan")
    steps += _letters("first scan")
    steps += _work("earlier scan")
    steps += [
        Step(name="receiver second scan", images=begun),
        Step(name="worker reads second scan early", action=roles.worker, after=_AT_ONCE),
        Step(name="receiver rest of second scan", images=(second[_INNER], second[3], other)),
        Step(
            name="worker begins early with second scan",
            action=roles.early_worker,
            after=_AT_ONCE,
        ),
    ]
    steps += _work("second scan")
    steps += _letters("second scan")
    steps += [Step(name="receiver late image", images=(first[-1],))]
    steps += _work("late image")
    steps += _letters("late image")
    for where, begin in (("PACS", rereads.begin_archive), ("folder", rereads.begin_folder)):
        steps += [
            Step(name=f"operator wants re-read of {where}", action=begin),
            Step(name=f"office begins re-read of {where}", action=rereads.reader),
            Step(name=f"office goes on with re-read of {where}", action=rereads.reader),
            Step(name=f"office fetches rest of re-read of {where}", action=rereads.reader),
        ]
        steps += _work(f"re-read of {where}")
        steps += [Step(name=f"office ends re-read of {where}", action=rereads.reader)]
    steps += [
        Step(name="requester orders workitems", action=tasks.order),
        Step(name="performer claims workitems", action=tasks.performer),
        Step(name="performer fetches for a workitem", action=tasks.performer),
    ]
    steps += _work("scan of a workitem")
    steps += [
        Step(name="performer completes workitems", action=tasks.performer),
        Step(
            name="performer gives a workitem up",
            action=tasks.performer,
            after=timedelta(hours=2),
        ),
        Step(name="janitor purges", action=correspondence.janitor, after=timedelta(days=30)),
        Step(name="receiver purged scan again", images=tuple(first)),
    ]
    steps += _work("purged scan again")
    steps += _letters("purged scan again")
    taken = {
        prior[0].SeriesInstanceUID: "2026-01-04T08:00:00",
        first[0].SeriesInstanceUID: "2026-01-05T08:00:00",
        second[0].SeriesInstanceUID: "2026-01-06T08:00:00",
        **rereads.TAKEN,
        **tasks.TAKEN,
    }
    return tuple(steps), taken, tuple(prior)


def _work(of: str) -> list[Step]:
    return [
        Step(name=f"office assembles {of}", action=roles.office),
        Step(name=f"worker {of}", action=roles.worker),
        Step(name=f"office delivers {of}", action=roles.office),
    ]


def _letters(after: str) -> list[Step]:
    lives = {
        "seeker": correspondence.seeker,
        "notary": correspondence.notary,
        "receiver takes reports": correspondence.reports,
        "receiver vouches": correspondence.desk,
        "reporter": correspondence.reporter,
        "clerk": correspondence.clerk,
    }
    return [Step(name=f"{name} after {after}", action=life) for name, life in lives.items()]
