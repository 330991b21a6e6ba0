"""The console sessions of the documentation, each page with a system of its own."""

from pathlib import Path

import pytest
from documented import Session, blocks, missing, pattern
from running import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for page in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
    if any("$ " in block for block in blocks(page, "console"))
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    session = Session(tmp_path, free_port())
    try:
        session.carry_out(page)
    finally:
        session.close()


def test_what_may_differ_and_what_may_not() -> None:
    shown = (
        "run 01a20693-3895-7681-b4a6-eeaa553a301c  COMPLETED  2026-05-01 12:00:00  < 1 ms  at 127.0.0.1:3000"
    )
    came = "run 01b20693-3895-7681-b4a6-eeaa553a3000 COMPLETED 2027-06-02 01:02:03 12.5 s at 127.0.0.1:40123"
    assert pattern(shown).fullmatch(came)
    assert not pattern(shown).fullmatch(came.replace("COMPLETED", "FAILED"))
    assert pattern("a … d").fullmatch("a b c d")
    assert missing(["b", "c"], "a\nb\nb\nc\n") is None
    assert missing(["c", "b"], "a\nb\nc\n") == "b"
