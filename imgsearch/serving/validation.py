"""Sentences about arguments that are not valid, from the errors of pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_NAME_CHARACTERS = 80

_SENTENCES = {
    "missing": "{name} is missing",
    "extra_forbidden": "there is no parameter {name}",
    "int_parsing": "{name} has to be a whole number",
    "int_parsing_size": "{name} has to be a smaller number",
    "int_type": "{name} has to be a whole number",
    "int_from_float": "{name} has to be a whole number",
    "float_parsing": "{name} has to be a number",
    "float_type": "{name} has to be a number",
    "finite_number": "{name} has to be a number",
    "bool_parsing": "{name} has to be true or false",
    "bool_type": "{name} has to be true or false",
    "string_type": "{name} has to be a text",
    "string_unicode": "{name} is not valid Unicode",
    "string_sub_type": "{name} has to be a text",
    "string_too_long": "{name} can have at most {max_length} characters",
    "string_too_short": "{name} needs at least {min_length} characters",
    "string_pattern_mismatch": "{name} has a value that is not allowed",
    "too_long": "{name} can have at most {max_length} values",
    "too_short": "{name} needs at least {min_length} values",
    "greater_than_equal": "{name} has to be at least {ge}",
    "greater_than": "{name} has to be greater than {gt}",
    "less_than_equal": "{name} can be at most {le}",
    "less_than": "{name} has to be less than {lt}",
    "enum": "{name} has to be {expected}",
    "literal_error": "{name} has to be {expected}",
    "list_type": "{name} has to be a list",
    "dict_type": "{name} has to be an object",
    "model_type": "{name} has to be an object",
    "model_attributes_type": "{name} has to be an object",
    "json_invalid": "the request is not valid JSON",
}
"""By pydantic's name of the error; "{...}" are values of its context."""


def sentence(error: Mapping[str, Any], skip: tuple[str, ...] = ()) -> str:
    """The fault of an argument, in a sentence; never pydantic's own message.

    Parameters
    ----------
    error : mapping
        One of `ValidationError.errors()`.
    skip : tuple of str
        Parts of its location that are not part of a name.
    """
    parts = [str(part) for part in error.get("loc", ()) if part not in skip]
    name = ".".join(parts)[:MAX_NAME_CHARACTERS] or "the request"
    template = _SENTENCES.get(str(error.get("type")), "{name} is not valid")
    return template.format_map({**error.get("ctx", {}), "name": name})
