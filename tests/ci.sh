#!/bin/sh
# Everything that must hold, step by step, from a fresh clone on a fresh machine.
set -eu
cd "$(dirname "$0")/.."

TARGETS="thumbv6m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf riscv32imc-unknown-none-elf"

step() {
    name=$1
    shift
    echo "== $name: $*"
    begin=$(date +%s)
    "$@"
    end=$(date +%s)
    echo "== $name: $(( (end - begin) / 60 )) min $(( (end - begin) % 60 )) s"
}

install() {
    command -v cargo >/dev/null || { echo "cargo is needed: https://rustup.rs"; exit 1; }
    packages=""
    command -v qemu-system-arm >/dev/null || packages="$packages qemu-system-arm"
    command -v qemu-system-riscv32 >/dev/null || packages="$packages qemu-system-misc"
    # For a program in C that is linked with Foveola's library.
    command -v arm-none-eabi-gcc >/dev/null || packages="$packages gcc-arm-none-eabi"
    # Report pages are walked in a browser, runs are read by pandas and DuckDB.
    command -v chromium >/dev/null || packages="$packages chromium"
    # A graphics processor in software, which the GPU's tests run on.
    ls /usr/share/vulkan/icd.d/lvp_icd* >/dev/null 2>&1 || packages="$packages mesa-vulkan-drivers libvulkan1"
    command -v python3 >/dev/null || packages="$packages python3"
    python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"
    if [ -n "$packages" ]; then
        root=""
        [ "$(id -u)" = 0 ] || root=sudo
        $root apt-get update -q
        # shellcheck disable=SC2086 # a list of words
        $root apt-get install -y -q --no-install-recommends $packages
    fi
    modules="numpy pandas pyarrow duckdb pillow"
    python3 -c "import $(echo "$modules" | sed 's/pillow/PIL/; s/ /, /g')" 2>/dev/null || {
        # shellcheck disable=SC2086 # a list of words
        python3 -m pip install -q $modules ||
            python3 -m pip install -q --break-system-packages --user $modules || {
            echo "WARNING: no $modules from pip: runs are not read by pandas and DuckDB"
            export FOVEOLA_WITHOUT_READERS=1
        }
    }
    # Outside rustup the toolchain has to bring these itself.
    if command -v rustup >/dev/null; then
        rustup component add rustfmt clippy
        # shellcheck disable=SC2086 # a list of words
        rustup target add $TARGETS
    fi
}

# Code for them is made where the tests build the boards' programs.
core_alone() {
    # shellcheck disable=SC2046 # a list of words
    cargo check --locked --release -p foveola-core $(for target in $TARGETS; do echo --target "$target"; done)
}

# As firmware/build.sh builds them, but side by side: each is one long compilation.
board_programs() {
    (
        cd firmware
        export CARGO_INCREMENTAL=0
        boards() { cargo build --locked --quiet "$@"; }
        boards --release --target thumbv7em-none-eabihf \
            --bin mps2-an386 --bin mps2-an500 --bin netduinoplus2
        boards --release --target thumbv8m.main-none-eabihf --bin mps2-an505 --bin mps3-an547
        boards --release --target riscv32imc-unknown-none-elf --bin riscv32-virt &
        riscv=$!
        boards --profile small --target thumbv6m-none-eabi --bin lm3s6965evb
        wait $riscv
    )
}

firmware() {
    (cd firmware && cargo fmt --all -- --check)
    cargo test --locked --manifest-path firmware/Cargo.toml
    cargo clippy --locked --release --manifest-path firmware/Cargo.toml --lib -- -D warnings
    # The boards' programs are built, run and compared by the tests.
    (cd firmware && cargo clippy --locked --release --target thumbv7em-none-eabihf --bin mps2-an386 -- -D warnings)
    (cd firmware && cargo clippy --locked --release -p foveola-c --target thumbv7em-none-eabihf -- -D warnings)
    cargo clippy --locked --release --manifest-path firmware/Cargo.toml -p uf2 -- -D warnings
    for chip in rp2350 esp32c3; do
        (cd firmware/$chip && cargo fmt -- --check)
    done
}

fuzz() {
    (cd tests/fuzz && cargo fmt --all -- --check)
    cargo clippy --locked --release --manifest-path tests/fuzz/Cargo.toml --all-targets -- -D warnings
    cargo test --locked --release --manifest-path tests/fuzz/Cargo.toml
    cargo run --locked --release --manifest-path tests/fuzz/Cargo.toml -- model --inputs 500000 --seed 2
    cargo run --locked --release --manifest-path tests/fuzz/Cargo.toml -- log --inputs 200000 --seed 3
}

doc() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --no-deps -p foveola-core -p foveola
}

step install install
step format cargo fmt --all -- --check
step "core for bare targets" core_alone
step "core with overflow checks" cargo test --locked -p foveola-core --lib
step demo cargo run --locked --release
step clippy cargo clippy --locked --release --workspace --all-targets -- -D warnings
step firmware firmware
step fuzz fuzz
step "board programs" board_programs
# Tests wait for emulated boards and for each other's builds.
RUST_TEST_THREADS=$(( $(nproc) + 2 ))
export RUST_TEST_THREADS
# The benches have no tests; clippy has read them.
step test cargo test --locked --release --workspace --exclude foveola-benches
step doc doc
