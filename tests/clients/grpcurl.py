"""Drives grpcurl through the scenario, after reflection and health. Started by grpcurl.sh."""

import base64
import json
import subprocess
import sys

from errors import meaning
from scenario import HUB, LIVEAUTH, Failed, Refused, Scenario, contains, equal

CODES = dict(enumerate(
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
    "UNAUTHENTICATED".split()
))


def run(target, *words, options=(), data=None):
    """One grpcurl process; answers with what it printed, or raises what the server said."""
    if target.startswith("unix:"):
        address = ["-unix", "-authority", "localhost", target.removeprefix("unix:")]
    else:
        address = [target]
    command = ["grpcurl", "-plaintext", "-max-time", "20", "-format-error", *options, *address, *words]
    done = subprocess.run(command, input=data, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        return done.stdout
    try:
        # -format-error prints the google.rpc.Status as JSON.
        status = json.loads(done.stderr[done.stderr.index("{") :])
    except ValueError:
        raise Failed(f"grpcurl exited with {done.returncode}: {done.stderr.strip()}") from None
    reason, field = "", ""
    for detail in status.get("details", []):
        name = detail.get("@type", "").rpartition("/")[2]
        if "@value" in detail:
            # grpcurl does not know the type, since reflection did not tell it, and passes the bytes on.
            told = meaning(name, base64.b64decode(detail["@value"]))
        else:
            told = detail.get("reason", ""), next((it["field"] for it in detail.get("fieldViolations", [])), "")
        reason, field = reason or told[0], field or told[1]
    raise Refused(CODES.get(status.get("code"), str(status.get("code"))), reason, field, status.get("message", ""))


def client(target):
    def call(service, method, request):
        data = json.dumps(request)
        return json.loads(run(target, f"{service}/{method}", options=["-d", "@"], data=data))

    return call


def discover(scenario, target):
    """What reflection and health tell."""
    listed = scenario.step("list the services", lambda: run(target, "list").split())
    for service in (LIVEAUTH, HUB, "grpc.health.v1.Health"):
        scenario.step(f"{service} is listed", lambda: contains(listed, service))
    methods = scenario.step("list the methods", lambda: run(target, "list", HUB).split())
    scenario.step("all of them", lambda: equal(len(methods), 10, "methods"))
    message = scenario.step("describe a message", lambda: run(target, "describe", "countersign.v1.MintHashRequest"))
    scenario.step("its fields are there", lambda: contains(message, "int64 ttl = 3"))
    for service in ("", LIVEAUTH, HUB):
        health = scenario.step("check health", lambda: scenario.call("grpc.health.v1.Health", "Check", {"service": service}))
        scenario.step(f"{service or 'the whole'} serves", lambda: equal(health.get("status"), "SERVING", "status"))
    nobody = {"service": "nobody"}
    scenario.refused("health of an unknown service", [("NOT_FOUND", None)], "grpc.health.v1.Health", "Check", nobody)


for address in sys.argv[1:]:
    it = Scenario(f"grpcurl {address}", client(address))
    discover(it, address)
    it.run()
