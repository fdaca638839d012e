"""imgsearch eval"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import completion
from imgsearch.cli.group import Context, common, context, model_options
from imgsearch.cli.terminal import count_of, plain
from imgsearch.errors import QueryError

if TYPE_CHECKING:
    from imgsearch.evaluation.runs import Comparison, Figures, Run

HEADINGS = ("R@1", "R@5", "R@10", "MRR", "R-prec", "nDCG@10")


@click.command("eval", short_help="Measure the retrieval quality.")
@click.argument(
    "files", nargs=-1, required=True, metavar="QUERIES...", shell_complete=completion.files
)
@click.option(
    "--compare",
    "other",
    metavar="MODEL|RUN",
    shell_complete=completion.models,
    help="Compare with another model of the library, or with a saved run.",
)
@click.option(
    "--save",
    metavar="FILE",
    shell_complete=completion.files,
    help="Write the run to a JSON file, for --compare.",
)
@click.option(
    "--mode",
    type=click.Choice(["semantic", "hybrid", "text"]),
    default="semantic",
    show_default=True,
    help="Search mode. The default ignores names and captions, which may give the answers away.",
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
    """Measure how well the library answers queries with known relevant pictures.

    QUERIES are files with one JSON object per line: {"query": "a dog", "relevant": ["dog.jpg"],
    "kind": "caption"}. "query_image" instead of "query" names a picture, which is excluded from
    its own results. Pictures are named by their path or the end of it. A saved run can replace the
    files.

    R@k is the share of queries with a relevant picture among the first k. --compare shows the
    differences of the means, with 95 % confidence intervals of a paired bootstrap.

    \b
    imgsearch eval queries.jsonl
    imgsearch eval queries.jsonl image_queries.jsonl --save before.json
    imgsearch eval queries.jsonl --model siglip2-base --compare builtin
    """
    from imgsearch.evaluation.runs import compare, figures

    ctx = context(library, quiet, verbose)
    if save is not None and not save.endswith(".json"):
        raise QueryError(f"cannot save a run as {save}", "Use a name that ends in .json.")
    run = _run_of(ctx, files, mode, flags)
    if save is not None:
        _save(run, save)
    if other is None:
        groups = figures(run)
        entry = _run_entry(run, groups)
        click.echo(json.dumps(entry, indent=2) if as_json else _table(run, groups))
        return
    saved = _saved(other)
    second = _run_of(ctx, files, mode, flags | {"model": other}) if saved is None else saved
    comparisons, unpaired = compare(run, second)
    if unpaired:
        queries = "query is" if unpaired == 1 else "queries are"
        ctx.say(f"{unpaired} {queries} in only one of the runs and ignored.")
    if as_json:
        click.echo(json.dumps(_comparison_entry(run, second, comparisons), indent=2))
    else:
        click.echo(_comparison_text(run, second, comparisons))


def _run_of(ctx: Context, files: Sequence[str], mode: str, flags: dict[str, Any]) -> Run:
    """Load a saved run, or evaluate the queries."""
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
            f"{count_of(len(run.missing), 'relevant picture')} not in the library and counted as "
            f"not found: {', '.join(run.missing[:3])}{' ...' * (len(run.missing) > 3)}"
        )
    return run


def _bar(ctx: Context, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc="Searching",
        unit=" queries",
        leave=False,
        dynamic_ncols=True,
        disable=True if ctx.quiet else None,
    )


def _saved(path: str) -> Run | None:
    """The run in a file whose name ends in .json; None for other names."""
    from imgsearch.evaluation.runs import run_from_json

    if not path.endswith(".json"):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        raise QueryError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        content = None
    return run_from_json(content, path)


def _save(run: Run, path: str) -> None:
    from imgsearch.evaluation.runs import run_to_json

    with open(path, "w", encoding="utf-8") as file:
        json.dump(run_to_json(run), file, indent=1)
        file.write("\n")


# Text


def _table(run: Run, groups: Sequence[Figures]) -> str:
    lines = [f"{plain(run.model)}, {count_of(run.pictures, 'picture')}"]
    columns = "".join(f"{name:>9}" for name in HEADINGS)
    lines.append(f"{'queries':26}{'n':>6}{columns}{'p50 ms':>9}{'p95 ms':>9}")
    for group in groups:
        values = "".join(f"{value:9.3f}" for value in group.values)
        times = f"{1e3 * group.p50_seconds:9.1f}{1e3 * group.p95_seconds:9.1f}"
        lines.append(f"{_name(group):26}{group.queries:>6}{values}{times}")
    return "\n".join(lines)


def _comparison_text(a: Run, b: Run, comparisons: Sequence[Comparison]) -> str:
    lines = [f"a: {plain(a.model)}    b: {plain(b.model)}    * the interval excludes zero"]
    for each in comparisons:
        lines.append(f"{_name(each.a)}, n = {each.a.queries}")
        lines.append(f"  {'':9}{'a':>8}{'b':>8}{'b - a':>9}   95 % interval")
        for i, heading in enumerate(HEADINGS):
            change = each.differences[i]
            mark = " *" if change.clear else ""
            lines.append(
                f"  {heading:9}{each.a.values[i]:8.3f}{each.b.values[i]:8.3f}{change.mean:+9.3f}"
                f"   {change.low:+.3f} .. {change.high:+.3f}{mark}"
            )
        times = (1e3 * each.a.p50_seconds, 1e3 * each.b.p50_seconds)
        lines.append(f"  {'p50 ms':9}{times[0]:8.1f}{times[1]:8.1f}{times[1] - times[0]:+9.1f}")
    return "\n".join(lines)


def _name(group: Figures) -> str:
    return plain(f"{group.by} {group.kind or '(no kind)'}")


# JSON


def _run_entry(run: Run, groups: Sequence[Figures]) -> dict[str, Any]:
    return {
        "model": run.model,
        "space": run.space,
        "pictures": run.pictures,
        "missing": list(run.missing),
        "groups": [_group_entry(group) for group in groups],
    }


def _group_entry(group: Figures) -> dict[str, Any]:
    from imgsearch.evaluation.ranking_metrics import MEASURES

    return {
        "by": group.by,
        "kind": group.kind,
        "queries": group.queries,
        **dict(zip(MEASURES, group.values, strict=True)),
        "p50_ms": 1e3 * group.p50_seconds,
        "p95_ms": 1e3 * group.p95_seconds,
    }


def _comparison_entry(a: Run, b: Run, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    from imgsearch.evaluation.ranking_metrics import MEASURES

    return {
        "a": {"model": a.model, "space": a.space},
        "b": {"model": b.model, "space": b.space},
        "groups": [
            {
                "a": _group_entry(each.a),
                "b": _group_entry(each.b),
                "differences": {
                    name: {"mean": change.mean, "low": change.low, "high": change.high}
                    for name, change in zip(MEASURES, each.differences, strict=True)
                },
            }
            for each in comparisons
        ],
    }
