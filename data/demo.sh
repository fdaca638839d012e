#!/bin/sh
# Demo for `make demo`: indexes the demo photos into a separate library, searches them by words and
# by an example picture, and suggests further commands. Each command is shown before it runs.
set -eu
cd "$(dirname "$0")/.."

imgsearch=${IMGSEARCH:-imgsearch}
library=build/demo-library

show() {
  printf '\n$ %s --library %s %s\n' "$imgsearch" "$library" "$*"
  "$imgsearch" --library "$library" "$@" </dev/null # no question: the demo is of the built-in model
}

rm -rf "$library"
mkdir -p build

show index data/photos
show search a bird -n 4
show search a cup of espresso -n 3
show search a polar bear in the snow -n 3
show search a mountain landscape -n 3
show search a cat -n 3
show similar data/photos/tabby_cat_face.jpg -n 3
show clusters
show map --html build/demo-map.html

cat <<END

The columns are rank, strength (how likely the picture is to match) and score (a cosine, comparable
only within one search). Weak hits are hidden; --all shows them. Clusters have an id, the number of
pictures, a name and an example; indented ones are parts of the one above.

Try next, for example:
  $imgsearch --library $library search old building
  $imgsearch --library $library similar data/photos/dairy_cow.jpg
  $imgsearch --library $library search --cluster mountain
  $imgsearch --library $library eval data/queries.jsonl

With your own pictures (which are only read; the library is in your user data folder):
  $imgsearch index ~/Pictures
  $imgsearch search a dog on the beach
  $imgsearch --help

"make clean" removes the demo library and the installation.
END
