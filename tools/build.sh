#!/usr/bin/env bash
# build.sh [PRESET] [TARGET...]: sets up, configures and builds a preset of CMakePresets.json (release when none is named).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
shift || true
tools/setup.sh
export PATH="$PWD/build/venv/bin:$PATH"
cmake --preset "$preset" > "build/configure-$preset.log" 2>&1 || { cat "build/configure-$preset.log" >&2; exit 1; }
cmake --build --preset "$preset" ${@:+--target "$@"}
