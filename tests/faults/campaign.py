"""The fault campaign: a history of three scans, disturbed at every moment that it has.

The history: a first scan is sent, analysed, delivered to an archive that commits itself and to one
that is spoken to by STOW-RS; an earlier scan is fetched from a PACS; a second one of the same
patient comes out of order, with an image sent twice and another sent again with other content, is
analysed and compared; then a late image of the first scan reopens it. Models on trial repeat every
analysis. The sender asks the node for storage commitment and hangs up; the archive loses an
answer, gives others late and twice, and disowns an object. Audit trail and alerts are kept. In the
end everything is purged by its age, and the first scan is sent once more.
"""

import gc
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from faults import correspondence, roles
from faults.invariants import repeats, violations
from faults.ledgers import Files
from faults.points import BEGIN, DEADLY, Doom, Fault
from faults.roles import World
from faults.stage import FILES, NO_DOOM, Life, Stage
from node_builders import small_series
from pydicom.dataset import Dataset

#: The fewest slices that default selection takes, and one that comes late.
_SLICES = 11

#: More kinds of moments than any step has.
_MOST_STRIKES = 100


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One disturbance of the history and what came of it.

    Attributes
    ----------
    step, fault, moment : str
        Where in the history, what, and at which moment of the process.
    kills : int
        How many processes were killed.
    crash : str
        The exception that ended a process; the supervisor of a node starts it again.
    repeats : int
        Objects that the archive got again, the same to the byte.
    violations : tuple of str
        What was wrong when the node had come to rest.
    """

    step: str
    fault: str
    moment: str
    kills: int = 0
    crash: str = ""
    repeats: int = 0
    violations: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Report:
    """All strikes of a campaign."""

    strikes: list[Strike] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(one.kills for one in self.strikes)

    @property
    def crashes(self) -> int:
        """How many processes ended by an exception."""
        return sum(bool(one.crash) for one in self.strikes)

    @property
    def per_fault(self) -> dict[str, int]:
        """How many strikes there were of each fault."""
        return dict(Counter(one.fault for one in self.strikes))

    @property
    def moments(self) -> list[str]:
        """Which kinds of moments were struck at."""
        return sorted({one.moment for one in self.strikes if ": " in one.moment})

    def _table(self, name_of: Callable[[Strike], str]) -> dict[str, dict[str, int]]:
        """Return how many strikes of each fault there were, by a name."""
        table: dict[str, Counter[str]] = {}
        for one in self.strikes:
            table.setdefault(name_of(one), Counter())[one.fault] += 1
        return {name: dict(counts) for name, counts in sorted(table.items())}

    def facts(self) -> dict[str, object]:
        """Return what the report says, as plain JSON."""
        found = [text for one in self.strikes for text in one.violations]
        kinds = {kind: sum(text.startswith(kind) for text in found) for kind in KINDS}
        return {
            "strikes": len(self.strikes),
            "kills": self.kills,
            "per_fault": self.per_fault,
            "moments": self.moments,
            "per_moment": self._table(lambda one: one.moment if ": " in one.moment else "other"),
            "per_step": self._table(lambda one: one.step),
            **kinds,
            "repeats": sum(one.repeats for one in self.strikes),
            "crashes": dict(Counter(one.crash for one in self.strikes if one.crash)),
            "seconds": round(self.seconds, 1),
            "failures": [asdict(one) for one in self.strikes if one.violations],
        }


KINDS = ("lost", "doubled", "stuck", "wrong")


def history() -> tuple[tuple[Step, ...], dict[str, str], tuple[Dataset, ...]]:
    """Return the steps, when the scan of each series was taken, and what the PACS has."""
    first = small_series(_SLICES, seed=1, study_uid="1.2.1")
    second = small_series(_SLICES, seed=2, study_uid="1.2.2")
    other = small_series(_SLICES, seed=3, study_uid="1.2.2")[4]
    for name in ("SOPInstanceUID", "SeriesInstanceUID"):
        setattr(other, name, getattr(second[4], name))
    shuffled = random.Random(6).sample(second, len(second))  # noqa: S311 - an order, no secret
    prior = small_series(_SLICES, seed=4, study_uid="1.2.0")
    steps = [Step(name="receiver first scan", images=tuple(first[:-1]))]
    steps += _work("first scan")
    steps += _letters("first scan")
    steps += _work("earlier scan")
    steps += [Step(name="receiver second scan", images=(*shuffled, second[3], other))]
    steps += _work("second scan")
    steps += _letters("second scan")
    steps += [Step(name="receiver late image", images=(first[-1],))]
    steps += _work("late image")
    steps += _letters("late image")
    steps += [
        Step(name="janitor purges", action=correspondence.janitor, after=timedelta(days=30)),
        Step(name="receiver purged scan again", images=tuple(first)),
    ]
    steps += _work("purged scan again")
    steps += _letters("purged scan again")
    taken = {
        prior[0].SeriesInstanceUID: "2026-01-04T08:00:00",
        first[0].SeriesInstanceUID: "2026-01-05T08:00:00",
        second[0].SeriesInstanceUID: "2026-01-06T08:00:00",
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


class Campaign:
    """Strikes at a history.

    Parameters
    ----------
    folder
        Where nodes are put up; each is deleted after its strike.
    seed
        Of what is drawn by chance.
    ledgers
        Where ledgers lie.
    """

    def __init__(self, folder: Path, *, seed: int = 0, ledgers: Files = FILES) -> None:
        self._folder = folder
        self.ledgers = ledgers
        self._chance = random.Random(seed)  # noqa: S311 - a draw, no secret
        self.steps, self._taken, self._prior = history()
        self.report = Report()
        self._snapshots: list[Stage] = []
        self._moments: list[tuple[str, ...]] = []

    def shuffled(self, deeds: list[Callable[[], Strike]]) -> list[Callable[[], Strike]]:
        """Return deeds in an order by chance: a campaign that is cut short saw all kinds."""
        return self._chance.sample(deeds, len(deeds))

    def rehearse(self) -> Strike:
        """Run the history undisturbed; keep the node before each step, and the step's moments."""
        stage = self._new("rehearsal")
        for number, step in enumerate(self.steps):
            self._snapshots.append(stage.copy(self._folder / f"before-{number}"))
            life, is_sent = step.run(stage)
            assert is_sent, step.name
            assert not life.crash, life.crash
            self._moments.append(life.moments)
        stage.come_to_rest((), is_sent=True)
        gc.freeze()  # a fork then shares what is here, and is quick
        return self._note(Strike(step="history", fault=Fault.NONE, moment="-"), stage)

    def _new(self, name: str) -> Stage:
        return Stage(self._folder / name, self._taken, self._prior, self.ledgers)

    def every_moment(self, fault: Fault) -> Iterator[tuple[int, int]]:
        """Yield each step and each of its moments that a fault can strike at."""
        for number, moments in enumerate(self._moments):
            counted = [one for one in moments if fault not in DEADLY or not one.endswith(BEGIN)]
            for at in range(len(counted)):
                yield number, at

    def strike(self, number: int, at: int, fault: Fault) -> Strike:
        """Disturb one step at one moment, let the rest of the history follow, and judge."""
        stage = self._snapshots[number].copy(self._folder / "struck")
        step = self.steps[number]
        life, is_sent = step.run(stage, Doom(fault=fault, at=at))
        stage.come_to_rest(step.images, is_sent=is_sent)
        strike = Strike(
            step=step.name,
            fault=fault,
            moment=life.struck or f"at {at}",
            kills=int(bool(life.struck)),
            crash=life.crash.strip().rpartition("\n")[2],
        )
        return self._note(strike, stage)

    def chain(self, fault: Fault) -> None:
        """Run the history once; strike at the first of every kind of moment, wherever it comes.

        A step is begun again after each strike, as a supervisor does it.
        """
        stage = self._new("struck")
        spared: set[str] = set()
        for step in self.steps:
            for _ in range(_MOST_STRIKES):
                life, is_sent = step.run(stage, Doom(fault=fault, spared=frozenset(spared)))
                assert not life.crash, life.crash
                if not life.struck and is_sent:
                    break
                if life.struck:
                    spared.add(life.struck)
                    self.report.strikes.append(
                        Strike(step=step.name, fault=fault, moment=life.struck, kills=1)
                    )
        stage.come_to_rest((), is_sent=True)
        self._note(Strike(step="history", fault=fault, moment="every kind of moment"), stage)

    def storm(self, rounds: int = 6) -> Strike:
        """Let processes of two nodes work side by side; kill by chance, again and again."""
        number = self._chance.choice([n for n, one in enumerate(self.steps) if one.images])
        stage = self._snapshots[number].copy(self._folder / "struck")
        step, kills, is_sent = self.steps[number], 0, False
        for _ in range(rounds):
            if not is_sent:
                life, is_sent = step.run(stage, self._by_chance(60))
                kills += bool(life.struck)
            stage.turn(timedelta(seconds=self._chance.choice((1, 10, 70, 700))))
            lives = stage.live_together(
                (roles.office, self._by_chance(60)),
                (lambda world: roles.office(world, "office-of-another-node"), self._by_chance(60)),
                (roles.worker, self._by_chance(60)),
                (lambda world: roles.worker(world, "worker-1"), self._by_chance(60)),
                (correspondence.seeker, self._by_chance(60)),
                (correspondence.notary, self._by_chance(30)),
            )
            kills += sum(bool(life.struck) for life in lives)
        stage.come_to_rest(step.images, is_sent=is_sent)
        strike = Strike(step=step.name, fault="storm", moment="by chance", kills=kills)
        return self._note(strike, stage)

    def torn_line(self, cut_after: int) -> Strike:
        """Let the sender be gone after so many bytes, and repeat."""
        stage = self._snapshots[0].copy(self._folder / "struck")
        life, _ = stage.receive(self.steps[0].images, cut_after=cut_after)
        stage.come_to_rest(self.steps[0].images)
        strike = Strike(
            step=self.steps[0].name,
            fault="sender gone",
            moment=f"after {cut_after} bytes",
            crash=life.crash.strip().rpartition("\n")[2],
        )
        return self._note(strike, stage)

    def clock_jumps(self, jumps: Sequence[timedelta]) -> Strike:
        """Let the clock jump before each step."""
        stage = self._new("struck")
        for number, step in enumerate(self.steps):
            stage.turn(jumps[number % len(jumps)])
            # A sender repeats what was not acknowledged.
            assert any(step.run(stage)[1] for _ in range(_MOST_STRIKES))
        stage.come_to_rest((), is_sent=True)
        moment = ", ".join(str(jump) for jump in jumps)
        return self._note(Strike(step="history", fault="clock jumps", moment=moment), stage)

    def _by_chance(self, most: int) -> Doom:
        return Doom(fault=Fault.KILL, at=self._chance.randrange(most))

    def _note(self, strike: Strike, stage: Stage) -> Strike:
        """Judge a node that came to rest, and delete it."""
        done = Strike(
            **{
                **asdict(strike),
                "repeats": repeats(stage.scene),
                "violations": tuple(violations(stage.scene)),
            }
        )
        self.report.strikes.append(done)
        stage.remove()
        return done


def short(campaign: Campaign) -> None:
    """Strike once at every kind of moment of every process: for the test suite."""
    campaign.chain(Fault.KILL)


def long(campaign: Campaign, *, kills: int, on_strike: Callable[[Strike], None]) -> None:
    """Strike at the moments with every fault, in an order by chance; then go on until N kills.

    Of the moments so many are taken, at even distances, that all faults get their share.
    """
    on_strike(campaign.rehearse())
    deeds: list[Callable[[], Strike]] = [campaign.storm] * max(1, kills // 20)
    for fault in (Fault.KILL, Fault.POWER_CUT, Fault.REFUSED_ONCE, Fault.REFUSED_ON):
        deeds += [
            partial(campaign.strike, number, at, fault)
            for number, at in _spread(list(campaign.every_moment(fault)), kills)
        ]
    deeds += [
        partial(campaign.strike, number, limit, Fault.FILE_LIMIT)
        for number in range(0, len(campaign.steps), 3)
        for limit in (20_000, 60_000, 150_000, 400_000)
    ]
    deeds += [partial(campaign.torn_line, size) for size in (100, 1_000, 2_500, 5_000, 9_000)]
    for hours in campaign.ledgers.jumps_h:
        jumps = [timedelta(hours=hours), timedelta(hours=-hours), timedelta(0)]
        deeds.append(partial(campaign.clock_jumps, jumps))
        deeds.append(partial(campaign.clock_jumps, [-jumps[0], *jumps]))
    for deed in campaign.shuffled(deeds):
        on_strike(deed())
    while campaign.report.kills < kills:
        on_strike(campaign.storm())


def _spread(moments: list[tuple[int, int]], most: int) -> Iterable[tuple[int, int]]:
    """Return all moments, or so many of them at even distances."""
    return moments[:: max(1, len(moments) // max(1, most // 3))]


def timed(report: Report, work: Callable[[], None]) -> None:
    """Do the work and note how long it took."""
    begun = time.monotonic()
    work()
    report.seconds = time.monotonic() - begun
