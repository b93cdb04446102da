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

# Optional: LLVM's llc, for kernels whose stores bypass the caches.
if ! compgen -c llc-2 | grep -qE '^llc-2[1-9]$'; then
    if [[ $(id -u) == 0 ]] && command -v apt-cache > /dev/null && [[ -n $(apt-cache search --names-only '^llvm-22$') ]]; then
        echo "setup: installing the optional Debian package llvm-22"
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends llvm-22 ||
            echo "setup: llvm-22 could not be installed; kernels with streaming stores are left out" >&2
    else
        echo "setup: the optional Debian package llvm-22 is not installed; kernels with streaming stores are left out" >&2
    fi
fi

# Optional: an OpenCL device that is the CPU, on which kernels for GPUs are checked where there is no GPU.
if [[ $(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2> /dev/null || true) != *libOpenCL.so.1* ]]; then
    if [[ $(id -u) == 0 ]] && command -v apt-cache > /dev/null && [[ -n $(apt-cache search --names-only '^pocl-opencl-icd$') ]]; then
        echo "setup: installing the optional Debian packages pocl-opencl-icd and ocl-icd-libopencl1"
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends pocl-opencl-icd ocl-icd-libopencl1 ||
            echo "setup: pocl-opencl-icd could not be installed; kernels for OpenCL are not checked" >&2
    else
        echo "setup: the optional Debian packages pocl-opencl-icd and ocl-icd-libopencl1 are not installed; kernels for OpenCL are not checked" >&2
    fi
fi

# Optional: a compiler for 64-bit ARM and what runs its programs (320 MB), with which kernels for other machines are tested.
if ! command -v aarch64-linux-gnu-g++ > /dev/null || ! command -v qemu-aarch64 > /dev/null; then
    if [[ $(id -u) == 0 ]] && command -v apt-cache > /dev/null && [[ -n $(apt-cache search --names-only '^g[+][+]-aarch64-linux-gnu$') ]]; then
        echo "setup: installing the optional Debian packages g++-aarch64-linux-gnu and qemu-user"
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends g++-aarch64-linux-gnu qemu-user ||
            echo "setup: g++-aarch64-linux-gnu could not be installed; kernels for 64-bit ARM are not tested" >&2
    else
        echo "setup: the optional Debian packages g++-aarch64-linux-gnu and qemu-user are not installed; kernels for 64-bit ARM are not tested" >&2
    fi
fi

stamp=build/venv/requirements.installed
if ! cmp -s requirements.txt "$stamp"; then
    echo "setup: installing the packages of requirements.txt into build/venv"
    rm -rf build/venv
    python3 -m venv build/venv
    build/venv/bin/python3 -m pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt "$stamp"
fi
