#!/bin/sh
# Runs a board's program in QEMU on the job or the batch of jobs in FOLDER (see
# src/job.rs) and keeps its exit code. The log goes to standard output, readable where defmt-print is
# installed (cargo install defmt-print), else it is left in FOLDER/log.defmt.
# FOVEOLA_MONITOR is where QEMU's monitor listens, nowhere unless set; FOVEOLA_SERIAL
# is what the board's first UART is connected to, nothing unless set.
# FOVEOLA_SECONDS ends a run that hangs (exit code 124), 600 unless set.
set -eu
usage="usage: run.sh BOARD FOLDER [ELF]"
board=${1:?$usage}
folder=${2:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/board.sh"

if [ $# -ge 3 ]; then
    elf=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
else
    elf=$(sh "$here/build.sh" "$board")
fi

cd "$folder"
code=0
# shellcheck disable=SC2086 # the machine is a list of words
timeout "${FOVEOLA_SECONDS:-600}" $qemu -M $machine -display none -monitor "${FOVEOLA_MONITOR:-none}" -serial "${FOVEOLA_SERIAL:-null}" \
    -icount shift=$icount -semihosting-config enable=on,target=native \
    -kernel "$elf" >log.defmt </dev/null || code=$?
if command -v defmt-print >/dev/null; then
    defmt-print -e "$elf" <log.defmt
fi
exit $code
