"""The offer of a larger model before the first run of the indexer, made once for each user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from imgsearch.cli.group import Context
from imgsearch.cli.terminal import complain, plain, size_of

if TYPE_CHECKING:
    from imgsearch.encoders.recommendation import Recommendation
    from imgsearch.indexing.plan import IndexRequest
    from imgsearch.library import Library

OFFER_FILE = "model-offered"
"""An empty file in the user's state folder: the offer has been made."""


def chosen_model(ctx: Context, lib: Library, request: IndexRequest) -> str:
    """The recommended model, if the user takes the offer for a new library; else "".

    Asks on the terminal, and downloads after a yes. Nothing is offered if the model would have to
    be downloaded and HF_HUB_OFFLINE is set.
    """
    from imgsearch.encoders.download import is_offline

    if _was_made():
        return ""
    found = lib.recommended_model(request=request)
    here = lib.models.is_here(found.model)
    if found.model == lib.model or (not here and is_offline()) or not _mark_made():
        return ""
    ctx.say(f"Recommended for you: {found.model}, which {found.reason}.")
    if click.confirm(_question(lib, found, here), default=False, err=True):
        return found.model if here or _is_fetched(ctx, lib, found.model) else ""
    ctx.say("To see the recommendation again: imgsearch models recommend")
    return ""


def _question(lib: Library, found: Recommendation, here: bool) -> str:
    card = lib.models.card(found.model)
    size = f" (up to {size_of(2 * card.bf16_bytes)})" if card else ""
    first = "Use it" if here else f"Download it{size} and use it"
    return f"{first} instead of {lib.model}?"


def _is_fetched(ctx: Context, lib: Library, model: str) -> bool:
    """Download a model; False, with the reason on stderr, if that fails."""
    from imgsearch.errors import EncoderError

    try:
        for item in lib.models.download(model):
            ctx.say(f"Downloaded {plain(item.name)}: {size_of(item.size)}, checked.")
    except EncoderError as error:
        complain(str(error), error.hint)
    except OSError as error:  # the cache cannot be written
        complain(f"{model} could not be stored: {error.strerror or error}")
    else:
        return True
    ctx.say(f"Continuing with {lib.model}.")
    return False


def _was_made() -> bool:
    return os.path.exists(_mark())


def _mark_made() -> bool:
    """Note that the offer is made; False if another process was faster or it cannot be noted."""
    try:
        os.makedirs(os.path.dirname(_mark()), exist_ok=True)
        with open(_mark(), "x", encoding="ascii"):
            return True
    except OSError:
        return False


def _mark() -> str:
    import platformdirs

    return os.path.join(platformdirs.user_state_dir("imgsearch", appauthor=False), OFFER_FILE)
