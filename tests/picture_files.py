"""TIFF, PNG and ICC files written by hand, in kinds that Pillow cannot write."""

from __future__ import annotations

import struct
import zlib

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def tiff(
    samples,
    photometric,
    *,
    bits=0,
    big_endian=False,
    planar=False,
    alpha=0,
    compression=1,
    predictor=1,
    tile=None,
    rows=0,
    big=False,
    extra=(),
):
    """A TIFF of an array (height, width, channels) of any type.

    `compression` is 1 or 8 (deflate); `tile` is its side, `rows` those of a strip; `bits` below 16
    packs whole numbers.
    """
    order = ">" if big_endian else "<"
    height, width, channels = samples.shape
    planes = [samples[:, :, [c]] for c in range(channels)] if planar else [samples]
    pieces = [p for plane in planes for p in _pieces(plane, tile, rows or height)]
    stored = [_stored(p, order, bits, predictor) for p in pieces]
    if compression == 8:
        stored = [zlib.compress(each) for each in stored]
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    tags = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [bits or samples.dtype.itemsize * 8] * channels),
        259: (3, [compression]),
        262: (3, [photometric]),
        277: (3, [channels]),
        284: (3, [2 if planar else 1]),
        317: (3, [predictor]),
        339: (3, [kind] * channels),
    }
    start = 16 if big else 8
    at = start + np.cumsum([0, *map(len, stored)])
    offsets, sizes = at[:-1].tolist(), [len(each) for each in stored]
    if tile:
        tags |= {322: (3, [tile]), 323: (3, [tile]), 324: (4, offsets), 325: (4, sizes)}
    else:
        tags |= {273: (4, offsets), 278: (4, [rows or height]), 279: (4, sizes)}
    if alpha:
        tags[338] = (3, [alpha])
    tags |= dict(extra)
    magic = (b"MM" if big_endian else b"II") + struct.pack(order + "H", 43 if big else 42)
    body = b"".join(stored)
    first = start + len(body) + len(body) % 2
    head = magic + (
        struct.pack(order + "HHQ", 8, 0, first) if big else struct.pack(order + "I", first)
    )
    return head + body + bytes(len(body) % 2) + _directory(tags, first, order, big)


def _pieces(plane, tile, rows):
    height, width = plane.shape[:2]
    if not tile:
        return [plane[y : y + rows] for y in range(0, height, rows)]
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    return [
        padded[y : y + tile, x : x + tile]
        for y in range(0, padded.shape[0], tile)
        for x in range(0, padded.shape[1], tile)
    ]


def _stored(piece, order, bits, predictor):
    if bits and bits % 8:
        flags = (piece.astype(np.uint32)[..., None] >> np.arange(bits)[::-1]) & 1
        return np.packbits(flags.reshape(len(piece), -1).astype(np.uint8), axis=1).tobytes()
    piece = np.ascontiguousarray(piece)
    if predictor == 2:
        whole = piece.view(f"u{piece.dtype.itemsize}")
        piece = np.diff(whole, axis=1, prepend=np.zeros_like(whole[:, :1]))
    if predictor == 3:
        size = piece.dtype.itemsize
        raw = piece.astype(piece.dtype.newbyteorder(">")).view(np.uint8)
        raw = (
            raw.reshape(len(piece), -1, size).swapaxes(1, 2).reshape(len(piece), -1, piece.shape[2])
        )
        return np.diff(raw, axis=1, prepend=np.zeros_like(raw[:, :1])).tobytes()
    return piece.astype(piece.dtype.newbyteorder(order)).tobytes()


def _directory(tags, at, order, big):
    count, entry, room = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    values_at = at + struct.calcsize(order + count) + (20 if big else 12) * len(tags) + room
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        if isinstance(numbers, bytes):
            packed, length = numbers, len(numbers)
        else:
            packed = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
            length = len(numbers)
        if len(packed) > room:
            where = struct.pack(order + ("Q" if big else "I"), values_at + len(values))
            values, packed = values + packed + bytes(len(packed) % 2), where
        entries += struct.pack(order + entry, tag, kind, length) + packed.ljust(room, b"\0")
    return struct.pack(order + count, len(tags)) + entries + bytes(room) + values


def png(samples, colour_type, chunks=(), after=()):
    """A PNG of an array of uint8 or uint16, with these chunks before and after the pixels."""
    return _png_file(samples, colour_type, chunks, 0, _png_rows(samples), after)


def interlaced_png(samples, colour_type):
    """A PNG in the seven passes of Adam7."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    passes.append((1, 0, 2, 1))
    rows = b"".join(_png_rows(samples[y::down, x::across]) for y, x, down, across in passes)
    return _png_file(samples, colour_type, (), 1, rows)


def ppm(samples, maximum):
    """A binary PPM of more than 8 bits."""
    height, width = samples.shape[:2]
    return f"P6 {width} {height} {maximum}\n".encode() + samples.astype(">u2").tobytes()


def plain_ppm(samples, maximum):
    """A PPM in decimal numbers, with a comment."""
    height, width = samples.shape[:2]
    rows = "\n".join(" ".join(map(str, row)) for row in samples.reshape(height, -1))
    return f"P3 {width} {height}\n{maximum}\n# 1 2 3\n{rows}\n".encode()


def sgi(samples, *, run_lengths=False):
    """An SGI file of an array of uint16, as it is or in runs."""
    height, width, channels = samples.shape
    dimension = 3 if channels > 1 else 2
    head = struct.pack(">hBBHHHHii", 474, run_lengths, 2, dimension, width, height, channels, 0, 0)
    planes = np.moveaxis(samples[::-1], 2, 0).astype(">u2")
    if not run_lengths:
        return head.ljust(512, b"\0") + planes.tobytes()
    rows = [_sgi_runs(row) for plane in planes for row in plane]
    starts = 512 + 8 * len(rows) + np.cumsum([0, *map(len, rows[:-1])])
    table = struct.pack(f">{2 * len(rows)}I", *starts, *map(len, rows))
    return head.ljust(512, b"\0") + table + b"".join(rows)


def _sgi_runs(row):
    """A row, of which each run states its own samples."""
    runs = (row[at : at + 100] for at in range(0, len(row), 100))
    return b"".join(struct.pack(">H", 128 | len(run)) + run.tobytes() for run in runs) + bytes(2)


def _png_rows(samples):
    rows = samples.astype(samples.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in rows)


def _png_file(samples, colour_type, chunks, interlace, rows, after=()):
    height, width = samples.shape[:2]
    depth = samples.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlace)
    pixels = (b"IDAT", zlib.compress(rows))
    parts = [(b"IHDR", header), *chunks, pixels, *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def srgb_light(stored):
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def rgb_profile(name, primaries, curve, white=D65):
    """A matrix profile (ICC.1:2001-04); `curve` is an exponent, or a function to light."""
    source = np.array([white[0] / white[1], 1, (1 - sum(white)) / white[1]])
    columns = np.stack([[x / y, 1, (1 - x - y) / y] for x, y in primaries], 1)
    matrix = columns * np.linalg.solve(columns, source)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ source))
    matrix = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ matrix
    colorants = zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)
    tags = [(tag, _xyz(column)) for tag, column in colorants]
    tags += [(tag, _curve(curve)) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    return _profile(b"RGB ", name, tags)


def gray_profile(name, curve):
    return _profile(b"GRAY", name, [(b"kTRC", _curve(curve))])


def _fixed(value):
    return struct.pack(">i", round(value * 65536))


def _xyz(values):
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))


def _curve(curve):
    if callable(curve):
        points = (65535 * curve(np.linspace(0, 1, 1024))).round().astype(int)
        return b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *points)
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(curve * 256))


def _profile(space, name, tags):
    title = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(title)) + title + bytes(78)
    tags = [
        (b"desc", description),
        (b"cprt", b"text" + bytes(4) + b"CC0\0"),
        (b"wtpt", _xyz(D50)),
        *tags,
    ]
    at, table, body = 132 + 12 * len(tags), b"", b""
    for tag, value in tags:
        table += tag + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I", at + len(body)) + b"lcms" + struct.pack(">I", 0x02400000)
    head += b"mntr" + space + b"XYZ " + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(68, b"\0") + b"".join(map(_fixed, D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
