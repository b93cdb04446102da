#!/usr/bin/env bash
# Everything that a build needs: Debian's packages (installed when run as root, listed when not) and, in build/venv, the
# packages of requirements.txt from PyPI. Quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ python3 python3-venv catch2 libcli11-dev libfmt-dev nlohmann-json3-dev)
if ! command -v dpkg-query > /dev/null; then
    echo "setup: this is no Debian system; needed are a C++17 compiler, Python 3.11 to 3.13 with venv, Catch2, CLI11, fmt, nlohmann-json" >&2
else
    missing=()
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true) == installed ]] || missing+=("$package")
    done
    if ((${#missing[@]})); then
        if [[ $(id -u) == 0 ]]; then
            echo "setup: installing Debian packages: ${missing[*]}"
            apt-get update -q
            DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
        else
            echo "setup: Debian packages are missing: ${missing[*]}" >&2
            echo "setup: install them with: sudo apt-get install ${missing[*]}" >&2
            exit 2
        fi
    fi
fi

# optional "PACKAGES" "CONSEQUENCE": installs what Debian has and root may; else says what is left out without them.
optional() {
    if [[ $(id -u) == 0 ]] && command -v apt-cache > /dev/null && apt-cache show "${1%% *}" > /dev/null 2>&1; then
        echo "setup: installing the optional Debian packages $1"
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $1 || echo "setup: $1 could not be installed; $2" >&2
    else
        echo "setup: the optional Debian packages $1 are not installed; $2" >&2
    fi
}

# LLVM's llc, for kernels whose stores bypass the caches.
compgen -c llc-2 | grep -qE '^llc-2[1-9]$' || optional "llvm-22" "kernels with streaming stores are left out"

# An OpenCL device that is the CPU, on which kernels for GPUs are checked where there is no GPU.
[[ $(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2> /dev/null || true) == *libOpenCL.so.1* ]] ||
    optional "pocl-opencl-icd ocl-icd-libopencl1" "kernels for OpenCL are not checked"

# A compiler for 64-bit ARM and what runs its programs (320 MB), with which kernels for other machines are tested.
{ command -v aarch64-linux-gnu-g++ && command -v qemu-aarch64; } > /dev/null ||
    optional "g++-aarch64-linux-gnu qemu-user" "kernels for 64-bit ARM are not tested"

stamp=build/venv/requirements.installed
if ! cmp -s requirements.txt "$stamp"; then
    echo "setup: installing the packages of requirements.txt into build/venv"
    rm -rf build/venv
    python3 -m venv build/venv
    build/venv/bin/python3 -m pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt "$stamp"
fi
