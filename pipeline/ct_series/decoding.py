"""From the encoded pixels of one image to Hounsfield units."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.ct_series.codestream import frame_size
from pipeline.ct_series.header import MALFORMED, ImageHeader
from pipeline.ct_series.refusal import refusal
from pipeline.ct_series.slices import CtSlice
from pipeline.errors import SeriesRejectedError
from pipeline.rejection import RejectionCode
from pipeline.volume import AIR_HU

#: Vacuum has -1000 HU, noise in 12-bit data reaches -1024; what lies below (-2000, -3024 ...)
#: marks the corners outside the reconstructed circle.
LOWEST_HU = -1024

#: Padding values that would turn tissue into air are not believed: some headers keep the
#: padding of another scale. Fat is -100 HU, lung -800, dense bone below 3100.
BELIEVED_PADDING_BELOW_HU, BELIEVED_PADDING_ABOVE_HU = -900, 3100

#: Coarsest step between two values. Grey and white matter differ by about 8 HU; an 8-bit copy of
#: the full range has steps of 16 HU and more.
COARSEST_STEP_HU = 4.0

#: Voxels of one volume above which nothing is decoded: 1 GiB as int16, for instance 2048 slices
#: of 512 x 512, or 512 of 1024 x 1024.
MAX_VOXELS = 2**29

#: Units of Rescale Type that are Hounsfield units. CT images must use HU (PS3.3, section
#: C.11.1.1.2); US ("unspecified") and nothing are found in CT all the same.
_HOUNSFIELD_TYPES = frozenset({"", "HU", "US"})

_LOSSY_SYNTAXES = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
#: Syntaxes that may be lossless too, where Lossy Image Compression decides.
_EITHER_SYNTAXES = frozenset({JPEG2000, HTJ2K})

#: Decoders that are asked instead of the first available one. That of pylibjpeg for RLE answers
#: damaged data with a panic of its runtime, which passes every handler of errors.
_PLUGIN_OF: dict[str, str] = {RLELossless: "pydicom"}

#: Syntaxes whose frames say themselves how large they are.
_SELF_SIZED = frozenset(
    {
        *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1),
        *(JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, JPEG2000),
        *(HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
    }
)

_MONOCHROME = frozenset({"MONOCHROME1", "MONOCHROME2"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """The line from stored values to Hounsfield units (PS3.3, section C.11.1)."""

    slope: float
    intercept: float


def decode_volume(
    slices: Sequence[CtSlice], decode: Callable[[ImageHeader], NDArray[np.int16]]
) -> NDArray[np.int16]:
    """Return the Hounsfield units of all slices, in their order.

    The decoders hold the interpreter's lock (measured: two threads are no faster than one), so
    that slices are decoded one after the other.

    Parameters
    ----------
    slices : sequence of CtSlice
        At least one; all of the shape of the first.
    decode : Callable
        `decode_hu`, or what returns the same without doing it again.

    Returns
    -------
    ndarray of int16, shape (Z, Y, X)
        Hounsfield units.

    Raises
    ------
    SeriesRejectedError
        PIXELS or HU_MISSING.
    """
    shape = (len(slices), *slices[0].shape_yx)
    if int(np.prod(shape, dtype=np.int64)) > MAX_VOXELS:
        raise refusal(
            RejectionCode.PIXELS,
            found=f"{shape[0]} slices of {shape[1]} x {shape[2]} pixels",
            needed=f"at most {MAX_VOXELS} voxels",
        )
    hu_zyx = np.empty(shape, dtype=np.int16)
    for hu_yx, image in zip(hu_zyx, slices, strict=True):
        hu_yx[...] = decode(image.header)
    return hu_zyx


def decode_hu(header: ImageHeader) -> NDArray[np.int16]:
    """Return the Hounsfield units of one image, shape (Y, X); padding becomes air.

    Raises
    ------
    SeriesRejectedError
        PIXELS if the pixel data cannot be decoded or are not monochrome; HU_MISSING if the
        stored values cannot be brought to Hounsfield units.
    """
    rescale = read_rescale(header)
    _refuse_odd_pixels(header)
    stored_yx = stored_values(header)
    hu_yx = to_hounsfield(stored_yx, rescale)
    padding = _padding_range(header, rescale)
    if padding is not None:
        hu_yx[(stored_yx >= padding[0]) & (stored_yx <= padding[1])] = AIR_HU
    return hu_yx


def read_rescale(header: ImageHeader) -> Rescale:
    """Return slope and intercept of an image.

    Raises
    ------
    SeriesRejectedError
        HU_MISSING if they are absent, give another unit, or steps too coarse to see a brain.
    """
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if slope is None or intercept is None or slope <= 0:
        raise refusal(
            RejectionCode.HU_MISSING,
            found=f"rescale slope {slope} and intercept {intercept}",
            needed="two numbers, the slope positive",
        )
    unit = header.text("RescaleType")
    if unit not in _HOUNSFIELD_TYPES:
        raise refusal(RejectionCode.HU_MISSING, found=f"rescale type {unit}", needed="HU")
    if slope > COARSEST_STEP_HU:
        raise refusal(
            RejectionCode.HU_MISSING,
            found=f"values in steps of {slope:g} HU",
            needed=f"steps of at most {COARSEST_STEP_HU:g} HU",
        )
    return Rescale(slope=slope, intercept=intercept)


def to_hounsfield(stored_yx: NDArray[np.integer[Any]], rescale: Rescale) -> NDArray[np.int16]:
    """Return stored values as Hounsfield units, rounded; values below `LOWEST_HU` become air."""
    fits_int32 = stored_yx.dtype.itemsize < np.dtype(np.int32).itemsize
    if fits_int32 and rescale.slope == 1 and rescale.intercept.is_integer():
        hu = np.add(stored_yx, int(rescale.intercept), dtype=np.int32)
    else:
        hu = np.rint(stored_yx * rescale.slope + rescale.intercept)
    hu[hu < LOWEST_HU] = AIR_HU
    highest = np.iinfo(np.int16).max
    return np.asarray(np.minimum(hu, highest), dtype=np.int16)


def is_lossy(header: ImageHeader) -> bool:
    """Whether an image was ever compressed with loss (PS3.3, section C.7.6.1.1.5)."""
    if header.text("LossyImageCompression") == "01":
        return True
    syntax = transfer_syntax(header.instance)
    says_lossless = header.text("LossyImageCompression") == "00"
    return syntax in _LOSSY_SYNTAXES or (syntax in _EITHER_SYNTAXES and not says_lossless)


def transfer_syntax(instance: Dataset) -> UID | None:
    """Return the transfer syntax that the pixel data are encoded in, None if nothing says it."""
    file_meta = getattr(instance, "file_meta", None)
    if file_meta is None:
        return None
    syntax = ImageHeader(instance=file_meta).text("TransferSyntaxUID")
    return UID(syntax) if syntax else None


def _refuse_odd_pixels(header: ImageHeader) -> None:
    photometric, samples = (
        header.text("PhotometricInterpretation"),
        header.count("SamplesPerPixel"),
    )
    # MONOCHROME1 only turns the display round: the rescale holds for stored values.
    if photometric not in _MONOCHROME or samples != 1:
        raise refusal(
            RejectionCode.PIXELS,
            found=f"{photometric or 'no'} photometric interpretation, {samples} samples per pixel",
            needed="monochrome pixels",
        )
    allocated, stored = header.count("BitsAllocated"), header.count("BitsStored")
    high_bit = header.count("HighBit")
    if not 1 <= stored <= allocated <= 32 or high_bit != stored - 1:  # noqa: PLR2004 - bits
        raise refusal(
            RejectionCode.PIXELS,
            found=f"{stored} of {allocated} bits with high bit {high_bit}",
            needed="at most 32 bits, the high bit below the stored ones (PS3.5, section 8.1.1)",
        )


def stored_values(header: ImageHeader) -> NDArray[np.integer[Any]]:
    """Return the stored values of one image, without the bits that are not stored.

    Raises
    ------
    SeriesRejectedError
        PIXELS if they cannot be decoded.
    """
    syntax = transfer_syntax(header.instance)
    if syntax is None:
        raise _undecodable("pixel data without a transfer syntax", "a known transfer syntax")
    needed = "pixel data that one of the installed decoders reads"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise _undecodable(f"transfer syntax {syntax.name}", needed) from None
    if not decoder.is_available:
        raise _undecodable(f"transfer syntax {syntax.name}", needed)
    try:
        index = (header.frame_number or 1) - 1
        if syntax in _SELF_SIZED:
            _refuse_false_size(header, index)
        plugin = _PLUGIN_OF.get(syntax, "")
        stored, _ = decoder.as_array(
            header.instance, index=index, raw=True, decoding_plugin=plugin
        )
    except (*MALFORMED, MemoryError) as error:
        # Only the class of the error: its text may repeat parts of the data set.
        found = f"{syntax.name} pixel data that fail to decode ({type(error).__name__})"
        raise _undecodable(found, needed) from None
    expected = (header.count("Rows"), header.count("Columns"))
    if stored.shape != expected or stored.dtype.kind not in "iu":
        raise _undecodable(f"an image of shape {stored.shape}", f"integers of shape {expected}")
    return np.asarray(stored)


def _refuse_false_size(header: ImageHeader, index: int) -> None:
    """Refuse a frame that says it is of another size, before a decoder makes room for it."""
    instance = header.instance
    offsets = (
        (instance.ExtendedOffsetTable, instance.ExtendedOffsetTableLengths)
        if "ExtendedOffsetTable" in instance
        else None
    )
    frame = get_frame(
        instance.PixelData,
        index,
        extended_offsets=offsets,
        number_of_frames=int(header.number("NumberOfFrames") or 1),
    )
    size, expected = frame_size(frame), (header.count("Rows"), header.count("Columns"))
    if size is not None and size != expected:
        raise _undecodable(
            f"a compressed image of {size.rows} x {size.columns} pixels",
            f"{expected[0]} x {expected[1]} pixels as the header says",
        )


def _padding_range(header: ImageHeader, rescale: Rescale) -> tuple[int, int] | None:
    """Return the stored values that mean "no data" (PS3.3, section C.7.5.1.1.2)."""
    first = _stored_number(header, "PixelPaddingValue")
    if first is None:
        return None
    last = _stored_number(header, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    low_hu, high_hu = (rescale.slope * value + rescale.intercept for value in (low, high))
    is_believed = high_hu < BELIEVED_PADDING_BELOW_HU or low_hu > BELIEVED_PADDING_ABOVE_HU
    return (low, high) if is_believed else None


def _stored_number(header: ImageHeader, keyword: str) -> int | None:
    """Return a number given in terms of stored values, whatever signedness it was written with."""
    number = header.number(keyword)
    if number is None:
        return None
    span = 1 << header.count("BitsAllocated")
    value = int(number) % span
    is_signed = header.count("PixelRepresentation") == 1
    return value - span if is_signed and value >= span // 2 else value


def _undecodable(found: str, needed: str) -> SeriesRejectedError:
    return refusal(RejectionCode.PIXELS, found=found, needed=needed)
