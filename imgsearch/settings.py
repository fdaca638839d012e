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
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "autocast")
TABLE = "models"
"""The setting that is a table in the file, and can be set nowhere else."""
RANGES: dict[str, tuple[float, float]] = {
    "batch_size": (0, 4096),
    "workers": (0, 256),
    "threads": (0, 1024),
    "max_pixels": (1, 1e12),
    "decode_seconds": (1, 86_400),
    "keep_days": (0, 36_500),
    "dimension": (0, 65_536),
    "thumbnail_bytes": (0, 1e12),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with its default.

    Attributes
    ----------
    library : str
        Folder of the catalog and the indexes.
    model : str
        Name or path of the model; "" is the library's own or, for a new one, what
        suits the machine.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    precision : str
        Compute precision: auto, fp32, bf16, fp16 or autocast.
    batch_size : int
        Pictures that go through the model together; 0 is as many as fit in the free memory. What
        is done is committed after so many, or after 32.
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
    instruction : str
        What models that take instructions are told about the words of a query; "" is the
        model's own.
    document_instruction : str
        What they are told about pictures. It is part of the space: another one means that all
        pictures are encoded again. "" is the library's, or the model's own.
    dimension : int
        Length of vectors, for models that were trained to have theirs cut; part of the space, too.
        0 is the library's, or the model's own.
    thumbnail_bytes : int
        Small pictures that the page shows are kept in the library, so many bytes of them; 0 keeps
        none.
    models : tuple of (name, place)
        Where to take the weights of a model of 'imgsearch models' from: an id of the hub (a mirror)
        or a folder. In the file a table, `[models]`; it has no flag and no variable.
    """

    library: str = ""
    model: str = ""
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 0
    workers: int = 0
    threads: int = 0
    max_pixels: int = 250_000_000
    decode_seconds: float = 120.0
    keep_days: float = 30.0
    instruction: str = ""
    document_instruction: str = ""
    dimension: int = 0
    thumbnail_bytes: int = 1 << 30
    models: tuple[tuple[str, str], ...] = ()

    @property
    def decoders(self) -> int:
        """Decoder processes to start: one for each core that this process may use."""
        if self.workers:
            return self.workers
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1


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
    values = _from_file(env.get("IMGSEARCH_CONFIG", ""))
    for each in (each for each in fields(Settings) if each.name != TABLE):
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


def _from_file(named: str) -> dict[str, Any]:
    path = named or config_file()
    if not named and not os.path.exists(path):
        return {}
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise ImgSearchError(
            f"the settings in {path} cannot be read: {error.strerror}",
            "Mend its permissions, remove it, or set IMGSEARCH_CONFIG to another file.",
        ) from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise ImgSearchError(
            f"the settings in {path} cannot be read: {error}", "Mend or remove the file."
        ) from None
    names = [each.name for each in fields(Settings)]
    for name in found:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known settings: {', '.join(names)}."
            raise ImgSearchError(f"{path} has an unknown setting: {name}", hint)
    return {name: _of_kind(name, value, path) for name, value in found.items()}


def _of_kind(name: str, value: Any, path: str) -> Any:
    """A value of the TOML file, which has types of its own: a number may be a whole one."""
    if name == TABLE:
        return _pairs(value, path)
    kind = type(getattr(Settings(), name))
    if type(value) is kind or (kind is float and type(value) is int):
        return kind(value)
    raise _unfit(name, value, path)


def _pairs(table: Any, path: str) -> tuple[tuple[str, str], ...]:
    """A table of texts as pairs, which can be hashed."""
    if not isinstance(table, dict) or not all(type(v) is str and v for v in table.values()):
        raise ImgSearchError(
            f"{TABLE} in {path} is {table!r}, which is no table of texts",
            f'Write [{TABLE}] on a line of its own, and below it: name = "hub id or folder"',
        )
    return tuple(sorted(table.items()))


def _convert(name: str, raw: str, where: str) -> Any:
    try:
        return type(getattr(Settings(), name))(raw)
    except ValueError:
        raise _unfit(name, raw, where) from None


def _unfit(name: str, value: Any, where: str) -> ImgSearchError:
    kind = _WORDS[type(getattr(Settings(), name))]
    return ImgSearchError(f"{name} in {where} is {value!r}, which is no {kind}", "Mend the value.")


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
    for name, (least, most) in RANGES.items():
        value = getattr(settings, name)
        if not least <= value <= most:  # not a number is in no range either
            raise ImgSearchError(
                f"{name} is {value:g}, which is out of range", f"Use {least:g} to {most:.0f}."
            )
