"""Make the tiny model and the golden vectors of the EmbeddingGemma 2 encoder.

    python -m venv /tmp/gemma-reference
    /tmp/gemma-reference/bin/pip install torch==2.13.0 torchvision==0.28.0 \
        transformers==5.23.0 sentence-transformers==6.2.0
    /tmp/gemma-reference/bin/python tests/golden/embedding_gemma2/make_golden.py

The reference is sentence-transformers with the stock processor, which needs torchvision, the stock
model, the published prompts, mean pooling and normalisation. The model is a random EmbeddingGemma 2
of 48 dimensions without an audio tower.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from embedding_gemma2_inputs import PAIRS, SIZES, TEXTS
from PIL import Image
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    EmbeddingGemma2Config,
    EmbeddingGemma2Model,
    EmbeddingGemma2Processor,
    PreTrainedTokenizerFast,
)
from transformers.models.embedding_gemma2.video_processing_embedding_gemma2 import (
    EmbeddingGemma2VideoProcessor,
)
from transformers.models.gemma4.feature_extraction_gemma4 import Gemma4AudioFeatureExtractor
from transformers.models.gemma4.image_processing_gemma4 import Gemma4ImageProcessor

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "gme"))

from inputs import picture  # noqa: E402

NAMES = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>", *NAMES.values(), "<|video|>"]
TEMPLATE = (
    "{{ bos_token }}{%- for message in messages -%}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}{{ '<|image|>' }}{%- else -%}{{ part.text }}{%- endif -%}"
    "{%- endfor -%}{%- endfor -%}{{ eos_token }}"
)
PROMPTS = {"query": "task: search result | query: ", "document": "title: none | text: "}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE that encloses a text in <bos> and <eos>, with the published specials."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator([*TEXTS[:5], *PROMPTS.values()] * 3, trainer)
    ends = [(name, trained.token_to_id(name)) for name in ("<bos>", "<eos>")]
    trained.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="right",
        extra_special_tokens=NAMES,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> EmbeddingGemma2Model:
    """A random EmbeddingGemma 2 whose vectors depend strongly on every input."""
    number = tokenizer.convert_tokens_to_ids
    config = EmbeddingGemma2Config(
        text_config={
            "vocab_size": len(tokenizer) + 8,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "global_head_dim": 32,
            "num_global_key_value_heads": 1,
            "sliding_window_pattern": 2,
            "sliding_window": 16,
            "hidden_size_per_layer_input": 32,
            "embedding_dim": 48,
            "pad_token_id": number("<pad>"),
        },
        vision_config={
            "model_type": "gemma4_vision",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "position_embedding_size": 1024,
        },
        audio_config=None,
        boi_token_id=number("<|image>"),
        eoi_token_id=number("<image|>"),
        image_token_id=number("<|image|>"),
        audio_token_id=number("<|audio|>"),
        video_token_id=number("<|video|>"),
    )
    model = EmbeddingGemma2Model(config).eval()
    generator = torch.Generator().manual_seed(20261129)
    for name, weight in model.named_parameters():
        scale = 0.1 if weight.ndim == 1 else 1.3 / math.sqrt(weight[0].numel())
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
            if "norm" in name:
                weight.add_(1.0)
    return model


def add_modules(folder: Path) -> None:
    """The files of sentence-transformers."""
    base = "sentence_transformers"
    kinds = {
        "": f"{base}.base.modules.transformer.Transformer",
        "1_Pooling": f"{base}.sentence_transformer.modules.pooling.Pooling",
        "2_Normalize": f"{base}.base.modules.normalize.Normalize",
    }
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": kind}
        for index, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"embedding_dimension": 48, "pooling_mode": "mean", "include_prompt": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    forward = {"method": "forward", "method_output_name": "last_hidden_state"}
    modalities = {
        "text": forward,
        "image": forward,
        "message": {**forward, "format": "structured"},
    }
    reader = {
        "transformer_task": "feature-extraction",
        "modality_config": modalities,
        "module_output_name": "token_embeddings",
    }
    (folder / "sentence_bert_config.json").write_text(json.dumps(reader))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": PROMPTS}))


def main() -> None:
    torch.set_num_threads(1)
    folder = HERE / "model"
    folder.mkdir(exist_ok=True)
    tokenizer = make_tokenizer()
    make_model(tokenizer).save_pretrained(folder)
    processor = EmbeddingGemma2Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(),
        tokenizer,
        EmbeddingGemma2VideoProcessor(),
        chat_template=TEMPLATE,
    )
    processor.save_pretrained(folder)
    add_modules(folder)
    model = SentenceTransformer(str(folder), device="cpu")
    print(model[0].modality_config, model.prompts)
    pictures = [Image.fromarray(picture(*size)) for size in SIZES]
    golden = {
        "queries": np.concatenate([model.encode_query([text]) for text in TEXTS]),
        "plain": np.concatenate([model.encode([text]) for text in TEXTS]),
        "images": np.concatenate([model.encode_document([one]) for one in pictures]),
        "image_batch": model.encode_document(pictures),
        "pairs": model.encode_query([{"image": pictures[i], "text": t} for t, i in PAIRS]),
    }
    save_file(golden, HERE / "golden.safetensors")
    for name, rows in golden.items():
        print(name, rows.shape, np.sort((rows @ rows.T).ravel())[-len(rows) - 2])


if __name__ == "__main__":
    main()
