# Two commands do everything: `make demo` runs the node's main job, `make test` passes the tests.
.PHONY: setup demo test soak bench lint format coverage lock clean p4 fit shell
PY := .venv/bin/python

setup:
	@setup/install.sh

demo: setup
	@$(PY) -m dipronn.cli.main demo $(if $(JSON),--json) $(if $(DATAPLANE),--dataplane $(DATAPLANE))

test: setup lint
	@$(PY) -m tests.side_by_side

soak: setup
	@.venv/bin/pytest --soak

bench: setup
	@$(PY) -m bench $(if $(ONLY),--only $(ONLY))

lint: setup
	@.venv/bin/ruff check -q
	@.venv/bin/ruff format -q --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@git ls-files '*.c' '*.h' | xargs -r .venv/bin/clang-format --dry-run --Werror

format: setup
	@.venv/bin/ruff check -q --fix
	@.venv/bin/ruff format -q
	@git ls-files '*.c' '*.h' | xargs -r .venv/bin/clang-format -i

coverage: setup
	@$(PY) -m tests.coverage_report

lock:
	@[ -x .venv/bin/python ] || /usr/bin/python3.11 -m venv .venv
	@.venv/bin/pip install -q --disable-pip-version-check uv
	@.venv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --python .venv/bin/python \
	    --custom-compile-command 'make lock' -o requirements.lock requirements.in requirements-dev.in
	@.venv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --python .venv/bin/python \
	    --custom-compile-command 'make lock' -o setup/shell.lock setup/shell.in

clean:
	@rm -rf build .venv

p4:
	@p4/build.sh

# Whether the pipeline fits Tofino 1 and 2: minutes each, with p4c's Tofino back end on PATH.
fit:
	@p4/fit.sh build/tofino

# p4runtime-shell on a switch: SWITCH=host:port, or the namespace of a switch of this machine.
shell:
	@setup/shell.sh "$(SWITCH)"
