"""That the judge of a soak tells memory that grows from memory that does not."""

import os

import numpy as np
import pytest
from soak.memory import MOST_STEP_MIB, Samples, growth, resident_mib

INSTANCES = 10_000


#: A step as it was seen once in a soak, and what a leak of 1 KiB an instance comes to.
STEP_MIB = 1.9
KIBIBYTE_EACH = 1000 / 1024


def samples(per_thousand, *, noise_mib=1.0, warm_up_mib=80.0, steps_at=(), step_mib=STEP_MIB):
    """Return a process that warms up over the first 1,500 instances and then grows.

    At each of the shares `steps_at` of the soak it takes so many MiB at once.
    """
    chance = np.random.default_rng(5)
    done = np.linspace(0, INSTANCES, 1200).astype(int)
    warm = warm_up_mib * np.minimum(1.0, done / 1500)
    mib = 120 + warm + per_thousand * done / 1000 + chance.normal(0, noise_mib, done.size)
    for share in steps_at:
        mib += step_mib * (done > share * INSTANCES)
    return Samples(at_s=list(range(done.size)), done=list(done), mib=list(mib))


def test_memory_that_only_warms_up_is_flat():
    """80 MiB in the first 15 % are no leak."""
    found = growth(samples(0.0), instances=INSTANCES, warm_up=0.2)

    assert found.is_flat
    assert found.low < 0 < found.high


@pytest.mark.parametrize("per_thousand", [0.5, 2.0])
def test_memory_that_grows_with_every_instance_is_not(per_thousand):
    """5 MiB over the whole soak are seen beside noise of 1 MiB, and measured."""
    found = growth(samples(per_thousand), instances=INSTANCES, warm_up=0.2)

    assert not found.is_flat
    assert found.low < per_thousand < found.high


def test_a_growth_of_nothing_is_flat_however_sure():
    """Without noise any slope is certain; 0.1 MiB in 200 over the whole soak is none."""
    found = growth(samples(0.01, noise_mib=0.0), instances=INSTANCES, warm_up=0.2)

    assert found.is_flat


@pytest.mark.parametrize("noise_mib", [0.0, 0.2])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.6, 0.75, 0.9, 0.97, 0.99])
def test_a_plateau_with_one_step_is_flat(share, noise_mib):
    """1.9 MiB taken once, wherever in the soak, before a plateau and behind another."""
    found = growth(
        samples(0.0, noise_mib=noise_mib, steps_at=(share,)), instances=INSTANCES, warm_up=0.2
    )

    assert found.is_flat


@pytest.mark.parametrize("share", [0.58, 0.60, 0.62])
def test_the_step_is_measured_where_it_is(share):
    """A step of 1.9 MiB, its place told to a part's length (400)."""
    found = growth(
        samples(0.0, noise_mib=0.1, steps_at=(share,)), instances=INSTANCES, warm_up=0.2
    )

    assert found.step_mib == pytest.approx(STEP_MIB, abs=0.2)
    assert found.step_at == pytest.approx(share * INSTANCES, abs=400)


@pytest.mark.parametrize("noise_mib", [0.0, 0.2, 1.0, 3.0])
@pytest.mark.parametrize("steps_at", [(), (0.6,)])
def test_a_leak_of_1_kib_an_instance_is_seen_beside_a_step_and_noise(noise_mib, steps_at):
    """What a step explains is taken from no leak."""
    found = growth(
        samples(KIBIBYTE_EACH, noise_mib=noise_mib, steps_at=steps_at),
        instances=INSTANCES,
        warm_up=0.2,
    )

    assert not found.is_flat


@pytest.mark.parametrize("every", [0.1, 0.2])
def test_a_leak_that_comes_in_steps_is_seen(every):
    """An allocator takes 1 or 2 MiB at once for what leaks 1 KiB at a time; one step passes."""
    found = growth(
        samples(
            0.0,
            noise_mib=0.1,
            steps_at=np.arange(0.05, 1, every),
            step_mib=KIBIBYTE_EACH * every * INSTANCES / 1000,
        ),
        instances=INSTANCES,
        warm_up=0.2,
    )

    assert not found.is_flat


def test_a_large_step_is_not_let_pass():
    """Who takes more than two huge pages at once has to be looked at."""
    found = growth(
        samples(0.0, noise_mib=0.1, steps_at=(0.6,), step_mib=MOST_STEP_MIB + 1),
        instances=INSTANCES,
        warm_up=0.2,
    )

    assert not found.is_flat


@pytest.mark.parametrize("noise_mib", [0.1, 1.0, 3.0])
def test_noise_is_no_growth(noise_mib):
    """A plateau stays one whatever is laid over it."""
    assert growth(samples(0.0, noise_mib=noise_mib), instances=INSTANCES, warm_up=0.2).is_flat


def test_too_few_samples_are_no_soak():
    """A soak that was cut short gives no verdict."""
    short = Samples(at_s=[1.0] * 5, done=[9000] * 5, mib=[100.0] * 5)

    with pytest.raises(ValueError, match="needed are 20"):
        growth(short, instances=INSTANCES, warm_up=0.2)


def test_this_process_has_memory_and_a_dead_one_none():
    """Read from the system: more than ten MiB for a Python with NumPy."""
    resident, own = resident_mib(os.getpid())

    assert resident > own > 10
    assert resident_mib(2**22 + 1) is None
