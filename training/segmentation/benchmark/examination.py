"""The examination of one bundle: every held-out scan through the product's own line."""

import ctypes
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model_bundle import load_bundle
from pipeline.segmentation.segmenter import Segmenter, load_segmenter
from training.cohort.case import IGNORED, Case
from training.cohort.folder import ScanFile
from training.evaluation.scan_score import score_scan
from training.segmentation.benchmark.scan_row import ScanRow, append_row, read_rows
from training.segmentation.evaluation import volume_of
from training.segmentation.peak_memory import PeakMemory

if TYPE_CHECKING:
    from pipeline.model_bundle import ModelBundle

ROWS_FILE = "scans.jsonl"
MASKS_FOLDER = "masks"

OnScan = Callable[[int], None]


def _load(bundle: "ModelBundle", device: torch.device) -> Segmenter:
    return load_segmenter(bundle, device=device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """What all contestants are examined with.

    Attributes
    ----------
    scans : tuple of ScanFile
        Held-out scans.
    device : torch.device
        Where networks run.
    clock : callable
        Seconds, rising.
    load : callable
        From a bundle and a device to a segmenter: the product's own way.
    """

    scans: tuple[ScanFile, ...]
    device: torch.device
    clock: Callable[[], float]
    load: Callable[["ModelBundle", torch.device], Segmenter] = _load

    def examine(
        self, name: str, bundle_path: Path, folder: Path, *, on_scan: OnScan
    ) -> list[ScanRow]:
        """Return one row per scan; scans that stand in the folder are not done again.

        Masks go to ``masks/``, rows to ``scans.jsonl``, each as soon as it is there.

        Raises
        ------
        ModelBundleError
            If the bundle cannot be used.
        """
        floor_mb = settled_memory_mb(self.device.type)
        bundle = load_bundle(bundle_path, task="segmentation")
        rows = {
            row.score.case_id: row
            for row in read_rows(folder / ROWS_FILE, bundle_sha256=bundle.digest)
        }
        pending = [scan for scan in self.scans if scan.case_id not in rows]
        if pending:
            self._examine(name, bundle, pending, folder, rows, floor_mb=floor_mb, on_scan=on_scan)
        return [rows[scan.case_id] for scan in self.scans]

    def _examine(
        self,
        name: str,
        bundle: "ModelBundle",
        pending: Sequence[ScanFile],
        folder: Path,
        rows: dict[str, ScanRow],
        *,
        floor_mb: float,
        on_scan: OnScan,
    ) -> None:
        segmenter = self.load(bundle, self.device)
        segmenter.warm_up()
        for scan in pending:
            case = scan.read()
            row, mask = self._row(name, bundle.digest, segmenter, case, floor_mb=floor_mb)
            save_mask(folder / MASKS_FOLDER, case.case_id, mask)
            append_row(folder / ROWS_FILE, row)
            rows[scan.case_id] = row
            on_scan(len(rows))

    def _row(
        self, name: str, digest: str, segmenter: Segmenter, case: Case, *, floor_mb: float
    ) -> tuple[ScanRow, NDArray[np.bool_]]:
        volume = volume_of(case)
        memory = PeakMemory(self.device.type)
        start = self.clock()
        mask = segmenter.segment(volume).hematoma.voxels_zyx
        seconds = self.clock() - start
        row = ScanRow(
            contestant=name,
            bundle_sha256=digest,
            score=score_scan(
                mask,
                case.label_zyx == 1,
                known=case.label_zyx != IGNORED,
                spacing_zyx_mm=case.spacing_zyx_mm,
                case_id=case.case_id,
                patient_id=case.patient_id,
            ),
            seconds=seconds,
            peak_memory_mb=max(memory.megabytes - floor_mb, 0.0),
        )
        return row, mask


def settled_memory_mb(device_type: str) -> float:
    """Return the memory that is held after giving back what is no longer used, in 10^6 bytes."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps what was freed
    if trim is not None:
        trim(0)
    return PeakMemory(device_type).megabytes


def save_mask(folder: Path, case_id: str, mask: NDArray[np.bool_]) -> None:
    """Write a mask, eight voxels to the byte."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{case_id}.part.npz"
    np.savez_compressed(partial, bits=np.packbits(mask), shape=np.array(mask.shape))
    partial.replace(folder / f"{case_id}.npz")


def load_mask(folder: Path, case_id: str) -> NDArray[np.bool_]:
    """Return the mask that `save_mask` wrote, shape (Z, Y, X)."""
    with np.load(folder / f"{case_id}.npz", allow_pickle=False) as stored:
        shape = tuple(int(size) for size in stored["shape"])
        bits = np.unpackbits(stored["bits"], count=int(np.prod(shape)))
    return np.asarray(bits.reshape(shape), dtype=np.bool_)


def count_parameters(bundle_path: Path) -> int:
    """Return how many numbers a bundle's network has learnt, shared ones once.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read or its architecture is unknown.
    """
    from pipeline.model_bundle import load_card
    from pipeline.segmentation.networks.registry import build_network

    card = load_card(bundle_path)
    with torch.device("meta"):
        network = build_network(card.architecture, card.architecture_arguments)
    return sum(parameter.numel() for parameter in network.parameters())
