"""Show pages of the documentation in a browser: a picture of each, and its text.

Run by `./dev docs`:

    python docs/render.py BROWSER HTML PICTURES PAGE...

BROWSER is a Chromium, HTML the directory of the built pages, PICTURES the one for the
pictures. It ends with 1 if there is no text on a page, or nothing but one colour in the
picture of one. Imported by nothing.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
import zlib
from pathlib import Path

# Characters that are on the shortest page that is worth having.
LITTLE = 200

SIZE = "1280,1600"


def browse(browser: str, page: Path, *options: str) -> str:
    """What the browser says of a page."""
    return subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--window-size={SIZE}",
            *options,
            page.resolve().as_uri(),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def text_of(document: str) -> str:
    """The text of a page's article, as it is after the page's scripts have run."""
    match = re.search(r"<article[^>]*>(.*?)</article>", document, re.DOTALL)
    text = re.sub(r"<(script|style).*?</\1>", "", match[1] if match else "", flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def has_a_picture(png: bytes) -> bool:
    """Whether there is more than one colour in a PNG."""
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    # One colour is next to nothing once it is compressed.
    return len(set(zlib.decompress(data))) > 16


def main(browser: str, directory: str, pictures: str, *pages: str) -> int:
    """Render the pages; returns the exit status."""
    failed = 0
    target = Path(pictures).resolve()
    target.mkdir(parents=True, exist_ok=True)
    for name in pages:
        page = Path(directory) / name
        picture = target / (name.replace("/", "-").removesuffix(".html") + ".png")
        text = text_of(browse(browser, page, "--dump-dom"))
        browse(browser, page, f"--screenshot={picture}")
        problems = []
        if len(text) < LITTLE:
            problems.append(f"only {len(text)} characters of text")
        if not has_a_picture(picture.read_bytes()):
            problems.append("its picture is empty")
        failed += bool(problems)
        print(f"{name:<32} {', '.join(problems) or f'{len(text)} characters'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
