"""Check the pages of the built documentation: links, and how a browser shows them.

    python .ci/pages.py docs/_build/html

Internal links must lead to a file and to an anchor in it. Where Chromium is installed,
it opens the pages on a desktop and on a phone, without a network: formulas must be
typeset, images must load, and nothing may be wider than the window, unless it scrolls
by itself.
"""

import json
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

WIDTHS = {"desktop": 1400, "phone": 390}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",  # without it, Chromium ends at once
)
# The page that opens the others in frames, one after another, and reports as JSON.
INSPECTOR = """<!doctype html><body><script>
const pages = %s, widths = %s, report = [];
async function inspect(page, name, width) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 900; frame.src = page;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; });
  const view = frame.contentWindow, doc = view.document;
  if (view.MathJax && view.MathJax.startup) await view.MathJax.startup.promise;
  for (const image of doc.images) image.loading = "eager";
  await Promise.all([...doc.images].map((image) => image.decode().catch(() => {})));
  const problems = [];
  const formulas = [...doc.querySelectorAll(".math.notranslate")];
  const raw = formulas.filter((each) => !each.querySelector("mjx-container"));
  if (raw.length) problems.push(raw.length + " formulas are not typeset");
  const errors = doc.querySelectorAll("mjx-merror").length;
  if (errors) problems.push(errors + " formulas have errors");
  const lost = [...doc.images].filter((image) => !image.naturalWidth);
  for (const image of lost) problems.push("no image " + image.getAttribute("src"));
  const excess = doc.documentElement.scrollWidth - width;
  if (excess > 1) problems.push("wider than the window by " + excess + " pixels");
  for (const text of problems) report.push(page + ", " + name + ": " + text);
  frame.remove();
}
(async () => {
  for (const page of pages)
    for (const [name, width] of Object.entries(widths))
      await inspect(page, name, width);
})()
  .catch((error) => report.push("inspector: " + error))
  .finally(() => fetch("/", { method: "POST", body: JSON.stringify(report) }));
</script></body>"""
SECONDS = 300


def broken_links(root):
    """Return a line for every internal link that leads nowhere."""
    anchors, links = {}, []
    for path in root.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        anchors[path.resolve()] = set(re.findall(r'\bid="([^"]+)"', text))
        links += [
            (path, unescape(link))
            for link in re.findall(r'<a[^>]*href="([^"]+)"', text)
        ]
    lines = set()
    for path, link in links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = path.parent / unquote(parts.path) if parts.path else path
        # What follows :~: is text for the browser to search, not an anchor.
        fragment, _, _ = parts.fragment.partition(":~:")
        target, anchor = target.resolve(), unquote(fragment)
        if not target.exists():
            lines.add(f"{path.relative_to(root)}: no file {link}")
        elif anchor and anchor not in anchors.get(target, {anchor}):
            lines.add(f"{path.relative_to(root)}: no anchor {link}")
    return sorted(lines)


class Handler(SimpleHTTPRequestHandler):
    """A handler that passes on what the inspector posts, and does not log requests."""

    reports: queue.Queue = queue.Queue()

    def do_POST(self):
        """Put the report of the inspector into the queue."""
        length = int(self.headers["Content-Length"])
        self.reports.put(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Print nothing."""


def inspect_pages(root, browser):
    """Return the number of pages, and a line for all that a browser shows wrongly."""
    pages = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.html"))
        if not {"generated", "_static", "_modules"} & set(path.relative_to(root).parts)
    ]
    inspector = root / "inspector.html"
    inspector.write_text(INSPECTOR % (json.dumps(pages), json.dumps(WIDTHS)))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/inspector.html"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        window = f"--window-size={WIDTHS['desktop'] + 50},1000"
        process = subprocess.Popen(
            [browser, *OPTIONS, window, f"--user-data-dir={profile}", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return len(pages), Handler.reports.get(timeout=SECONDS)
        except queue.Empty:
            if process.poll() is not None:  # it cannot run here
                print(f"{browser} ended with code {process.returncode}.")
                return 0, []
            raise SystemExit(f"{browser} took more than {SECONDS} seconds.") from None
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
            inspector.unlink()


def main():
    root = Path(sys.argv[1]).resolve()
    problems = broken_links(root)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("Chromium is not installed: only the links of the pages were checked.")
    else:
        n_pages, found = inspect_pages(root, browser)
        problems += found
        print(f"{n_pages} pages were opened in {browser}.")
    print("\n".join(problems))
    return len(problems) > 0


if __name__ == "__main__":
    sys.exit(main())
