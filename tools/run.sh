#!/usr/bin/env bash
# The main job: builds Sepal, measures this machine's peaks, then checks and measures suite `microbenchmark`. The report is
# build/report/microbenchmark.html. Arguments go to `sepal bench` (for example: --threads 2).
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh release sepal
mkdir -p build/report
exec build/release/tools/sepal bench --suite microbenchmark --json build/report/microbenchmark.json \
    --csv build/report/microbenchmark.csv --html build/report/microbenchmark.html "$@"
