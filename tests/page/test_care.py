"""The care of a library on the page: its first folder, its folders, and files that were skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from imgsearch.ocr import rapid
from tests.cli.calls import Place
from tests.conftest import PHOTOS, ROOT, full_only
from tests.page.conftest import OpenGallery, Serve, index
from tests.page.page_server import serving
from tests.tiny_hub import Repository
from tests.tiny_hub import serve as serve_hub

pytestmark = [pytest.mark.slow, full_only]

HARMFUL = "<img src=x onerror=window.harmed=1>"


def test_the_first_folder_is_chosen_and_its_pictures_appear(
    serve: Serve, gallery: OpenGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "home" / HARMFUL
    photos.mkdir(parents=True)
    shutil.copy(PHOTOS / "koala.jpg", photos)
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    monkeypatch.setenv("IMGSEARCH_FOLDER_PLACES", str(tmp_path / "home"))
    here = gallery(serve(tmp_path / "library"), bypass_csp=True)
    here.page.get_by_role("heading", name="No pictures yet").wait_for()
    entries = here.page.locator(".chooser-entry")
    expect(entries).to_have_count(1)
    assert here.violations() == []
    entries.get_by_text(HARMFUL).click()
    here.page.get_by_text("1 picture in it").wait_for()
    assert entries.all_inner_texts() == ["Up"]
    here.page.get_by_role("button", name=f"Add {HARMFUL}").click()
    here.page.get_by_text("Indexing started.").wait_for()
    here.tile("koala.jpg").wait_for()
    assert not here.page.get_by_role("heading", name="No pictures yet").is_visible()
    assert here.page.evaluate("() => window.harmed") is None


@pytest.fixture(scope="module")
def cared(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """Two pictures and a broken file."""
    folder = tmp_path_factory.mktemp("care")
    place = Place(folder / "photos", folder / "library")
    place.photos.mkdir()
    for name in ("koala.jpg", "owl.jpg"):
        shutil.copy(PHOTOS / name, place.photos)
    (place.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    index(place)
    with serving(place.library, folder / "server.log") as address:
        yield place, address


@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=full_only)])
def test_folders_and_skipped_files_are_listed(
    cared: tuple[Place, str],
    gallery: OpenGallery,
    screenshots: Path,
    size: tuple[int, int],
    scheme: str,
) -> None:
    place, address = cared
    here = gallery(address, "/?show=library", size=size, color_scheme=scheme, bypass_csp=True)
    here.shows("1 folder, 2 pictures")
    expect(here.page.locator(".root-path")).to_have_text(str(place.photos))
    skipped = here.page.locator(".skipped li")
    expect(skipped).to_contain_text("broken.jpg")
    assert skipped.locator(".skip-reason").inner_text()
    here.page.get_by_role("button", name="Add a folder").click()
    here.page.locator(".chooser").wait_for()
    here.page.locator(".models > li").first.wait_for()
    here.page.screenshot(path=screenshots / f"library-{size[0]}-{scheme}.png", full_page=True)
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []
    here.page.get_by_role("button", name="Indexed in part").click()
    here.page.get_by_text("None.", exact=True).wait_for()


def test_text_in_pictures_is_read_where_it_is_seen(
    cared: tuple[Place, str], gallery: OpenGallery
) -> None:
    if not rapid.installed():
        pytest.skip("the extra ocr is not installed")
    place, address = cared
    here = gallery(address, "/?show=library")
    texts = here.page.get_by_role("group", name="Read text in")
    expect(texts.get_by_role("button", name="Off")).to_have_attribute("aria-pressed", "true")
    texts.get_by_role("button", name="Where seen").click()
    here.page.get_by_text("Everything is up to date.").wait_for(timeout=120_000)
    here.page.reload()
    here.page.get_by_text("0 of 2 pictures read, 0 with text, 2 passed over.").wait_for()
    pressed = texts.get_by_role("button", pressed=True)
    expect(pressed).to_have_text("Where seen")
    status = place.call("status", "--json").json["texts"]
    assert (status["mode"], status["passed_over"]) == ("auto", 2)


def test_excludes_are_set_and_a_folder_is_forgotten(
    cared: tuple[Place, str], gallery: OpenGallery
) -> None:
    place, address = cared
    before = sorted(place.photos.iterdir())
    here = gallery(address)
    here.page.get_by_role("button", name="Folders, models, skipped files").click()
    here.shows("1 folder, 2 pictures")
    here.page.get_by_role("button", name="Leave out").click()
    here.page.get_by_role("textbox", name="Leave out of photos").fill("owl*\n")
    here.page.get_by_role("button", name="Save").click()
    here.page.get_by_text("Everything is up to date.").wait_for()
    here.shows("1 folder, 1 picture")
    assert here.page.locator(".root code").inner_text() == "owl*"
    here.page.get_by_role("button", name="Forget").click()
    here.page.locator("dialog").get_by_role("button", name="Forget", exact=True).click()
    here.shows("0 folders")
    here.page.get_by_role("button", name="Back to the pictures").click()
    here.page.get_by_role("heading", name="No pictures yet").wait_for()
    assert sorted(place.photos.iterdir()) == before


def test_a_model_is_downloaded_used_and_its_predecessor_forgotten(
    serve: Serve,
    gallery: OpenGallery,
    light: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By keyboard alone."""
    name = "gme-qwen2-vl-2b"
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    published = ROOT / "tests" / "golden" / "gme" / "model"
    with serve_hub(Repository("Alibaba-NLP/gme-Qwen2-VL-2B-Instruct", published)) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        here = gallery(serve(light.library), "/?show=library")
        models = here.page.locator(".models > li")

        def model(name: str) -> Locator:
            return models.filter(has=here.page.get_by_text(name, exact=True))

        def press(words: str, question: str) -> None:
            here.page.get_by_role("button", name=words, exact=True).press("Enter")
            here.page.locator("dialog").get_by_role("heading", name=question).wait_for()
            here.press("Enter")

        expect(model("cheap")).to_contain_text("In use")
        expect(model("cheap")).to_contain_text("4 of 4 pictures encoded")
        expect(model(name)).to_contain_text("Apache-2.0")
        press(f"Download: {name}", f"Download {name}?")
        here.page.get_by_text(f"{name} is downloaded and verified.").wait_for()
        here.page.get_by_role("button", name=f"Use: {name}", exact=True).wait_for()
        press("Use: builtin", "Use builtin?")
        here.page.get_by_text("Searches now use builtin; cheap stays").wait_for()
        expect(model("builtin")).to_contain_text("In use")
        press("Delete vectors: cheap", "Delete the vectors of cheap?")
        expect(model("cheap")).not_to_contain_text("encoded")
