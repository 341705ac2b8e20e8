#!/bin/sh
# Photographs the OLED of lm3s6965evb in QEMU: the demo's honest network, in the
# board's flash, explains a picture by occlusion. Needs socat and ImageMagick.
# usage: host/docs/oled.sh PICTURE OUT.png
set -eu
usage="usage: oled.sh PICTURE OUT.png"
picture=${1:?$usage}
out=${2:?$usage}
here=$(cd "$(dirname "$0")/../.." && pwd)
at=$(mktemp -d)
convert "$picture" -resize 64x64! -depth 8 "rgb:$at/p.bin"
printf 'picture=p.bin\nshow=20000\nmethod=occlusion:window=12,stride=6\n' >"$at/job.txt"
(cd "$here" && cargo run --quiet --release -- compile host/demo/honest.onnx \
    --card host/demo/poles.card.toml -o "$at/m.fov")
elf=$(FOVEOLA_MODEL="$at/m.fov" "$here/firmware/build.sh" lm3s6965evb)
FOVEOLA_MONITOR=unix:monitor,server=on,wait=off "$here/firmware/run.sh" lm3s6965evb "$at" "$elf" &
until grep -q done=1 "$at/answer.txt" 2>/dev/null; do sleep 1; done
sleep 1
printf 'screendump panel.ppm\nquit\n' | socat - "unix-connect:$at/monitor" >/dev/null
wait || true
convert "$at/panel.ppm" "$out"
rm -r "$at"
