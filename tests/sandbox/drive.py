"""A real Chromium against the sandbox, with its pop-up blocker on.

usage: drive.py STORY FRONT-PAGE SCREENSHOT-FOLDER

A story is a function of `liveauth.py` or `hub.py`; it fails by an exception.
"""

import json
import pathlib
import shutil
import sys
import urllib.request

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# Longer than any fault of the sandbox, on a machine busy with other tests; nothing waits for it where all is well.
PATIENCE = 60

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1200,900",
)


class Browser:
    """What the stories do with a browser."""

    def __init__(self, front, shots):
        self.front = front.rstrip("/")
        self.shots = pathlib.Path(shots)
        self.shots.mkdir(parents=True, exist_ok=True)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in FLAGS:
            options.add_argument(flag)
        # Without this the driver lets every pop-up through.
        options.add_experimental_option("excludeSwitches", ["disable-popup-blocking"])
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_script_timeout(PATIENCE)

    def open(self, path):
        self.driver.get(path if "://" in path else self.front + path)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.until(lambda: self.all(selector), f"{selector} to be there")
        self.find(selector).click()

    def follow(self, words):
        self.driver.find_element(By.LINK_TEXT, words).click()

    def text(self, selector):
        return self.find(selector).text

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, holds, what):
        # An element that was found may be gone before it is asked, when one page follows another: what is waited for is
        # then looked for on the page that is there.
        gone = (StaleElementReferenceException,)
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.1, ignored_exceptions=gone)
        return wait.until(lambda _: holds(), f"waited for {what}")

    def until_text(self, selector, part):
        """The text of the element, once `part` is in it."""
        try:
            return self.until(
                lambda: next((text for found in self.all(selector) if part in (text := found.text)), None),
                f"{part!r} in {selector}",
            )
        except Exception:
            print("the page says:\n" + self.find("body").text)
            raise

    def until_windows(self, count):
        self.until(lambda: len(self.driver.window_handles) == count, f"{count} windows")
        return self.driver.window_handles

    def console(self):
        """What the page has said on its console since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def switch(self, **faults):
        """Switches a vendor's faults on; what is not named is off."""
        body = json.dumps(faults).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.front + "/faults.json", body, headers, method="PUT")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as answer:
            assert answer.status == 200, answer.status

    def shoot(self, name):
        """Keeps the whole page as a picture."""
        height = self.run("return document.documentElement.scrollHeight")
        self.driver.set_window_size(1200, min(max(height + 140, 700), 3000))
        self.driver.save_screenshot(str(self.shots / f"{name}.png"))


def main():
    story, front, shots = sys.argv[1:]
    import hub
    import liveauth

    browser = Browser(front, shots)
    try:
        (getattr(liveauth, story, None) or getattr(hub, story))(browser)
    except Exception:
        browser.driver.save_screenshot(str(browser.shots / f"failed-{story}.png"))
        raise
    finally:
        browser.driver.quit()


if __name__ == "__main__":
    main()
