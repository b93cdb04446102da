#!/usr/bin/env bash
# tools/gpu_session.sh [--build FOLDER] [--seconds N] [--peers-python PYTHON] [--dry-run] ...: on a machine with an NVIDIA GPU, builds Sepal (or takes a
# build that is there), checks every CUDA variant on the driver, measures peaks and suites beside PyTorch, and writes one JSON record into
# bench/records/gpu. --help tells all options. Exit codes: 0; 1 when a step failed; 2 without a GPU.
set -euo pipefail
exec python3 "$(dirname "$0")/gpu_session.py" "$@"
