"""Programs written for Prefect, with their imports changed and nothing else.

As a script: runs the named programs of the folder in turn, in this process, each by its `check()`, and says of each what
became of it, one JSON line each.
"""

import contextlib
import importlib.util
import io
import json
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

PROGRAMS = Path(__file__).parent.parent / "compatibility" / "programs"
IMPORTS = re.compile(r"^(\s*(?:from|import)) prefect\b", re.MULTILINE)
OPTION = re.compile(r"^(NEEDS|AS_SCRIPT|SAYS|LIMITS|RATES) = (.*)$", re.MULTILINE)


def names() -> list[str]:
    return sorted(program.stem for program in PROGRAMS.glob("*.py"))


def options(name: str) -> dict[str, Any]:
    """What a program says of itself. NEEDS: "system", if it makes no sense without. AS_SCRIPT: it starts processes, which
    import it. SAYS: texts that it prints or logs. LIMITS: slots by name; RATES: slots and how many come back in a second.
    """
    import ast

    source = (PROGRAMS / f"{name}.py").read_text()
    return {option: ast.literal_eval(value) for option, value in OPTION.findall(source)}


def migrate(name: str, folder: Path) -> Path:
    """The program as its user has it after the one change."""
    file = folder / f"{name}.py"
    text, changed = IMPORTS.subn(r"\1 perfect_sdk", (PROGRAMS / f"{name}.py").read_text())
    assert changed > 0, f"{name} imports nothing of Prefect"
    file.write_text(text)
    return file


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"migrated_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    for name in sys.argv[2:]:
        said, failure = io.StringIO(), None
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                load(Path(sys.argv[1]) / f"{name}.py").check()
            except BaseException:
                failure = traceback.format_exc()
        print(json.dumps({"name": name, "failure": failure, "said": said.getvalue()}), flush=True)


if __name__ == "__main__":
    main()
