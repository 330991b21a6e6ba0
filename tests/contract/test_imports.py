"""Who may import what."""

import ast
import subprocess
import sys
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from perfect_runtime.run import GROUP
from perfect_runtime.service import SERVICES
from perfect_runtime.up import GROUPS

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
            "perfect_gateway/attribution.py",
            "perfect_gateway/comparison.py",
            "perfect_gateway/phases.py",
            "perfect_gateway/record.py",
            "perfect_projector/welford.py",
            "perfect_projector/outlier.py",
            "perfect_projector/rollup.py",
            "perfect_projector/forecast.py",
            "perfect_projector/completion.py",
            "perfect_projector/project.py",
            "perfect_projector/purge.py",
            "perfect_projector/slot_log.py",
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


def test_every_service_is_started_and_asked_for_its_health() -> None:
    started = sorted(name for group in GROUPS for name in group)
    assert started == sorted(SERVICES) == sorted(point.name for point in entry_points(group=GROUP))


def test_the_schemas_are_imported_without_the_rest() -> None:
    code = (
        "import sys, perfect_schemas.folds.history, perfect_schemas.commands, perfect_schemas.views;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'nats', 'asyncio', 'duckdb', 'litestar', 'structlog', 'perfect_bus', 'perfect_sdk'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
