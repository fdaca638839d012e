"""Measures a model in each precision, with its own weights or with random ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from imgsearch.bench.measurement import Measurement, Row, Work, default_precisions
from imgsearch.bench.meter import describe_machine, meter_of
from imgsearch.bench.random_models import ARCHITECTURES, random_encoder
from imgsearch.encoders.devices import choose_device, limit_threads
from imgsearch.encoders.registry import Registry
from imgsearch.errors import EncoderError
from imgsearch.library import Library
from imgsearch.model_card import EncoderOptions
from imgsearch.ports import Encoder
from imgsearch.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The rows of a measurement, with the model and the machine.

    Attributes
    ----------
    memory : str
        The memory that the rows report, in words.
    """

    model: str
    random_weights: bool
    date: str
    machine: dict[str, Any]
    memory: str
    work: Work
    rows: list[Row]

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_model(
    library: Library,
    work: Work,
    random_weights: bool = False,
    on_row: Callable[[Row], None] = lambda row: None,
) -> ModelReport:
    """Measure the model of the settings, or its architecture with random weights.

    If `work.precisions` is empty, the defaults for the device are measured.

    Raises
    ------
    EncoderError
        This machine has no such device, or the model can be loaded in none of the precisions.
    """
    settings, name = library.settings, library.model
    limit_threads(settings.threads or None)
    device = choose_device(settings.device)
    work = replace(work, precisions=work.precisions or default_precisions(device))
    load = _random if random_weights else _real
    open_encoder = load(settings, name, max(work.batch_sizes))
    rows = Measurement(open_encoder, device, work, on_row).run()
    return ModelReport(
        name,
        random_weights,
        date.today().isoformat(),
        describe_machine(device),
        meter_of(device).label,
        work,
        rows,
    )


def _random(settings: Settings, name: str, batch: int) -> Callable[[str], Encoder]:
    def load(precision: str) -> Encoder:
        options = EncoderOptions(
            device=settings.device,
            precision=precision,
            threads=settings.threads or None,
            batch_size=batch,
            visual_tokens=settings.visual_tokens,
        )
        return random_encoder(name, options)

    return load


def _real(settings: Settings, name: str, batch: int) -> Callable[[str], Encoder]:
    def load(precision: str) -> Encoder:
        try:
            options = replace(settings, precision=precision, batch_size=batch)
            return Registry(options).encoder(name)
        except EncoderError as error:
            if name in ARCHITECTURES and str(error).endswith("not on this machine"):
                command = f"--model {name} --random-weights"
                hint = f"{error.hint} Or measure its architecture without them: {command}."
                raise EncoderError(str(error), hint) from error
            raise

    return load
