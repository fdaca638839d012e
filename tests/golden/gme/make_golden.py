"""Make the tiny model and the golden vectors of the GME encoder.

    python -m venv /tmp/gme-reference
    /tmp/gme-reference/bin/pip install torch==2.13.0 transformers==4.51.3 pillow numpy
    /tmp/gme-reference/bin/python tests/golden/gme/make_golden.py

transformers 4.51.3 is the last line of versions that the published remote code of gme-Qwen2-VL
runs on. This is that code's computation, written again from its description
(docs/adr/0006-gme-without-remote-code.md): stock processor, language model called on embeddings
with an attention mask and no positions, last real token, L2 norm. The model is a random Qwen2-VL
of 64 dimensions, saved with the keys, the configuration and the shards of a published one.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from inputs import PAIRS, SEARCH, SIZES, TEXTS, picture
from PIL import Image
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    Qwen2TokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
)

HERE = Path(__file__).resolve().parent
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
SPECIALS += ["<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
CORPUS = [*TEXTS[:5], SEARCH, "You are a helpful assistant.", "system user assistant word"] * 3


def make_tokenizer(folder: Path) -> Qwen2TokenizerFast:
    """A byte-level BPE of a few hundred tokens with the pipeline and the specials of Qwen2."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    trained.model.save(str(folder))
    tokenizer = Qwen2TokenizerFast(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        eos_token="<|im_end|>",
        additional_special_tokens=SPECIALS[1:],
        model_max_length=32768,
    )
    tokenizer.chat_template = "unused"
    return tokenizer


def make_model(tokenizer: Qwen2TokenizerFast) -> Qwen2VLForConditionalGeneration:
    """A random Qwen2-VL whose vectors depend strongly on every input."""
    number = tokenizer.convert_tokens_to_ids
    config = Qwen2VLConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rope_theta=1000000.0,
        rope_scaling={"type": "mrope", "mrope_section": [2, 3, 3]},
        tie_word_embeddings=True,
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2},
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
    )
    model = Qwen2VLForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(20261122)
    for name, weight in model.named_parameters():
        scale = 0.1 if weight.ndim == 1 else 1.3 / math.sqrt(weight[0].numel())
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
            if "norm" in name or "ln_q" in name:
                weight.add_(0.0 if name.endswith("bias") else 1.0)
    return model


def first_resize(image: Image.Image) -> Image.Image:
    """Both sides to multiples of 28 (half to even), 4 to 16384 squares, aspect at most 200."""
    width, height = image.size
    h, w = max(28, round(height / 28) * 28), max(28, round(width / 28) * 28)
    if h * w > 16384 * 784:
        shrink = math.sqrt(height * width / (16384 * 784))
        h, w = (math.floor(side / shrink / 28) * 28 for side in (height, width))
    elif h * w < 4 * 784:
        grow = math.sqrt(4 * 784 / (height * width))
        h, w = (math.ceil(side * grow / 28) * 28 for side in (height, width))
    if max(h, w) / min(h, w) > 200:
        h, w = (w * 200, w) if h > w else (h, h * 200)
    return image.resize((w, h))


def prompt(instruction: str, text: str, image: Image.Image | None) -> str:
    picture_part = "" if image is None else "<|vision_start|><|image_pad|><|vision_end|>"
    return (
        f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{picture_part}{text}"
        "<|im_end|>\n<|im_start|>assistant\n<|endoftext|>"
    )


@torch.no_grad()
def embed(model, processor, instruction, texts, images=None) -> np.ndarray:
    """The reference: vectors of shape (n, 64), float32."""
    images = images or [None] * len(texts)
    prompts = [prompt(instruction, t, i) for t, i in zip(texts, images, strict=True)]
    resized = [first_resize(i) for i in images if i is not None]
    batch = processor(
        text=prompts,
        images=resized or None,
        padding=True,
        truncation=True,
        max_length=1800,
        return_tensors="pt",
    )
    ids, mask = batch["input_ids"], batch["attention_mask"]
    embeds = model.model.embed_tokens(ids)
    if resized:
        seen = model.visual(batch["pixel_values"], grid_thw=batch["image_grid_thw"])
        embeds[ids == model.config.image_token_id] = seen
    hidden = model.model(attention_mask=mask, inputs_embeds=embeds).last_hidden_state
    last = hidden[torch.arange(len(ids)), mask.sum(dim=1) - 1]
    return torch.nn.functional.normalize(last, p=2, dim=1).numpy()


def main() -> None:
    torch.set_num_threads(1)
    folder = HERE / "model"
    folder.mkdir(exist_ok=True)
    tokenizer = make_tokenizer(folder)
    tokenizer.padding_side = "right"
    model = make_model(tokenizer)
    pixels = {"min_pixels": 256 * 784, "max_pixels": 1280 * 784}
    processor = Qwen2VLProcessor(Qwen2VLImageProcessor(**pixels), tokenizer)
    model.save_pretrained(folder, max_shard_size="250KB")
    tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    for name in ("added_tokens.json", "special_tokens_map.json", "generation_config.json"):
        (folder / name).unlink(missing_ok=True)

    pictures = [Image.fromarray(picture(*size)) for size in SIZES]
    helpful = "You are a helpful assistant."

    def each(instruction, texts, images):
        rows = [
            embed(model, processor, instruction, [t], [i])
            for t, i in zip(texts, images, strict=True)
        ]
        return np.concatenate(rows)

    none = [None] * len(TEXTS)
    golden = {
        "documents": each(helpful, TEXTS, none),
        "queries": each(SEARCH, TEXTS, none),
        "images": each(helpful, [""] * len(pictures), pictures),
        "pairs": each(helpful, [t for t, _ in PAIRS], [pictures[i] for _, i in PAIRS]),
        "image_batch": embed(model, processor, helpful, [""] * len(pictures), pictures),
    }
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
