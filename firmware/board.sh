# What is known of $board: sets machine, target, profile, qemu and icount.
# run.sh and build.sh read it.

qemu=qemu-system-arm
icount=8
profile=release
machine=$board
case $board in
mps2-an386 | mps2-an500 | netduinoplus2) target=thumbv7em-none-eabihf ;;
mps2-an505 | mps3-an547) target=thumbv8m.main-none-eabihf ;;
lm3s6965evb)
    target=thumbv6m-none-eabi
    profile=small
    ;;
riscv32-virt)
    target=riscv32imc-unknown-none-elf
    qemu=qemu-system-riscv32
    icount=0
    machine="virt -bios none -m 16M"
    ;;
*)
    echo "there is no board $board" >&2
    exit 2
    ;;
esac
