"""BroadSoft Hub in the browser, and Acme Contacts, the app that it opens."""

import json
import urllib.parse

USER = "jodonnell@broadsoft.com"
NOT_KNOWN = "you are not authenticated"


class Places:
    """Where things are: the front page names them."""

    def __init__(self, browser):
        browser.open("/")
        rows = {row.text.split("\n")[0]: row for row in browser.all("main table tr")}
        link = {name.split(" http")[0]: row.find_elements("css selector", "a") for name, row in rows.items()}
        self.hub = link["BroadSoft Hub"][0].get_attribute("href").rstrip("/")
        self.acme = link["Acme Contacts, an app"][0].get_attribute("href").rstrip("/")


def connect(browser, places, generation, shoot=False):
    """Hub's settings, the app's login and consent, up to wherever that leads."""
    browser.open(places.hub + "/")
    if shoot:
        browser.shoot("hub-settings")
    browser.open(f"{places.hub}/connect/{generation}")
    assert browser.driver.current_url == places.acme + "/login", browser.driver.current_url
    if shoot:
        browser.shoot("acme-login")
    browser.click("#sign-in")
    browser.until(lambda: browser.all("#allow"), "the consent")
    if shoot:
        browser.shoot("acme-consent")
    browser.click("#allow")
    browser.until(lambda: not browser.all("#allow"), "the next page")


def succeeded(browser, places, generation):
    assert browser.driver.current_url == f"{places.hub}/success/{generation}", (
        browser.driver.current_url,
        browser.text("body"),
    )
    assert "Acme Contacts is connected." in browser.text("main")


def all_four(browser):
    """What the app has answered to Hub: notifications, timeline, microapp and contextual."""

    def answered(selector):
        return browser.until(
            lambda: (text := browser.text(selector)) and text != "asking…" and text, f"an answer in {selector}"
        )

    said = [answered("#notifications"), answered("#timeline")]
    for frame in ("microapp", "contextual"):
        browser.until(lambda: browser.find("#" + frame).get_attribute("src"), f"an address for {frame}")
        browser.driver.switch_to.frame(frame)
        browser.until(lambda: browser.all("main p"), f"a page in {frame}")
        said.append(browser.text("main"))
        browser.driver.switch_to.default_content()
    return said


def are_accepted(browser, home):
    browser.open(home)
    notifications, timeline, microapp, contextual = all_four(browser)
    assert json.loads(notifications)["for"] == USER and json.loads(timeline)["for"] == USER
    # This came out of the sealed payload.
    assert json.loads(timeline)["scope"] == "contacts.read"
    assert USER in microapp and "jane@example.com" in contextual, (microapp, contextual)


def are_refused(browser, home):
    browser.open(home)
    for said in all_four(browser):
        assert NOT_KNOWN in said, said


def verdicts(browser):
    """What Countersign has said of tokens, the newest last: the app tells nobody."""
    found = browser.run(
        "return fetch('/trace.json?topic=hub').then(function (answer) { return answer.json(); })"
    )["exchanges"]
    opened = [exchange for exchange in found if exchange["request"] == "HubTokenService/Open"]
    return [json.loads(exchange["got"])["verdict"] for exchange in opened]


def at_the_desk(browser, places, button):
    """Presses a button of the app's own page, and gives what it says."""
    browser.open(places.acme + "/")
    browser.click(button)
    return browser.until_text("#said", ".")


def both(browser, generation):
    """A generation from the settings page to the user who was cut off."""
    places = Places(browser)
    home = f"{places.hub}/home/{generation}"
    connect(browser, places, generation, shoot=generation == 1)
    succeeded(browser, places, generation)
    browser.shoot(f"hub-success-{generation}")

    are_accepted(browser, home)
    browser.shoot(f"hub-home-{generation}")
    are_refused(browser, home + "?as=tampered")
    assert verdicts(browser)[-4:] == ["VERDICT_BAD_SIGNATURE"] * 4 or set(verdicts(browser)[-4:]) <= {
        "VERDICT_MALFORMED",
        "VERDICT_BAD_SIGNATURE",
    }, verdicts(browser)
    are_refused(browser, home + "?as=other")
    assert verdicts(browser)[-4:] == ["VERDICT_WRONG_CONTEXT"] * 4, verdicts(browser)
    browser.shoot(f"hub-home-other-{generation}")

    said = at_the_desk(browser, places, f"#push-{generation}")
    assert said == "Hub was told that there is something new, and answered with 200.", said
    browser.open(home)
    browser.until(lambda: browser.text("#pushes") == "1", "the push")
    return places, home


def cut_off(browser, places, home, generation):
    said = at_the_desk(browser, places, f"#revoke-{generation}")
    assert said == f"{USER} is cut off: what Hub holds is refused from now on.", said
    browser.shoot(f"acme-desk-{generation}")
    are_refused(browser, home)
    assert verdicts(browser)[-4:] == ["VERDICT_REVOKED"] * 4, verdicts(browser)
    # A new login is a new grant.
    connect(browser, places, generation)
    succeeded(browser, places, generation)
    are_accepted(browser, home)


def generation_one(browser):
    places, home = both(browser, 1)
    cut_off(browser, places, home, 1)


def generation_two(browser):
    """With a renewal: Hub has another token, the old one is refused."""
    places, home = both(browser, 2)
    are_accepted(browser, home)

    def stored():
        browser.open(places.hub + "/")
        return browser.run(
            "return fetch('/session.json?generation=2').then(function (answer) { return answer.json(); })"
        )

    before = stored()
    said = at_the_desk(browser, places, "#renew-2")
    assert said == "Renewed: Hub has the new token, and the old one is refused.", said
    after = stored()
    assert before["auth"] != after["auth"] and before["username"] == after["username"]
    assert "renewed 1 times" in browser.text("main"), browser.text("main")
    are_accepted(browser, home)
    # The old one, by its address, as a page that was left open would send it.
    query = urllib.parse.urlencode({"auth": before["auth"], "username": before["username"]})
    browser.open(f"{places.acme}/gen2/timeline?{query}")
    assert NOT_KNOWN in browser.text("body")
    assert verdicts(browser)[-1] == "VERDICT_REVOKED", verdicts(browser)
    cut_off(browser, places, home, 2)


def a_user_who_says_no(browser):
    """Nothing is handed over, and Hub has nothing."""
    places = Places(browser)
    browser.open(places.hub + "/connect/1")
    browser.click("#sign-in")
    browser.click("#deny")
    browser.until_text("main", "Nothing was handed over to Hub.")
    browser.open(places.hub + "/")
    assert browser.text("main").count("Not connected.") == 2


def hub_faults(browser):
    """What Hub may do wrong at a login, and what the app shows; what it may do wrong later, which the app refuses."""
    places = Places(browser)
    for fault, reason in (
        ("error500", "DELIVERY_UNCERTAIN"),
        ("wrong_json", "DELIVERY_UNCERTAIN"),
        ("redirect", "DELIVERY_UNCERTAIN"),
        ("slow", "DELIVERY_UNCERTAIN"),
    ):
        browser.switch(hub=fault)
        connect(browser, places, 1)
        said = browser.until_text("main", "Hub could not be told")
        assert reason in said, (fault, said)
        assert browser.driver.current_url.startswith(places.acme), "the browser was sent elsewhere"
        browser.shoot("acme-" + fault)
        # Hub may have kept it all the same. It is worth nothing.
        browser.switch()
        browser.open(places.hub + "/")
        if "Connected" in browser.text("main"):
            are_refused(browser, places.hub + "/home/1")
            assert verdicts(browser)[-4:] == ["VERDICT_REVOKED"] * 4, (fault, verdicts(browser))

    connect(browser, places, 1)
    succeeded(browser, places, 1)
    for fault in ("truncated", "wrong_user"):
        browser.switch(hub=fault)
        are_refused(browser, places.hub + "/home/1")
    browser.switch()
    are_accepted(browser, places.hub + "/home/1")


def liveauth_backend(browser):
    """The five RPCs of LiveAuthPortalService, and the vendor's faults as they come through."""

    def press(action):
        # Whatever the page says by now is not the answer.
        browser.run("document.getElementById('outcome').remove()")
        browser.click(f"button[value={action}]")
        browser.until(lambda: browser.all("#outcome"), f"an answer to {action}")
        return browser.text("#outcome")

    browser.open("/liveauth/backend")
    assert '"message": "hello world"' in press("test")
    browser.run("document.querySelector('[name=link]').value = 'profile'")
    said = press("login")
    assert '"url"' in said and "(32 characters)" in said, said
    browser.shoot("liveauth-backend")
    page = browser.driver.current_window_handle
    browser.click("#portal")
    portal = next(window for window in browser.until_windows(2) if window != page)
    browser.driver.switch_to.window(portal)
    browser.click("#allow")
    browser.until_windows(1)
    browser.driver.switch_to.window(page)
    assert '"portal_4_token"' in press("complete-info")
    assert '"name": "John Doe"' in press("status")
    browser.run("document.querySelector('[name=link]').value = 'profile'")
    assert press("logout") == "{}"
    said = press("status")
    assert "John Doe" not in said, said

    for fault, reason in (
        ("error500", "VENDOR_FAILED"),
        ("wrong_json", "VENDOR_ANSWER_UNREADABLE"),
        ("redirect", "VENDOR_ANSWER_UNREADABLE"),
        ("truncated", "VENDOR_ANSWER_UNREADABLE"),
        ("slow", "VENDOR_TIMEOUT"),
    ):
        browser.switch(liveauth=fault)
        browser.open("/liveauth/backend")
        said = press("login")
        assert reason in said, (fault, said)
    browser.shoot("liveauth-backend-fault")
    browser.switch()
    browser.open("/liveauth/backend")
    said = press("complete-info")
    assert "VENDOR_REFUSED" in said, said
