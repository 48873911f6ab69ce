"""Rules that an object must keep, and which of them it breaks."""

from collections.abc import Callable, Iterator, Sequence

#: What must hold, in words, and whether it holds.
Rules = Sequence[tuple[str, Callable[[], bool]]]


def broken(rules: Rules) -> Iterator[str]:
    """Yield the words of the rules that do not hold or that miss an attribute."""
    for name, holds in rules:
        try:
            if not holds():
                yield name
        except (AttributeError, IndexError):
            yield f"{name}; an attribute is missing"
