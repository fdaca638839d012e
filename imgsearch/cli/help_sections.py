"""Help of the commands that find pictures, with their options in sections."""

from __future__ import annotations

from collections import defaultdict

import click

FILTERS, GENERAL = "Filters", "General"
SECTIONS: dict[str, tuple[str, ...]] = {
    "Terms": (
        "saved", "fused", "plus", "minus", "like", "allow_url", "more", "less", "mode",
        "instruction",
    ),
    FILTERS: (),
    "Hits": (
        "limit", "min_strength", "max_false_matches", "everything", "min_score", "unique", "apart",
        "sort",
    ),
    "Output": (
        "form", "color", "preview", "html", "copy_to", "link_to", "open_them", "exit_code",
    ),
    "Engine": (
        "model", "federated", "device", "precision", "threads", "index", "catalog", "no_daemon",
        "refresh",
    ),
    GENERAL: ("explain", "library", "quiet", "verbose", "help"),
}  # fmt: skip
"""Heading -> names of its parameters, in the order of the help. Filters have a prefix instead."""

_SECTION_OF = {name: heading for heading, names in SECTIONS.items() for name in names}


class SectionedCommand(click.Command):
    """A command whose help shows its options below the headings of `SECTIONS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None and isinstance(parameter, click.Option):
                rows[section_of(parameter)].append(row)
        for heading in SECTIONS:
            if rows[heading]:
                with formatter.section(heading):
                    formatter.write_dl(rows[heading])


def section_of(parameter: click.Parameter) -> str:
    """The heading of an option; `GENERAL` for those that no section names."""
    name = parameter.name or ""
    return FILTERS if name.startswith("filter_") else _SECTION_OF.get(name, GENERAL)
