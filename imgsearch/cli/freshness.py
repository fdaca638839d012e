"""Before a search: index new and changed pictures, or estimate how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.cli.group import Context
from imgsearch.errors import ImgSearchError, LibraryMissing

if TYPE_CHECKING:
    from imgsearch.indexing.freshness import Estimate
    from imgsearch.settings import Settings


def begin(ctx: Context, settings: Settings, refresh: bool | None) -> Estimate | None:
    """Refresh the library before a search, or start an estimate of what is new; None otherwise.

    Parameters
    ----------
    refresh : bool or None
        True refreshes, False does neither; None leaves the choice to the settings.
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
    """Index new and changed pictures as `imgsearch index` does; on an error, warn and go on."""
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
