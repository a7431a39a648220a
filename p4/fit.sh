#!/usr/bin/env bash
# Compiles and assembles the pipeline for both Tofinos into the folder $1. The compiler alone accepts programs that do not
# fit; the assembler refuses them. Minutes each.
set -euo pipefail
out=$(realpath -m "$1")
cd "$(dirname "$0")"
for tool in p4c p4c-barefoot bfas; do
    if ! command -v "$tool" >/dev/null; then
        echo "p4: $tool is not on PATH; build p4c with its Tofino back end (https://github.com/p4lang/p4c)" >&2
        exit 2
    fi
done
for target in "tofino tna" "tofino2 t2na"; do
    read -r chip arch <<<"$target"
    mkdir -p "$out/$chip"
    # The plain names of P4Runtime for counters and registers, which its messages can hold.
    p4c --target "$chip" --arch "$arch" -o "$out/$chip" --p4runtime-force-std-externs \
        --p4runtime-files "$out/$chip/p4info.txtpb" tna/steering.p4
done
