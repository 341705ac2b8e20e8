#!/bin/sh
# The demo's network on emulated boards and on this machine: the same bits?
# Scenes that no training saw, every layer, both scores, and the maps of all
# methods that fit a board. Ctrl-C stops it; the same command goes on where it
# was. Fifty pictures on all boards take about an hour on two cores.
# MODEL is another network that takes photos, with its card beside it.
set -eu
usage="usage: boards.sh [PICTURES=50] [qemu:BOARD ..=qemu:all]"
count=${1:-50}
case $count in
*[!0-9]* | "")
    echo "$usage" >&2
    exit 2
    ;;
esac
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- qemu:all
for board; do
    devices="${devices:-} --device $board"
done

card=""
[ -n "${MODEL:-}" ] || card="--card host/demo/poles.card.toml"
pictures=target/boards/scenes-$count
cargo run --locked --quiet --release -p foveola --example scenes 20261122 "$count" anywhere "$pictures"
# shellcheck disable=SC2086 # a list of flags
exec cargo run --locked --quiet --release -- crosscheck "${MODEL:-host/demo/honest.onnx}" $card "$pictures" $devices \
    --record target/boards/record.jsonl
