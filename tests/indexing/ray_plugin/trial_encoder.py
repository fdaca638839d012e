"""The encoder `trial` for tests of a cluster: as `cheap`, but slow, fatal or of another revision.

What it does beyond that is in the environment of its process, which differs from node to node.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

from cheap_encoder import CARD, SPACE, CheapEncoder

from imgsearch.model_card import EncoderOptions
from imgsearch.vectors import Embeddings, Pixels

CARDS = [replace(CARD, name="trial")]


class TrialEncoder(CheapEncoder):
    """Sleeps TRIAL_SECONDS for each picture, and dies of a red one if TRIAL_FATAL is set."""

    card = CARDS[0]

    def __init__(self) -> None:
        self.space = replace(SPACE, model="trial", revision=revision("trial"))

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        time.sleep(len(images) * float(os.environ.get("TRIAL_SECONDS", "0")))
        if os.environ.get("TRIAL_FATAL") and any(map(_is_red, images)):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_images(images)


def _is_red(image: Pixels) -> bool:
    red, green, blue = image.reshape(-1, 3).mean(0)
    return bool(red > 240 and green < 15 and blue < 15)


def load(name: str, options: EncoderOptions) -> TrialEncoder:
    return TrialEncoder()


def revision(name: str) -> str:
    return os.environ.get("TRIAL_REVISION", "1")
