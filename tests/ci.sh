#!/bin/sh
# Everything that must hold.
set -eu
cargo test --workspace
