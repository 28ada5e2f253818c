#!/usr/bin/env python3
"""Drives a real, headless Chromium by WebDriver (W3C) over HTTP on loopback; and checks the status page with it.

  browser.py check URL TABLE     looks at the page at URL and at the table's page at the path TABLE, wide and narrow, light and
                                 dark, with and without JavaScript; prints what it saw, one line each; exits with 1 if
                                 something is wrong

Standard library only. axe-core, which `scripts/stack.py --only browser install` brings, looks for faults of accessibility.
"""

from __future__ import annotations

import base64
import glob
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".stack" / "page"
START_SECONDS = 30
CALL_SECONDS = 60
WAIT_SECONDS = 20
WIDE, NARROW = (1280, 900), (390, 844)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1"]
TAB = "\ue004"
ENTER = "\ue007"


class Failed(Exception):
    """The browser or the page is not as it should be."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Browser:
    """One Chromium of its own profile, and its driver; both end with this."""

    def __init__(self, dark: bool = False, javascript: bool = True, reduced: bool = False) -> None:
        driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
        if driver is None or chromium is None:
            raise Failed("chromium or chromedriver is missing; run `python3 scripts/stack.py --only browser install`")
        self.profile = tempfile.mkdtemp(prefix="hw-chromium-")
        port = free_port()
        self.at = f"http://127.0.0.1:{port}"
        # no proxy may come between
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.process = subprocess.Popen([driver, f"--port={port}", "--allowed-ips=127.0.0.1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
        self.session = ""
        try:
            self.wait_for_driver()
            preferences = {} if javascript else {"profile.managed_default_content_settings.javascript": 2}
            features = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
            options = {"binary": chromium, "args": [*FLAGS, *features, f"--user-data-dir={self.profile}"], "prefs": preferences,
                       "perfLoggingPrefs": {"enableNetwork": True, "enablePage": False}}
            wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}
            made = self.request("POST", "/session", {"capabilities": wanted})
            self.session = f"/session/{made['sessionId']}"
            media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                     {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"}]
            self.devtools("Emulation.setEmulatedMedia", features=media)
        except BaseException:
            self.close()
            raise

    def wait_for_driver(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.request("GET", "/status", None)["ready"]:
                    return
            except OSError:
                pass
            if time.monotonic() > until or self.process.poll() is not None:
                raise Failed("chromedriver does not answer")
            time.sleep(0.05)

    def request(self, method: str, path: str, body: object | None) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.at + path, data=data, method=method, headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=CALL_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise Failed(f"{method} {path}: {value.get('error')}: {str(value.get('message')).splitlines()[0]}") from None

    def call(self, path: str, body: object) -> object:
        return self.request("POST", self.session + path, body)

    def devtools(self, command: str, **parameters: object) -> dict:
        return self.call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width: int, height: int) -> None:
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def open(self, url: str) -> None:
        self.call("/url", {"url": url})

    def run(self, script: str, *arguments: object) -> object:
        return self.call("/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: object) -> object:
        return self.call("/execute/async", {"script": script, "args": list(arguments)})

    def until(self, script: str, what: str) -> object:
        """Waits until the script gives something true."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {WAIT_SECONDS} s")
            time.sleep(0.1)

    def keys(self, text: str) -> None:
        """Types on the keyboard, wherever the focus is."""
        actions = [action for key in text for action in ({"type": "keyDown", "value": key}, {"type": "keyUp", "value": key})]
        self.call("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def picture(self, whole: bool = True) -> bytes:
        return base64.b64decode(self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])

    def logs(self, kind: str) -> list[dict]:
        return self.call("/se/log", {"type": kind})

    def requests(self) -> list[str]:
        """Addresses that were asked since the last time."""
        messages = [json.loads(entry["message"])["message"] for entry in self.logs("performance")]
        return [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]

    def close(self) -> None:
        if self.session:
            try:
                self.request("DELETE", self.session, None)
            except (OSError, Failed):
                pass
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def axe() -> str:
    """The source of axe-core."""
    found = glob.glob(str(TOOLS / "lib/python3*/site-packages/axe_playwright_python/**/axe.min.js"), recursive=True)
    if not found:
        raise Failed("axe-core is missing; run `python3 scripts/stack.py --only browser install`")
    return pathlib.Path(found[0]).read_text()


def must(holds: object, what: str) -> None:
    if not holds:
        raise Failed(what)


def check_frame(browser: Browser, origin: str, what: str) -> None:
    """Nothing was said on the console, nobody else was asked, and nothing sticks out."""
    said = [entry["message"] for entry in browser.logs("browser") if entry["level"] in ("SEVERE", "WARNING")]
    must(not said, f"{what}: the console says {said}")
    others = [url for url in browser.requests() if not url.startswith((origin, "data:", "chrome:", "about:"))]
    must(not others, f"{what}: {others} were asked")
    wide = browser.run("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    must(wide[0] <= wide[1], f"{what}: {wide[0]} pixels wide in a window of {wide[1]}")


def check_access(browser: Browser, source: str, what: str) -> None:
    # a script of the driver's is not the page's: its policy does not hold for it
    browser.run(source + "; window.axe = axe;")
    found = browser.run_async("const done = arguments[arguments.length - 1]; axe.run(document).then(r => done(r.violations), e => done(String(e)))")
    must(isinstance(found, list), f"{what}: axe-core fails: {found}")
    told = [f"{one['impact']} {one['id']}: {one['nodes'][0]['html'][:150]}" for one in found]
    must(not told, f"{what}: axe-core finds {told}")


def check_keyboard(browser: Browser, url: str) -> str:
    browser.open(url)
    browser.until("return !document.querySelector('#refresh').hidden", "the script runs")
    browser.keys(TAB)
    must(browser.run("return document.activeElement.className") == "skip", "the first stop of the keyboard is the skip link")
    browser.keys(ENTER)
    must(browser.run("return document.activeElement.id") == "main", "the skip link leads to the content")
    for _ in range(200):
        browser.keys(TAB)
        if browser.run("return document.activeElement.id") == "q":
            break
    must(browser.run("return document.activeElement.id") == "q", "the keyboard reaches the filter")
    names = "return [...document.querySelectorAll('.tables tbody tr')].filter(r => !r.hidden).map(r => r.querySelector('th').textContent)"
    every = browser.run(names)
    wanted = every[-1].split("/")[1][:4]
    browser.keys(wanted)
    some = browser.run(names)
    must(0 < len(some) < len(every) and all(wanted in name for name in some), f"the filter {wanted!r} leaves {some} of {every}")
    must("of" in browser.run("return document.querySelector('#shown').textContent"), "the filter says how many are left")
    must(browser.run("return new URLSearchParams(location.search).get('q')") == wanted, "the filter is in the address")
    browser.run("document.querySelector('#q').value = ''; document.querySelector('#q').dispatchEvent(new Event('input'))")
    for _ in range(50):
        if browser.run("return document.activeElement.id") == "by-name":
            break
        browser.keys(TAB)
    must(browser.run("return document.activeElement.id") == "by-name", "the keyboard reaches the column's heading")
    browser.keys(ENTER)
    browser.until("return document.querySelector('th[aria-sort] a')?.id === 'by-name'", "the list is sorted by name")
    by_name = browser.run(names)
    must(by_name == sorted(every), f"sorted by name the list is {by_name}")
    must(browser.run("return document.activeElement.id") == "by-name", "the focus stays on the heading")
    outline = browser.run("const s = getComputedStyle(document.activeElement); return s.outlineStyle + ' ' + s.outlineWidth")
    must(outline == "solid 2px", f"the focus is not seen: {outline}")
    return f"{len(every)} tables filtered to {len(some)} and sorted, by keys alone"


def check_refresh(browser: Browser, url: str) -> str:
    browser.open(url)
    seen = "return document.querySelector('[data-live=seen] time').dateTime"
    before = browser.run(seen)
    time.sleep(6)  # a look is kept for 5 s
    browser.run("const b = document.querySelector('#refresh'); b.click(); b.click()")
    browser.until(f"return (() => {{ {seen} }})() !== {json.dumps(before)}", "the page is read again")
    return "refreshed in its place"


def check_plain(url: str, table: str, origin: str) -> str:
    """Without JavaScript."""
    with Browser(javascript=False) as browser:
        browser.size(*WIDE)
        browser.open(url)
        facts = browser.devtools("Runtime.evaluate", expression="[document.querySelector('#refresh').hidden,"
                                 "document.querySelectorAll('.tables tbody tr').length,"
                                 "getComputedStyle(document.querySelector('[data-plain]')).display]", returnByValue=True)["result"]["value"]
        must(facts[0] and facts[1] > 0 and facts[2] != "none", f"without JavaScript the page is {facts}")
        # the heading and the form are links and a form
        browser.open(f"{url}?sort=name&q=zzzz-none")
        rows = browser.devtools("Runtime.evaluate", expression="document.querySelectorAll('.tables tbody tr').length", returnByValue=True)
        must(rows["result"]["value"] == 0, "the server filters")
        browser.open(url.rstrip("/") + table)
        check_frame(browser, origin, "without JavaScript")
        return f"{facts[1]} tables, sorted and filtered by the server"


def check(url: str, table: str) -> None:
    origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url))
    source = axe()
    for dark in (False, True):
        with Browser(dark=dark) as browser:
            for size in (WIDE, NARROW):
                browser.size(*size)
                for path in ("/", table):
                    what = f"{path} at {size[0]}, {'dark' if dark else 'light'}"
                    browser.open(origin + path)
                    browser.until("return document.readyState === 'complete'", what)
                    check_frame(browser, origin, what)
                    check_access(browser, source, what)
                    print(f"{what}: quiet, alone, within its width, nothing for axe-core", flush=True)
            if not dark:
                browser.size(*WIDE)
                print("keyboard:", check_keyboard(browser, origin + "/"), flush=True)
                print("refresh:", check_refresh(browser, origin + "/"), flush=True)
                check_frame(browser, origin, "after all that")
    print("without JavaScript:", check_plain(origin + "/", table, origin), flush=True)


def main() -> int:
    if len(sys.argv) != 4 or sys.argv[1] != "check":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        check(sys.argv[2], sys.argv[3])
    except Failed as failure:
        print(f"browser: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
