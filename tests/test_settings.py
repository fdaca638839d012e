"""Flags go before the environment, the file and the defaults; invalid values are refused."""

from __future__ import annotations

import os

import pytest

from imgsearch.errors import ImgSearchError
from imgsearch.settings import Settings, has_password, is_url, load_settings


@pytest.fixture
def config(tmp_path):
    """Write a configuration file and return the environment that names it."""

    def write(text: str | bytes) -> dict[str, str]:
        file = tmp_path / "config.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {"IMGSEARCH_CONFIG": str(file)}

    return write


def test_the_defaults():
    settings = load_settings({}, {})
    assert settings == Settings(library=settings.library)
    assert os.path.isabs(settings.library)
    assert settings.library.endswith("imgsearch")


def test_flags_before_environment_before_file(config):
    env = config("batch_size = 1\nworkers = 1\nthreads = 1\n")
    env |= {"IMGSEARCH_BATCH_SIZE": "2", "IMGSEARCH_WORKERS": "2", "IMGSEARCH_THREADS": ""}
    settings = load_settings({"batch_size": 3, "workers": None}, env)
    assert (settings.batch_size, settings.workers, settings.threads) == (3, 2, 1)


def test_the_library_is_absolute_and_may_start_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert load_settings({"library": "here"}, {}).library == str(tmp_path / "here")
    assert load_settings({"library": "~/there"}, {}).library == str(tmp_path / "me" / "there")


def test_the_file_in_the_default_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "imgsearch").mkdir()
    (tmp_path / "imgsearch" / "config.toml").write_text('model = "x/y"\nkeep_days = 3\n')
    settings = load_settings({}, {})
    assert (settings.model, settings.keep_days) == ("x/y", 3.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batchsize = 1", "unknown setting: batchsize"),
        ("batch_size = 1.5", "1.5, which is not a whole number"),
        ("batch_size = true", "not a whole number"),
        ('workers = "2"', "not a whole number"),
        ("keep_days = []", "not a number"),
        ("library = 5", "not a text"),
        ("batch_size = ", "cannot be read"),
        (b"model = '\xff'", "cannot be read"),
        ("device = 'gpu'", "unknown device: gpu"),
        ("precision = 'int8'", "unknown precision: int8"),
        ("ocr = 'always'", "unknown value of ocr: always"),
        ("batch_size = -1", "out of range"),
        ("workers = -1", "out of range"),
        ("keep_days = nan", "out of range"),
        ("keep_days = inf", "out of range"),
        ("decode_seconds = -1.0", "out of range"),
        ("max_pixels = 0", "out of range"),
    ],
)
def test_an_invalid_file_is_refused(config, text, words):
    with pytest.raises(ImgSearchError) as caught:
        load_settings({}, config(text))
    assert words in str(caught.value)
    assert caught.value.hint


def test_a_misspelt_setting_gets_a_suggestion(config):
    with pytest.raises(ImgSearchError) as caught:
        load_settings({}, config("batchsize = 1"))
    assert caught.value.hint == "Did you mean batch_size?"


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ImgSearchError, match=r"cannot be read: No such file"):
        load_settings({}, {"IMGSEARCH_CONFIG": str(tmp_path / "none.toml")})
    with pytest.raises(ImgSearchError, match=r"cannot be read: Is a directory"):
        load_settings({}, {"IMGSEARCH_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("raw", ["many", "1.5", "nan", "0x10"])
def test_an_invalid_variable_is_named(raw):
    with pytest.raises(ImgSearchError, match="batch_size in IMGSEARCH_BATCH_SIZE is"):
        load_settings({}, {"IMGSEARCH_BATCH_SIZE": raw})


def test_models_come_from_the_file_or_from_a_variable_with_its_lines(config):
    env = config('[models]\nbuiltin = "triton://a:8001"\nx = "folder"\n')
    assert load_settings({}, env).models == (("builtin", "triton://a:8001"), ("x", "folder"))
    env["IMGSEARCH_MODELS"] = 'y = "o/n"\nbuiltin = "triton://b"\n'
    assert load_settings({}, env).models == (("builtin", "triton://b"), ("y", "o/n"))
    for raw in ("builtin = triton://me:word@b", "builtin = 1", "triton://me:word@b"):
        with pytest.raises(ImgSearchError, match="models in IMGSEARCH_MODELS is not") as caught:
            load_settings({}, {"IMGSEARCH_MODELS": raw})
        assert "name = " in caught.value.hint and "word" not in str(caught.value)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(device):
    assert load_settings({"device": device}, {}).device == device


def test_there_is_one_decoder_per_core_by_default():
    assert Settings(workers=3).decoders == 3
    assert 1 <= Settings().decoders <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("configured", "exact"),
    [
        ("", "flat"),
        ("ivf", "flat"),
        ("postgresql://h/db", "postgresql://h/db#exact"),
        ("postgresql://h/db#exact", "postgresql://h/db#exact"),
    ],
)
def test_exact_keeps_a_configured_server(configured, exact):
    assert load_settings({"index": "exact"}, {"IMGSEARCH_INDEX": configured}).index == exact


def test_a_server_comes_from_the_file_and_its_password_is_in_no_text(config):
    settings = load_settings({}, config('index = "postgresql://me:word@h/db"\n'))
    assert settings.index == "postgresql://me:word@h/db"
    assert "word" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('index = ["postgresql://me:word@h/db"]', "config.toml"),
        ('[models]\nbuiltin = "triton://me:word@h"\nother = 1', "config.toml"),
        ('catalog = "postgresql:/me:word@h/db"', "the setting catalog"),
        ('library = "postgresql://me:word@h/db"', "a library is a folder"),
        ('library = "postgres:/me:word@h/db"', "a library is a folder"),
    ],
)
def test_a_setting_that_is_refused_is_not_repeated_with_its_password(config, text, named):
    with pytest.raises(ImgSearchError) as caught:
        load_settings({}, config(text))
    assert "word" not in f"{caught.value} {caught.value.hint}"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("postgresql://h/db", True),
        ("postgresql:/h/db", True),
        ("smb://nas/photos", True),
        ("photos", False),
        ("C:/photos", False),
        ("2024-11-30 12:15/photos", False),
        ("my photos: trip/2024", False),
    ],
)
def test_urls_are_not_folders(place, expected):
    assert is_url(place) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("auto", False),
        ("postgresql://me@h:5432/db", False),
        ("postgresql://h/a:b@c", False),
        ("postgresql://me:word@h/db", True),
        ("postgresql://me:w@rd@h/db", True),
        ("postgresql:/me:word@h/db", True),
        ("postgresql://h/db?sslmode=require&password=word", True),
    ],
)
def test_passwords_in_urls_are_noticed(kind, expected):
    assert has_password(kind) is expected
