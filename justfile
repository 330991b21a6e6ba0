# One command an intent; CI runs the same recipes as a person. `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

[private]
default:
    @just --list --unsorted

# Everything to develop with, into the active virtual environment
setup:
    pip install -e ".[dev]"

# The system, with services that restart when their files change; NATS and DuckDB stay up
dev *args:
    python deploy/dev.py {{ args }}

# Style, formatting, import rules, generated pages
lint:
    ruff check .
    ruff format --check .
    lint-imports
    python docs/generate_states.py --check
    python docs/generate_settings.py --check
    python docs/generate_command_line.py --check
    python docs/generate_prefect_compatibility.py --check

# Types
types:
    pyright

# What to run before a commit: a minute
check: lint
    pytest -q tests/unit tests/contract

# All tests, shared by two processes, each of which takes whole files. Many kill processes and wait for deadlines: what fails
# beside others on a busy machine counts when it fails alone, too. Both times are printed; the first is worth a look.
test *args:
    pytest -n 2 {{ args }} || { [ $? = 1 ] && pytest --last-failed --maxfail 5 {{ args }}; }

# Whole-system tests only
e2e *args:
    pytest tests/e2e tests/browser {{ args }}

# Kill tests only, in full: 100 random kills, long outages, many runs; 15 minutes at most. CI does 15 kills.
chaos *args:
    PERFECT_CHAOS_KILLS="${PERFECT_CHAOS_KILLS:-100}" pytest -s tests/chaos {{ args }}

# The workloads W1 to W8 and the table of their goals, 3 minutes; or one script of benchmarks/ by its name
bench name="table" *args:
    python benchmarks/{{ name }}.py {{ if name == "table" { "--out artifacts/benchmarks/perfect.json" } else { "" } }} {{ args }}

# Perfect beside Restate, DBOS (dbos-postgres: with the system's Postgres) and Prefect, installed into the user's cache folder
bench-peers *peers:
    python benchmarks/compare.py {{ peers }} --out artifacts/benchmarks/peers

# Everything measured on this machine, and docs/benchmarks.md made from it: half an hour on a quiet machine
bench-all: bench bench-peers bench-page

# docs/benchmarks.md from the last measurements
bench-page:
    shopt -s nullglob; python benchmarks/page.py artifacts/benchmarks/perfect.json artifacts/benchmarks/peers/*.json

# Bring generated pages up to date
docs:
    python docs/generate_states.py
    python docs/generate_settings.py
    python docs/generate_command_line.py
    python docs/generate_prefect_compatibility.py

# Take additions to events, commands, queries and tables up into the committed snapshots; refuses other changes
snapshots:
    PERFECT_SNAPSHOTS=update pytest -q tests/contract/test_schemas.py tests/contract/test_tables.py

# Bring the pinned requirements up to date (needs uv)
requirements:
    for extra in server dev; do \
      uv pip compile --quiet --upgrade --no-header --generate-hashes --no-emit-index-url --universal \
        --python-version 3.11 --extra $extra pyproject.toml -o requirements/$extra.txt; done

# What CI does, in a virtual environment of its own
ci:
    .ci/run
