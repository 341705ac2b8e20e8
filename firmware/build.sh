#!/bin/sh
# Builds a board's program where it is not there yet and says where it lies.
set -eu
usage="usage: build.sh BOARD"
board=${1:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/board.sh"

# Parts compiled apart are merged otherwise: counts of instructions would differ.
(cd "$here" && CARGO_INCREMENTAL=0 cargo build --locked --quiet --profile $profile --target $target --bin "$board") >&2
echo "$here/target/$target/$profile/$board"
