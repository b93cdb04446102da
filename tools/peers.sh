#!/usr/bin/env bash
# tools/peers.sh [PEER,PEER...]: installs the libraries that `sepal bench --peers` measures beside Sepal, all or those named, into
# build/peers from PyPI. All of them take some 8 GB of disk (PyTorch and what it brings most of it); PEER is one of
# oneDNN XNNPACK ONNXRuntime OpenVINO PyTorch TensorFlow ncnn MNN. Can be run again to add more.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=bench/peers/requirements.txt
known="oneDNN XNNPACK ONNXRuntime OpenVINO PyTorch TensorFlow ncnn MNN"
if (($# > 1)); then
    echo "peers: $# arguments were given; allowed: one, names with commas between them, of: $known" >&2
    exit 2
fi
wanted=${1:-all}
[[ $wanted != all ]] || wanted=${known// /,}
packages=()
IFS=, read -r -a peers <<< "$wanted"
for peer in "${peers[@]}"; do
    if [[ -z $peer || " $known " != *" $peer "* ]]; then
        echo "peers: peer \"$peer\" is unknown; allowed: all, or some of: $known" >&2
        exit 2
    fi
    while read -r package; do packages+=("$package"); done < <(sed -nE "s/^([^ #]+)  #(.* )?$peer( .*)?\$/\1/p" $requirements)
done

[[ -x build/peers/bin/python3 ]] || python3 -m venv build/peers
echo "peers: installing ${wanted//,/, } into build/peers"
build/peers/bin/python3 -m pip install --quiet --disable-pip-version-check --constraint $requirements "${packages[@]}"
