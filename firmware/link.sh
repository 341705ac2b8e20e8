#!/bin/sh
# Builds a board's program with MODEL in its flash and copies it to ELF. It has
# a folder of its own in target/, so that the usual program is not built again
# afterwards; runs at the same time must take turns.
set -eu
usage="usage: link.sh BOARD MODEL ELF"
board=${1:?$usage}
model=${2:?$usage}
elf=${3:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/board.sh"

FOVEOLA_MODEL=$(cd "$(dirname "$model")" && pwd)/$(basename "$model")
export FOVEOLA_MODEL
built=$here/target/linked
# Parts compiled apart are merged otherwise: counts of instructions would differ.
(cd "$here" && CARGO_INCREMENTAL=0 cargo build --locked --quiet --profile $profile --target $target \
    --target-dir "$built" --bin "$board")
cp "$built/$target/$profile/$board" "$elf"
