"""Where nnU-Net finds and leaves its files below a run's folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: nnU-Net wants a number from 1 to 999 and a name.
DATA_SET = "Dataset501_Ichnode"
DATA_SET_ID = 501

#: Configuration of its plans that is trained.
CONFIGURATION = "3d_fullres"
PLANS = "nnUNetPlans"
FOLD = 0

#: Name by which nnU-Net looks up our trainer in the folder below.
TRAINER = "IchnodeTrainer"
EXTERNAL_TRAINERS = Path(__file__).parent / "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class NnunetLayout:
    """The folders of one run.

    Attributes
    ----------
    root : Path
        The run's folder ``nnunet``; nothing is written outside it.
    """

    root: Path

    @property
    def raw(self) -> Path:
        """Raw data set: images and labels as NIfTI."""
        return self.root / "raw" / DATA_SET

    @property
    def preprocessed(self) -> Path:
        """Plans, fingerprint, split and normalised images."""
        return self.root / "preprocessed" / DATA_SET

    @property
    def plans(self) -> Path:
        """The plans, which also carry our settings."""
        return self.preprocessed / f"{PLANS}.json"

    @property
    def results(self) -> Path:
        """Checkpoints and logs."""
        trained = f"{TRAINER}__{PLANS}__{CONFIGURATION}"
        return self.root / "results" / DATA_SET / trained / f"fold_{FOLD}"


@contextmanager
def nnunet_environment(layout: NnunetLayout, *, workers: int) -> Iterator[None]:
    """Let nnU-Net find its folders and our trainer, and leave the environment as it was.

    nnU-Net takes its configuration from environment variables and from nowhere else; it reads
    the folders whenever it needs them.

    Parameters
    ----------
    layout : NnunetLayout
        The run's folders.
    workers : int
        Processes that augment; 0 augments in the training process.
    """
    values = {
        "nnUNet_raw": str(layout.root / "raw"),
        "nnUNet_preprocessed": str(layout.root / "preprocessed"),
        "nnUNet_results": str(layout.root / "results"),
        "nnUNet_extTrainer": str(EXTERNAL_TRAINERS),
        # Compiling takes minutes, on processors without a compiler it fails.
        "nnUNet_compile": "false",
        "nnUNet_n_proc_DA": str(workers),
        "nnUNet_def_n_proc": "1",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
