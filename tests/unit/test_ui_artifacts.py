"""Artifacts as pages show them: whatever a run writes, a browser must not obey it."""

import pytest

import perfect_ui
from perfect_ui.artifact import MOST_ROWS, markdown, safe_image, safe_link, table

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java&#10;script:alert(1))",
    "[a](&#x6A;avascript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x)",
    "<javascript:alert(1)>",
    "[a]: javascript:alert(1)\n\n[a]",
    "![a](javascript:alert(1))",
    '![a"onerror="alert(1)](x)',
    '[a](https://example.org "x\\" onmouseover=\\"alert(1)")',
    "| a |\n|:--|\n| <svg onload=alert(1)> |",
    "```html\n<script>alert(1)</script>\n```",
    '```" onclick="alert(1)\nx\n```',
]


@pytest.mark.parametrize("text", ATTACKS)
def test_markdown_is_never_obeyed(text) -> None:
    html = markdown(text)
    parsed = elements(html)
    for tag, attributes in parsed:
        assert tag not in {"script", "svg", "iframe", "style", "object"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"], html
        for name in ("href", "src"):
            assert ":" not in attributes.get(name, "") or attributes[name].startswith("https://"), html


def elements(html):
    from html.parser import HTMLParser

    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, {name: value or "" for name, value in attrs}))

    Parser().feed(str(html))
    return found


def test_markdown_is_shown() -> None:
    html = markdown("# a\n\n[l](https://example.org) ![i](/x.png)\n\n| n |\n|--:|\n| 1 |")
    assert "<h1>a</h1>" in html
    links = dict(elements(html))
    assert links["a"] == {"href": "https://example.org", "rel": "noopener noreferrer nofollow"}
    assert links["img"]["src"] == "/x.png"
    assert links["td"] == {"class": "align-right"}


@pytest.mark.parametrize(
    ("url", "link", "image"),
    [
        ("https://example.org/a?b#c", True, True),
        ("HTTP://example.org", True, True),
        ("/runs/1", True, True),
        ("mailto:a@example.org", True, False),
        ("javascript:alert(1)", False, False),
        ("JAVASCRIPT:alert(1)", False, False),
        (" javascript:alert(1)", False, False),
        ("java\tscript:alert(1)", False, False),
        ("\x01javascript:alert(1)", False, False),
        ("file:///etc/passwd", False, False),
        ("data:text/html,<script>", False, False),
        ("data:image/png;base64,AAAA", False, True),
        ("data:image/svg+xml;base64,AAAA", False, False),
        ("", False, False),
        (None, False, False),
        (3, False, False),
    ],
)
def test_addresses(url, link, image) -> None:
    assert (safe_link(url) is not None, safe_image(url) is not None) == (link, image)


def test_tables() -> None:
    assert table([{"a": 1}, {"b": 2, "a": None}]) == {
        "columns": ["a", "b"], "rows": [[1, None], [None, 2]], "left_out": 0,
    }  # fmt: skip
    assert table({"a": [1, 2], "b": [3]}) == {
        "columns": ["a", "b"],
        "rows": [[1, 3], [2, None]],
        "left_out": 0,
    }
    assert table([[1, 2], [3]]) == {"columns": None, "rows": [[1, 2], [3]], "left_out": 0}
    assert table("x")["rows"] == []
    assert table([[n] for n in range(MOST_ROWS + 2)])["left_out"] == 2


def artifact(kind, data, **more):
    return {
        "id": "0", "run_id": "1", "type": kind, "key": "k", "description": None, "data": data, "task_key": None,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "ref": None, "size_bytes": 9, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "wanted", "unwanted"),
    [
        (artifact("link", {"link": "javascript:alert(1)", "text": "<b>"}), "&lt;b&gt;", "href"),
        (artifact("link", {"link": "https://example.org", "text": "t"}), 'href="https://example.org"', "<b>"),
        (artifact("image", "javascript:alert(1)"), "javascript:alert(1)", "<img"),
        (artifact("image", "https://example.org/i.png", description='"><script>'), "<img", "<script>"),
        (artifact("table", [{"<i>": "<script>"}]), "&lt;script&gt;", "<script>"),
        (artifact("progress", 41.6, key=None), "41%", "nothing"),
        (artifact("markdown", None, ref="x"), "/api/artifacts/0", "prose"),
        (artifact("markdown", "**b**", key="<script>"), "<strong>b</strong>", "<script>"),
    ],
)
def test_fragments(shown, wanted, unwanted) -> None:
    html = perfect_ui.render("parts/artifact.html", artifact=shown)
    assert wanted in html
    assert unwanted not in html
    assert html.count("data-into") == 1
