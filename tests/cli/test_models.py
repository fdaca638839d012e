"""imgsearch models download, from a hub on this machine."""

from __future__ import annotations

import json
import shutil
import socket
import time
from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli.calls import Outcome, Place, call, process
from tests.conftest import ROOT, full_only
from tests.tiny_hub import COMMIT, OLDER, Repository, serve

NAME = "someone/tiny-clip"
WEIGHTS = "model.safetensors"
GME = ROOT / "tests" / "golden" / "gme" / "model"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture
def repository(clip: Path, tmp_path: Path) -> Repository:
    """The model, with additional files that must not be downloaded."""
    folder = shutil.copytree(clip, tmp_path / "published")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_own.py").write_text("raise SystemExit('this must never run')")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    (folder / "README.md").write_text("# A model")
    return Repository(NAME, folder)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model cache for this process and its children."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


def download(address: str, *arguments: object, prelude: str = "") -> Outcome:
    """Download like a user, with HF_HUB_OFFLINE set as in all tests."""
    environment = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "1"}
    outcome = process("models", "download", *arguments, env=environment, prelude=prelude)
    assert "Traceback" not in outcome.err
    return outcome


def snapshot(cache: Path, commit: str = COMMIT) -> Path:
    return cache / "models--someone--tiny-clip" / "snapshots" / commit


def stderr_line(outcome: Outcome) -> str:
    """stderr in one line."""
    return " ".join(outcome.err.split())


def test_a_model_is_fetched_checked_and_used_offline(repository, cache, place: Place):
    before = place.call("index", place.photos, "--model", NAME)
    assert before.status == 1
    assert f"imgsearch models download {NAME}" in before.err
    with serve(repository) as address:
        done = download(address, NAME)
    assert done.status == 0, done.err
    assert COMMIT in done.text and "checked" in done.text
    assert str(snapshot(cache)) in done.text
    expected = {f for f in repository.files if f.endswith((".json", ".txt", ".safetensors"))}
    assert repository.fetched() == expected - {"onnx/config.json"}
    assert place.index(place.photos, "--model", NAME)["model"] == NAME
    hits = place.call("search", "--all", "a red dog", "--format", "json")
    assert len(hits.paths) == 4
    assert place.call("status", "--json").text.count(COMMIT) >= 1


@full_only
def test_a_broken_connection_is_resumed(repository, cache):
    repository.cut = {WEIGHTS}
    # The default chunk of 10 MB is larger than this model.
    pieces = "import huggingface_hub.constants as c; c.DOWNLOAD_CHUNK_SIZE = 1000"
    with serve(repository) as address:
        assert download(address, NAME, prelude=pieces).status == 0
    half = len(repository.files[WEIGHTS]) // 2
    begins = repository.begins(WEIGHTS)
    assert begins[0] == 0 and half - 1000 < begins[-1] <= half
    assert (snapshot(cache) / WEIGHTS).read_bytes() == repository.files[WEIGHTS]


@full_only
def test_a_second_run_fetches_only_missing_files(repository, cache, place):
    repository.lost = {WEIGHTS}
    with serve(repository) as address:
        failed = download(address, NAME, prelude="import time; time.sleep = lambda s: None")
    assert failed.status == 1
    assert f"Missing files of {NAME}: {WEIGHTS}." in stderr_line(failed)
    assert str(cache / "models--someone--tiny-clip") in failed.err
    assert place.call("index", place.photos, "--model", NAME).status == 1
    repository.lost, repository.requests[:] = set(), []
    with serve(repository) as address:
        assert download(address, NAME).status == 0
    assert repository.fetched() == {WEIGHTS}


@full_only
def test_forged_content_is_reported_and_not_used(repository, cache, place):
    repository.forged = {WEIGHTS, "config.json"}
    with serve(repository) as address:
        refused = download(address, NAME)
    assert refused.status == 1
    assert f"wrong checksum of config.json, {WEIGHTS} from {NAME}" in stderr_line(refused)
    assert not [path for path in cache.rglob("*") if path.name == WEIGHTS]
    assert place.call("index", place.photos, "--model", NAME).status == 1
    repository.forged = set()
    with serve(repository) as address:
        assert download(address, NAME).status == 0
    assert place.index(place.photos, "--model", NAME)["added"] == 4


@full_only
def test_a_revision_is_resolved_and_stays_until_the_next_download(repository, cache):
    with serve(repository) as address:
        assert f"revision {OLDER}" in download(address, NAME, "--revision", "v1").text
        missing = download(address, NAME, "--revision", "v9")
    assert missing.status == 1
    assert "has no revision v9" in missing.err
    pinned = cache / "models--someone--tiny-clip" / "refs" / "imgsearch"
    assert pinned.read_text() == OLDER


@full_only
def test_pickled_weights_are_refused_before_anything_is_fetched(repository, cache):
    (repository.folder / WEIGHTS).unlink()
    with serve(repository) as address:
        refused = download(address, NAME)
    assert refused.status == 1
    assert "safetensors" in refused.err
    assert not repository.fetched()


@full_only
def test_code_that_the_model_needs_is_refused(repository, cache, place):
    kinds = [{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}]
    (repository.folder / "modules.json").write_text(json.dumps(kinds))
    with serve(repository) as address:
        refused = download(address, NAME)
    assert refused.status == 1
    assert "needs code of its own (custom_st.Transformer)" in stderr_line(refused)


@full_only
def test_an_id_unknown_to_the_hub(repository, cache):
    with serve(repository) as address:
        unknown = download(address, "someone/else")
    assert unknown.status == 1
    assert "the hub has no model someone/else" in unknown.err


@full_only
def test_without_a_network_the_missing_files_are_named(cache):
    begin = time.monotonic()
    refused = download("http://127.0.0.1:9", "siglip2-base")
    assert time.monotonic() - begin < 30
    assert refused.status == 1
    assert "google/siglip2-base-patch16-256" in refused.err
    assert str(cache / "models--google--siglip2-base-patch16-256") in refused.err


@full_only
def test_a_silent_hub_times_out(cache):
    timeout = "import imgsearch.encoders.download as d; d.TIMEOUT_SECONDS = 1"
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        begin = time.monotonic()
        refused = download(f"http://127.0.0.1:{deaf.getsockname()[1]}", NAME, prelude=timeout)
    assert refused.status == 1
    assert "could not be fetched" in refused.err
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(("name", "words"), [("builtin", "comes with"), ("sigip2-base", "siglip2")])
def test_names_that_cannot_be_downloaded(name, words, cache):
    refused = call("models", "download", name)
    assert refused.status == 1
    assert words in refused.err


def test_an_unknown_name_suggests_the_nearest(place):
    refused = place.call("index", place.photos, "--model", "gme-qwen2-vl2b")
    assert refused.status == 1
    assert "Did you mean gme-qwen2-vl-2b?" in refused.err
    assert "imgsearch models" in refused.err


def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(file))


@full_only
def test_a_preset_can_be_taken_from_a_folder(clip, cache, place, tmp_path, monkeypatch):
    configure(tmp_path, monkeypatch, f'[models]\nclip-vit-b-32 = "{clip}"\n')
    assert place.index(place.photos, "--model", "clip-vit-b-32")["model"] == "clip-vit-b-32"
    here = {entry["name"]: entry["here"] for entry in call("models", "--json").json}
    assert here["clip-vit-b-32"] and here["builtin"] and not here["siglip2-base"]
    again = place.index(place.photos, "--model", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K")
    assert (again["unchanged"], again["model"]) == (4, "clip-vit-b-32")
    assert call("models", "download", "clip-vit-b-32").status == 1


@full_only
def test_a_preset_can_be_taken_from_a_mirror(repository, cache, place, tmp_path, monkeypatch):
    configure(tmp_path, monkeypatch, f'[models]\nsiglip2-base = "{NAME}"\n')
    with serve(repository) as address:
        assert download(address, "siglip2-base").status == 0
    assert repository.fetched()
    assert place.index(place.photos, "--model", "siglip2-base")["model"] == "siglip2-base"


TWO = "clip-vit-b-32-multilingual"
PICTURES = "sentence-transformers/clip-ViT-B-32"
TEXTS = f"{PICTURES}-multilingual-v1"


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("parts")
    clip = tiny_models.make_older_clip(folder / "clip")
    return [clip, tiny_models.make_multilingual_text(folder / "texts")]


@full_only
def test_a_model_of_two_parts_is_fetched_by_one_name_and_used(parts, cache, place):
    repositories = [Repository(PICTURES, parts[0]), Repository(TEXTS, parts[1])]
    with serve(*repositories) as address:
        refused = download(address, TWO, "--revision", "v1")
        assert not any(repository.requests for repository in repositories)
        done = download(address, TWO)
    assert refused.status == 1
    assert f"imgsearch models download {TEXTS} --revision REV" in stderr_line(refused)
    assert done.status == 0, done.err
    assert f"of {PICTURES}," in done.text and f"of {TEXTS}," in done.text
    assert place.index(place.photos, "--model", TWO)["added"] == 4
    assert len(place.call("search", "--all", "ein Hund", "--format", "json").paths) == 4
    (space,) = place.call("status", "--json").json["spaces"]
    assert (space["model"], space["revision"]) == (TWO, f"{COMMIT}+{COMMIT}")
    # One part of another revision may not fit the other, so it is another space.
    with serve(*repositories) as address:
        assert download(address, TEXTS, "--revision", "v1").status == 0
    assert place.call("search", "--all", "ein Hund").status == 1
    place.index()
    assert place.call("status", "--json").json["spaces"][-1]["revision"] == f"{COMMIT}+{OLDER}"


@full_only
def test_a_pickled_image_part_is_refused_before_the_text_part(parts, cache, tmp_path):
    folder = shutil.copytree(parts[0], tmp_path / "pickled")
    inner = folder / "0_CLIPModel"
    (inner / "model.safetensors").rename(inner / "pytorch_model.bin")
    repositories = [Repository(PICTURES, folder), Repository(TEXTS, parts[1])]
    with serve(*repositories) as address:
        refused = download(address, TWO)
    assert refused.status == 1
    assert f"{PICTURES} has no weights as safetensors" in stderr_line(refused)
    assert not any(repository.fetched() for repository in repositories)


@full_only
def test_each_of_two_parts_can_be_taken_from_elsewhere(parts, cache, place, tmp_path, monkeypatch):
    configure(tmp_path, monkeypatch, f'[models]\n{TWO} = "{parts[0]}"\n')
    repositories = [Repository(PICTURES, parts[0]), Repository(TEXTS, parts[1])]
    with serve(*repositories) as address:
        assert download(address, TWO).status == 0
    assert not repositories[0].requests and repositories[1].fetched()
    assert place.index(place.photos, "--model", TWO)["model"] == TWO
    both = f'[models]\n{TWO} = "{parts[0]}"\n{TWO}-text = "{parts[1]}"\n'
    configure(tmp_path, monkeypatch, both)
    assert place.index(place.photos, "--model", TWO)["model"] == TWO
    assert "needs no download" in call("models", "download", TWO).err


def test_an_unknown_name_suggests_the_nearest_in_a_search_too(indexed):
    refused = indexed.call("search", "--all", "a dog", "--model", "siglip2-bse")
    assert refused.status == 1
    assert "Did you mean siglip2-base?" in refused.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[models]\nsiglip-base = "x"\n', "Did you mean siglip2-base?"),
        ("models = 3\n", "not a table of texts"),
        ("[models]\nsiglip2-base = 3\n", "not a table of texts"),
    ],
)
def test_an_invalid_table_of_models_is_reported(text, words, tmp_path, monkeypatch):
    configure(tmp_path, monkeypatch, text)
    refused = call("models")
    assert refused.status == 1
    assert words in refused.err


def test_a_gme_folder_is_recognised_by_its_content(place, cache):
    first = place.index(place.photos, "--model", GME)
    assert (first["added"], first["model"]) == (4, str(GME))
    assert place.index(place.photos, "--model", f"gme://{GME}")["unchanged"] == 4


@full_only
def test_an_unchanged_gme_library_needs_no_torch(place, cache):
    place.index(place.photos, "--model", GME)
    prelude = "def at_end():\n    print('torch' in sys.modules, file=sys.stderr)\n"
    again = process("--library", place.library, "index", place.photos, prelude=prelude)
    assert (again.status, again.err.split()[-1]) == (0, "False")


def test_a_new_library_reports_its_model_and_why(place, cache):
    outcome = place.call("index", place.photos)
    why = "Model builtin (the weights of gme-qwen2-vl-2b are not on this machine): "
    assert outcome.err.startswith(why) and outcome.err.count("\n") == 1
    assert "Model builtin" not in place.call("index", place.photos).err


def test_the_list_shows_which_models_are_installed(cache):
    listed = call("models")
    assert listed.status == 0
    assert "not on this machine; to download: imgsearch models download" in listed.text
    assert "2.21 billion parameters, vectors of 1536 numbers, weights 4.4 GB in bf16" in listed.text
    cards = {entry["name"]: entry for entry in call("models", "--json").json}
    assert [entry["needs"] for entry in cards.values()] == [[]] * len(cards)
