"""The help of settings as words of the pages: what `make strings` reads from the settings file."""

from collections.abc import Iterator
from typing import BinaryIO

from dicom_node.configuration.setting_keys import explanations

#: What babel wants of whoever finds words: line, function, words, comments.
Found = tuple[int, None, str, list[str]]


def help_words(file: BinaryIO, *_: object, **_options: object) -> Iterator[Found]:
    """Yield what a settings file says of its keys; called by babel, see ``locale/babel.cfg``."""
    for words in dict.fromkeys(explanations(file.read().decode("utf-8")).values()):
        if words:
            yield 1, None, words, []
