"""Checks chain and seals of a journal as docs/formats.md describes them. Standard library only.

Usage: verify.py FILE... with the seal key, in hexadecimal, on standard input."""

import hashlib
import hmac
import json
import re
import struct
import sys

SEALED = {"opening", "seal", "closing"}
START = re.compile(rb'\{"seq":(0|[1-9][0-9]*),"prev":"([0-9a-f]{64})","time":(-?[0-9]+),"kind":"([a-z]+)"')


def framed(label: bytes, document: bytes) -> bytes:
    return struct.pack(">H", len(label)) + label + struct.pack(">I", len(document)) + document


def main() -> None:
    key = bytes.fromhex(sys.stdin.read().strip())
    seq, prev, kind, seals = 0, bytes(32), None, 0
    for path in sys.argv[1:]:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{path}: line {number}"
                if not line.endswith(b"\n"):
                    sys.exit(f"{where}: torn")
                line = line[:-1]
                start = START.match(line)
                if not start:
                    sys.exit(f"{where}: no record")
                record = json.loads(line)
                due = number == 1 or kind == "closing"
                kind = record["kind"]
                if due and kind != "opening":
                    sys.exit(f"{where}: an opening record is due")
                first = seq == 0 and record["seq"] > 1
                if not first and (record["seq"] != seq + 1 or record["prev"] != prev.hex()):
                    sys.exit(f"{where}: does not follow")
                if kind in SEALED:
                    body, mac = line.rsplit(b',"mac":"', 1)
                    expected = hmac.new(key, framed(b"countersign/journal/seal", body), hashlib.sha256).hexdigest()
                    if not hmac.compare_digest(mac, expected.encode() + b'"}'):
                        sys.exit(f"{where}: bad seal")
                    seals += 1
                seq = record["seq"]
                prev = hashlib.sha256(framed(b"countersign/journal/record", line)).digest()
    if kind != "closing":
        sys.exit("no closing record")
    print(f"ok: records to {seq}, {seals} seals")


main()
