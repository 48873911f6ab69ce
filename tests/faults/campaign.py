"""The fault campaign: a history of three scans, disturbed at every moment that it has.

The history (`faults.history`): a first scan is sent, analysed, delivered to an archive that
commits itself and to one that is spoken to by STOW-RS; an earlier scan is fetched from a PACS; a
second one of the same patient comes out of order and in two parts, with an image sent twice and
another sent again with other content; a worker reads and looks at it while it comes; it is
analysed and compared; then a late image of the first scan reopens it. Models on trial repeat every
analysis. The sender asks the node for storage commitment and hangs up; the archive loses an
answer, gives others late and twice, and disowns an object. A PACS that does not answer at first
and hangs up in the midst of a fetch is read again, and then a folder, with studies that the node
has and others. A worklist orders the analysis of three scans: one that is here, one to be fetched
and one that nobody has. Audit trail and alerts are kept. In the end everything is purged by its
age, and the first scan is sent once more.
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

from faults import correspondence, rereads, roles, tasks
from faults.history import Step, history
from faults.invariants import repeats, violations
from faults.ledgers import Files
from faults.points import BEGIN, DEADLY, Doom, Fault
from faults.stage import FILES, NO_DOOM, Stage

#: More kinds of moments than any step has.
_MOST_STRIKES = 100


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


class Campaign:
    """Strikes at a history.

    Parameters
    ----------
    folder
        Where nodes are put up; each is deleted after its strike.
    seed
        Of what is drawn by chance.
    only
        Words: only steps are struck at whose names hold one of them; none: all are.
    ledgers
        Where ledgers lie.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        only: Sequence[str] = (),
        ledgers: Files = FILES,
    ) -> None:
        self._folder = folder
        self.ledgers = ledgers
        self._chance = random.Random(seed)  # noqa: S311 - a draw, no secret
        self.steps, self._taken, self._prior = history()
        self._only = tuple(only)
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

    def is_struck(self, step: Step) -> bool:
        """Return whether a step is one that is struck at."""
        return not self._only or any(word in step.name for word in self._only)

    def every_moment(self, fault: Fault) -> Iterator[tuple[int, int]]:
        """Yield each step and each of its moments that a fault can strike at."""
        for number, moments in enumerate(self._moments):
            if not self.is_struck(self.steps[number]):
                continue
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

        A step is begun again after each strike, as a supervisor does it. Where only some steps are
        struck, each of them is at every kind of moment that it has.
        """
        stage = self._new("struck")
        spared: set[str] = set()
        for step in self.steps:
            if self._only:
                spared = set()
            for _ in range(_MOST_STRIKES):
                doom = Doom(fault=fault, spared=frozenset(spared))
                life, is_sent = step.run(stage, doom if self.is_struck(step) else NO_DOOM)
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
        wild = [
            n
            for n, one in enumerate(self.steps)
            if one.images or one.action in {rereads.reader, tasks.performer}
        ]
        number = self._chance.choice([n for n in wild if self.is_struck(self.steps[n])] or wild)
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
                (rereads.reader, self._by_chance(60)),
                (tasks.performer, self._by_chance(60)),
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
        if campaign.is_struck(campaign.steps[number])
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
