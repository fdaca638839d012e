"""Modules that are imported when a test first uses them: torch and what needs it take seconds."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazy:
    """A module, imported when one of its attributes is first read."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


torch = Lazy("torch")
transformers = Lazy("transformers")
sentence_transformers = Lazy("sentence_transformers")
modules = Lazy("sentence_transformers.sentence_transformer.modules")
tokenizers = Lazy("tokenizers")
