"""A network of transformers with the weights of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imgsearch.encoders.model_folder import ModelFolder
from imgsearch.encoders.transformers_logging import no_warnings
from imgsearch.errors import EncoderError

if TYPE_CHECKING:
    import torch


def load_network(kind: Any, folder: str, dtype: torch.dtype, config: Any = None) -> Any:
    """The network in evaluation mode, on the host, from safetensors only.

    Parameters
    ----------
    kind : class of transformers
        Such as `Qwen2VLModel`. Its keys may have the prefix of a model that generates text.
    config : configuration of transformers, optional
        By default that of the folder.

    Raises
    ------
    EncoderError
        A tensor is missing or has another shape.
    """
    with no_warnings():
        network, report = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    damaged = sorted(map(str, report["missing_keys"] or report["mismatched_keys"]))
    if damaged:
        raise EncoderError(
            f"the weights in {folder} are not complete: {', '.join(damaged[:3])}",
            "Fetch the model again; one of its files is damaged or of another version.",
        )
    return network.eval()


@contextmanager
def loading(folder: ModelFolder) -> Iterator[None]:
    """A context in which a missing or damaged file of a folder raises `EncoderError`."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise incomplete(folder, next(iter(str(error).splitlines()), "")) from error


def incomplete(folder: ModelFolder, reason: str) -> EncoderError:
    """The error for a folder that lacks a file, or has one that cannot be read."""
    return EncoderError(
        f"the model {folder.name} cannot be loaded: {reason}",
        f"Fetch the missing files from its source into {folder.path}; 'imgsearch models download'"
        " continues where it stopped.",
    )
