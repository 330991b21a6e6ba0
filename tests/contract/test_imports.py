"""Who may import what."""

import ast
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas" / "perfect_schemas"
# Decisions and folds: no bus, no loop, no clock, no chance.
PURE = [
    *sorted(SCHEMAS.glob("folds/*.py")),
    SCHEMAS / "progress.py",
    SCHEMAS / "forecast.py",
    *(
        ROOT / "services" / name
        for name in (
            "perfect_engine/run.py",
            "perfect_engine/placement.py",
            "perfect_registry/flows.py",
            "perfect_launcher/process.py",
            "perfect_gateway/listeners/report.py",
            "perfect_projector/welford.py",
            "perfect_projector/outlier.py",
            "perfect_projector/rollup.py",
            "perfect_projector/forecast.py",
            "perfect_projector/completion.py",
            "perfect_projector/project.py",
        )
    ),
]
IMPURE = {"nats", "asyncio", "time", "random", "secrets", "socket", "threading", "os", "perfect_bus"}


def test_import_rules() -> None:
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"
    checked = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("file", PURE, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_pure_modules_import_nothing_impure(file: Path) -> None:
    assert not imported(file) & IMPURE


@pytest.mark.parametrize("file", sorted(SCHEMAS.rglob("*.py")), ids=lambda file: file.stem)
def test_the_schemas_import_msgspec_and_the_standard_library_only(file: Path) -> None:
    assert imported(file) <= {*sys.stdlib_module_names, "msgspec", "perfect_schemas"}


def test_the_schemas_are_imported_without_the_rest() -> None:
    code = (
        "import sys, perfect_schemas.folds.history, perfect_schemas.commands, perfect_schemas.views;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'nats', 'asyncio', 'duckdb', 'litestar', 'structlog', 'perfect_bus', 'perfect_sdk'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
