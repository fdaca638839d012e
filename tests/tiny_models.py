"""Models of the real architectures with a few thousand random weights, as model folders.

Each function writes what `SentenceTransformer.save_pretrained` would: no network, no torchvision.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.lazy_modules import modules, sentence_transformers, tokenizers, torch, transformers

SIZE = 32
DIMENSION = 32
_CORPUS = ["a photo of a dog and a cat on a red beach by the blue sea at sunset"] * 4
_LAYERS = {
    "hidden_size": DIMENSION,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_VISION = _LAYERS | {"image_size": SIZE, "patch_size": 8}


def make_clip(folder: Path) -> Path:
    """CLIP (Radford et al. 2021): crops the middle of a picture whose shorter side is 32."""
    torch.manual_seed(0)
    begin, end = "<|startoftext|>", "<|endoftext|>"
    tokenizer = _tokenizer([begin, end], f"{begin} $A {end}", bos_token=begin, pad_token=end)
    first, last = tokenizer.convert_tokens_to_ids([begin, end])
    text = _LAYERS | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 77,
        "bos_token_id": first,
        "eos_token_id": last,
        "pad_token_id": last,
    }
    config = transformers.CLIPConfig(
        projection_dim=DIMENSION, text_config=text, vision_config=_VISION
    )
    pictures = transformers.models.clip.image_processing_pil_clip.CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    )
    processor = transformers.CLIPProcessor(image_processor=pictures, tokenizer=tokenizer)
    return _save(transformers.CLIPModel(config), processor, folder)


def make_siglip(folder: Path) -> Path:
    """SigLIP (Zhai et al. 2023), which SigLIP 2 of fixed size is as well: squashes to 32 x 32."""
    torch.manual_seed(0)
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokenizer = _tokenizer(specials, "$A <eos>", bos_token="<bos>", pad_token="<pad>", mask=False)
    text = _LAYERS | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "projection_size": DIMENSION,
    }
    config = transformers.SiglipConfig(text_config=text, vision_config=_VISION)
    pictures = transformers.models.siglip.image_processing_pil_siglip.SiglipImageProcessorPil(
        size={"height": SIZE, "width": SIZE}
    )
    processor = transformers.SiglipProcessor(image_processor=pictures, tokenizer=tokenizer)
    return _save(transformers.SiglipModel(config), processor, folder)


def make_text_only(folder: Path) -> Path:
    """BERT: knows no pictures."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(["[PAD]", "[SEP]"], "$A [SEP]", pad_token="[PAD]", eos="[SEP]")
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=64, **_LAYERS
    )
    return _save(transformers.BertModel(config), tokenizer, folder)


def make_multilingual_text(folder: Path, dimension: int = DIMENSION) -> Path:
    """DistilBERT, mean pooling and a dense layer to the dimension of a CLIP, in the files and
    with the class names of sentence-transformers/clip-ViT-B-32-multilingual-v1."""
    torch.manual_seed(1)
    tokenizer = _tokenizer(["[PAD]", "[SEP]"], "$A [SEP]", pad_token="[PAD]", eos="[SEP]")
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        dim=24,
        hidden_dim=48,
        n_layers=2,
        n_heads=2,
    )
    plain = folder.with_name(folder.name + "-plain")
    transformers.DistilBertModel(config).eval().save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    dense = modules.Dense(24, dimension, bias=False, activation_function=torch.nn.Identity())
    parts = [modules.Transformer(str(plain)), modules.Pooling(24), dense]
    sentence_transformers.SentenceTransformer(modules=parts, device="cpu").save_pretrained(
        str(folder)
    )
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense"}
    _name_modules(folder, kinds)
    return folder


def make_older_clip(folder: Path) -> Path:
    """The CLIP of `make_clip` in the files and with the class name of
    sentence-transformers/clip-ViT-B-32, but as safetensors."""
    make_clip(folder)
    inner = folder / "0_CLIPModel"
    shutil.copytree(folder.with_name(folder.name + "-plain"), inner)
    for file in folder.iterdir():
        if file != inner:
            file.unlink()
    _name_modules(folder, {"0_CLIPModel": "CLIPModel"})
    return folder


def _name_modules(folder: Path, kinds: dict[str, str]) -> None:
    """As sentence-transformers named its classes when those models were published."""
    entries = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(entries))


def _tokenizer(specials, template, *, pad_token, bos_token=None, eos=None, mask=True):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=specials,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=template, special_tokens=[(name, tokenizer.token_to_id(name)) for name in specials]
    )
    end = eos or specials[1]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos_token,
        eos_token=end,
        unk_token=end,
        pad_token=pad_token,
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"] if mask else ["input_ids"],
    )


def _save(model, processor, folder: Path) -> Path:
    """As transformers saves a model, and from there as sentence-transformers does."""
    plain = folder.with_name(folder.name + "-plain")
    model.eval().save_pretrained(plain)
    processor.save_pretrained(plain)
    sentence_transformers.SentenceTransformer(
        str(plain), device="cpu", local_files_only=True
    ).save_pretrained(str(folder))
    return folder
