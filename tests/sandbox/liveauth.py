"""LiveAuth in the browser."""


def the_test_page(browser):
    """The document's page: a click, and hello world is on the console. Run on load too, the answer is on the page."""
    browser.open("/")
    browser.shoot("front")
    browser.follow("The document's test page")
    assert "test" in browser.driver.current_url
    browser.console()
    browser.click("#test")
    said = []

    def heard():
        said.extend(browser.console())
        return any('"hello world"' in line for line in said)

    browser.until(heard, "hello world on the console")
    assert len(said) == 1, said
    browser.shoot("liveauth-test-page")

    browser.open("/liveauth/test-on-load")
    browser.until_text("#answer", "hello world")
    assert browser.text("#answer") == "hello world"
    browser.shoot("liveauth-test-page-on-load")


def login(browser):
    """The pop-up of a portal, credentials at its end, and saved ones in the status until they are removed."""
    browser.open("/liveauth/browser")
    browser.shoot("liveauth-browser")
    page = browser.driver.current_window_handle
    browser.click("#do-status")
    browser.until_text("#outcome", '"signed": false')

    def log_in(decision, shot):
        browser.click("#do-login")
        popup = next(window for window in browser.until_windows(2) if window != page)
        browser.driver.switch_to.window(popup)
        browser.until(lambda: browser.all("#" + decision), "the portal in the pop-up")
        assert "/oauth/" in browser.driver.current_url
        assert browser.run("return window.opener") is None, "the portal has a hold on the page"
        if shot:
            browser.shoot(shot)
        browser.click("#" + decision)
        browser.until_windows(1)
        browser.driver.switch_to.window(page)

    log_in("allow", "social-network")
    said = browser.until_text("#outcome", "credentials")
    assert '"portal_4_token"' in said and "(30 characters)" in said, said
    browser.shoot("liveauth-logged-in")
    # Without a link nothing is saved.
    browser.click("#do-status")
    browser.until_text("#outcome", '"signed": false')

    browser.run("document.getElementById('asked').link.value = 'profile'")
    log_in("allow", None)
    browser.until_text("#outcome", "credentials")
    browser.click("#do-status")
    said = browser.until_text("#outcome", '"signed": true')
    assert '"isProfile": true' in said and '"name": "John Doe"' in said, said
    browser.click("#do-logout")
    browser.until_text("#outcome", "Done!")
    browser.click("#do-status")
    browser.until_text("#outcome", '"signed": false')

    log_in("deny", None)
    said = browser.until_text("#outcome", "onError")
    assert said == "onError: LiveAuth complete-info: the user did not allow it", said


def a_login_without_a_click(browser):
    """Is blocked as the pop-up it is, and said so."""
    browser.open("/liveauth/browser")
    browser.run("setTimeout(function () { document.getElementById('do-login').click(); }, 0);")
    browser.until_text("#outcome", "the browser blocked the pop-up")
    assert len(browser.driver.window_handles) == 1


def bad_hashes(browser):
    """An expired and a forged hash end in onError, whatever is asked for; a login's pop-up does not stay."""
    for kind, why in (("expired", "the hash has expired"), ("forged", "wrong hash")):
        browser.open("/liveauth/browser?hash=" + kind)
        for button, action in (("#do-test", "test"), ("#do-status", "status"), ("#do-logout", "logout")):
            browser.run("document.getElementById('asked').link.value = 'global'")
            browser.click(button)
            said = browser.until_text("#outcome", "onError")
            assert said == f"onError: LiveAuth {action}: {why}", said
        browser.shoot("liveauth-" + kind)
        browser.click("#do-login")
        browser.until_text("#outcome", f"onError: LiveAuth login: {why}")
        browser.until_windows(1)
    # Where no onError is given, the console has it.
    browser.console()
    browser.run(
        "new LiveAuthClient({auth: {client: 42, expires: 1, hash: 'f4a04f87cabf65ed55a2db9da2159cd7'}, endpoint: "
        "document.querySelector('script[src*=client]').src.replace('client.js', '')}).test();"
    )
    browser.until(lambda: any("LiveAuth test: wrong hash" in line for line in browser.console()), "an error line")


def faults(browser):
    """What LiveAuth may do wrong, and what the library says to it."""
    for fault, why in (
        ("error500", "the request failed"),
        # It looks like HTML, which Chromium does not hand to scripts of other origins.
        ("wrong_json", "the request failed"),
        ("truncated", "the answer could not be read"),
        # Leads to an origin that the page's policy does not let scripts come from.
        ("redirect", "the request failed"),
        ("slow", "no answer within 5000 ms"),
    ):
        browser.switch(liveauth=fault)
        browser.open("/liveauth/browser")
        browser.click("#do-test")
        said = browser.until_text("#outcome", "onError")
        assert said == f"onError: LiveAuth test: {why}", (fault, said)
    # The late answer finds nobody, and breaks nothing.
    browser.console()
    left = "return Object.getOwnPropertyNames(window).filter(function (n) { return /^liveAuthCallback/.test(n); })"
    browser.until(lambda: browser.run(left) == [], "the late answer")
    assert browser.console() == []
    assert browser.run("return document.querySelectorAll('script[src*=callback]').length") == 0

    browser.open("/faults")
    browser.click("input[name=liveauth][value=wrong_user]")
    browser.shoot("faults")
    browser.click("main button")
    browser.until(lambda: browser.find("input[name=liveauth][value=wrong_user]").is_selected(), "the switch")
    browser.open("/")
    assert browser.text(".bad") == "A fault is switched on. idibu LiveAuth: Answers about another user."
    browser.switch()
    browser.open("/")
    assert not browser.all(".bad")
    browser.open("/liveauth/browser")
    browser.click("#do-test")
    browser.until_text("#outcome", "hello world")
