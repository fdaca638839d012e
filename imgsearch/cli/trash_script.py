"""Shell script that moves duplicates to a trash folder; imgsearch prints it and never runs it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from imgsearch.cli.terminal import plain
from imgsearch.curation.duplicate_groups import DuplicateGroup

# Parameter expansion instead of dirname: command substitution would drop newlines at the end of a
# name. All paths are absolute, so that none begins with a dash.
HEAD = """\
#!/bin/sh
# Moves duplicates, as imgsearch dupes found them, into a trash folder. It deletes nothing.
# Read it, remove the lines of pictures to leave where they are, and run it:
#   sh SCRIPT [TRASH]
set -u
trash=${{1:-{trash}}}
case $trash in /*) ;; *) trash=$PWD/$trash ;; esac
failed=0

# move KEEP DUPLICATE BYTES: only if KEEP is there and DUPLICATE still has its size
move() {{
  target=$trash$2
  if [ ! -f "$1" ]; then
    printf 'left: %s (the picture to keep is gone)\\n' "$2" >&2
  elif [ ! -f "$2" ] || [ "$(($(wc -c < "$2")))" -ne "$3" ]; then
    printf 'left: %s (it has changed or is gone)\\n' "$2" >&2
  elif [ "$1" -ef "$2" ]; then
    printf 'left: %s (it is the picture to keep)\\n' "$2" >&2
  elif [ -e "$target" ] || [ -L "$target" ]; then
    printf 'left: %s (the trash has a file of this name)\\n' "$2" >&2
  else
    mkdir -p "${{target%/*}}" && mv "$2" "$target" && return
  fi
  failed=1
}}
"""


def trash_script(groups: Iterable[DuplicateGroup], trash: str) -> str:
    """The script; with `trash` as the folder unless it is run with another one."""
    lines = [HEAD.format(trash=_quoted(trash))]
    for number, group in enumerate(groups, 1):
        best = group.best
        lines.append(f"\n# {number}: keep {plain(best.file.absolute)}\n")
        lines.append(f"keep={_quoted(best.file.absolute)}\n")
        for each in group.duplicates:
            path = _quoted(each.image.file.absolute)
            lines.append(f'move "$keep" {path} {each.image.file.size} # {each.kind}\n')
    lines.append('\nexit "$failed"\n')
    return "".join(lines)


def _quoted(path: str) -> str:
    return shlex.quote(path)
