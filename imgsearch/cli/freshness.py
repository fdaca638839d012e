"""Notes or refreshes, in a search, pictures new or changed since the last run of the indexer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.cli.group import Context
from imgsearch.errors import ImgSearchError, LibraryMissing

if TYPE_CHECKING:
    from imgsearch.indexing.freshness import Estimate
    from imgsearch.settings import Settings


def begin(ctx: Context, settings: Settings, refresh: bool | None) -> Estimate | None:
    """Bring the library up before a search, or begin to estimate what is new; None otherwise.

    Parameters
    ----------
    refresh : bool or None
        Bring it up, or do neither; None leaves that to the settings.
    """
    if refresh or (refresh is None and settings.refresh == "always"):
        _bring_up(ctx)
    elif refresh is None and settings.refresh == "ask" and not ctx.quiet:
        from imgsearch.indexing.freshness import Estimate

        return Estimate(settings.library, settings.catalog).start()
    return None


def end(ctx: Context, estimate: Estimate | None) -> None:
    """Report an estimate."""
    if estimate is not None and (sentence := estimate.sentence()):
        ctx.say(sentence)


def _bring_up(ctx: Context) -> None:
    """Index what is new, in all folders and as `imgsearch index` does; a search goes on without."""
    from imgsearch.cli.index import run_with_progress
    from imgsearch.indexing.plan import IndexRequest

    library = ctx.library()
    try:
        _ = library.catalog
        report, status = run_with_progress(ctx, library.index, IndexRequest())
    except LibraryMissing:
        return  # the search reports it
    except ImgSearchError as error:
        ctx.say(f"The library was not refreshed: {error}. {error.hint}".rstrip())
        return
    finally:
        library.close()
    for note in report.notes:
        ctx.say(note)
    if status:
        raise KeyboardInterrupt
