#!/usr/bin/env bash
# p4/fit.sh FOLDER [tofino|tofino2]...: compiles and assembles the pipeline for these chips (default: both) into the
# folder. The compiler alone accepts programs that do not fit; the assembler refuses them. Minutes each. Status 1: one
# does not fit.
set -euo pipefail
out=$(realpath -m "${1:?a folder for what is made}")
shift
cd "$(dirname "$0")"
for tool in p4c p4c-barefoot bfas; do
    if ! command -v "$tool" >/dev/null; then
        echo "p4: $tool is not on PATH; build p4c with its Tofino back end (https://github.com/p4lang/p4c)" >&2
        exit 2
    fi
done
declare -A architecture=([tofino]=tna [tofino2]=t2na)
declare -A stages=([tofino]=12 [tofino2]=20)
fits=0
[ $# -gt 0 ] || set -- tofino tofino2
for chip in "$@"; do
    mkdir -p "$out/$chip/assembled/logs"
    # Overlays in Tofino 2's dark containers take its compiler longer than anybody waits.
    options=()
    [ "$chip" = tofino ] || options=(-Xp4c=--disable-dark-allocation)
    # Without the driver's own call of the assembler. The plain names of P4Runtime for counters and registers, which
    # its messages can hold.
    p4c -S "${options[@]}" --target "$chip" --arch "${architecture[$chip]}" -o "$out/$chip" --p4runtime-force-std-externs \
        --p4runtime-files "$out/$chip/p4info.txtpb" tna/steering.p4
    bfas --target "$chip" "$out/$chip/pipe/steering.bfa" -o "$out/$chip/assembled" || fits=1
    used=$(grep -cE '^stage [0-9]+ ingress:' "$out/$chip/pipe/steering.bfa")
    echo "$chip: $used stages of ${stages[$chip]} in ingress"
done
exit "$fits"
