#!/usr/bin/env bash
# Builds everything and runs all tests. Arguments go to ctest (for example: -L unit).
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh "${SEPAL_PRESET:-release}"
export PATH="$PWD/build/venv/bin:$PATH"
exec ctest --preset "${SEPAL_PRESET:-release}" "$@"
