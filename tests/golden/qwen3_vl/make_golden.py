"""Make the tiny model and the golden vectors of the Qwen3-VL encoder.

    python -m venv /tmp/qwen3-reference
    /tmp/qwen3-reference/bin/pip install torch==2.13.0 torchvision==0.28.0 \
        transformers==4.57.6 qwen-vl-utils==0.0.14
    /tmp/qwen3-reference/bin/python tests/golden/qwen3_vl/make_golden.py

This is the computation of the code published with Qwen3-VL-Embedding, written again from its
description: the stock processor with torchvision, its chat template, `process_vision_info` with
4096 to 1843200 pixels, the stock model with its three-dimensional positions, the last real token,
L2 norm. The model is a random Qwen3-VL of 64 dimensions, saved with the keys, the configuration and
the shards of a published one.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from qwen3_vl_inputs import PAIRS, SEARCH, SIZES, TEXTS
from qwen_vl_utils import process_vision_info
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    Qwen2TokenizerFast,
    Qwen2VLImageProcessorFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "gme"))

from inputs import picture  # noqa: E402

DOCUMENT = "Represent the user's input."
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
SPECIALS += ["<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
CORPUS = [*TEXTS[:5], SEARCH, DOCUMENT, "system user assistant word"] * 3
TEMPLATE = (
    "{%- for message in messages -%}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif 'text' in part -%}{{ part.text }}{%- endif -%}{%- endfor -%}"
    "{{ '<|im_end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)


def make_tokenizer(folder: Path) -> Qwen2TokenizerFast:
    """A byte-level BPE of a few hundred tokens with the pipeline and the specials of Qwen3."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    trained.model.save(str(folder))
    return Qwen2TokenizerFast(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        eos_token="<|im_end|>",
        additional_special_tokens=SPECIALS[1:],
        model_max_length=262144,
        padding_side="right",
    )


def make_model(tokenizer: Qwen2TokenizerFast) -> Qwen3VLForConditionalGeneration:
    """A random Qwen3-VL whose vectors depend strongly on every input."""
    number = tokenizer.convert_tokens_to_ids
    rope = {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"}
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 262144,
            "rope_theta": 5000000.0,
            "rope_scaling": rope,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0, 1],
        },
        tie_word_embeddings=True,
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
    )
    model = Qwen3VLForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(20261129)
    for name, weight in model.named_parameters():
        scale = 0.1 if weight.ndim == 1 else 1.3 / math.sqrt(weight[0].numel())
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
            if "norm" in name:
                weight.add_(0.0 if name.endswith("bias") else 1.0)
    return model


def conversation(instruction: str, text: str | None, image: Image.Image | None) -> list:
    content = []
    if image is not None:
        limits = {"min_pixels": 4 * 32 * 32, "max_pixels": 1800 * 32 * 32}
        content.append({"type": "image", "image": image, **limits})
    if text is not None:
        content.append({"type": "text", "text": text})
    system = [{"type": "text", "text": instruction}]
    return [{"role": "system", "content": system}, {"role": "user", "content": content}]


@torch.no_grad()
def embed(model, processor, instruction, texts, images) -> np.ndarray:
    """The reference: vectors of shape (n, 64), float32."""
    talks = [conversation(instruction, t, i) for t, i in zip(texts, images, strict=True)]
    prompts = processor.apply_chat_template(talks, add_generation_prompt=True, tokenize=False)
    pictures, _, _ = process_vision_info(
        talks, image_patch_size=16, return_video_metadata=True, return_video_kwargs=True
    )
    batch = processor(
        text=prompts,
        images=pictures,
        padding=True,
        truncation=True,
        max_length=8192,
        do_resize=False,
        return_tensors="pt",
    )
    hidden = model.model(**batch).last_hidden_state
    mask = batch["attention_mask"]
    columns = mask.shape[1] - 1 - mask.flip(dims=[1]).argmax(dim=1)
    last = hidden[torch.arange(len(mask)), columns]
    return torch.nn.functional.normalize(last, p=2, dim=-1).numpy()


def main() -> None:
    torch.set_num_threads(1)
    folder = HERE / "model"
    folder.mkdir(exist_ok=True)
    tokenizer = make_tokenizer(folder)
    model = make_model(tokenizer)
    half = [0.5, 0.5, 0.5]
    images = Qwen2VLImageProcessorFast(
        patch_size=16,
        image_mean=half,
        image_std=half,
        size={"shortest_edge": 65536, "longest_edge": 16777216},
    )
    processor = Qwen3VLProcessor(images, tokenizer, Qwen3VLVideoProcessor(), TEMPLATE)
    model.save_pretrained(folder, max_shard_size="250KB")
    processor.save_pretrained(folder)
    for name in ("added_tokens.json", "special_tokens_map.json", "generation_config.json"):
        (folder / name).unlink(missing_ok=True)

    pictures = [Image.fromarray(picture(*size)) for size in SIZES]

    def each(instruction, texts, images):
        rows = [
            embed(model, processor, instruction, [t], [i])
            for t, i in zip(texts, images, strict=True)
        ]
        return np.concatenate(rows)

    none = [None] * len(TEXTS)
    batch = [pictures[i] for i in (0, 2, 4)]
    golden = {
        "documents": each(DOCUMENT, TEXTS, none),
        "queries": each(SEARCH, TEXTS, none),
        "images": each(DOCUMENT, [None] * len(pictures), pictures),
        "pairs": each(DOCUMENT, [t for t, _ in PAIRS], [pictures[i] for _, i in PAIRS]),
        "image_batch": embed(model, processor, DOCUMENT, [None] * 3, batch),
    }
    tokenizer.padding_side = "left"
    golden["image_batch_left"] = embed(model, processor, DOCUMENT, [None] * 3, batch)
    save_file(golden, HERE / "golden.safetensors")
    for name, rows in golden.items():
        print(
            name,
            rows.shape,
            "largest cosine between two:",
            np.sort((rows @ rows.T).ravel())[-len(rows) - 2],
        )


if __name__ == "__main__":
    main()
