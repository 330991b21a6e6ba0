"""An environment of its own for each peer, in the user's cache folder: never in the tree, never in Perfect's environment.

Made once, by the ordinary clients (pip, npm) with whatever registry they are set up for. Delete the folder to install anew.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


class NotInstalled(Exception):
    """The peer cannot be had here; the message says why."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "perfect-benchmarks"


def python_of(peer: str, requirements: list[str], proof: str) -> Path:
    """The interpreter of an environment with `requirements`. proof: a statement that works once they do."""
    folder = cache() / peer
    python = folder / "bin" / "python"
    if python.exists() and _works(python, proof):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    _install(python, requirements)
    if not _works(python, proof):
        _newest(python, requirements[0])
    if not _works(python, proof):
        asked = subprocess.run([python, "-c", proof], capture_output=True, text=True, check=False)
        raise NotInstalled(
            f"{requirements[0]} was installed, but does not work: {asked.stderr.strip()[-300:]}"
        )
    return python


def program_of(peer: str, package: str, program: str) -> Path:
    """A program that an npm package brings."""
    folder = cache() / peer
    path = folder / "node_modules" / ".bin" / program
    if not path.exists():
        npm = shutil.which(
            "npm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        )
        if npm is None:
            raise NotInstalled(f"{package} comes by npm, and there is no npm here")
        folder.mkdir(parents=True, exist_ok=True)
        _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package])
    return path


def version_of(python: Path, package: str) -> str:
    return _run([str(python), "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]).strip()


def npm_version_of(peer: str, package: str) -> str:
    described = cache() / peer / "node_modules" / package / "package.json"
    return json.loads(described.read_text())["version"]


def _works(python: Path, proof: str) -> bool:
    return subprocess.run([python, "-c", proof], capture_output=True, check=False).returncode == 0


def _install(python: Path, requirements: list[str]) -> None:
    _run([str(python), "-m", "pip", "install", "--quiet", *requirements])


def _newest(python: Path, package: str) -> None:
    """The latest release, where pip took an older one because the latest wants a version that is not to be had here: that
    one lower bound is left out.
    """
    _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", package])
    asked = f"import importlib.metadata as m, json; print(json.dumps(m.requires({package!r}) or []))"
    wanted = [one for one in json.loads(_run([str(python), "-c", asked])) if "extra ==" not in one]
    for _ in range(5):
        try:
            return _install(python, wanted)
        except NotInstalled as error:
            missing = re.search(r"No matching distribution found for ([\w.-]+)", str(error))
            if missing is None:
                raise
            wanted = [missing[1] if re.match(rf"{missing[1]}\b", one) else one for one in wanted]
    raise NotInstalled(f"what {package} requires cannot be had here")


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        what = " ".join([Path(command[0]).name, *command[1:4]])
        last = [line for line in done.stderr.strip().splitlines() if not line.startswith("WARNING")]
        raise NotInstalled(f"{what} failed: {' '.join(last)[-600:]}")
    return done.stdout
