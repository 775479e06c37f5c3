"""The calls that every JSON-speaking client makes, and the answers that they must get.

The programs under test are real clients (curl, grpcurl, buf curl); a driver beside this file runs one of them for each
call. `call(service, method, request)` answers with the response as proto3 JSON, or raises `Refused`. Steps have names,
and the first that goes wrong ends the run with its name.

Nothing here is told by the server: the expected hashes are computed here, from the document's secret.
"""

import base64
import hashlib
import hmac
import re
import sys
import time

LIVEAUTH = "countersign.v1.LiveAuthService"
HUB = "countersign.v1.HubTokenService"
DOMAIN = "jobs.example.com"
SECRET = b"whatissixtimesnine"
APP = "acme-contacts"
USER = "jodonnell@broadsoft.com"
OTHER_USER = "somebody.else@broadsoft.com"
DOCUMENT_HASH = "6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29"
DOCUMENT_EXPIRES = "989539200"
MISPRINTED_EXPIRES = "1580608922"
PAYLOAD = b"ya29.an-oauth-token \x00\xff"
BATCHES = [
    (LIVEAUTH, "BatchMintHash"),
    (LIVEAUTH, "BatchVerifyHash"),
    (HUB, "BatchSeal"),
    (HUB, "BatchOpen"),
    (HUB, "BatchVerify"),
    (HUB, "BatchReseal"),
]


class Refused(Exception):
    """An error as gRPC or Connect tells it: NOT_FOUND, UNKNOWN_DOMAIN, and the field where one is named."""

    def __init__(self, code, reason, field="", message=""):
        super().__init__(f"{code} {reason or '(no ErrorInfo)'} field={field!r} {message}")
        self.code = code
        self.reason = reason
        self.field = field


class Failed(Exception):
    """A step that did not go as it must."""


def own_hash(client, expires):
    """The vendor's formula, computed here."""
    return hmac.new(SECRET, f"{client}-{expires}".encode(), hashlib.sha256).hexdigest()


def tampered(token):
    """The token with one character changed for another of the same alphabet."""
    at = len(token) // 2
    return token[:at] + ("B" if token[at] != "B" else "C") + token[at + 1 :]


def equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: want {want!r}, got {got!r}")


def contains(got, want):
    if want not in got:
        raise Failed(f"want {want!r} among {got!r}")


def matches(pattern, got, what):
    if not re.fullmatch(pattern, got or ""):
        raise Failed(f"{what}: want /{pattern}/, got {got!r}")


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text or "")


def verdict(response):
    return response.get("verdict", "VERDICT_UNSPECIFIED").removeprefix("VERDICT_")


class Scenario:
    """Runs the steps against one target through one driver."""

    def __init__(self, title, call):
        self.title = title
        self.raw_call = call
        self.steps = 0

    def call(self, service, method, request):
        return self.raw_call(service, method, request)

    def step(self, name, act):
        self.steps += 1
        try:
            return act()
        except (Failed, Refused) as problem:
            told = str(problem)
        except (KeyError, IndexError, TypeError, ValueError) as problem:
            # A field that should be there is not, or is no number.
            told = repr(problem)
        print(f"{self.title}: FAILED at step {self.steps}, {name}: {told}", flush=True)
        sys.exit(1)

    def judged(self, name, want, service, method, request):
        """The verdict on something presented; answers with the response."""

        def act():
            response = self.call(service, method, request)
            equal(verdict(response), want, "verdict")
            return response

        return self.step(name, act)

    def refused(self, name, allowed, service, method, request, field=None):
        """An error, one of `allowed` as (code, reason); a reason of None is any."""

        def act():
            try:
                response = self.call(service, method, request)
            except Refused as refusal:
                fits = any(refusal.code == code and reason in (None, refusal.reason) for code, reason in allowed)
                if not fits or (field is not None and refusal.field != field):
                    raise Failed(f"want {allowed} field={field!r}, got {refusal}") from None
                return
            raise Failed(f"want {allowed}, got an answer with {sorted(response)}")

        self.step(name, act)

    def run(self):
        started = time.monotonic()
        self.liveauth()
        self.liveauth_batches()
        self.hub()
        self.hub_batches()
        self.batch_sizes()
        print(f"{self.title}: {self.steps} steps passed in {time.monotonic() - started:.1f} s", flush=True)

    def liveauth(self):
        minted = self.step("mint for client 42", lambda: self.call(LIVEAUTH, "MintHash", self.mint()))
        self.step("the minted hash is what this program computes itself", lambda: self.check_minted(minted, 42))
        later = int(time.time()) + 120
        absolute = {"domain": DOMAIN, "client": "42", "expires": str(later)}
        until = self.step("mint with an absolute expiry", lambda: self.call(LIVEAUTH, "MintHash", absolute))
        self.step("the absolute expiry is kept", lambda: equal(int(until["expires"]), later, "expires"))

        self.minted = {"client": "42", "expires": str(minted["expires"]), "hash": minted["hash"]}
        fresh = self.judged("verify it", "VALID", LIVEAUTH, "VerifyHash", {"domain": DOMAIN, **self.minted})
        self.step("verifying tells the client", lambda: equal(int(fresh.get("client", 0)), 42, "client"))
        referer = {"referer": minted["referer"], **self.minted}
        self.judged("verify it by its Referer", "VALID", LIVEAUTH, "VerifyHash", referer)
        foreign = {"referer": "https://nobody.example.org/", **self.minted}
        self.judged("a Referer of an unknown host", "UNKNOWN_KEY", LIVEAUTH, "VerifyHash", foreign)
        self.judged("the document's hash", "EXPIRED", LIVEAUTH, "VerifyHash", self.document())
        misprint = self.document(expires=MISPRINTED_EXPIRES)
        self.judged("the document's misprint", "BAD_SIGNATURE", LIVEAUTH, "VerifyHash", misprint)
        short = self.document(hash=DOCUMENT_HASH[:32])
        self.judged("a hash of 32 digits", "MALFORMED", LIVEAUTH, "VerifyHash", short)

        unknown = [("NOT_FOUND", "UNKNOWN_DOMAIN"), ("PERMISSION_DENIED", "NO_RULE")]
        nowhere = "nobody.example.org"
        self.refused("mint for an unknown domain", unknown, LIVEAUTH, "MintHash", self.mint(domain=nowhere))
        self.refused("verify for one", unknown, LIVEAUTH, "VerifyHash", self.document(domain=nowhere))
        too_long = [("INVALID_ARGUMENT", "TTL_TOO_LONG")]
        self.refused("a ttl of 999999", too_long, LIVEAUTH, "MintHash", self.mint(ttl="999999"), field="ttl")
        invalid = [("INVALID_ARGUMENT", "INVALID_FIELD")]
        self.refused("client 0", invalid, LIVEAUTH, "MintHash", self.mint(client="0"), field="client")
        self.refused("a negative ttl", invalid, LIVEAUTH, "MintHash", self.mint(ttl="-1"), field="ttl")

    def mint(self, **changes):
        return {"domain": DOMAIN, "client": "42", "ttl": "60", **changes}

    def document(self, **changes):
        document = {"domain": DOMAIN, "client": "42", "expires": DOCUMENT_EXPIRES, "hash": DOCUMENT_HASH}
        return {**document, **changes}

    def check_minted(self, minted, client):
        expires = int(minted["expires"])
        if not 0 <= expires - time.time() <= 61:
            raise Failed(f"expires {expires} is not within a minute of now")
        equal(int(minted["client"]), client, "client")
        equal(minted["hash"], own_hash(client, expires), "hash")
        equal(minted["query"], f"client={client}&expires={expires}&hash={minted['hash']}", "query")
        matches(r"https?://jobs\.example\.com(/.*)?", minted["referer"], "referer")
        equal(int(minted["keyVersion"]), 1, "key version")

    def liveauth_batches(self):
        items = [self.mint(), self.mint(ttl="999999"), self.mint(client="43")]
        results = self.batch("mint three, the second one bad", LIVEAUTH, "BatchMintHash", items)
        self.step("the first and the third are minted, in order", lambda: (
            self.check_minted(results[0]["response"], 42),
            self.check_minted(results[2]["response"], 43),
        ))
        self.item_error(results, "INVALID_ARGUMENT", "TTL_TOO_LONG", "ttl")
        items = [{"domain": DOMAIN, **self.minted}, self.document(domain="nobody.example.org"), self.document()]
        results = self.batch("verify three, the second one bad", LIVEAUTH, "BatchVerifyHash", items)
        self.batch_verdicts(results, "VALID", "EXPIRED")
        self.item_error(results, "NOT_FOUND", "UNKNOWN_DOMAIN")

    def seal(self, **changes):
        kind = "PAYLOAD_KIND_OAUTH_ACCESS_TOKEN"
        return {"app": APP, "username": USER, "payload": b64(PAYLOAD), "kind": kind, "ttl": "3600", **changes}

    def present(self, **changes):
        return {"app": APP, "username": USER, "auth": self.sealed["auth"], **changes}

    def hub(self):
        labels = [{"name": "tenant", "value": "acme"}]
        request = self.seal(labels=labels)
        self.sealed = self.step("seal a token for a user", lambda: self.call(HUB, "Seal", request))
        self.step("the token looks like one", lambda: self.check_sealed(self.sealed))
        opened = self.judged("open it", "VALID", HUB, "Open", self.present())
        self.step("opening gives the payload back", lambda: equal(unb64(opened.get("payload")), PAYLOAD, "payload"))
        quoted = self.present(auth=f'"{self.sealed["auth"]}"')
        self.judged("open it in JSON quotes", "VALID", HUB, "Open", quoted)
        wrong = self.judged("open it as another user", "WRONG_CONTEXT", HUB, "Open", self.present(username=OTHER_USER))
        self.step("then there is no payload", lambda: equal(unb64(wrong.get("payload")), b"", "payload"))
        nobody = {"app": APP, "auth": self.sealed["auth"]}
        missing = self.judged("open it without a user", "WRONG_CONTEXT", HUB, "Open", nobody)
        self.step("a hint tells why", lambda: contains(missing.get("hints", []), "HINT_BINDING_VALUE_MISSING"))
        self.judged("tampered with", "MALFORMED", HUB, "Open", self.present(auth=tampered(self.sealed["auth"])))

        verified = self.judged("verify it", "VALID", HUB, "Verify", self.present())
        self.step("verifying gives claims and no payload", lambda: self.check_verified(verified, labels))
        self.judged("verify as another user", "WRONG_CONTEXT", HUB, "Verify", self.present(username=OTHER_USER))

        resealed = self.judged("reseal it", "VALID", HUB, "Reseal", self.present())
        self.step("resealing keeps the grant", lambda: self.check_resealed(resealed))
        again = self.judged("open the resealed one", "VALID", HUB, "Open", self.present(auth=resealed["auth"]))
        self.step("it holds the same payload", lambda: equal(unb64(again.get("payload")), PAYLOAD, "payload"))
        garbage = self.judged("reseal garbage", "MALFORMED", HUB, "Reseal", self.present(auth="hat1_garbage"))
        self.step("then there is no token", lambda: equal(garbage.get("auth", ""), "", "auth"))

        login = {"hubLoginToken": "hub-login-token-1"}
        bound = self.step("seal bound to a login", lambda: self.call(HUB, "Seal", self.seal(**login)))
        both = self.present(auth=bound["auth"])
        self.judged("open it with the login", "VALID", HUB, "Open", {**both, **login})
        self.judged("open it without the login", "WRONG_CONTEXT", HUB, "Open", both)

        unknown = [("NOT_FOUND", "UNKNOWN_APP"), ("PERMISSION_DENIED", "NO_RULE")]
        self.refused("seal for an unknown app", unknown, HUB, "Seal", self.seal(app="nobody"))
        for method in ("Open", "Verify", "Reseal"):
            self.refused(f"{method} for an unknown app", unknown, HUB, method, self.present(app="nobody"))
        self.refused("a ttl of 0", [("INVALID_ARGUMENT", "INVALID_FIELD")], HUB, "Seal", self.seal(ttl="0"), field="ttl")

    def check_sealed(self, sealed):
        matches(r"hat1_[A-Za-z0-9_-]{178,8178}", sealed["auth"], "auth")
        equal((len(sealed["auth"]) - 183) % 64, 0, "length class")
        matches(r"[0-9a-f]{32}", sealed["tokenId"], "token id")
        matches(r"[0-9a-f]{32}", sealed["grantId"], "grant id")
        equal(int(sealed["expiresAt"]) - int(sealed["issuedAt"]), 3600, "lifetime")
        equal(sealed.get("usernameBound"), True, "bound to the username")
        equal(sealed.get("hubLoginTokenBound", False), False, "bound to the login")

    def check_verified(self, verified, labels):
        claims = verified["claims"]
        equal("payload" in verified, False, "a payload")
        equal(claims["tokenId"], self.sealed["tokenId"], "token id")
        equal(claims["grantId"], self.sealed["grantId"], "grant id")
        equal(claims["kind"], "PAYLOAD_KIND_OAUTH_ACCESS_TOKEN", "kind")
        equal(claims["labels"], labels, "labels")
        equal(claims["usernameBound"], True, "bound to the username")

    def check_resealed(self, resealed):
        claims = resealed["claims"]
        equal(claims["grantId"], self.sealed["grantId"], "grant id")
        equal(claims["expiresAt"], self.sealed["expiresAt"], "expiry")
        equal(int(claims.get("resealCount", 0)), 1, "reseal count")
        if resealed["auth"] == self.sealed["auth"] or claims["tokenId"] == self.sealed["tokenId"]:
            raise Failed("the resealed token is the old one")

    def hub_batches(self):
        items = [self.seal(), self.seal(app="nobody"), self.seal(username=OTHER_USER)]
        results = self.batch("seal three, the second one bad", HUB, "BatchSeal", items)
        self.item_error(results, "NOT_FOUND", "UNKNOWN_APP")
        mine, theirs = results[0]["response"]["auth"], results[2]["response"]["auth"]
        items = [self.present(auth=mine), self.present(app="nobody"), self.present(auth=theirs)]
        for method in ("BatchOpen", "BatchVerify", "BatchReseal"):
            results = self.batch(f"{method} of three, the second one bad", HUB, method, items)
            self.batch_verdicts(results, "VALID", "WRONG_CONTEXT")
            self.item_error(results, "NOT_FOUND", "UNKNOWN_APP")
            if method == "BatchOpen":
                payload = results[0]["response"].get("payload")
                self.step("the batch gives the payload back", lambda: equal(unb64(payload), PAYLOAD, "payload"))

    def batch(self, name, service, method, items):
        def act():
            results = self.call(service, method, {"items": items}).get("results", [])
            equal(len(results), len(items), "number of results")
            for at, key in ((0, "response"), (1, "error"), (2, "response")):
                equal(list(results[at]), [key], f"result {at}")
            return results

        return self.step(name, act)

    def batch_verdicts(self, results, first, third):
        got = [verdict(results[0]["response"]), verdict(results[2]["response"])]
        self.step("their verdicts keep the order", lambda: equal(got, [first, third], "verdicts"))

    def item_error(self, results, code, reason, field=""):
        number = {"INVALID_ARGUMENT": 3, "NOT_FOUND": 5}[code]
        error = results[1]["error"]
        got = (error.get("code"), error.get("reason"), error.get("field", ""))
        self.step("the bad one says why", lambda: equal(got, (number, reason, field), "item error"))

    def batch_sizes(self):
        invalid = [("INVALID_ARGUMENT", "INVALID_FIELD")]
        for service, method in BATCHES:
            self.refused(f"{method} of nothing", invalid, service, method, {}, field="items")
            many = {"items": [{}] * 1001}
            self.refused(f"{method} of 1,001", invalid, service, method, many, field="items")
