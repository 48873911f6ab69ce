"""That the judge of a soak tells memory that grows from memory that does not."""

import os

import numpy as np
import pytest
from soak.memory import Samples, growth, resident_mib

INSTANCES = 10_000


def samples(per_thousand, *, noise_mib=1.0, warm_up_mib=80.0):
    """Return a process that warms up over the first 1,500 instances and then grows."""
    chance = np.random.default_rng(5)
    done = np.linspace(0, INSTANCES, 1200).astype(int)
    warm = warm_up_mib * np.minimum(1.0, done / 1500)
    mib = 120 + warm + per_thousand * done / 1000 + chance.normal(0, noise_mib, done.size)
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
