"""Builds `people.npz`, the networks that detect people, from packages with their weights.

A developer runs it once per revision of the model:

    pip download --no-deps mediapipe==0.10.14 mtcnn==1.0.0
    npm pack @vladmandic/face-api@1.7.15
    pip install tflite==2.18.0 lz4 joblib
    python -m tools.builtin_model.make_people mediapipe-*.whl mtcnn-*.whl vladmandic-*.tgz

No pictures are used. Weights are stored as float16, as in the first package.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin import weights
from imgsearch.encoders.builtin.small_networks import Step
from tools.builtin_model import tflite_reader

Arrays = dict[str, NDArray[Any]]
Parts = tuple[list[Step], Arrays, list[str]]

_EVEN = [0, 0, 0, 0]
_AROUND = [1, 1, 1, 1]
_AT_END = [0, 1, 0, 1]  # padding of TensorFlow's "SAME" for stride 2 and an even length


def bodies(wheel: Path) -> Parts:
    """The person detector of BlazePose; outputs: its three maps of scores."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read("mediapipe/modules/pose_detection/pose_detection.tflite")
    steps, arrays = tflite_reader.read(data)
    scores = [s[2] for s in steps if s[0] == "conv" and len(arrays[s[3]]) in (2, 6)]
    return _needed(steps, arrays, scores)


def cascade(wheel: Path) -> dict[str, Parts]:
    """The three networks of MTCNN; outputs: moves of the frame, and logits of "no face", "face"."""
    import joblib

    with zipfile.ZipFile(wheel) as archive:
        p, r, o = (
            joblib.load(io.BytesIO(archive.read(f"mtcnn/assets/weights/{name}net.lz4")))
            for name in "pro"
        )
    third = _Chain(o).conv(3).conv(3).conv(2).conv(0).columns().dense()
    moves = third.head(third.remaining[:2])
    logits = third.head(third.remaining[4:])  # between them are the landmarks
    return {
        "first": _Chain(p).conv(2).conv(0).conv(0).two_heads(),
        "second": _Chain(r).conv(3).conv(3).conv(0).columns().dense().two_heads(),
        "third": (third.steps, third.arrays, [moves, logits]),
    }


class _Chain:
    """Consecutive layers of MTCNN, from a flat list of TensorFlow arrays."""

    def __init__(self, arrays: list[Any]) -> None:
        self.remaining = [np.asarray(array) for array in arrays]
        self.steps: list[Step] = []
        self.arrays: Arrays = {}
        self._value = "in"

    def conv(self, pool: int) -> _Chain:
        """Add a convolution with PReLU, and a max pooling of pool x pool unless `pool` is 0."""
        key = self._take(3)
        self._add("conv", key, 1, _EVEN, 1, "prelu")
        if pool:
            self._add("pool", pool)
        return self

    def columns(self) -> _Chain:
        self._add("columns")
        return self

    def dense(self) -> _Chain:
        self._add("dense", self._take(3), "prelu")
        return self

    def two_heads(self) -> Parts:
        heads = [self.head(self.remaining[:2]), self.head(self.remaining[2:])]
        return self.steps, self.arrays, heads

    def head(self, arrays: list[NDArray[Any]]) -> str:
        """Add a final layer; returns the name of its output."""
        key, name = f"k{len(self.arrays)}", f"v{len(self.steps)}"
        self._keep(key, arrays)
        rest = [1, _EVEN, 1, ""] if arrays[0].ndim == 4 else [""]
        self.steps.append(
            [("conv" if arrays[0].ndim == 4 else "dense"), self._value, name, key, *rest]
        )
        return name

    def _take(self, count: int) -> str:
        key = f"k{len(self.arrays)}"
        self._keep(key, self.remaining[:count])
        self.remaining = self.remaining[count:]
        return key

    def _keep(self, key: str, arrays: list[NDArray[Any]]) -> None:
        weight = arrays[0]
        self.arrays[key] = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
        for name, array in zip((".bias", ".slope"), arrays[1:], strict=False):
            self.arrays[key + name] = array.reshape(-1)

    def _add(self, kind: str, *rest: Any) -> None:
        name = f"v{len(self.steps)}"
        self.steps.append([kind, self._value, name, *rest])
        self._value = name


def looks(tarball: Path) -> Parts:
    """The network of age and sex of face-api.js; outputs: years, and logits of "male", "female"."""
    steps: list[Step] = []
    arrays = _face_api_arrays(tarball)

    def conv(source: str, key: str, stride: int, act: str = "") -> str:
        pads = (_AT_END if stride == 2 else _AROUND) if arrays[key].shape[-1] == 3 else _EVEN
        return add("conv", source, key, stride, pads, 1, act)

    def separable(source: str, key: str, act: str = "") -> str:
        groups = len(arrays[key + "/depthwise"])
        middle = add("conv", source, key + "/depthwise", 1, _AROUND, groups, "")
        return add("conv", middle, key + "/pointwise", 1, _EVEN, 1, act)

    def add(kind: str, *rest: Any) -> str:
        sources = 2 if kind == "sum" else 1
        name = f"v{len(steps)}"
        steps.append([kind, *rest[:sources], name, *rest[sources:]])
        return name

    def reduction(source: str, key: str, first: bool = False) -> str:
        x = source if first else add("relu", source)
        x = separable(separable(x, key + "/separable_conv0", "relu"), key + "/separable_conv1")
        return add("sum", add("pool", x, 3), conv(source, key + "/expansion_conv", 2), "")

    x = conv("in", "entry_flow/conv_in", 2, "relu")
    x = reduction(x, "entry_flow/reduction_block_0", first=True)
    x = reduction(x, "entry_flow/reduction_block_1")
    for block in ("middle_flow/main_block_0", "middle_flow/main_block_1"):
        y = separable(add("relu", x), block + "/separable_conv0", "relu")
        y = separable(y, block + "/separable_conv1", "relu")
        x = add("sum", separable(y, block + "/separable_conv2"), x, "")
    x = reduction(x, "exit_flow/reduction_block")
    x = add("mean", separable(x, "exit_flow/separable_conv", "relu"))
    return steps, arrays, [add("dense", x, "fc/age", ""), add("dense", x, "fc/gender", "")]


def _face_api_arrays(tarball: Path) -> Arrays:
    """Arrays by key in the layout of `small_networks`; most are stored as 8 bits and a scale."""
    with tarfile.open(tarball) as archive:
        manifest = _member(archive, "package/model/age_gender_model-weights_manifest.json")
        data = _member(archive, "package/model/age_gender_model.bin")
    arrays: Arrays = {}
    start = 0
    for entry in json.loads(manifest)[0]["weights"]:
        count = int(np.prod(entry["shape"]))
        scale = entry.get("quantization")
        kind = np.dtype("u1" if scale else "<f4")
        flat = np.frombuffer(data, kind, count, start)
        start += count * kind.itemsize
        array = (flat * scale["scale"] + scale["min"] if scale else flat).reshape(entry["shape"])
        folder, _, name = entry["name"].rpartition("/")
        if name == "bias" and "separable" in folder:
            folder += "/pointwise"
        arrays[folder + _KEY_ENDS[name]] = _transposed(name, array)
    return arrays


_KEY_ENDS = {
    "filters": "",
    "weights": "",
    "depthwise_filter": "/depthwise",
    "pointwise_filter": "/pointwise",
    "bias": ".bias",
}


def _transposed(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if name == "depthwise_filter":
        return array.transpose(2, 3, 0, 1)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise FileNotFoundError(name)
    return file.read()


def _needed(steps: list[Step], arrays: Arrays, outputs: list[str]) -> Parts:
    """Only the steps and arrays that the outputs need."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        inputs = step[1:3] if step[0] == "sum" else step[1:2]
        if step[3 if step[0] == "sum" else 2] in needed:
            needed.update(inputs)
            kept.append(step)
    keys = {step[3] for step in kept if step[0] == "conv"}
    return kept[::-1], {k: a for k, a in arrays.items() if k.split(".")[0] in keys}, outputs


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the networks that detect people.")
    for name in ("mediapipe", "mtcnn", "face_api"):
        parser.add_argument(name, type=Path, help="the downloaded package")
    parser.add_argument("--output", type=Path, default=weights.PEOPLE)
    arguments = parser.parse_args()
    networks = {"bodies": bodies(arguments.mediapipe), "looks": looks(arguments.face_api)}
    networks |= cascade(arguments.mtcnn)
    plan = {name: {"steps": steps, "outputs": outs} for name, (steps, _, outs) in networks.items()}
    halves = {
        f"{name}:{key}": np.asarray(array, "<f2")
        for name, (_, arrays, _) in networks.items()
        for key, array in arrays.items()
    }
    text = np.frombuffer(json.dumps(plan).encode(), np.uint8)
    np.savez_compressed(arguments.output, plan=text, **halves)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
