"""The chat prompt of gme-Qwen2-VL, as text and as token ids.

Its form follows the model card (Alibaba-NLP/gme-Qwen2-VL-2B-Instruct): the instruction as the
system's turn, picture and text as the user's turn, the start of an answer, and a closing
`<|endoftext|>` whose hidden state is the vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from imgsearch.encoders import presets

DOCUMENT_INSTRUCTION = presets.GME_DOCUMENT
"""The default instruction for pictures."""

SEARCH_INSTRUCTION = presets.GME_QUERY
"""The default instruction for queries."""

MAX_TOKENS = 1800
"""Maximum length of a prompt; the rest is cut off, including the closing tokens."""

PICTURE = "<|image_pad|>"
_CONTROL = re.compile(r"<\|(?=\w+\|>)")


def write_prompt(instruction: str, text: str, picture: bool) -> str:
    """The prompt, with one `<|image_pad|>` in place of a picture.

    Control tokens that are spelled in the text have no effect; see `plain_text`.
    """
    instruction, text = plain_text(instruction), plain_text(text)
    image = f"<|vision_start|>{PICTURE}<|vision_end|>" if picture else ""
    return (
        f"<|im_start|>system\n{instruction}<|im_end|>\n"
        f"<|im_start|>user\n{image}{text}<|im_end|>\n"
        "<|im_start|>assistant\n<|endoftext|>"
    )


def plain_text(text: str) -> str:
    """The text, with a space inserted into each control token that it spells.

    Otherwise a query could close the user's turn or announce a picture that does not exist.
    """
    return _CONTROL.sub("< |", text)


def number_prompts(
    tokenizer: Any,
    prompts: Sequence[str],
    visual_tokens: Sequence[int],
    max_length: int = MAX_TOKENS,
) -> list[list[int]]:
    """Token ids of each prompt, with its `<|image_pad|>` repeated once per visual token.

    Parameters
    ----------
    tokenizer : a tokenizer of transformers
    visual_tokens : sequence of int, one per prompt
        0 for a prompt without a picture.
    max_length : int
        Longer prompts lose their end, as in the published code. The picture comes first, so it
        stays whole unless the tokens of instruction and picture exceed `max_length`.
    """
    pad = tokenizer.convert_tokens_to_ids(PICTURE)
    rows = tokenizer(list(prompts), return_attention_mask=False)["input_ids"]
    return [
        _spread(row, pad, count)[:max_length]
        for row, count in zip(rows, visual_tokens, strict=True)
    ]


def _spread(row: list[int], pad: int, count: int) -> list[int]:
    if not count:
        return row
    place = row.index(pad)
    return row[:place] + [pad] * count + row[place + 1 :]
