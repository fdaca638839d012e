"""The chat prompt of gme-Qwen2-VL, as text and as token numbers.

The form is that of the model's card (Alibaba-NLP/gme-Qwen2-VL-2B-Instruct): an instruction as
the system's turn, picture and words as the user's, an opened answer, and a closing
`<|endoftext|>` whose hidden state is the vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from imgsearch.encoders import presets

DOCUMENT_INSTRUCTION = presets.GME_DOCUMENT
"""The instruction of pictures unless the caller names another."""

SEARCH_INSTRUCTION = presets.GME_QUERY
"""The instruction of queries unless the caller names another."""

MAX_LENGTH = 1800
"""Tokens of a prompt; what is beyond is cut off, the closing tokens included."""

PICTURE = "<|image_pad|>"
_CONTROL = re.compile(r"<\|(?=\w+\|>)")


def write_prompt(instruction: str, text: str, picture: bool) -> str:
    """The prompt with one `<|image_pad|>` where a picture belongs.

    Words that spell a control token are words: they lose that meaning by a space, or a query
    could close the user's turn or ask for a picture that is not there.
    """
    instruction, text = (_CONTROL.sub("< |", part) for part in (instruction, text))
    seen = f"<|vision_start|>{PICTURE}<|vision_end|>" if picture else ""
    return (
        f"<|im_start|>system\n{instruction}<|im_end|>\n"
        f"<|im_start|>user\n{seen}{text}<|im_end|>\n"
        "<|im_start|>assistant\n<|endoftext|>"
    )


def number_prompts(
    tokenizer: Any,
    prompts: Sequence[str],
    visual_tokens: Sequence[int],
    max_length: int = MAX_LENGTH,
) -> list[list[int]]:
    """Token numbers of each prompt, its `<|image_pad|>` repeated once per visual token.

    Parameters
    ----------
    tokenizer : a tokenizer of transformers
    visual_tokens : sequence of int, one per prompt
        0 where the prompt has no picture.
    max_length : int
        Longer prompts lose their end, as in the published code. The picture stands in front, so
        it is whole as long as `max_length` exceeds its tokens by those of the instruction.
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
