"""Several processes train one network as one process would."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rank_program
import torch

from dicom_node.commands.demo_stage import free_ports
from training.cohort.case import Case, save_case
from training.segmentation.ranks import ALONE, Ranks, joined, own_device
from training.segmentation.run import train_architecture
from training.segmentation.trainer import Trainer

#: Only ever reached when something is wrong.
PATIENCE_S = 110


@pytest.fixture
def cases(tmp_path):
    """Return a folder of eight heads with a bright square each."""
    for number in range(8):
        rng = np.random.default_rng(number)
        hu = rng.normal(30, 3, (4, 48, 48))
        label = np.zeros(hu.shape, dtype=np.uint8)
        y, x = rng.integers(4, 24, size=2)
        label[:, y : y + 16, x : x + 16] = 1
        hu[label == 1] += 35
        case = Case(
            case_id=f"c{number}",
            patient_id=f"c{number}",
            source="toy",
            hu_zyx=hu.astype(np.int16),
            label_zyx=label,
            spacing_zyx_mm=(5.0, 2.0, 2.0),
        )
        save_case(tmp_path / "cases", case)
    return tmp_path / "cases"


def log_of(folder):
    with (folder / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def started(rank, port, arguments):
    """Start one process with what torchrun would tell it."""
    told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[3]
    told["PYTHONPATH"] = os.pathsep.join([str(root), str(root / "tests")])
    return subprocess.Popen(
        [sys.executable, rank_program.__file__, *map(str, arguments)],
        env=os.environ | told,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(2 * PATIENCE_S)
def test_two_processes_train_what_one_trains_with_both_patches(cases, tmp_path):
    """Equal weights on both, up to rounding those of one process, with its losses and scores."""
    (tmp_path / "held").mkdir()
    (port,) = free_ports(1)
    arguments = (cases, tmp_path / "two", tmp_path / "held")
    both = [started(rank, port, arguments) for rank in range(2)]
    alone = Trainer(rank_program.recipe(2), rank_program.pool_of(cases), folder=tmp_path / "one")
    alone.run()
    try:
        told = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], told

    first, second = (
        torch.load(tmp_path / "held" / f"{rank}.pt", weights_only=True) for rank in range(2)
    )
    for name, value in alone.network.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-4)
    rows, expected = log_of(tmp_path / "two"), log_of(tmp_path / "one")
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    for row, one in zip(rows, expected, strict=True):
        assert float(row["loss"]) == pytest.approx(float(one["loss"]), abs=2e-3)
        assert row["learning_rate"] == one["learning_rate"]
    resumed = Trainer(rank_program.recipe(2), rank_program.pool_of(cases), folder=tmp_path / "two")
    assert resumed.step == rank_program.STEPS
    assert torch.equal(next(resumed.network.parameters()), next(iter(first.values())))


def test_patches_are_shared_without_rest_or_repetition():
    """Every patch is one process's."""
    shares = [list(Ranks(rank=rank, size=3).share_of(6)) for rank in range(3)]

    assert shares == [[0, 3], [1, 4], [2, 5]]


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    """Before anything is read or written."""
    with pytest.raises(ValueError, match=r"batch_size is 3; 2 processes need a multiple of 2"):
        Trainer(
            rank_program.recipe(3),
            rank_program.pool_of(tmp_path),
            folder=tmp_path / "run",
            ranks=Ranks(rank=0, size=2),
        )

    assert not (tmp_path / "run").exists()


def test_without_torchrun_a_process_is_alone():
    """It leads, means its own values and takes the device that was asked for."""
    cpu = torch.device("cpu")
    with joined({}, cpu) as ranks:
        assert ranks == ALONE
        assert ranks.leads
        assert ranks.mean(3.0) == ranks.agreed(3.0) == 3.0
    assert own_device(cpu, {"LOCAL_RANK": "1"}) == cpu
    with pytest.raises(ValueError, match="numbers begin with 0"):
        joined({"RANK": "2", "WORLD_SIZE": "2"}, cpu).__enter__()


def test_other_loops_are_not_shared(cases, tmp_path):
    """Two processes in nnU-Net's loop would each write over the other's run."""
    with pytest.raises(ValueError, match="nnUNetv2_train -num_gpus"):
        train_architecture(
            "nnunet", cohort=cases, output=tmp_path / "run", ranks=Ranks(rank=1, size=2)
        )

    assert not (tmp_path / "run").exists()
