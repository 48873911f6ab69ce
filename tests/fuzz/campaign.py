"""One target, many cases: mutate what is interesting, keep what goes new ways, note faults."""

import hashlib
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.edges import ROOT, Edges
from fuzz.memory import Appetite
from fuzz.mutation import Mutation, blind, mutated

#: A case may take this long. Loaded machines are slow; a bomb takes for ever.
CASE_S = 10.0


class HangError(Exception):
    """A case took too long."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser under attack.

    Attributes
    ----------
    name : str
        For reports and folders.
    seeds : Sequence of bytes
        Good inputs.
    check : Callable
        Handles an input. Returns whatever it makes of it, or raises what only damage explains.
    mutations : Sequence of Mutation
        How inputs are changed.
    watched : Sequence of str
        Files or folders of the checkout that guide the campaign; none where threads do the work.
    """

    name: str
    seeds: Sequence[bytes]
    check: Callable[[bytes], None]
    mutations: Sequence[Mutation] = (blind,)
    watched: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A case that was not handled.

    Attributes
    ----------
    what : str
        Exception and place, the same for all cases of one kind.
    data : bytes
        The input.
    """

    what: str
    data: bytes


@dataclass(kw_only=True)
class Outcome:
    """What a campaign has found.

    Attributes
    ----------
    cases : int
        How many were tried.
    failures : dict of str to Failure
        One of each kind.
    interesting : list of bytes
        Inputs that went new ways.
    edges : int
        How many steps from line to line were seen.
    seconds : float
        How long it took.
    worst_mb : float
        The most memory that a few cases in a row took beside what there was before them.
    grown_mb : float
        How much more memory the process had in use at the end than after its good inputs.
    """

    cases: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)
    interesting: list[bytes] = field(default_factory=list)
    edges: int = 0
    seconds: float = 0.0
    worst_mb: float = 0.0
    grown_mb: float = 0.0


def corpus_of(target: str) -> list[bytes]:
    """Return the kept inputs of a target."""
    folder = ROOT / "tests" / "fuzz" / "corpus" / target
    return [path.read_bytes() for path in sorted(folder.glob("*.bin"))]


def keep(folder: Path, data: bytes) -> Path:
    """Write an input under a name that its content gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
    path.write_bytes(data)
    return path


def attack(
    target: Target,
    *,
    cases: int,
    seed: int,
    deadline: float = float("inf"),
    before_case: Callable[[int, bytes], None] = lambda _number, _data: None,
) -> Outcome:
    """Try seeds, corpus and so many mutated cases, until the deadline of the monotonic clock."""
    random = Random(seed)  # noqa: S311 - no secrets
    outcome, edges, appetite = Outcome(), Edges(target.watched), Appetite()
    pool = [*target.seeds, *corpus_of(target.name)]
    started, given = time.monotonic(), len(pool)
    for number in range(cases + given):
        if time.monotonic() > deadline:
            break
        known = number < given
        data = pool[number] if known else mutated(random.choice(pool), random, target.mutations)
        before_case(number, data)
        outcome.cases += 1
        is_new = _try(target, edges, data, outcome)
        if is_new and not known:
            pool.append(data)
            outcome.interesting.append(data)
        if number == given - 1:
            appetite.begin()
        elif not known:
            appetite.after_case()
    appetite.end()
    outcome.edges = len(edges.known)
    outcome.seconds = time.monotonic() - started
    outcome.worst_mb, outcome.grown_mb = appetite.worst_mb, appetite.grown_mb
    return outcome


def _try(target: Target, edges: Edges, data: bytes, outcome: Outcome) -> bool:
    before = signal.signal(signal.SIGALRM, _hang)
    signal.setitimer(signal.ITIMER_REAL, CASE_S)
    try:
        return edges.run(target.check, data)
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        signal.setitimer(signal.ITIMER_REAL, 0)
        what = describe(error)
        outcome.failures.setdefault(what, Failure(what=what, data=data))
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _hang(number: int, frame: object) -> None:
    del number, frame
    raise HangError(f"longer than {CASE_S:g} s")


def describe(error: BaseException) -> str:
    """Return type and last place within the checkout, and the place where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if "site-packages" not in one.filename and "fuzz" not in one.name]
    places = [*own[-1:], *frames[-1:]]
    words = [f"{Path(one.filename).name}:{one.name}" for one in places]
    return " < ".join([type(error).__name__, *reversed(words)])
