"""Which model is recommended for which machine, languages and library."""

from __future__ import annotations

import pytest

from imgsearch.encoders import builtin, presets
from imgsearch.encoders.recommendation import (
    MMEB_IMAGE_RETRIEVAL,
    SMALL_LANGUAGES,
    Hardware,
    present_hardware,
    primary_language,
    recommend,
    system_languages,
)
from imgsearch.settings import usable_cores
from tests.conftest import CHECKOUT

GB = 1_000_000_000
LAPTOP = Hardware("", 0, 16 * GB, 4)
LANGUAGE_NAMES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish",
    "pt": "Portuguese", "ru": "Russian", "th": "Thai", "tr": "Turkish", "zh": "Chinese",
}  # fmt: skip


def gpu(gigabytes: float) -> Hardware:
    return Hardware("GPU", int(gigabytes * GB), 16 * GB, 4)


@pytest.mark.parametrize(
    ("hardware", "languages", "images", "model", "words"),
    [
        (LAPTOP, ["en"], 0, "siglip2-base", "many languages without a GPU"),
        (LAPTOP, ["de"], 20_000, "siglip2-base", "many languages without a GPU"),
        (LAPTOP, ["en"], 20_001, "siglip2-base-32", "20,001 pictures on 4 cores"),
        (Hardware("", 0, 16 * GB, 1), ["en"], 9000, "siglip2-base-32", "on 1 core"),
        (Hardware("", 0, 2 * GB, 4), ["en", "de"], 90_000, "builtin", "2.0 GB of memory"),
        (Hardware("", 0, 2 * GB, 4), ["en", "hi"], 0, "builtin", "does not read hi"),
        (gpu(2), ["en"], 0, "siglip2-base", "without a GPU"),
        (gpu(4.3), ["en"], 0, "siglip2-so400m", "fits into the memory of GPU"),
        (gpu(6.4), ["en"], 90_000, "qwen3-vl-embedding-2b", "GPU holds it"),
        (gpu(6.4), ["zh", "en"], 0, "qwen3-vl-embedding-2b", "74.8 % at image retrieval"),
        (gpu(23), ["en", "de"], 0, "qwen3-vl-embedding-2b", "(gme-qwen2-vl-2b: 66.9 %"),
        (gpu(6.4), ["en", "sw"], 0, "siglip2-so400m", "was trained on 109 languages"),
        (gpu(25.7), ["en"], 0, "qwen3-vl-embedding-8b", "80.0 % at image retrieval"),
        (gpu(80), ["pt-BR"], 0, "qwen3-vl-embedding-8b", "a new library uses gme-qwen2-vl-2b once"),
        (gpu(80), ["hi"], 0, "siglip2-so400m", "GPU makes it fast"),
    ],
)
def test_the_model_and_the_reason(hardware, languages, images, model, words):
    found = recommend(hardware, languages, images)
    assert (found.model, words in found.reason) == (model, True), found
    assert "\n" not in found.reason and not found.reason.endswith(".")
    assert found.model == "builtin" or presets.preset(found.model)


def test_a_model_that_is_recommended_needs_nothing_that_is_not_installed():
    for hardware in (LAPTOP, *map(gpu, (2, 5, 6.4, 26, 80))):
        for languages in (["en"], ["de"]):
            card = presets.preset(recommend(hardware, languages, 0).model)
            assert card and not card.needs
            assert not hardware.gpu or card.bf16_bytes < max(hardware.gpu_bytes, 2 * GB)


def test_the_figures_of_the_reason_are_those_of_the_page():
    page = (CHECKOUT / "docs" / "MODELS.md").read_text("utf-8")
    for model, percent in MMEB_IMAGE_RETRIEVAL.items():
        assert f"| `{model}` | MMEB-V2, images: retrieval {percent:.1f}," in page


def test_the_languages_of_the_small_model_are_those_of_its_card():
    named = builtin.CARD.languages
    assert all(LANGUAGE_NAMES[code] in named for code in SMALL_LANGUAGES)
    assert len(SMALL_LANGUAGES) == named.count(",") + named.count(";") + 1


@pytest.mark.parametrize(
    ("environment", "languages"),
    [
        ({}, ("en",)),
        ({"LANG": "de_DE.UTF-8"}, ("en", "de")),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "fr"}, ("en", "fr")),
        ({"LC_ALL": "", "LC_MESSAGES": "sr@latin", "LANG": "de"}, ("en", "sr")),
        ({"LANG": "fil_PH.UTF-8"}, ("en", "fil")),
        ({"LANG": "C.UTF-8"}, ("en",)),
        ({"LANG": "POSIX"}, ("en",)),
        ({"LANG": "en_GB"}, ("en",)),
    ],
)
def test_the_languages_of_a_system(environment, languages):
    assert system_languages(environment) == languages


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), (" pt-BR", "pt"), ("ZH_Hans_CN", "zh"), ("german", ""), ("", ""), ("d e", "")],
)
def test_the_language_of_a_tag(tag, language):
    assert primary_language(tag) == language


def test_the_hardware_of_this_machine():
    found = present_hardware("cpu")
    assert (found.gpu, found.gpu_bytes, found.cores) == ("", 0, usable_cores())
    assert found.ram_bytes > GB / 2
