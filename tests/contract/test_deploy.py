"""deploy/ and .ci/: checked by the programs that read them, as far as they are on this machine."""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from perfect_bus.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def passes(*command: str | Path, **options) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nats_server_reads_its_configuration() -> None:
    environment = {**os.environ, "PERFECT_NATS_PASSWORD": "s3cret"}
    passes(program("nats-server"), "-t", "-c", DEPLOY / "nats-server.conf", env=environment)


def test_the_nats_configuration_holds_no_password_and_listens_on_loopback() -> None:
    text = (DEPLOY / "nats-server.conf").read_text()
    assert "password: $PERFECT_NATS_PASSWORD" in text
    assert "listen: 127.0.0.1:" in text


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_reads_the_units(unit: Path, tmp_path: Path) -> None:
    executable = tmp_path / "perfect"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    name = unit.name.replace("@.", "@etl.")
    for other in UNITS:
        text = other.read_text().replace("/opt/perfect/bin/perfect", str(executable))
        (tmp_path / other.name).write_text(text)
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", tmp_path / name],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "perfect" in line]
    assert not complaints
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_have_little_privilege_and_bounded_resources(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    for wanted in (
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "SystemCallFilter=@system-service",
        "UMask=0077",
        "Restart=always",
    ):
        assert wanted in lines
    for wanted in ("User=perfect", "MemoryMax=", "TasksMax=", "LimitNOFILE=", "TimeoutStopSec="):
        assert any(line.startswith(wanted) for line in lines)


def test_what_the_units_set_are_settings() -> None:
    for unit in UNITS:
        for name in re.findall(r"PERFECT_(\w+)=", unit.read_text()):
            assert name.lower() in Settings.__struct_fields__


def test_hadolint_accepts_the_dockerfile() -> None:
    passes(program("hadolint"), DEPLOY / "Dockerfile")


def test_the_image_runs_as_nobody_special() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    assert len(stages) > 1
    assert re.search(r"^USER \d+:\d+$", stages[-1], re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()


def test_yamllint_accepts_the_compose_file() -> None:
    rules = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}"
    passes(program("yamllint"), "--strict", "-d", rules, DEPLOY / "compose.yaml")


def test_the_compose_file_is_sound() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"perfect", "worker"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        named = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith(".")}
        assert named <= set(compose["volumes"])
    build = services["perfect"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_the_ci_script_is_sound() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    passes("bash", "-n", script)
    assert "set -euo pipefail" in script.read_text()


def test_just_reads_its_file_and_the_script_calls_recipes_that_are_there() -> None:
    just = program("just")
    passes(just, "--list", "--justfile", ROOT / "justfile")
    recipes = set(
        re.findall(r"^(\w+)(?: [^\n]*)?:(?: [\w ]+)?$", (ROOT / "justfile").read_text(), re.MULTILINE)
    )
    assert {"setup", "dev", "check", "test", "e2e", "chaos", "bench", "docs", "ci", "snapshots"} <= recipes
    assert (
        set(re.findall(r"^(?:exec )?just (\w+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)) <= recipes
    )
