"""The Chinese research line as a picture, so that no Chinese font need be installed.

The bitmap says what `wording.RESEARCH_USE_ONLY_ZH` says. It was drawn once, at 64 pixels per
character, with Droid Sans Fallback (Apache License 2.0), and is scaled down where it is used.
"""

import base64
import io
from functools import cache
from typing import Final

from PIL import Image

_PNG_BASE64: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAA8IAAAA/AQAAAAADdExaAAAHi0lEQVR42u2ZPY8kOxWGH7uLaQuNth3Ola40hUCQLh"
    "nBii5Ejm5IOOIX3IBgg9lZz0JwA4L9CfMTNgSJwI1uQHQ15AQescEkaD1opPXsrS4T2F0f3VXdjUCQ4KSr7KrjOsfn"
    "fc9Hw/9wVPnX0F1c9tYNwh/z/u44zb/PAYrNxdwCIOH3ef3LuZ1bYL4l6ssDX/58Yv6SWVJmZgG+C/yiXSyR7bVQ+e"
    "InQwHt/NT43XmM0ex5oFEAPwaazdTstrczIe9kyzwxjzH6dn4ZY4zRtu/GGGOMHlGPrgPo9BN7B8fMIeASJELEGJvu"
    "8Wfttv44PwnD29cxtjbIlig2/gIgkHZpFLJ9M2svPOVZX5I8sPGh9WWMsxg9rkJK4JnhR5ai/15S8YQnfjB49WNsFr"
    "GelFyMm2bmoexPeEAkEzn4Gpn27lmbe37+r4BSgRB6dCkODqWkSOYv4KlCbnSlcH0IAzzp61e6mxfyqefnayHEayE0"
    "enx9F+ka5SqoK1grkBRxKUQHivo92At4Uit9SN0rgNIOJ6+FfOgLbAWDfpfsb79O/uFaqwGsS7jVgLKD+ZGR8FRNQ/"
    "k6xkAUQgihQVEG3UmUKO7Sc923h8FufxDyQRST4l/DUQBs7qkuFTTlNib0PCzD0gPUxS4djOEpAKKZtsnw1vG6KTo3"
    "kknXocUayc7cGJ4AZH1Y3XOAWIkmzgCts846H3/Z7RSverqW01/ggdOgj+WYkxpjiBlsknJEuz8ei2QIXk3i+UEMYK"
    "YCtmJDMLIlr2pwJB0NVCI2i1EXStZyPzyW3bQ/c8/h9pu8c7XxhSe1Uiu9qM8992xR3+goARq7xyafD+4v3IlXUD12"
    "Z1ERph2qnY/NPIaR9Wpy3f1q68nvPRY9LzDbYS6joTkijaogcjWFZ2172iziKrJsYBGWduB/PfBJ2zt3Mb2z4d2B07"
    "gexI+GqxzzlrFGCqAc+n+xlVk9yIdilChmquXQUZsYOzjCX4u6l2pJCTX4VvkHdXemMsT3B35JU2yYbIJX3SBave2C"
    "RF9wT6vHk51MZiwKFiFKoOBOCGFGouRVwusyuhjtg4LTQOcQsvCg+8ZUei1SImanw3ymsOsulxlZt9vQ1LclPOhVBS"
    "CVowGHch0Mje08S7k9FGbNzgPzGJtFjAH4K+Fm6HL2l4mAVmVBoQGl+iGpwP4sEb0H8/3Jc9buM1eBnqSSe74dkoQV"
    "zVedtb1NdvIbAVpyazsH8JOCS4svoRQxxjjuZkNOEFE0QFm2TEKB7XGVGFKLmQYNQe8rqxYxRgcrwZ2ogJMmhdQcJT"
    "/m6489Nq4NFDH56cdJZL2GWh0Rxttx9lgEoFIdqt4MXvdmvfXt9WKELUQDTbHDcU9CyK3oKDZO5JXvgCo/ZT0/DdgY"
    "FNyV4lXxaZJIaoiSk8O6ti5zox3wUnazq+2UHE6xB+SdBuAaRRRCrNXhHIJgUoYset9TAZyHZViGZHjhd85PbEVB7Q"
    "Frgp9YB1avin4NsaYyIDKDSgB31c/Ia0ASDuYFDnAV7oiWxG+TZPEai/Rt7gl+4A6NY2H4tqNNUdyNJFqVBXxZV4fy"
    "bJTNJy0b8RzwVedn9aActlt9kfJvo9FZzAG9Zh63U/SdfC37zGmNonAp0Zbbtbckmit436OfL8akzuJuNTKZQuQqRg"
    "cZULb+c+dhAeBOCCFU4ZkZ1iVdEvgVDlgOo2CCW0/V5W4t2XFTcteL28Kjabpznqra4k7oHiTPRyVrwDKfrDBWdXQs"
    "AVSSPUOYFPQeBpB6o0Y2SWjq9RKafcVumWOEdnxoa4wUnlIUkxUaWOtB5b0ao+Y6oeklPAkh1tMOZgSkCuh0TWlbp5"
    "IAZWKVojwtwW7g16XNX4zwWZM+690R5FlTK0CER6xpaTpn+qZNP7xhbYYG9OVItIxdHXSyN5rWhJwqXt6KuMXmpqoS"
    "7oIeIMxsEG5GegXd+GyfxoIib1P81MqkizZ5SkSX+xe16hI5ETYEU++wzVgBNLl+5okCUNGc1kOdZeN1wl1T8Gm35l"
    "9j9tYavtpbi5QOjAFt0WG4c1EnKqpMlOMGu9hp8+wWlWNA/k0NobKp21QaLjzwVJWbnc9CfZLTm+udPghwwucDipWj"
    "jc+t4LZBpsQYcGcQEeam804JlL4Rm16L2e6DAGfMzGC7rU1qva8KEhHwARpOMHCe2UcC1kVyntsDblSb6HnxyMv9cX"
    "BfG+dDkxmv5mzdYygJgoqqhKJmWILl6mFm/s7cptaDmuzUTK9fZs8IuLr3qRJOYjoHFTakMeyEveCm4kVbdWxlEkB0"
    "Gw8898Cz1vArUeSzWTtqP+OeQT9MNeCLnFj1co+ni43tzW3iPzx2LHZV5zXd+pBolHuXNlu7F9z0sCGBR3isE+7CSK"
    "vWrfkHHMy33N4FC5VbG1gL8Z2N/wYPTQBnoe4b8ianEo/E8i8BolokQ7nx/xTa9b6Q0HPax3w6L7PO9Q1EA/cG6MrO"
    "P/Eh+89beE9tx4vkzb7dehh8Wc/0/i2D3u7iTfYOmThw5rI/UsAlnKvtyi7/1cXcASxM+kfK9HKQLNkmYW1twL87Fo"
    "b/wJD8f/z3xj8BJt7kD+4tTpEAAAAASUVORK5CYII="
)


@cache
def _bitmap() -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(_PNG_BASE64))).convert("L")


def chinese_line(height_px: int) -> Image.Image:
    """Return the line as an opacity mask of the given height, mode L, 255 where ink is."""
    bitmap = _bitmap()
    width_px = round(bitmap.width * height_px / bitmap.height)
    return bitmap.resize((width_px, height_px), Image.Resampling.LANCZOS)
