"""Loading of weights under the key names of the projects that the networks come from."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pipeline.errors import ModelBundleError

if TYPE_CHECKING:
    from torch import Tensor, nn

#: At most so many keys are named in a message.
_NAMED = 8


def nothing_twice(key: str) -> bool:
    """Return False: no key is known to be stored a second time."""
    del key
    return False


def load_upstream(
    network: "nn.Module",
    state: "Mapping[str, Tensor]",
    *,
    is_duplicate: Callable[[str], bool] = nothing_twice,
    rename: Callable[[str], str] = str,
) -> None:
    """Load a checkpoint's weights into a network of ours.

    Parameters
    ----------
    network : nn.Module
        Built with the arguments that the weights were trained with.
    state : mapping of str to Tensor
        The checkpoint's weights under their own names.
    is_duplicate : callable
        Whether a key is known to repeat another one; such keys are dropped from the checkpoint,
        and the network, if it repeats them too, does not ask for them.
    rename : callable
        From a key of the checkpoint to the network's own.

    Raises
    ------
    ModelBundleError
        If a key is unknown, one is missing, or a shape differs; the message names them.
    """
    kept = {rename(key): value for key, value in state.items() if not is_duplicate(key)}
    wanted = {key: own for key, own in network.state_dict().items() if not is_duplicate(key)}
    unknown = sorted(set(kept) - set(wanted))
    missing = sorted(set(wanted) - set(kept))
    if unknown or missing:
        raise ModelBundleError(
            f"Checkpoint does not fit {type(network).__name__}: "
            f"unknown keys {_some(unknown)}; missing keys {_some(missing)}"
        )
    for key, value in kept.items():
        if value.shape != wanted[key].shape:
            raise ModelBundleError(
                f"{key} has shape {tuple(value.shape)} in the checkpoint, "
                f"{type(network).__name__} needs {tuple(wanted[key].shape)}"
            )
    # Nothing is missing but what repeats another key and is loaded with it.
    network.load_state_dict(kept, strict=False)


def _some(keys: list[str]) -> str:
    shown = ", ".join(keys[:_NAMED]) or "none"
    more = len(keys) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
