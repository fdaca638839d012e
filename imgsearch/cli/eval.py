"""imgsearch eval"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.group import Context, common, context, model_options
from imgsearch.cli.terminal import count_of, plain
from imgsearch.errors import QueryError

if TYPE_CHECKING:
    from imgsearch.evaluation.runs import Comparison, Figures, Run

HEADINGS = ("R@1", "R@5", "R@10", "MRR", "R-prec", "nDCG@10")


@click.command("eval", short_help="Measure how well queries find their pictures.")
@click.argument("files", nargs=-1, required=True, metavar="QUERIES...")
@click.option(
    "--compare",
    "other",
    metavar="MODEL|RUN",
    help="Compare with another model of the library, or with a saved run.",
)
@click.option("--save", metavar="FILE", help="Write the run to a JSON file, for --compare.")
@click.option(
    "--mode",
    type=click.Choice(["semantic", "hybrid", "text"]),
    default="semantic",
    show_default=True,
    help="As of search. Names and captions may give the answers away, so they are left out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@model_options
@common
def command(
    files: tuple[str, ...],
    other: str | None,
    save: str | None,
    mode: str,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Measure how well the library answers queries whose right answers are known.

    QUERIES are files with a JSON object in each line: {"query": "a dog", "relevant": ["dog.jpg"],
    "kind": "caption"}; "query_image" in place of "query" names a picture, which is left out of its
    own results. Pictures are named by their path, or by the end of it. A saved run may stand in
    place of the files.

    R@k is the share of queries with a relevant picture among the first k. --compare shows the
    differences of the means, with 95 % intervals of a paired bootstrap.

    \b
    imgsearch eval queries.jsonl
    imgsearch eval queries.jsonl image_queries.jsonl --save before.json
    imgsearch eval queries.jsonl --model siglip2-base --compare builtin
    """
    from imgsearch.evaluation.runs import compare, figures

    ctx = context(library, quiet, verbose)
    if save is not None and not save.endswith(".json"):
        raise QueryError(f"a run cannot be saved as {save}", "Let its name end in .json.")
    run = _run_of(ctx, files, mode, flags)
    if save is not None:
        _save(run, save)
    if other is None:
        found = figures(run)
        click.echo(json.dumps(_run_entry(run, found), indent=2) if as_json else _table(run, found))
        return
    saved = _saved(other)
    second = _run_of(ctx, files, mode, flags | {"model": other}) if saved is None else saved
    comparisons, unpaired = compare(run, second)
    if unpaired:
        queries = "query is" if unpaired == 1 else "queries are"
        ctx.say(f"{unpaired} {queries} in one of the runs only, and left out.")
    if as_json:
        click.echo(json.dumps(_comparison_entry(run, second, comparisons), indent=2))
    else:
        click.echo(_comparison_text(run, second, comparisons))


def _run_of(ctx: Context, files: Sequence[str], mode: str, flags: dict[str, Any]) -> Run:
    """A saved run, or one that is made now."""
    from imgsearch.evaluation.questions import read_questions
    from imgsearch.evaluation.runs import evaluate

    if len(files) == 1 and (saved := _saved(files[0])):
        return saved
    questions = [question for path in files for question in read_questions(path)]
    lib = ctx.library(**flags)
    try:
        with _bar(ctx, len(questions)) as bar:
            run = evaluate(lib, questions, lambda done: bar.update(1), mode)
    finally:
        lib.close()
    if run.missing:
        ctx.say(
            f"{count_of(len(run.missing), 'relevant picture')} not in the library, and counted as "
            f"not found: {', '.join(run.missing[:3])}{' ...' * (len(run.missing) > 3)}"
        )
    return run


def _bar(ctx: Context, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc="Asking",
        unit=" queries",
        leave=False,
        dynamic_ncols=True,
        disable=True if ctx.quiet else None,
    )


def _saved(path: str) -> Run | None:
    """The run of a file that ends in .json; None for anything else."""
    from imgsearch.evaluation.runs import run_from_json

    if not path.endswith(".json"):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise QueryError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        found = None
    return run_from_json(found, path)


def _save(run: Run, path: str) -> None:
    from imgsearch.evaluation.runs import run_to_json

    with open(path, "w", encoding="utf-8") as file:
        json.dump(run_to_json(run), file, indent=1)
        file.write("\n")


# Text


def _table(run: Run, found: Sequence[Figures]) -> str:
    lines = [f"{plain(run.model)}, {count_of(run.pictures, 'picture')}"]
    columns = "".join(f"{name:>9}" for name in HEADINGS)
    lines.append(f"{'queries':26}{'n':>6}{columns}{'p50 ms':>9}{'p95 ms':>9}")
    for group in found:
        values = "".join(f"{value:9.3f}" for value in group.values)
        times = f"{1e3 * group.p50_seconds:9.1f}{1e3 * group.p95_seconds:9.1f}"
        lines.append(f"{_name(group):26}{group.queries:>6}{values}{times}")
    return "\n".join(lines)


def _comparison_text(a: Run, b: Run, comparisons: Sequence[Comparison]) -> str:
    lines = [f"a: {plain(a.model)}    b: {plain(b.model)}    * the interval is on one side of zero"]
    for each in comparisons:
        lines.append(f"{_name(each.a)}, n = {each.a.queries}")
        lines.append(f"  {'':9}{'a':>8}{'b':>8}{'b - a':>9}   95 % interval")
        for i, heading in enumerate(HEADINGS):
            found = each.differences[i]
            mark = " *" if found.clear else ""
            lines.append(
                f"  {heading:9}{each.a.values[i]:8.3f}{each.b.values[i]:8.3f}{found.mean:+9.3f}"
                f"   {found.low:+.3f} .. {found.high:+.3f}{mark}"
            )
        times = (1e3 * each.a.p50_seconds, 1e3 * each.b.p50_seconds)
        lines.append(f"  {'p50 ms':9}{times[0]:8.1f}{times[1]:8.1f}{times[1] - times[0]:+9.1f}")
    return "\n".join(lines)


def _name(group: Figures) -> str:
    return plain(f"{group.by} {group.kind or '(no kind)'}")


# JSON


def _run_entry(run: Run, found: Sequence[Figures]) -> dict[str, Any]:
    return {
        "model": run.model,
        "space": run.space,
        "pictures": run.pictures,
        "missing": list(run.missing),
        "groups": [_group_entry(group) for group in found],
    }


def _group_entry(group: Figures) -> dict[str, Any]:
    from imgsearch.evaluation.measures import MEASURES

    return {
        "by": group.by,
        "kind": group.kind,
        "queries": group.queries,
        **dict(zip(MEASURES, group.values, strict=True)),
        "p50_ms": 1e3 * group.p50_seconds,
        "p95_ms": 1e3 * group.p95_seconds,
    }


def _comparison_entry(a: Run, b: Run, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    from imgsearch.evaluation.measures import MEASURES

    return {
        "a": {"model": a.model, "space": a.space},
        "b": {"model": b.model, "space": b.space},
        "groups": [
            {
                "a": _group_entry(each.a),
                "b": _group_entry(each.b),
                "differences": {
                    name: {"mean": found.mean, "low": found.low, "high": found.high}
                    for name, found in zip(MEASURES, each.differences, strict=True)
                },
            }
            for each in comparisons
        ],
    }
