"""The spool on file systems that die: see `faults.sudden_death`."""

import pytest
from faults.sudden_death import KINDS, can_die, die


@pytest.mark.parametrize("kind", KINDS)
def test_acknowledged_images_outlive_their_file_system(tmp_path, kind):
    """One sync per image is enough where the spool believes so."""
    if reason := can_die(kind):
        pytest.skip(reason)
    found = die(kind, tmp_path, seed=1)
    assert found.acknowledged > 0
    assert found.lost == 0
