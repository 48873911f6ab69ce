"""Back-off."""

from datetime import timedelta

import pytest
from node_builders import START

from dicom_node.jobs.retry import RetryPolicy, next_attempt


def test_waits_double_up_to_the_cap_and_then_it_gives_up():
    """5, 10, 20, 40 and then 60 s, which is the cap; the sixth failure was the last attempt."""
    policy = RetryPolicy(max_attempts=6, first_delay_s=5, factor=2, cap_s=60)

    waits = [next_attempt(policy, failures=failures, now=START) for failures in range(1, 7)]

    assert waits == [*(START + timedelta(seconds=s) for s in (5, 10, 20, 40, 60)), None]


def test_many_failures_do_not_overflow():
    """A peer that is away for months costs no huge number."""
    policy = RetryPolicy(max_attempts=100_001, first_delay_s=1, factor=10, cap_s=3600)

    assert next_attempt(policy, failures=100_000, now=START) == START + timedelta(hours=1)


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"first_delay_s": -1}, {"cap_s": -1}, {"factor": 0.5}]
)
def test_a_policy_without_sense_cannot_be_built(wrong):
    """Each of the four numbers has a bound."""
    with pytest.raises(ValueError, match="must"):
        RetryPolicy(**{"max_attempts": 3, "first_delay_s": 1.0} | wrong)
