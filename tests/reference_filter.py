"""What a filter means, said again in plain Python: the oracle for the SQL of the catalog."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from imgsearch.filters.geography import distance_km
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import And, Below, Box, Compare, Filter, Has, Near, Not, Or
from imgsearch.records import ImageRecord, camera_name


def passes(where: Filter, image: ImageRecord) -> bool:
    match where:
        case And(parts):
            return all(passes(part, image) for part in parts)
        case Or(parts):
            return any(passes(part, image) for part in parts)
        case Not(part):
            return not passes(part, image)
        case Compare():
            return compares(where, image)
        case Has("gps"):
            return image.metadata.latitude is not None and image.metadata.longitude is not None
        case Has("date"):
            return image.metadata.taken_at is not None
        case Has("camera"):
            return bool(cameras(image))
        case Has("place"):
            return any(value(field, image) for field in ("city", "state", "country"))
        case Has("cluster" | "measures"):
            return False  # there are none here
        case Has("rating"):
            return image.metadata.rating is not None
        case Has(field):
            return bool(value(field, image))
        case Near(latitude, longitude, km):
            here = image.metadata.latitude, image.metadata.longitude
            return None not in here and distance_km(*here, latitude, longitude) <= km
        case Box(south, west, north, east):
            latitude, longitude = image.metadata.latitude, image.metadata.longitude
            if latitude is None or longitude is None or not south <= latitude <= north:
                return False
            if west > east:
                return longitude >= west or longitude <= east
            return west <= longitude <= east
        case Below(path):
            return (image.file.absolute + os.sep).startswith(path.rstrip(os.sep) + os.sep)
    raise AssertionError(where)


def cameras(image: ImageRecord) -> tuple[str, ...]:
    """The texts that name its camera: the one that is shown, the model, and both in full."""
    make, model = image.metadata.camera_make, image.metadata.camera_model
    parts = [part for part in (make, model) if part]
    shown = camera_name(make, model)
    return tuple(each for each in (shown, model, " ".join(parts)) if each)


def value(field: str, image: ImageRecord):
    metadata = image.metadata
    match field:
        case "taken":
            return metadata.taken_at
        case "name":
            return folded(os.path.basename(image.file.path))
        case "camera":
            return tuple(map(folded, cameras(image)))
        case "title" | "description" | "city" | "state" | "country":
            found = getattr(metadata, field)
            return None if found is None else (folded(found),)
        case "keywords" | "people":
            return tuple(map(folded, getattr(metadata, field)))
        case "size":
            return image.file.size
        case "pixels":
            return metadata.width * metadata.height
        case "orientation":
            return ["square", "landscape", "portrait"][
                (metadata.width > metadata.height) - (metadata.width < metadata.height)
            ]
    return getattr(metadata, field)


def compares(where: Compare, image: ImageRecord) -> bool:
    found = value(where.field, image)
    if found is None:
        return False
    if (where.field, where.op) == ("taken", "<"):
        return end_of(found, image.metadata.taken_precision) <= where.value and found < where.value
    if isinstance(found, tuple):
        return any(holds(where, each) for each in found)
    return holds(where, found)


def holds(where: Compare, found) -> bool:
    match where.op:
        case "=":
            return found == where.value
        case "<":
            return found < where.value
        case "<=":
            return found <= where.value
        case ">":
            return found > where.value
        case ">=":
            return found >= where.value
        case "~":
            return like(pieces(where.value), found)
    raise AssertionError(where)


def end_of(start: datetime, precision: str | None) -> datetime:
    """The end of the period that a date stands for; 0 seconds after an exact one."""
    if precision == "year":
        return start.replace(year=start.year + 1)
    if precision == "month":
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=1 if precision == "day" else 0)


def pieces(pattern: str) -> list:
    """A pattern as "*", "?" and sets of characters: (members as ranges, inverted)."""
    out: list = []
    rest = pattern
    wild = False
    while rest:
        end = closing(rest)
        if rest[0] == "[" and end:
            out.append(members(rest[1:end]))
            rest, wild = rest[end + 1 :], True
            continue
        wild |= rest[0] in "*?"
        out.append(rest[0] if rest[0] in "*?" else ([(rest[0], rest[0])], False))
        rest = rest[1:]
    return out if wild else ["*", *out, "*"]


def closing(text: str) -> int:
    """Where the class that `text` begins with ends; 0 if it does not."""
    start = 1 + (text[1:2] in ("!", "^") and text[1:2] != "")
    return max(0, text.find("]", start + 1))


def members(inner: str) -> tuple[list[tuple[str, str]], bool]:
    inverted = inner[0] in "!^"
    inner = inner[inverted:]
    ranges, i = [], 0
    while i < len(inner):
        if i + 2 < len(inner) and inner[i + 1] == "-" and not (i == 0 and inner[0] == "]"):
            # both ends count for themselves, too: that matters where they are in the wrong order
            ranges += [(inner[i], inner[i]), (inner[i], inner[i + 2])]
            i += 3
        else:
            ranges.append((inner[i], inner[i]))
            i += 1
    return ranges, inverted


def like(wanted: list, text: str) -> bool:
    """Which positions of the text can be reached, piece by piece."""
    reached = {0}
    for piece in wanted:
        if piece == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
            continue
        after = set()
        for at in reached:
            if at < len(text) and (piece == "?" or fits(piece, text[at])):
                after.add(at + 1)
        reached = after
    return len(text) in reached


def fits(piece, char: str) -> bool:
    ranges, inverted = piece
    return any(low <= char <= high for low, high in ranges) != inverted
