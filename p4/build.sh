#!/usr/bin/env bash
# Compiles the programs into p4/build: what bmv2 runs, the P4Info, and the hash of the source that they came from.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v p4c-bm2-ss >/dev/null; then
    echo "p4: p4c-bm2-ss is not on PATH; install p4c from the p4lang packages (https://github.com/p4lang/p4c)" >&2
    exit 2
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
for source in v1model/steering.p4 reference/l3.p4; do
    program=$(basename "$source" .p4)
    p4c-bm2-ss --Wdisable=unused "$source" -o "$made/$program.json" \
        --p4runtime-files "$made/$program.p4info.txtpb"
    # Positions in the source, with their paths, are for debuggers: without them the file is the same everywhere.
    ../.venv/bin/python - "$made/$program.json" <<'PYTHON'
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
def bare(node):
    if isinstance(node, dict):
        return {key: bare(value) for key, value in node.items() if key not in ("source_info", "program")}
    return [bare(item) for item in node] if isinstance(node, list) else node
path.write_text(json.dumps(bare(json.loads(path.read_text())), separators=(",", ":"), sort_keys=True) + "\n")
PYTHON
    ../.venv/bin/python -c '
import sys
from controller.drivers.p4runtime.pipeline import source_hash
print(source_hash(program=sys.argv[1]))' "$program" >"$made/$program.sha256"
done
mkdir -p build
cp "$made"/* build/
