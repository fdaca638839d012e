"""Speed and memory of a model in each precision, with its own weights or with random ones."""

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
    """What was measured, of what, and where.

    Attributes
    ----------
    memory : str
        What the memory of the rows is memory of.
    """

    model: str
    random_weights: bool
    date: str
    machine: dict[str, Any]
    memory: str
    work: Work
    rows: list[Row]

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def measure_model(
    library: Library,
    work: Work,
    random_weights: bool = False,
    on_row: Callable[[Row], None] = lambda row: None,
) -> ModelReport:
    """Measure the model of the settings, or its architecture with random weights.

    `work.precisions` may be empty: then they are those that the device does well.

    Raises
    ------
    EncoderError
        The device is not there, or the model can be had in none of the precisions.
    """
    settings, name = library.settings, library.model
    limit_threads(settings.threads or None)
    device = choose_device(settings.device)
    work = replace(work, precisions=work.precisions or default_precisions(device))
    opening = _random if random_weights else _real
    found = Measurement(opening(settings, name, max(work.batch_sizes)), device, work, on_row).run()
    return ModelReport(
        name,
        random_weights,
        date.today().isoformat(),
        describe_machine(device),
        meter_of(device).label,
        work,
        found,
    )


def _random(settings: Settings, name: str, batch: int) -> Callable[[str], Encoder]:
    def load(precision: str) -> Encoder:
        options = EncoderOptions(
            device=settings.device,
            precision=precision,
            threads=settings.threads or None,
            batch_size=batch,
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
                other = f"Or measure its architecture without them: --model {name} --random-weights"
                raise EncoderError(str(error), f"{error.hint} {other}.") from error
            raise

    return load
