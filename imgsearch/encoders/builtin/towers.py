"""The two networks of the built-in model, each with the arrays that lead into the common space."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from imgsearch.encoders.builtin import colour, efficientnet, weights
from imgsearch.encoders.builtin.languages import Languages
from imgsearch.encoders.quiet import no_progress_bars

BLOCKS = {"sentence": 384, "concepts": 256, "colour": 16, "visual": 112}
"""Block to dimensions, in the order in which they follow each other in a vector."""
WEIGHTS = {"sentence": 1.0, "concepts": 1.5, "colour": 0.2, "visual": 3.0}
"""Block to its share of an inner product. A text has no visual block, so the weight of that one
decides how pictures compare with pictures and nothing else."""
DIMENSION = sum(BLOCKS.values())

_LONGEST_TEXT = 256  # tokens: what the sentence network was trained on
_TEXT_TEMPERATURE = 0.06
_IMAGE_TEMPERATURE = 0.7
_REGION = 3  # cells of the feature map, which has 9: a third of the side of a picture
_AT_ONCE_ON_CPU = 4  # pictures; with more, activations leave the cache: twice as slow (measured)
_EVEN_COLOURS = len(colour.TERMS) ** -0.5  # what `colour.of_picture` says where all are equal


class SentenceNetwork(nn.Module):
    """all-MiniLM-L6-v2: texts to sentence embeddings, (n, 384), float32, unit norm.

    MiniLM: Wang et al., NeurIPS 2020; mean pooling: Reimers & Gurevych, EMNLP 2019.
    """

    def __init__(self) -> None:
        from transformers import AutoConfig, AutoTokenizer, BertModel

        super().__init__()
        folder = weights.text_folder()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with no_progress_bars():
            self.bert = BertModel.from_pretrained(
                None, config=config, state_dict=weights.text_state()
            )
        self.requires_grad_(False).eval()

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        encoded = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=_LONGEST_TEXT,
            return_tensors="pt",
        )
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = self.bert(input_ids, attention_mask).last_hidden_state.float()
        mask = attention_mask[..., None].float()
        return F.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)


class TextTower(nn.Module):
    """Texts to rows of the common space."""

    mean_text: Tensor
    concept_texts: Tensor
    concept_rotation: Tensor

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = SentenceNetwork().to(dtype)
        self.languages = Languages()
        arrays = weights.load_assets()
        _keep(self, "mean_text", arrays["class_texts"].mean(0))
        _keep(self, "concept_texts", arrays["concept_texts"])
        _keep(self, "concept_rotation", arrays["concept_rotation"])

    def prepare(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids, mask, colour words, and what was understood of other languages, of n texts."""
        english, understood = self.languages.read_all(texts)
        words = np.stack([colour.of_text(text) for text in english])
        return self.network.tokenize(english) | {
            "colour_words": torch.from_numpy(words),
            "understood": torch.from_numpy(understood),
        }

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, colour_words: Tensor, understood: Tensor
    ) -> Tensor:
        """(n, 768), float32, unit norm."""
        sentences = self.network(input_ids, attention_mask)
        foreign = understood.any(1)
        if foreign.any():  # rows in English stay as they are, bit for bit
            sentences[foreign] = F.normalize(sentences[foreign] + understood[foreign], dim=1)
        likeness = torch.softmax(sentences @ self.concept_texts.T / _TEXT_TEMPERATURE, dim=1)
        return _join(
            sentence=sentences - self.mean_text,
            concepts=F.normalize(likeness, dim=1) @ self.concept_rotation,
            colours=colour_words,
            visual=sentences.new_zeros(len(sentences), BLOCKS["visual"]),
        )


class ImageTower(nn.Module):
    """Pictures to rows of the common space.

    The sentence block is ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of
    Semantic Embeddings", ICLR 2014): the texts of the classes, weighted by how likely each is.
    """

    class_texts: Tensor
    concept_members: Tensor
    concept_weights: Tensor
    concept_rotation: Tensor
    visual_basis: Tensor

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        network = efficientnet.from_checkpoint(weights.vision_state())
        self.network = network.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        arrays = weights.load_assets()
        class_texts = arrays["class_texts"]
        _keep(self, "class_texts", class_texts - class_texts.mean(0))
        _keep(self, "concept_members", arrays["concept_members"].T)
        _keep(self, "concept_weights", arrays["concept_weights"])
        _keep(self, "concept_rotation", arrays["concept_rotation"])
        _keep(self, "visual_basis", arrays["visual_basis"])

    def prepare(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Pixels (n, 260, 260, 3), uint8, and colours (n, 11), float32, of n pictures."""
        fitted = [_fit(image.convert("RGB")) for image in images]
        return {
            "pixels": torch.from_numpy(np.stack([_pad(image) for image in fitted])),
            "colours": torch.from_numpy(np.stack([colour.of_picture(i) for i in fitted])),
        }

    def forward(self, pixels: Tensor, colours: Tensor) -> Tensor:
        """(n, 768), float32, unit norm."""
        # Rows of pixels are what torch calls channels_last: the permuted view needs no copy.
        scaled = efficientnet.scale_pixels(pixels.permute(0, 3, 1, 2).to(self._dtype))
        at_once = _AT_ONCE_ON_CPU if scaled.device.type == "cpu" else len(scaled)
        maps = torch.cat([self.network(part) for part in torch.split(scaled, at_once)]).float()
        features = maps.mean((2, 3))
        regions = F.avg_pool2d(maps, _REGION, stride=1).flatten(2).transpose(1, 2)
        whole_logits, region_logits = self._logits(features), self._logits(regions)
        likely = _evidence(whole_logits, region_logits, _IMAGE_TEMPERATURE)
        plain = _evidence(whole_logits, region_logits, 1.0)
        seen = (plain @ self.concept_members).clamp(0, 1).sqrt() * self.concept_weights
        return _join(
            sentence=likely.sqrt() @ self.class_texts,
            concepts=F.normalize(seen, dim=1) @ self.concept_rotation,
            colours=colours - _EVEN_COLOURS,
            visual=features @ self.visual_basis,
        )

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.network.stem.weight.dtype
        return dtype

    def _logits(self, features: Tensor) -> Tensor:
        """Class logits of features (..., 1280), in float32 whatever the network computes in."""
        head = self.network.classifier
        return F.linear(features, head.weight.float(), head.bias.float())


def _evidence(whole: Tensor, regions: Tensor, temperature: float) -> Tensor:
    """How likely each class is: half from the whole picture, half the mean over its regions.

    Parameters
    ----------
    whole : Tensor of shape (n, classes)
    regions : Tensor of shape (n, regions, classes)
        Logits. A region that shows one thing clearly counts as much as any other, so a small
        object is seen that the average of the features would have drowned.

    Returns
    -------
    Tensor of shape (n, classes), rows sum to 1
    """
    overall = torch.softmax(whole / temperature, dim=-1)
    return (overall + torch.softmax(regions / temperature, dim=-1).mean(1)) / 2


def _join(*, sentence: Tensor, concepts: Tensor, colours: Tensor, visual: Tensor) -> Tensor:
    """The blocks, each of unit norm or zero, side by side and weighted; rows of unit norm."""
    colours = F.pad(colours, (0, BLOCKS["colour"] - colours.shape[1]))
    parts = zip((sentence, concepts, colours, visual), WEIGHTS.values(), strict=True)
    row = torch.cat([math.sqrt(share) * F.normalize(part, dim=1) for part, share in parts], dim=1)
    return F.normalize(row, dim=1)


def _keep(module: nn.Module, name: str, array: np.ndarray) -> None:
    module.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)


def _fit(image: Image.Image) -> Image.Image:
    """The picture with its longer side at the network's size."""
    scale = efficientnet.SIZE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC)


def _pad(image: Image.Image) -> np.ndarray:
    """In the middle of a white square of the network's size: (260, 260, 3), uint8."""
    side = efficientnet.SIZE
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - image.height) // 2, (side - image.width) // 2
    square[top : top + image.height, left : left + image.width] = np.asarray(image)
    return square
