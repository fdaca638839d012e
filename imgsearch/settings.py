"""Settings from command-line flags, environment variables, the configuration file and defaults."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from imgsearch.errors import ImgSearchError

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "autocast")
REFRESH_CHOICES = ("ask", "always", "never")
OCR_MODES = ("auto", "on", "off")
"""Which pictures are read: those where text is seen at a glance, all, or none."""
EXACT = "exact"
"""The value of the flag `index` that asks for the exact form of what is configured."""
CATALOG_SCHEMES = ("postgresql://", "postgres://")
LOCAL = "local"
"""The value of `encoders` for this machine."""
MODELS_TABLE = "models"
"""The setting that is a table of the configuration file; its variable has the table's lines."""


def _setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    values: str = "",
    limits: tuple[float, float] | None = None,
    secret: bool = False,
) -> Any:
    """A field of `Settings` with its documentation, from which docs/SETTINGS.md is generated.

    Parameters
    ----------
    doc : str
        Meaning of the setting, in Markdown.
    unit : str
        Unit of a number.
    values : str
        The allowed values of a text or table, in Markdown.
    limits : (lowest, highest)
        The allowed range of a number, both ends included.
    secret : bool
        The value may contain a password, and is left out of the text of `Settings`.
    """
    metadata = {"doc": doc, "unit": unit, "values": values, "limits": limits}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings with their defaults; each field documents itself, see `_setting`."""

    library: str = _setting(
        "",
        "Folder of the catalog and the indexes. If empty, `imgsearch` in your data folder.",
        values="a path; `~` stands for your home folder",
    )
    model: str = _setting(
        "",
        "The model to index and search with. If empty, the library's own model or, for a new"
        " library, the one that suits the machine.",
        values="a name from `imgsearch models`; or a folder or `OWNER/NAME` on the Hugging Face"
        " hub, which the encoder `sentence-transformers` loads",
    )
    device: str = _setting(
        "auto",
        "Where the model runs. `cuda:N` is the GPU with that number.",
        values="`auto`, `cpu`, `cuda`, `cuda:N`, `mps`",
    )
    precision: str = _setting(
        "auto",
        "Compute precision of the model. `auto` takes what the device does well.",
        values=", ".join(f"`{precision}`" for precision in PRECISIONS),
    )
    batch_size: int = _setting(
        0,
        "Pictures that pass through the model together. 0 means as many as fit into the free"
        " memory. Results are committed after this number of pictures, or after 32 if that is"
        " fewer.",
        unit="pictures",
        limits=(0, 4096),
    )
    workers: int = _setting(
        0, "Decoder processes. 0 means one per core.", unit="processes", limits=(0, 256)
    )
    threads: int = _setting(
        0,
        "Threads of the model on the CPU. 0 leaves the number to PyTorch.",
        unit="threads",
        limits=(0, 1024),
    )
    max_pixels: int = _setting(
        250_000_000, "Larger pictures are skipped.", unit="pixels", limits=(1, 1e12)
    )
    decode_seconds: float = _setting(
        120.0,
        "Files that take longer to decode are skipped.",
        unit="seconds",
        limits=(1, 86_400),
    )
    keep_days: float = _setting(
        30.0,
        "How long the vectors of absent pictures are kept, in case the pictures come back.",
        unit="days",
        limits=(0, 36_500),
    )
    instruction: str = _setting(
        "",
        "The instruction for the words of a query, for models that take instructions. If empty,"
        " the model's own.",
        values="text",
    )
    document_instruction: str = _setting(
        "",
        "The instruction for pictures, for models that take instructions. It is part of the"
        " embedding space: another one means that all pictures are encoded again. If empty, the"
        " library's or the model's own.",
        values="text",
    )
    dimension: int = _setting(
        0,
        "Length of the vectors, for models trained with shortened vectors. It is part of the"
        " embedding space. 0 means the library's length or the model's own.",
        unit="numbers per vector",
        limits=(0, 65_536),
    )
    visual_tokens: int = _setting(
        0,
        "Maximum number of visual tokens of a picture, for models whose input depends on its size"
        " (gme, Qwen3-VL, EmbeddingGemma 2). More show more detail and take proportionally more"
        " time. It is part of the embedding space. 0 means the library's number or the model's"
        " own.",
        unit="tokens",
        limits=(0, 1800),
    )
    index: str = _setting(
        "auto",
        "How vectors are searched: `flat`, `torch` and `memory` are exact, `ivf` is approximate,"
        " and `auto` chooses between `flat` and `ivf` by the size of the library. `faiss-gpu` is"
        " `auto` on GPUs, which needs FAISS's build for them.",
        values="`auto`, `flat`, `ivf`, `faiss-gpu`, `torch`, `memory`, the name of a plug-in, or"
        " the URL of a server (docs/SCALE.md), PostgreSQL with pgvector"
        " (`postgresql://user@host/database`) or Milvus (`milvus://host:19530/database`); `#exact`"
        " at the end of a URL makes all searches exact",
        secret=True,
    )
    catalog: str = _setting(
        "",
        "Where the catalog lies. If empty, in a file of the library's folder; then the folder has"
        " all of the library. With a server it has only what is made from the catalog.",
        values="empty, or the URL of a database on a PostgreSQL server"
        " (`postgresql://user@host/database`, docs/SCALE.md)",
        secret=True,
    )
    encoders: str = _setting(
        LOCAL,
        "Where pictures are decoded and encoded. On a Ray cluster, every machine needs the model,"
        " and the folders under the same paths.",
        values="`local`; `ray`, the cluster that this machine is part of; `ray://host:10001`, a"
        " cluster by its head (docs/SCALE.md); or the name or URL scheme of a plug-in",
    )
    thumbnail_bytes: int = _setting(
        1 << 30,
        "Size of the cache of small pictures for the web page, kept in the library. 0 turns it"
        " off.",
        unit="bytes",
        limits=(0, 1e12),
    )
    trust_proxy: str = _setting(
        "",
        "Proxies before `imgsearch serve` that are trusted to report the client's address, TLS and"
        " path (`X-Forwarded-For`, `-Proto`, `-Prefix`). From other addresses these headers are"
        " ignored.",
        values="IP addresses and networks with commas between, such as `127.0.0.1,172.18.0.0/16`",
    )
    folder_places: str = _setting(
        "~",
        "Folders below which the page and the HTTP API of `imgsearch serve` may list folders and"
        " add them to the library. Links are not followed, and hidden folders are left out.",
        values="paths with `:` between (`;` on Windows); `~` stands for your home folder; `none`"
        " if folders are to be added on the command line only",
    )
    daemon: str = _setting(
        "auto",
        "Whether a running daemon answers searches.",
        values="`auto`, `off`",
    )
    refresh: str = _setting(
        "ask",
        "What a search on the command line does about new and changed pictures: `ask` names their"
        " number, `always` indexes them first, `never` does not look.",
        values="`ask`, `always`, `never`",
    )
    ocr: str = _setting(
        "off",
        "In which pictures `index` reads text, unless `--ocr` or `--no-ocr` was used for the"
        " library: `auto` in those where a glance sees text, `on` in all.",
        values="`auto`, `on`, `off`",
    )
    models: tuple[tuple[str, str], ...] = _setting(
        (),
        "Other places for the weights of models listed by `imgsearch models`, for example a mirror"
        " or a local folder; or a server that runs a model, `triton` over gRPC or `triton+http`"
        " over HTTP (docs/SCALE.md).",
        values='lines of the form `name = "hub id or folder"` or `name = "triton://host:8001"`; in'
        " the file below `[models]`",
        secret=True,
    )

    @property
    def decoders(self) -> int:
        """Number of decoder processes: `workers`, or one per core that this process may use."""
        return self.workers or usable_cores()


def usable_cores() -> int:
    """Number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Settings:
    """Load settings: flags override IMGSEARCH_* variables, and these override the TOML file.

    Parameters
    ----------
    flags : mapping
        Values by name; None counts as absent.

    Raises
    ------
    ImgSearchError
        The file or a variable has an unknown name or an invalid value.
    """
    env = os.environ if environment is None else environment
    values = _from_file(env.get("IMGSEARCH_CONFIG", ""))
    for each in fields(Settings):
        variable = variable_name(each.name)
        if raw := env.get(variable):
            values[each.name] = _convert(each.name, raw, variable)
    configured = str(values.get("index", ""))
    values.update({name: value for name, value in flags.items() if value is not None})
    if values.get("index") == EXACT:
        values["index"] = _exact(configured)
    settings = Settings(**values)
    _check(settings)
    library = settings.library or _data_folder()
    values["library"] = os.path.abspath(os.path.expanduser(library))
    return Settings(**values)


def _exact(kind: str) -> str:
    """The exact form of a kind of index: a server stays the same, files are those of `flat`."""
    return kind.removesuffix(f"#{EXACT}") + f"#{EXACT}" if "://" in kind else "flat"


def is_url(place: str) -> bool:
    """True if this names a server, even with a slash too few, and not a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", place) is not None


def require_catalog_url(url: str, name: str, other: str) -> None:
    """Raise `ImgSearchError` for a URL of another kind of server; the message does not repeat it.

    Parameters
    ----------
    name : str
        What the URL is.
    other : str
        What to do if none is meant.
    """
    if not url.startswith(CATALOG_SCHEMES):
        raise ImgSearchError(
            f"the {name} is not the URL of a server that can hold a catalog",
            f"Write postgresql://user@host/database, {other}.",
        )


def has_password(url: str) -> bool:
    """True if a kind of index, or the place of a catalog, is a URL with a password."""
    return re.search(r":/+[^/@]*:[^@]*@|[?&](ssl)?password=", url) is not None


def variable_name(setting: str) -> str:
    """The environment variable of a setting."""
    return f"IMGSEARCH_{setting.upper()}"


def _data_folder() -> str:
    import platformdirs

    return platformdirs.user_data_dir("imgsearch", appauthor=False)


def config_file() -> str:
    """The path of the configuration file unless IMGSEARCH_CONFIG names another one."""
    import platformdirs

    return os.path.join(platformdirs.user_config_dir("imgsearch", appauthor=False), "config.toml")


def _from_file(explicit: str) -> dict[str, Any]:
    path = explicit or config_file()
    if not explicit and not os.path.exists(path):
        return {}
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ImgSearchError(
            f"the settings in {path} cannot be read: {error.strerror}",
            "Fix its permissions, remove it, or set IMGSEARCH_CONFIG to another file.",
        ) from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise ImgSearchError(
            f"the settings in {path} cannot be read: {error}", "Fix or remove the file."
        ) from None
    names = [each.name for each in fields(Settings)]
    for name in values:
        if name not in names:
            import difflib

            near = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known settings: {', '.join(names)}."
            raise ImgSearchError(f"{path} has an unknown setting: {name}", hint)
    return {name: _of_kind(name, value, path) for name, value in values.items()}


def _of_kind(name: str, value: Any, path: str) -> Any:
    """A value of the TOML file in the type of its setting; a whole number may stand for a float."""
    if name == MODELS_TABLE:
        return _pairs(value, path)
    kind = type(getattr(Settings(), name))
    if type(value) is kind or (kind is float and type(value) is int):
        return kind(value)
    raise _invalid(name, value, path)


def _pairs(table: Any, where: str) -> tuple[tuple[str, str], ...]:
    """A table of texts as sorted pairs, which can be hashed."""
    if not isinstance(table, dict) or not all(type(v) is str and v for v in table.values()):
        raise ImgSearchError(
            f"{MODELS_TABLE} in {where} is not a table of texts",
            'Write lines of the form: name = "hub id, folder or URL"; in a file below'
            f" [{MODELS_TABLE}], which has a line of its own.",
        )
    return tuple(sorted(table.items()))


def _convert(name: str, raw: str, where: str) -> Any:
    if name == MODELS_TABLE:
        try:
            return _pairs(tomllib.loads(raw), where)
        except ValueError:  # its message may quote a URL
            return _pairs(None, where)
    try:
        return type(getattr(Settings(), name))(raw)
    except ValueError:
        raise _invalid(name, raw, where) from None


def _invalid(name: str, value: Any, where: str) -> ImgSearchError:
    kind = type(getattr(Settings(), name))
    shown = "" if kind is str else f"{value!r}, which is "  # a URL may have a password
    return ImgSearchError(f"{name} in {where} is {shown}not {_WORDS[kind]}", "Fix the value.")


_WORDS = {int: "a whole number", float: "a number", str: "a text"}


def _check(settings: Settings) -> None:
    if settings.device.split(":")[0] not in DEVICES:
        raise ImgSearchError(
            f"unknown device: {settings.device}", "Use auto, cpu, cuda, cuda:N or mps."
        )
    if settings.precision not in PRECISIONS:
        raise ImgSearchError(
            f"unknown precision: {settings.precision}", f"Use one of {', '.join(PRECISIONS)}."
        )
    if settings.daemon not in ("auto", "off"):
        raise ImgSearchError(f"unknown value of daemon: {settings.daemon}", "Use auto or off.")
    if settings.refresh not in REFRESH_CHOICES:
        raise ImgSearchError(
            f"unknown value of refresh: {settings.refresh}",
            f"Use one of {', '.join(REFRESH_CHOICES)}.",
        )
    if settings.ocr not in OCR_MODES:
        raise ImgSearchError(
            f"unknown value of ocr: {settings.ocr}", f"Use one of {', '.join(OCR_MODES)}."
        )
    if is_url(settings.library):
        raise ImgSearchError(
            "a library is a folder, not a URL",
            "Name a catalog on a server with --catalog, and the folder for its index with"
            " --library.",
        )
    if settings.catalog:
        require_catalog_url(
            settings.catalog, "setting catalog", "or leave it empty for a file in the library"
        )
    for each in fields(Settings):
        if each.metadata["limits"] is None:
            continue
        lowest, highest = each.metadata["limits"]
        value = getattr(settings, each.name)
        if not lowest <= value <= highest:  # NaN is out of every range
            raise ImgSearchError(
                f"{each.name} is {value:g}, which is out of range",
                f"Use {lowest:g} to {highest:.0f}.",
            )
