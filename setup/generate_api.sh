#!/usr/bin/env bash
# Generates dipronn/v1/*_pb2*.py[i] from proto/; the generated modules are not committed.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
PATH="$PWD/.venv/bin:$PATH" .venv/bin/python -m grpc_tools.protoc -I proto \
    --python_out="$fresh" --grpc_python_out="$fresh" --mypy_out=quiet:"$fresh" --mypy_grpc_out=quiet:"$fresh" \
    proto/dipronn/v1/*.proto
cp -r "$fresh/dipronn/." dipronn/
