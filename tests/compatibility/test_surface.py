"""What the compatibility page says is what happens, and a name that is not there says what to use instead."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from perfect_sdk import elsewhere

ROOT = Path(__file__).resolve().parents[2]


def test_the_compatibility_page_is_what_trying_each_name_gives() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate_prefect_compatibility.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"run `just docs`\n{done.stderr}"


@pytest.mark.parametrize("name", sorted(elsewhere.NAMES))
def test_a_missing_name_says_what_to_use_instead(name: str) -> None:
    module, _, last = f"perfect_sdk.{name}".rpartition(".")
    with pytest.raises(ImportError) as caught:
        exec(f"from {module} import {last}", {})
    assert str(caught.value) == f"{module} has no {last!r}: {elsewhere.NAMES[name]}"


@pytest.mark.parametrize("name", sorted(elsewhere.MODULES))
def test_a_missing_module_says_what_to_use_instead(name: str) -> None:
    package, _, last = name.rpartition(".")
    statements = [
        f"import perfect_sdk.{name}",
        f"from perfect_sdk.{name} import anything",
        f"from perfect_sdk{'.' if package else ''}{package} import {last}",
    ]
    for statement in statements:
        with pytest.raises(ImportError) as caught:
            exec(statement, {})
        assert str(caught.value) == f"there is no perfect_sdk.{name}: {elsewhere.MODULES[name]}"


def test_what_nobody_has_is_missing_as_usual() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'perfect_sdk\.nonsense'"):
        importlib.import_module("perfect_sdk.nonsense")
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from perfect_sdk.futures import nonsense", {})
    assert not hasattr(importlib.import_module("perfect_sdk.exceptions"), "nonsense")
