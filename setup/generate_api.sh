#!/usr/bin/env bash
# Generates dipronn/v1/*_pb2*.py[i] from proto/; the generated modules are not committed.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" .venv/bin/python -m grpc_tools.protoc -I proto \
    --python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:. proto/dipronn/v1/*.proto
