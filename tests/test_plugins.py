"""Encoders and indexes are found by name in entry points, where ours are registered as well."""

from __future__ import annotations

import pytest

from imgsearch import plugins
from imgsearch.encoders import builtin
from imgsearch.errors import ImgSearchError
from imgsearch.indexes.memory_index import MemoryIndex
from tests.plugin_encoder import installed


def test_ours_are_registered():
    assert {"builtin", "sentence-transformers"} <= set(plugins.names(plugins.ENCODERS))
    assert {"auto", "faiss-gpu", "flat", "ivf", "memory", "torch"} <= set(
        plugins.names(plugins.INDEXES)
    )
    assert plugins.encoder_module("builtin") is builtin
    assert plugins.index_class("memory") is MemoryIndex


def test_a_server_is_found_by_the_scheme_of_its_url():
    pytest.importorskip("psycopg")
    from imgsearch.indexes.pgvector_index import PgIndex

    assert plugins.index_class("postgresql://me@host/db") is PgIndex
    assert plugins.index_class("postgres://me@host/db") is PgIndex
    assert plugins.index_place("postgresql://host/db", "/folder") == "postgresql://host/db"
    assert plugins.index_place("flat", "/folder") == "/folder"
    with pytest.raises(ImgSearchError, match=r"called nosql$"):
        plugins.index_class("nosql://me:word@host/db")


def test_milvus_is_found_by_its_scheme():
    pytest.importorskip("pymilvus")
    from imgsearch.indexes.milvus_index import MilvusIndex

    assert plugins.index_class("milvus://host:19530/db") is MilvusIndex


def test_a_model_server_is_found_by_its_scheme():
    from imgsearch.encoders import triton

    assert plugins.model_server("triton://host:8001") is triton
    assert plugins.model_server("triton+http://host:8000") is triton
    with pytest.raises(ImgSearchError, match="no model server called trito") as caught:
        plugins.model_server("trito://me:word@host")
    assert caught.value.hint == "Did you mean triton?"


def test_folders_and_hub_ids_use_the_generic_encoder():
    generic = plugins.encoder_module("sentence-transformers")
    for name in ("openai/clip-vit-base-patch32", "/a/folder", "nowhere://x"):
        assert plugins.encoder_module(name) is generic


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A third-party distribution, installed as pip does it."""
    entries = {"other": "other_encoder", "broken": "no_such_module"}
    with installed(monkeypatch, tmp_path, "other_encoder", "CARDS = ()\n", **entries):
        yield


def test_a_third_party_encoder_is_found_by_name_and_by_scheme(foreign):
    for name in ("other", "other://some/model"):
        assert plugins.encoder_module(name).__name__ == "other_encoder"


def test_a_failed_import_is_an_error_with_a_hint(foreign):
    with pytest.raises(ImgSearchError, match="broken cannot be loaded: No module named") as caught:
        plugins.encoder_module("broken")
    assert "doctor" in caught.value.hint


def test_an_unknown_index_gets_a_suggestion():
    with pytest.raises(ImgSearchError, match="there is no index called flatt") as caught:
        plugins.index_class("flatt")
    assert caught.value.hint == "Did you mean flat?"
    with pytest.raises(ImgSearchError) as caught:
        plugins.index_class("xyz")
    assert caught.value.hint.startswith("Known: ")


def test_a_url_with_a_typing_error_is_not_repeated():
    for call in (plugins.index_class, plugins.encoder_pool, plugins.model_server):
        with pytest.raises(ImgSearchError) as caught:
            call("postgresq:/me:word@h/db")
        assert "called postgresq" in str(caught.value) and "two slashes" in caught.value.hint
        assert "word" not in f"{caught.value} {caught.value.hint}"
