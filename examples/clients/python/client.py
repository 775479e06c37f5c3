"""A client of Countersign: mints and verifies a hash, seals a payload and opens it, and shows how a refusal reads.

    pip install -r requirements.txt
    python -m grpc_tools.protoc -I ../../../proto --python_out=. --grpc_python_out=. ../../../proto/countersign/v1/*.proto
    COUNTERSIGN_ADDRESS=unix:/run/countersign/countersign.sock python client.py

For https://HOST:PORT, COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY name the client's certificate and key, and
COUNTERSIGN_TLS_CA the authority that the service's certificate must lead to: files in PEM.
"""

import json
import os
import time
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from countersign.v1 import hub_token_pb2, hub_token_pb2_grpc, liveauth_pb2, liveauth_pb2_grpc, verdict_pb2

# Seconds that one call may take, with the retries that gRPC makes of it.
DEADLINE = 5
# Seconds that one call may take in all, with the waits that a rate limit asks for.
PATIENCE = 20

# Every RPC may be repeated: at worst, a hash or a token too many was made. There is no "timeout" here on purpose:
# it would cut longer deadlines of calls short, and gRPC's C core, under Python, takes up to a second off it.
SERVICE_CONFIG = json.dumps({
    "methodConfig": [{
        "name": [{"service": "countersign.v1.LiveAuthService"}, {"service": "countersign.v1.HubTokenService"}],
        "retryPolicy": {
            "maxAttempts": 4,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        },
    }],
})


def connect():
    """One channel serves the whole process and all its threads: make it once, and keep it."""
    address = os.environ.get("COUNTERSIGN_ADDRESS", "unix:/run/countersign/countersign.sock")
    options = [("grpc.service_config", SERVICE_CONFIG)]
    if address.startswith("unix:"):
        # Without this, the path of the socket would be sent as the host, and it is not one.
        options.append(("grpc.default_authority", "localhost"))
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=Path(os.environ["COUNTERSIGN_TLS_CA"]).read_bytes(),
        private_key=Path(os.environ["COUNTERSIGN_TLS_KEY"]).read_bytes(),
        certificate_chain=Path(os.environ["COUNTERSIGN_TLS_CERT"]).read_bytes(),
    )
    return grpc.secure_channel(address.removeprefix("https://"), credentials, options)


def details(error):
    """Why a call was refused, the fields at fault, and after how many seconds to try again, if at all."""
    info, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        detail.Unpack(info) or detail.Unpack(request) or detail.Unpack(retry)
    wait = retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None
    return info.reason, [violation.field for violation in request.field_violations], wait


def patiently(method, request):
    """Calls, and where the caller is over its rate, waits for as long as the service asks and calls again."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return method(request, timeout=DEADLINE)
        except grpc.RpcError as error:
            _, _, wait = details(error)
            limited = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and wait is not None
            if not limited or time.monotonic() + wait > until:
                raise
            time.sleep(wait)


def main():
    with connect() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        # Waits for the service where it is not there yet: for the start of a program, not for its calls later on.
        service = health_pb2.HealthCheckRequest(service="countersign.v1.LiveAuthService")
        answer = health.Check(service, timeout=PATIENCE, wait_for_ready=True)
        print("health:", health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

        liveauth = liveauth_pb2_grpc.LiveAuthServiceStub(channel)
        mint = liveauth_pb2.MintHashRequest(domain="jobs.example.com", client=42, ttl=60)
        minted = patiently(liveauth.MintHash, mint)
        print("minted:", minted.query)

        # What an end user presents goes to the service as it came, as text.
        presented = liveauth_pb2.VerifyHashRequest(
            domain="jobs.example.com", client="42", expires=str(minted.expires), hash=minted.hash)
        verified = patiently(liveauth.VerifyHash, presented)
        print("verified:", verdict_pb2.Verdict.Name(verified.verdict))

        hub = hub_token_pb2_grpc.HubTokenServiceStub(channel)
        sealed = patiently(hub.Seal, hub_token_pb2.SealRequest(
            app="acme-contacts", username="jane@example.com", payload=b"an OAuth token", ttl=3600))

        # A verdict is an answer, not an error: a token of another user's is WRONG_CONTEXT, with status OK.
        for username in ("jane@example.com", "john@example.com"):
            opened = patiently(hub.Open, hub_token_pb2.OpenRequest(
                app="acme-contacts", auth=sealed.auth, username=username))
            if opened.verdict == verdict_pb2.VERDICT_VALID:
                print(f"opened for {username}: {len(opened.payload)} bytes")
            else:
                print(f"not opened for {username}:", verdict_pb2.Verdict.Name(opened.verdict))

        # An error is the caller's fault or the service's: here, the caller asks for more than it may.
        try:
            mint.ttl = 1_000_000
            patiently(liveauth.MintHash, mint)
        except grpc.RpcError as error:
            reason, fields, _ = details(error)
            print(f"refused: {error.code().name}, {reason}, {', '.join(fields)}")


main()
