"""Stored values become Hounsfield units, whatever the encoding."""

import struct

import numpy as np
import pytest
from ct_builder import build_ct_series, set_pixels
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.ct_series import read_ct_series
from pipeline.ct_series.codestream import frame_size
from pipeline.ct_series.decoding import decode_hu, is_lossy
from pipeline.ct_series.header import ImageHeader
from pipeline.errors import SeriesRejectedError
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode
from pipeline.volume import AIR_HU

SHAPE = (64, 64)


def image(**options) -> Dataset:
    """Return one CT image."""
    (ds,) = build_ct_series(positions_mm=[0.0], shape_yx=SHAPE, **options)
    return ds


def header(ds: Dataset) -> ImageHeader:
    return ImageHeader(instance=ds)


def refused(ds: Dataset) -> tuple[RejectionCode, str]:
    """Return why an image is refused, and what was found."""
    with pytest.raises(SeriesRejectedError) as error:
        decode_hu(header(ds))
    return error.value.reason.code, error.value.reason.found


def ramp(low: int, high: int) -> np.ndarray:
    """Return every whole number of a range, in an image."""
    return np.resize(np.arange(low, high), SHAPE)


@pytest.mark.parametrize(
    ("signed", "slope", "intercept"),
    [(False, 1, -1024), (True, 1, 0), (True, 1, -1024), (False, 2, -2048), (False, 0.5, -1024)],
)
def test_all_ways_to_store_a_head_give_the_same_head(signed, slope, intercept):
    """Signedness, slope and intercept are a matter of storage."""
    plain = decode_hu(header(image()))

    other = decode_hu(header(image(signed=signed, slope=slope, intercept=intercept)))

    assert other.dtype == np.int16
    assert np.array_equal(np.rint(other / 2), np.rint(plain / 2))


def test_each_slice_has_its_own_rescale():
    """Some scanners write another intercept per slice."""
    plain = build_ct_series(shape_yx=SHAPE)
    shifted = build_ct_series(shape_yx=SHAPE)
    for index, ds in enumerate(shifted):
        stored = np.frombuffer(ds.PixelData, dtype="<u2").reshape(SHAPE).astype(float)
        set_pixels(ds, stored + 10 * index)
        ds.RescaleIntercept = -1024 - 10 * index

    assert np.array_equal(read_ct_series(shifted).hu_zyx, read_ct_series(plain).hu_zyx)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("stored_bits", [12, 16])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_compression_changes_no_value(syntax, signed, stored_bits):
    """Compressed by pydicom's encoders, decoded by ours: every value of the range returns."""
    low = -(2 ** (stored_bits - 1)) if signed else 0
    stored = ramp(max(low, -2000), max(low, -2000) + 4096).astype(float)
    ds = image(intercept=0 if signed else -1024)
    set_pixels(ds, stored, signed=signed)
    ds.BitsStored, ds.HighBit = stored_bits, stored_bits - 1
    before = decode_hu(header(ds))

    ds.compress(syntax)

    assert np.array_equal(decode_hu(header(ds)), before)


def test_uncompressed_syntaxes_agree():
    """Big endian and implicit VR hold the same numbers."""
    plain = image()
    expected = decode_hu(header(plain))
    implicit, big = image(), image()
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.PixelData = np.frombuffer(plain.PixelData, dtype="<u2").astype(">u2").tobytes()

    assert np.array_equal(decode_hu(header(implicit)), expected)
    assert np.array_equal(decode_hu(header(big)), expected)


@pytest.mark.parametrize("signed", [False, True])
def test_overlay_bits_above_the_stored_ones_are_no_density(signed):
    """Retired overlays live in bits 12 to 15; only 12 bits are stored values."""
    stored = ramp(-1000, 1048) if signed else ramp(0, 4096)
    ds = image(intercept=0 if signed else -1024)
    ds.PixelRepresentation = int(signed)
    ds.BitsStored, ds.HighBit = 12, 11
    overlay = np.random.default_rng(0).integers(0, 16, SHAPE) << 12
    ds.PixelData = ((stored & 0x0FFF) | overlay).astype("<u2").tobytes()

    hu = decode_hu(header(ds))

    assert np.array_equal(hu, stored if signed else stored - 1024)


@pytest.mark.parametrize(
    ("signed", "intercept", "padding", "written"),
    [
        (True, 0, -2000, -2000),
        (True, -1024, -2000, 63536),  # written as unsigned, as some toolkits do
        (True, 0, -32768, -32768),
        (False, -1024, 0, 0),
    ],
)
def test_padding_becomes_air(signed, intercept, padding, written):
    """What lies outside the reconstructed circle is air, not -2000 or 3071 HU."""
    stored = np.full(SHAPE, 35 - intercept)
    stored[:, :10] = padding
    ds = image(intercept=intercept)
    set_pixels(ds, stored.astype(float), signed=signed)
    ds.add_new("PixelPaddingValue", "US" if written >= 0 else "SS", written)

    hu = decode_hu(header(ds))

    assert np.all(hu[:, :10] == AIR_HU)
    assert np.all(hu[:, 10:] == 35)


def test_a_range_of_padding_becomes_air():
    """Pixel Padding Range Limit closes the range."""
    stored = ramp(0, 4096)
    ds = image()
    set_pixels(ds, stored.astype(float))
    ds.add_new("PixelPaddingValue", "US", 60)
    ds.add_new("PixelPaddingRangeLimit", "US", 90)

    hu = decode_hu(header(ds))

    padded = (stored >= 60) & (stored <= 90)
    assert np.all(hu[padded] == AIR_HU)
    assert np.array_equal(hu[~padded], stored[~padded] - 1024)


def test_padding_within_tissue_is_not_believed():
    """A padding value of 0 HU, left from another scale, must not punch holes into the brain."""
    ds = image(signed=True, intercept=0)
    set_pixels(ds, np.zeros(SHAPE), signed=True)
    ds.add_new("PixelPaddingValue", "SS", 0)

    assert np.all(decode_hu(header(ds)) == 0)


def test_values_below_air_become_air_and_metal_stays():
    """-3024 HU marks the corners of many scanners; 32767 is the end of int16."""
    ds = image(signed=True, intercept=-1024)
    stored = np.zeros(SHAPE)
    stored[0, :3] = (-2000, 0, 32767)
    set_pixels(ds, stored, signed=True)
    ds.RescaleIntercept = -1024

    assert decode_hu(header(ds))[0, :3].tolist() == [AIR_HU, -1024, 31743]
    ds.RescaleIntercept = 1000
    assert decode_hu(header(ds))[0, 2] == 32767


def test_monochrome1_only_turns_the_display_round():
    """The rescale holds for stored values, whatever the display does with them."""
    ds = image()
    expected = decode_hu(header(ds))
    ds.PhotometricInterpretation = "MONOCHROME1"

    assert np.array_equal(decode_hu(header(ds)), expected)


@pytest.mark.parametrize(
    ("keyword", "value", "code", "found"),
    [
        ("RescaleSlope", None, RejectionCode.HU_MISSING, "slope None"),
        ("RescaleSlope", 0, RejectionCode.HU_MISSING, "slope 0"),
        ("RescaleIntercept", None, RejectionCode.HU_MISSING, "intercept None"),
        ("RescaleSlope", 32.1216, RejectionCode.HU_MISSING, "steps of 32.1216 HU"),
        ("RescaleType", "MGML", RejectionCode.HU_MISSING, "MGML"),
        ("PhotometricInterpretation", "PALETTE COLOR", RejectionCode.PIXELS, "PALETTE COLOR"),
        ("SamplesPerPixel", 3, RejectionCode.PIXELS, "3 samples"),
        ("HighBit", 15, RejectionCode.PIXELS, "12 of 16 bits with high bit 15"),
        ("BitsStored", 20, RejectionCode.PIXELS, "20 of 16 bits"),
        ("PixelData", b"\0" * 100, RejectionCode.PIXELS, "Explicit VR Little Endian"),
        ("Rows", 60000, RejectionCode.PIXELS, "fail to decode"),
    ],
)
def test_what_cannot_be_hounsfield_units_is_refused(keyword, value, code, found):
    """A refusal names what was found."""
    ds = image()
    if keyword == "PixelData":
        ds["PixelData"].value = value
    else:
        setattr(ds, keyword, value)

    reason = refused(ds)

    assert reason[0] is code
    assert found in reason[1]


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_frame_that_says_another_size_is_not_decoded(syntax):
    """64 x 64 by the header, 65535 x 65535 by the frame: a decoder would reserve gigabytes."""
    ds = image()
    ds.compress(syntax)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    assert frame_size(frame) == SHAPE
    if syntax == JPEG2000Lossless:  # SIZ: grid 64 x 64 (ISO/IEC 15444-1, table A.9)
        bomb = frame.replace(struct.pack(">LL", 64, 64), struct.pack(">LL", 65535, 65535), 1)
    else:  # SOF55: precision, lines, samples per line (ISO/IEC 14495-1, section C.2.2)
        bomb = frame.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65535, 65535), 1)
    ds.PixelData = encapsulate([bomb])

    assert refused(ds) == (
        RejectionCode.PIXELS,
        "a compressed image of 65535 x 65535 pixels",
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0\x00",
        b"\xff\xd8\xff\xe0\x00\x00" * 4,
        b"\xff\xd8\xff\xff\xff\xda\x00\x04",
        b"\xff\x4f\xff\x51\x00",
        b"no image",
    ],
)
def test_a_frame_without_a_size_has_none(frame):
    """Cut off, empty, or something else; the decoder's own refusal follows."""
    assert frame_size(frame) is None


def test_the_size_is_found_behind_other_markers():
    """ISO/IEC 10918-1, annex B: application data, comment and fill bytes before the frame."""
    frame = (
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xfe\x00\x05abc\xff\xff\xc3"
        + struct.pack(">HBHH", 11, 16, 512, 256)
        + bytes(4)
    )

    assert frame_size(frame) == (512, 256)


def test_an_unknown_transfer_syntax_is_refused_by_name():
    """No decoder reads MPEG2; the reason says so."""
    ds = image()
    ds.file_meta.TransferSyntaxUID = MPEG2MPML

    assert refused(ds) == (RejectionCode.PIXELS, f"transfer syntax {MPEG2MPML.name}")


def test_pixels_without_transfer_syntax_are_refused():
    """Without file meta information nobody knows how the pixels are encoded."""
    ds = image()
    del ds.file_meta

    assert refused(ds) == (RejectionCode.PIXELS, "pixel data without a transfer syntax")


def test_a_broken_code_stream_is_refused_by_name():
    """Noise instead of JPEG-LS is no picture, and no crash."""
    ds = image()
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    ds.PixelData = encapsulate([b"\xff\xd8" + bytes(range(200))])
    ds["PixelData"].is_undefined_length = True

    code, found = refused(ds)

    assert code is RejectionCode.PIXELS
    assert "JPEG-LS Lossless Image Compression" in found


def test_an_absurd_size_is_refused_before_anything_is_decoded():
    """60000 x 60000 pixels are not allocated."""
    series = build_ct_series(slices=12, shape_yx=SHAPE)
    for ds in series:
        ds.Rows = ds.Columns = 60000

    with pytest.raises(SeriesRejectedError, match="60000 x 60000") as error:
        read_ct_series(series)

    assert error.value.reason.code is RejectionCode.PIXELS


@pytest.mark.parametrize(
    ("syntax", "says", "expected"),
    [
        (None, None, False),
        (None, "01", True),
        (JPEGLSLossless, None, False),
        (JPEGLSNearLossless, None, True),
        (JPEGBaseline8Bit, "00", True),
    ],
)
def test_loss_is_told_by_header_or_syntax(syntax, says, expected):
    """Once lossy, always lossy, whatever the present encoding."""
    ds = image()
    if syntax:
        ds.file_meta.TransferSyntaxUID = syntax
    if says:
        ds.LossyImageCompression = says

    assert is_lossy(header(ds)) is expected


def test_a_lossy_slice_flags_the_series():
    """One lossy image is enough for a doubt."""
    series = build_ct_series(shape_yx=SHAPE)
    series[7].LossyImageCompression = "01"

    assert read_ct_series(series).flags == {QualityFlag.LOSSY_SOURCE}
