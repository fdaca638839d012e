"""Settings: flags before environment before the configuration file before defaults."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import platformdirs

from imgsearch.errors import ImgSearchError

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with its default.

    Attributes
    ----------
    library : str
        Folder of the catalog and the indexes.
    model : str
        Name or path of the model; "" is the library's own, or `builtin` for a new one.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    precision : str
        Compute precision: auto, fp32, bf16 or fp16.
    batch_size : int
        Pictures per call of the model, and per commit.
    workers : int
        Decoder processes; 0 is one per core.
    threads : int
        Threads of the model on the CPU; 0 leaves it to torch.
    max_pixels : int
        Larger pictures are skipped.
    decode_seconds : float
        A file that takes longer to decode is skipped.
    keep_days : float
        So long the vectors of absent pictures are kept, in case they come back.
    """

    library: str = ""
    model: str = ""
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 32
    workers: int = 0
    threads: int = 0
    max_pixels: int = 250_000_000
    decode_seconds: float = 120.0
    keep_days: float = 30.0

    @property
    def decoders(self) -> int:
        """Decoder processes to start."""
        return self.workers or os.cpu_count() or 1


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings from flags (None means not given), IMGSEARCH_* variables and the TOML file.

    Raises
    ------
    ImgSearchError
        A file or variable holds a name or value that cannot be used.
    """
    env = os.environ if environment is None else environment
    values = _from_file(env.get("IMGSEARCH_CONFIG") or config_file())
    for each in fields(Settings):
        raw = env.get(f"IMGSEARCH_{each.name.upper()}")
        if raw:
            values[each.name] = _convert(each.name, raw, f"IMGSEARCH_{each.name.upper()}")
    values.update({name: value for name, value in flags.items() if value is not None})
    settings = Settings(**values)
    _check(settings)
    library = settings.library or platformdirs.user_data_dir("imgsearch", appauthor=False)
    values["library"] = os.path.abspath(os.path.expanduser(library))
    return Settings(**values)


def config_file() -> str:
    """Where the configuration file is looked for; IMGSEARCH_CONFIG names another place."""
    return os.path.join(platformdirs.user_config_dir("imgsearch", appauthor=False), "config.toml")


def _from_file(path: str) -> dict[str, Any]:
    if not os.path.exists(path):
        return {}
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ImgSearchError(
            f"{path} cannot be read: {error}", "Mend or remove the file."
        ) from None
    names = [each.name for each in fields(Settings)]
    for name in found:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known settings: {', '.join(names)}."
            raise ImgSearchError(f"{path} has an unknown setting: {name}", hint)
    return {name: _convert(name, value, path) for name, value in found.items()}


def _convert(name: str, raw: Any, where: str) -> Any:
    kind = type(getattr(Settings(), name))
    try:
        if isinstance(raw, bool):
            raise ValueError
        return kind(raw)
    except (TypeError, ValueError):
        raise ImgSearchError(
            f"{name} in {where} is {raw!r}, which is no {_WORDS[kind]}", "Mend the value."
        ) from None


_WORDS = {int: "whole number", float: "number", str: "text"}


def _check(settings: Settings) -> None:
    if settings.device.split(":")[0] not in DEVICES:
        raise ImgSearchError(
            f"unknown device: {settings.device}", "Use auto, cpu, cuda, cuda:N or mps."
        )
    if settings.precision not in PRECISIONS:
        raise ImgSearchError(
            f"unknown precision: {settings.precision}", f"Use one of {', '.join(PRECISIONS)}."
        )
    lowest = {"batch_size": 1, "workers": 0, "threads": 0, "max_pixels": 1, "keep_days": 0}
    for name, least in lowest.items():
        if getattr(settings, name) < least:
            raise ImgSearchError(f"{name} must be at least {least}", "Mend the value.")
