"""A feedback set for the rating page, made without the host, and the page worked by keyboard alone."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

VIEW = "dialog.cg-rating"


def make_set(server, name: str, count: int, side: int = 96) -> Path:
    """A set of numbered pictures in a server's user directory; its folder."""
    folder = server.folder / "user" / "concept_guards" / "feedback" / name
    folder.mkdir(parents=True)
    lines = []
    for number in range(count):
        picture = Image.new("RGB", (side, side), (number * 37 % 256, number * 91 % 256, 120))
        ImageDraw.Draw(picture).text((side // 4, side // 3), str(number), (255, 255, 255))
        picture.save(folder / f"{number:04}.png")
        lines.append(
            json.dumps(
                {
                    "image": f"{number:04}.png",
                    "prompt": "",
                    "seed": number,
                    "concept": "beer",
                    "rater": "",
                    "rating": None,
                    "time": "",
                }
            )
        )
    (folder / "ratings.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def lines(folder: Path) -> list[dict]:
    """What raters have said, line by line."""
    return [line for line in map(json.loads, (folder / "ratings.jsonl").read_text().splitlines()) if line["rater"]]


def open_view(page, name: str) -> None:
    """Open the side bar's tab with the keyboard and the set in it."""
    tab = page.get_by_role("button", name="Rate pictures").first
    tab.wait_for()
    if not page.locator(".cg-tab").is_visible():
        tab.focus()
        page.keyboard.press("Enter")
    else:
        page.locator(".cg-tab").get_by_role("button", name="Read again").focus()
        page.keyboard.press("Enter")
    row = page.locator(".cg-tab .cg-open", has_text=name).first
    row.wait_for()
    row.focus()
    page.keyboard.press("Enter")
    page.locator(f"{VIEW}[open] .cg-stage[data-image]").wait_for()
    if page.locator(".cg-mode").input_value() != "single":
        page.locator(".cg-mode").select_option("single")


def lose_server(page, status: int = 0, body: str = "") -> None:
    """What the page sends of ratings fails, as where no server answers, or is answered so by somebody else. In the page itself: the
    browser's own interception lets through what is sent within milliseconds of being switched on."""
    page.evaluate(
        """([status, body]) => {
        window.found ??= window.fetch;
        const lost = async () => { if (status) return new Response(body, { status }); throw new TypeError("Failed to fetch"); };
        window.fetch = (to, ...rest) => String(to).endsWith("/ratings") ? lost() : window.found(to, ...rest);
    }""",
        [status, body],
    )


def find_server(page) -> None:
    """What is sent arrives again."""
    page.evaluate("() => { window.fetch = window.found; delete window.found; }")


def shown(page) -> str:
    return page.locator(f"{VIEW} .cg-stage").get_attribute("data-image")


def progress(page) -> str:
    return page.locator(f"{VIEW} .cg-progress").inner_text()


def wait_for_progress(page, text: str) -> None:
    page.wait_for_function(
        "text => document.querySelector('dialog.cg-rating .cg-progress').textContent === text", arg=text
    )
