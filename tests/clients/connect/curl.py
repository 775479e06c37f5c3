"""Drives curl through the scenario, and through the rules that only the JSON form has. Started by curl.sh."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from errors import refusal  # noqa: E402
from scenario import HUB, LIVEAUTH, Failed, Scenario, equal, own_hash  # noqa: E402

MINT = f"/{LIVEAUTH}/MintHash"
GOOD = {"domain": "jobs.example.com", "client": "42", "ttl": "60"}
# MintHashRequest {domain: "jobs.example.com", client: 42, ttl: 60}, on the wire.
GOOD_PROTO = b"\x0a\x10jobs.example.com\x10\x2a\x18\x3c"
JSON = "application/json"


class Answer:
    """What curl got: the status, the headers by lower-case name, the body's bytes."""

    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, self.body = self.body.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.version, status, *_ = lines[0].split()
        self.status = int(status)
        pairs = (line.split(":", 1) for line in lines[1:])
        self.headers = {name.strip().lower(): value.strip() for name, value in pairs}

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed(f"HTTP {self.status} with a body that is not JSON: {self.body[:200]!r}") from None


class Curl:
    """curl for one target and one version of HTTP."""

    def __init__(self, target, version):
        self.options = ["-q", "-sS", "-i", "--max-time", "20", "--noproxy", "*", *version]
        self.base = f"http://{target}"
        self.tcp = not target.startswith("unix:")
        if not self.tcp:
            self.options += ["--unix-socket", target.removeprefix("unix:")]
            self.base = "http://localhost"

    def send(self, path, body=b"", kind=JSON, method="POST", headers=()):
        command = ["curl", *self.options, "-X", method, "-H", f"Content-Type: {kind}" if kind else "Content-Type:"]
        for header in headers:
            command += ["-H", header]
        if method == "POST":
            command += ["--data-binary", "@-"]
        done = subprocess.run([*command, self.base + path], input=body, capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f"curl exited with {done.returncode}: {done.stderr.decode().strip()}")
        return Answer(done.stdout)

    def call(self, service, method, request):
        answer = self.send(f"/{service}/{method}", json.dumps(request).encode())
        equal(answer.headers.get("content-type"), JSON, "content type")
        if answer.status != 200:
            raise refusal(answer.status, answer.json())
        return answer.json()


def refused(scenario, curl, name, statuses, code=None, reason=None, path=MINT, body=json.dumps(GOOD), **request):
    """A request that is turned away with one of these statuses and, where named, this code and reason."""

    def act():
        sent = body if isinstance(body, bytes) else body.encode()
        answer = curl.send(path, sent, **request)
        if answer.status not in statuses:
            raise Failed(f"want HTTP {statuses}, got {answer.status}: {answer.body[:200]!r}")
        if code is not None:
            equal(answer.headers.get("content-type"), JSON, "content type of the error")
            equal(refusal(answer.status, answer.json()).code, code, "code")
        if reason is not None:
            equal(refusal(answer.status, answer.json()).reason, reason, "reason")
        return answer

    return scenario.step(name, act)


def served(scenario, curl, name, body=GOOD, path=MINT, **request):
    """A request that is answered."""

    def act():
        answer = curl.send(path, json.dumps(body).encode(), **request)
        equal((answer.status, answer.headers.get("content-type")), (200, JSON), f"status and type of {answer.body!r}")
        return answer

    return scenario.step(name, act)


def requests(scenario, curl):
    """Method, type, encoding and path."""
    got = refused(scenario, curl, "GET", [405], method="GET")
    scenario.step("says what is allowed", lambda: equal(got.headers.get("allow"), "POST", "Allow"))
    refused(scenario, curl, "PUT", [405], method="PUT")
    refused(scenario, curl, "text/plain", [415], kind="text/plain")
    refused(scenario, curl, "a form", [415], kind="application/x-www-form-urlencoded")
    refused(scenario, curl, "no content type", [415], kind="")
    served(scenario, curl, "a charset is tolerated", kind="application/json; charset=utf-8")
    zipped = gzip.compress(json.dumps(GOOD).encode())
    compressed = ["Content-Encoding: gzip"]
    refused(scenario, curl, "gzip", [501], "UNIMPLEMENTED", body=zipped, headers=compressed)
    served(scenario, curl, "the identity encoding", headers=["Content-Encoding: identity"])
    plain = served(scenario, curl, "a caller that accepts gzip", headers=["Accept-Encoding: gzip"])
    scenario.step("gets it plain", lambda: equal(plain.headers.get("content-encoding", "identity"), "identity", "encoding"))
    refused(scenario, curl, "an unknown method", [404], path=f"/{LIVEAUTH}/Steal")
    refused(scenario, curl, "an unknown service", [404], path="/countersign.v1.NobodyService/MintHash")
    refused(scenario, curl, "the root", [404], path="/")
    served(scenario, curl, "the protocol's version and a timeout", headers=["Connect-Protocol-Version: 1", "Connect-Timeout-Ms: 5000"])
    named = served(scenario, curl, "a request id", headers=["x-request-id: from-the-client-1"])
    scenario.step("is given back", lambda: equal(named.headers.get("x-request-id"), "from-the-client-1", "request id"))
    ours = served(scenario, curl, "no request id")
    scenario.step("is given one", lambda: equal(bool(ours.headers.get("x-request-id")), True, "a request id"))


def browsers(scenario, curl):
    """What keeps a web page from using its visitor's access."""
    origin = ["Origin: https://evil.example"]
    refused(scenario, curl, "an Origin", [403], headers=origin)
    preflight = ["Access-Control-Request-Method: POST", *origin]
    got = refused(scenario, curl, "a preflight", [403, 405], method="OPTIONS", headers=preflight)
    cors = [name for name in got.headers if name.startswith("access-control-")]
    scenario.step("nothing invites a browser", lambda: equal(cors, [], "CORS headers"))
    if curl.tcp:
        port = curl.base.rpartition(":")[2]
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "10.0.0.1"):
            refused(scenario, curl, f"the Host {host}", [403, 421], headers=[f"Host: {host}"])
        for host in ("localhost", f"localhost:{port}", "127.0.0.1", f"[::1]:{port}"):
            served(scenario, curl, f"the Host {host}", headers=[f"Host: {host}"])


def bodies(scenario, curl):
    """JSON is read strictly: a misspelt binding must not seal unbound."""
    invalid = {"statuses": [400], "code": "INVALID_ARGUMENT"}
    head = '{"domain":"jobs.example.com","client":"42"'
    for name, body in {
        "an unknown field": head + ',"tll":"60"}',
        "a field twice": head + ',"client":"43"}',
        "a field under both its names": '{"app":"acme-contacts","hubLoginToken":"a","hub_login_token":"b"}',
        "both of a oneof": head + ',"ttl":"60","expires":"4102444800"}',
        "a string for a number": '{"domain":"jobs.example.com","client":"forty-two"}',
        "a fraction": '{"domain":"jobs.example.com","client":42.5}',
        "cut off": head,
        "something after the end": head + "} {}",
        "a list": "[]",
        "nothing": "",
        "not UTF-8": b'{"domain":"\xff"}',
    }.items():
        path = f"/{HUB}/Seal" if "hubLoginToken" in str(body) else MINT
        refused(scenario, curl, name, body=body, path=path, reason="UNDECODABLE", **invalid)
    seal = {"app": "acme-contacts", "username": "u", "payload": ""}
    misspelt = json.dumps({**seal, "hubLogintoken": "t"})
    refused(scenario, curl, "a misspelt binding", body=misspelt, path=f"/{HUB}/Seal", **invalid)
    unknown = json.dumps({**seal, "kind": "PAYLOAD_KIND_NOBODY"})
    refused(scenario, curl, "an unknown kind", body=unknown, path=f"/{HUB}/Seal", **invalid)
    served(scenario, curl, "names as in the proto file", {**seal, "hub_login_token": "t"}, path=f"/{HUB}/Seal")
    served(scenario, curl, "numbers as numbers", {**GOOD, "client": 42, "ttl": 60})
    large = json.dumps({"domain": "d" * 70000})
    refused(scenario, curl, "70,000 bytes", [429, 413], "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", body=large)


def proto(scenario, curl):
    """The binary codec, by hand."""
    kind = "application/proto"

    def act():
        answer = curl.send(MINT, GOOD_PROTO, kind=kind)
        equal((answer.status, answer.headers.get("content-type")), (200, kind), "status and type")
        text = answer.body.decode("latin-1")
        at = text.index("client=42&expires=")
        expires = text[at + len("client=42&expires=") :].split("&", 1)[0]
        equal(own_hash(42, expires) in text, True, "our own hash in the answer")

    scenario.step("application/proto", act)
    truncated = GOOD_PROTO[:-3]
    refused(scenario, curl, "garbage as application/proto", [400], "INVALID_ARGUMENT", "UNDECODABLE", body=truncated, kind=kind)


def main():
    for target in sys.argv[1:]:
        for name, version in {"HTTP/1.1": ["--http1.1"], "HTTP/2": ["--http2-prior-knowledge"]}.items():
            curl = Curl(target, version)
            scenario = Scenario(f"curl {name} {target}", curl.call)
            first = served(scenario, curl, "a first call")
            scenario.step("over this version", lambda: equal(first.version.startswith(name), True, first.version))
            requests(scenario, curl)
            browsers(scenario, curl)
            bodies(scenario, curl)
            proto(scenario, curl)
            scenario.run()


main()
