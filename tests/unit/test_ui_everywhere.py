"""What is on every page, and the small chart of the home page."""

import pytest

from perfect_ui import render
from perfect_ui.menu import MENU
from perfect_ui.throughput import HEIGHT, throughput


def test_letters_and_pages_are_there_once():
    for place in range(len(MENU[0])):
        assert len({entry[place] for entry in MENU}) == len(MENU)


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "Search the runs"), (409, "decide again"), (422, "change what is named above"),
     (500, "a fault of Perfect, not yours"), (503, "Nothing is lost")],
)  # fmt: skip
def test_an_error_says_what_to_do(status, said):
    page = render("pages/error.html", status=status, title="Title", detail="<b>it broke")
    assert said in page
    assert "&lt;b&gt;it broke.</p>" in page
    assert ("Try again</a>" in page) == (status >= 500)


def test_a_menu_entry_is_current_on_its_page_alone():
    page = render("pages/error.html", status=404, title="Title", detail="gone")
    assert 'aria-current="page"' not in page
    for entry in MENU:
        assert f'href="{entry.href}" data-go="{entry.letter}"' in page


def test_throughput_stacks_what_failed_on_what_completed():
    shown = throughput([(0, 0)] * 22 + [(60, 20), (1000, 1)])
    assert (shown.ended, shown.failed, shown.most) == (1081, 21, 1001)
    assert shown.failed_text == "1.9 %"
    empty, part, full = shown.bars[0], shown.bars[-2], shown.bars[-1]
    assert (empty.good, empty.bad) == (0.0, 0.0)
    assert part.bad == 2.0, "little is still seen"
    assert full.good == pytest.approx(HEIGHT, abs=0.1)
    assert full.title == "the last hour: 1\u202f000 completed, 1 failed"
    assert part.title.startswith("2 to 1 hours ago")


def test_throughput_of_nothing():
    shown = throughput([(0, 0)] * 24)
    assert (shown.ended, shown.failed_text, shown.most) == (0, "none", 0)
