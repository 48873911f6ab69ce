"""Validators of others, run as programs; a test is skipped where one is not installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

#: Where Debian's libpixelmed-java puts what the SR validator needs.
PIXELMED = [
    Path("/usr/share/java") / name
    for name in ("pixelmed.jar", "commons-codec.jar", "slf4j-api.jar", "slf4j-nop.jar")
]
#: Debian's libsaxonb-java. Java's own processor of style sheets reads the validator's code lists
#: again for every content item; this one reads them once, and finds the same in a quarter of the
#: time.
SAXON = Path("/usr/share/java/saxonb.jar")
SAXON_OPTION = "-Djavax.xml.transform.TransformerFactory=net.sf.saxon.TransformerFactoryImpl"
#: A run of seconds ends before the better compiler pays, which keeps other processors at work.
QUICK_TO_END = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
#: Java's own limits on XPath are too low for the validator's style sheet.
NO_XPATH_LIMITS = [
    f"-Djdk.xml.{limit}=0"
    for limit in ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")
]


def run(program, *arguments, timeout_s=100):
    """Return what a program says, on both channels; skip where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, timeout=timeout_s, check=False
    )
    return (done.stdout + done.stderr).decode("utf-8", errors="replace")


def pixelmed_on(report):
    """Return what PixelMed's validator of structured reports says of a file."""
    absent = [path.name for path in PIXELMED if not path.is_file()]
    if absent:
        pytest.skip(f"PixelMed is not installed: {', '.join(absent)}")
    style_sheets, jars = NO_XPATH_LIMITS, PIXELMED
    if SAXON.is_file():
        style_sheets, jars = [SAXON_OPTION], [*PIXELMED, SAXON]
    return run(
        "java",
        *QUICK_TO_END,
        "-Xss64m",
        *style_sheets,
        "-cp",
        ":".join(map(str, jars)),
        "com.pixelmed.validate.DicomSRValidator",
        report,
        timeout_s=360,
    )
