"""A network of transformers with the weights of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsearch.encoders.transformers_logging import no_warnings
from imgsearch.errors import EncoderError

if TYPE_CHECKING:
    import torch


def load_network(kind: Any, folder: str, dtype: torch.dtype) -> Any:
    """The network in evaluation mode, on the host, from safetensors only.

    Parameters
    ----------
    kind : class of transformers
        Such as `Qwen2VLModel`. Its keys may have the prefix of a model that generates text.

    Raises
    ------
    EncoderError
        A tensor is missing or has another shape.
    """
    with no_warnings():
        network, report = kind.from_pretrained(
            folder,
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
