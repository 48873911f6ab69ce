"""Damaged instances are refused or read, but nothing else happens."""

import io
import random
import warnings

import pydicom
import pytest
from ct_builder import build_ct_series
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from pipeline.ct_series import read_ct_series
from pipeline.errors import SeriesRejectedError


def encoded(syntax: str) -> list[bytes]:
    """Return the files of a small series."""
    series = build_ct_series(slices=12, shape_yx=(48, 48))
    files = []
    for ds in series:
        if syntax != ExplicitVRLittleEndian:
            ds.compress(syntax)
        buffer = io.BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def damaged(files: list[bytes], seed: int) -> list[Dataset]:
    """Return the series with some bytes changed, or less if a file cannot be parsed at all."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable choice of bytes
    series = []
    for file in files:
        content = bytearray(file)
        for _ in range(rng.choice((0, 0, 3, 20))):
            content[rng.randrange(132, len(content))] = rng.randrange(256)
        try:
            series.append(pydicom.dcmread(io.BytesIO(bytes(content))))
        except Exception:  # noqa: BLE001, S112 - parsing is not what is tested here
            continue
    return series


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]
)
def test_damage_ends_in_a_volume_or_a_refusal(syntax):
    """Sixty damaged copies of a series: no other error leaves the reader.

    A decoder that panics would pass every handler and end the worker.
    """
    files = encoded(syntax)
    refusals = []

    for seed in range(60):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of what it parses
            series = damaged(files, seed)
        try:
            read_ct_series(series)
        except SeriesRejectedError as error:
            refusals.append(str(error))

    assert refusals
    assert not any("POISON" in refusal for refusal in refusals)
