"""Drives `buf curl` through the scenario. Started by buf.sh, in the folder that holds proto/."""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from errors import STATUS, refusal  # noqa: E402
from scenario import Failed, Scenario  # noqa: E402


def client(target, version):
    def call(service, method, request):
        command = ["buf", "curl", "--protocol", "connect", "--schema", "proto", "--timeout", "20s", *version, "-d", "@-"]
        base = f"http://{target}"
        if target.startswith("unix:"):
            command += ["--unix-socket", target.removeprefix("unix:")]
            base = "http://localhost"
        done = subprocess.run(
            [*command, f"{base}/{service}/{method}"],
            input=json.dumps(request), capture_output=True, text=True, timeout=60, check=False,
        )
        if done.returncode == 0:
            return json.loads(done.stdout)
        try:
            # buf prints the error as Connect's JSON, whatever the codec was, and exits with 8 times the code.
            error = json.loads(done.stderr[done.stderr.index("{") :])
        except ValueError:
            raise Failed(f"buf exited with {done.returncode}: {done.stderr.strip()}") from None
        raise refusal(STATUS.get(error.get("code"), 0), error)

    return call


for address in sys.argv[1:]:
    for name, option in {"HTTP/1.1": [], "HTTP/2": ["--http2-prior-knowledge"]}.items():
        Scenario(f"buf curl {name} {address}", client(address, option)).run()
