"""Every RPC by way of grpcio. Started by run.sh, which generates the stubs."""

import sys
import time
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from countersign.v1 import hub_token_pb2 as hub
from countersign.v1 import hub_token_pb2_grpc, liveauth_pb2_grpc
from countersign.v1 import liveauth_pb2 as liveauth
from countersign.v1 import verdict_pb2

sys.path.append(str(Path(__file__).resolve().parent.parent))
from scenario import (  # noqa: E402
    APP, BATCHES, DOCUMENT_EXPIRES, DOCUMENT_HASH, DOMAIN, HUB, LIVEAUTH, MISPRINTED_EXPIRES, OTHER_USER, PAYLOAD, USER,
    Failed, equal, own_hash, tampered,
)

TIMEOUT = 20


def verdict(answer):
    return verdict_pb2.Verdict.Name(answer.verdict).removeprefix("VERDICT_")


class Client:
    def __init__(self, target):
        # Over a Unix socket C-core would send the path as :authority, which is no host name.
        options = [("grpc.default_authority", "localhost")] if target.startswith("unix:") else []
        self.channel = grpc.insecure_channel(target, options=options)
        self.liveauth = liveauth_pb2_grpc.LiveAuthServiceStub(self.channel)
        self.hub = hub_token_pb2_grpc.HubTokenServiceStub(self.channel)
        self.target = target
        self.steps = 0

    def step(self, name, act):
        self.steps += 1
        try:
            return act()
        except (Failed, grpc.RpcError) as problem:
            told = f"{problem.code().name}: {problem.details()}" if isinstance(problem, grpc.RpcError) else problem
            print(f"python {self.target}: FAILED at step {self.steps}, {name}: {told}", flush=True)
            sys.exit(1)

    def judged(self, name, want, method, request):
        def act():
            answer = method(request, timeout=TIMEOUT)
            equal(verdict(answer), want, "verdict")
            return answer

        return self.step(name, act)

    def refused(self, name, code, reason, method, request, field=None):
        """An error with this code and ErrorInfo reason; where named, with a violation of this field."""

        def act():
            try:
                method(request, timeout=TIMEOUT)
            except grpc.RpcError as error:
                equal(error.code(), code, f"code ({error.details()})")
                got_reason, got_field = details(error)
                equal(got_reason, reason, "reason")
                if field is not None:
                    equal(got_field, field, "field")
                return
            raise Failed(f"want {code.name}, got an answer")

        self.step(name, act)

    def run(self):
        started = time.monotonic()
        self.health()
        self.reflection()
        self.mint_and_verify()
        self.seal_and_open()
        self.batches()
        self.wire()
        self.channel.close()
        print(f"python {self.target}: {self.steps} steps passed in {time.monotonic() - started:.1f} s", flush=True)

    def health(self):
        stub = health_pb2_grpc.HealthStub(self.channel)
        for service in ("", LIVEAUTH, HUB):
            request = health_pb2.HealthCheckRequest(service=service)
            answer = self.step(f"health of {service!r}", lambda: stub.Check(request, timeout=TIMEOUT, wait_for_ready=True))
            serving = health_pb2.HealthCheckResponse.SERVING
            self.step(f"{service!r} serves", lambda: equal(answer.status, serving, "status"))

    def reflection(self):
        def act():
            listed = set(ProtoReflectionDescriptorDatabase(self.channel).get_services())
            equal({LIVEAUTH, HUB} - listed, set(), "services missing from reflection")

        self.step("reflection lists both services", act)

    def mint_and_verify(self):
        request = liveauth.MintHashRequest(domain=DOMAIN, client=42, ttl=60)
        minted = self.step("mint for client 42", lambda: self.liveauth.MintHash(request, timeout=TIMEOUT))
        own = own_hash(42, minted.expires)
        self.step("the minted hash is what this program computes itself", lambda: equal(minted.hash, own, "hash"))
        query = f"client=42&expires={minted.expires}&hash={own}"
        self.step("the query string holds all three", lambda: equal(minted.query, query, "query"))
        verify = self.liveauth.VerifyHash
        fresh = {"client": "42", "expires": str(minted.expires), "hash": minted.hash}
        self.judged("verify it", "VALID", verify, liveauth.VerifyHashRequest(domain=DOMAIN, **fresh))
        self.judged("by its Referer", "VALID", verify, liveauth.VerifyHashRequest(referer=minted.referer, **fresh))
        foreign = liveauth.VerifyHashRequest(referer="https://nobody.example.org/", **fresh)
        self.judged("by an unknown Referer", "UNKNOWN_KEY", verify, foreign)
        self.judged("the document's hash", "EXPIRED", verify, document())
        self.judged("the document's misprint", "BAD_SIGNATURE", verify, document(expires=MISPRINTED_EXPIRES))
        self.judged("a hash of 32 digits", "MALFORMED", verify, document(hash=DOCUMENT_HASH[:32]))

        not_found = grpc.StatusCode.NOT_FOUND
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        mint = self.liveauth.MintHash
        nowhere = liveauth.MintHashRequest(domain="nobody.example.org", client=42)
        self.refused("an unknown domain", not_found, "UNKNOWN_DOMAIN", mint, nowhere)
        self.refused("to verify for one", not_found, "UNKNOWN_DOMAIN", verify, document(domain="nobody.example.org"))
        long = liveauth.MintHashRequest(domain=DOMAIN, client=42, ttl=999999)
        self.refused("a ttl of 999999", invalid, "TTL_TOO_LONG", mint, long, field="ttl")
        milliseconds = liveauth.MintHashRequest(domain=DOMAIN, client=42, expires=int(time.time() * 1000))
        self.refused("milliseconds", invalid, "INVALID_FIELD", mint, milliseconds, field="expires")

    def seal_and_open(self):
        request = seal(labels=[hub.Label(name="tenant", value="acme")])
        self.sealed = self.step("seal a token for a user", lambda: self.hub.Seal(request, timeout=TIMEOUT))
        auth = self.sealed.auth
        opened = self.judged("open it", "VALID", self.hub.Open, present(hub.OpenRequest, auth))
        self.step("opening gives the payload back", lambda: equal(opened.payload, PAYLOAD, "payload"))
        theirs = present(hub.OpenRequest, auth, username=OTHER_USER)
        other = self.judged("open it as another user", "WRONG_CONTEXT", self.hub.Open, theirs)
        self.step("then there is no payload", lambda: equal(other.payload, b"", "payload"))
        self.judged("tampered with", "MALFORMED", self.hub.Open, present(hub.OpenRequest, tampered(auth)))
        verified = self.judged("verify it", "VALID", self.hub.Verify, present(hub.VerifyRequest, auth))
        self.step("verifying gives claims", lambda: equal(verified.claims.grant_id, self.sealed.grant_id, "grant id"))
        labels = [(label.name, label.value) for label in verified.claims.labels]
        self.step("with the labels", lambda: equal(labels, [("tenant", "acme")], "labels"))
        theirs = present(hub.VerifyRequest, auth, username=OTHER_USER)
        self.judged("verify as another user", "WRONG_CONTEXT", self.hub.Verify, theirs)
        resealed = self.judged("reseal it", "VALID", self.hub.Reseal, present(hub.ResealRequest, auth))
        kept = (resealed.claims.grant_id, resealed.claims.reseal_count)
        self.step("resealing keeps the grant", lambda: equal(kept, (self.sealed.grant_id, 1), "grant id and count"))
        again = self.judged("open the resealed one", "VALID", self.hub.Open, present(hub.OpenRequest, resealed.auth))
        self.step("it holds the same payload", lambda: equal(again.payload, PAYLOAD, "payload"))
        not_found = grpc.StatusCode.NOT_FOUND
        self.refused("seal for an unknown app", not_found, "UNKNOWN_APP", self.hub.Seal, seal(app="nobody"))
        for name in ("Open", "Verify", "Reseal"):
            request = present(getattr(hub, f"{name}Request"), auth, app="nobody")
            self.refused(f"{name} for an unknown app", not_found, "UNKNOWN_APP", getattr(self.hub, name), request)

    def batches(self):
        mint = liveauth.MintHashRequest(domain=DOMAIN, client=42, ttl=60)
        long = liveauth.MintHashRequest(domain=DOMAIN, client=42, ttl=999999)
        request = liveauth.BatchMintHashRequest(items=[mint, long, liveauth.MintHashRequest(domain=DOMAIN, client=43)])
        answer = self.batch(self.liveauth.BatchMintHash, request, 3, "TTL_TOO_LONG")
        clients = [answer.results[0].response.client, answer.results[2].response.client]
        self.step("hashes keep the order", lambda: equal(clients, [42, 43], "clients"))
        request = liveauth.BatchVerifyHashRequest(items=[
            document(), document(domain="nobody.example.org"), document(hash="x"),
        ])
        answer = self.batch(self.liveauth.BatchVerifyHash, request, 5, "UNKNOWN_DOMAIN")
        self.order(answer, ["EXPIRED", "MALFORMED"])
        request = hub.BatchSealRequest(items=[seal(), seal(app="nobody"), seal(username=OTHER_USER)])
        sealed = self.batch(self.hub.BatchSeal, request, 5, "UNKNOWN_APP")
        mine, theirs = sealed.results[0].response.auth, sealed.results[2].response.auth
        for name in ("BatchOpen", "BatchVerify", "BatchReseal"):
            item = getattr(hub, f"{name.removeprefix('Batch')}Request")
            items = [present(item, mine), present(item, mine, app="nobody"), present(item, theirs)]
            answer = self.batch(getattr(self.hub, name), getattr(hub, f"{name}Request")(items=items), 5, "UNKNOWN_APP")
            self.order(answer, ["VALID", "WRONG_CONTEXT"])
        for service, name in BATCHES:
            module, stub = (liveauth, self.liveauth) if service == LIVEAUTH else (hub, self.hub)
            item, batch = getattr(module, f"{name.removeprefix('Batch')}Request"), getattr(module, f"{name}Request")
            for count in (0, 1001):
                request = batch(items=[item()] * count)
                invalid = grpc.StatusCode.INVALID_ARGUMENT
                self.refused(f"{name} of {count}", invalid, "INVALID_FIELD", getattr(stub, name), request, field="items")

    def batch(self, method, request, code, reason):
        name = type(request).__name__
        answer = self.step(name, lambda: method(request, timeout=TIMEOUT))
        shape = [result.WhichOneof("result") for result in answer.results]
        self.step(f"{name}: one bad item", lambda: equal(shape, ["response", "error", "response"], "results"))
        error = answer.results[1].error
        self.step(f"{name}: says why", lambda: equal((error.code, error.reason), (code, reason), "item error"))
        return answer

    def order(self, answer, want):
        got = [verdict(answer.results[0].response), verdict(answer.results[2].response)]
        self.step("verdicts keep the order", lambda: equal(got, want, "verdicts"))

    def wire(self):
        """What generated code would never send, and what only metadata shows."""
        raw = self.channel.unary_unary(f"/{LIVEAUTH}/MintHash")
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        self.refused("a domain that is not UTF-8", invalid, "UNDECODABLE", raw, b"\x0a\x02\xff\xfe")
        self.refused("a message cut off", invalid, "UNDECODABLE", raw, b"\x0a\x10jobs")
        exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
        large = liveauth.MintHashRequest(domain="d" * 70000)
        self.refused("70,000 bytes", exhausted, "MESSAGE_TOO_LARGE", self.liveauth.MintHash, large)

        def unknown():
            try:
                self.channel.unary_unary(f"/{LIVEAUTH}/Steal")(b"", timeout=TIMEOUT)
            except grpc.RpcError as error:
                equal(error.code(), grpc.StatusCode.UNIMPLEMENTED, "code")
                return
            raise Failed("a method that does not exist was answered")

        def request_id():
            request = liveauth.MintHashRequest(domain=DOMAIN, client=42)
            sent = [("x-request-id", "from-python-1")]
            _, call = self.liveauth.MintHash.with_call(request, timeout=TIMEOUT, metadata=sent)
            got = [item.value for item in [*call.initial_metadata(), *call.trailing_metadata()] if item.key == "x-request-id"]
            equal(got[:1], ["from-python-1"], "x-request-id")

        self.step("a method that does not exist", unknown)
        self.step("the request id comes back", request_id)


def details(error):
    """The reason of the ErrorInfo and the field of the first violation in an error."""
    status = rpc_status.from_call(error)
    if status is None:
        raise Failed(f"{error.code().name} without details: {error.details()}")
    info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(violations)
    fields = [violation.field for violation in violations.field_violations]
    return info.reason, fields[0] if fields else ""


def document(**changes):
    fields = {"domain": DOMAIN, "client": "42", "expires": DOCUMENT_EXPIRES, "hash": DOCUMENT_HASH}
    return liveauth.VerifyHashRequest(**{**fields, **changes})


def seal(**changes):
    fields = {"app": APP, "username": USER, "payload": PAYLOAD, "ttl": 3600}
    return hub.SealRequest(**{**fields, **changes})


def present(kind, auth, **changes):
    fields = {"app": APP, "username": USER, "auth": auth}
    return kind(**{**fields, **changes})


for address in sys.argv[1:]:
    Client(address).run()
