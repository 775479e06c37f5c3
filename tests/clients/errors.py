"""Reads an error of the Connect protocol, and the two google.rpc messages that ours carry, with no library."""

import base64

from scenario import Failed, Refused

# What the protocol prescribes for each code.
STATUS = {
    "canceled": 499, "unknown": 500, "invalid_argument": 400, "deadline_exceeded": 504, "not_found": 404,
    "already_exists": 409, "permission_denied": 403, "resource_exhausted": 429, "failed_precondition": 400,
    "aborted": 409, "out_of_range": 400, "unimplemented": 501, "internal": 500, "unavailable": 503, "data_loss": 500,
    "unauthenticated": 401,
}


def fields(message):
    """The fields of a protobuf message as (number, value): bytes for the length-delimited, else numbers."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        value = varint()
        if key & 7 == 2:
            value, at = message[at : at + value], at + value
        elif key & 7 != 0:
            raise Failed(f"wire type {key & 7} in an error detail")
        yield key >> 3, value


def first(message, number):
    return next((value for key, value in fields(message) if key == number), b"")


def refusal(status, error):
    """The `Refused` for this HTTP status and this error body; fails where the body is not as the protocol says."""
    code = error.get("code")
    if code not in STATUS:
        raise Failed(f"HTTP {status} with code {code!r}")
    # An unknown path is 404 by the protocol, and so is its code's status in older texts.
    if status != STATUS[code] and (code, status) not in {("unimplemented", 404), ("resource_exhausted", 413)}:
        raise Failed(f"code {code} with HTTP {status}, want {STATUS[code]}")
    reason, field = "", ""
    for detail in error.get("details", []):
        text = detail["value"]
        if "=" in text:
            raise Failed("an error detail is padded base64; the protocol says unpadded")
        told = meaning(detail["type"], base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
        reason, field = reason or told[0], field or told[1]
    return Refused(code.upper().replace("CANCELED", "CANCELLED"), reason, field, error.get("message", ""))


def meaning(name, value):
    """The reason and the field that a detail of this type tells; empty where it tells none."""
    if name == "google.rpc.ErrorInfo":
        return first(value, 1).decode(), ""
    if name == "google.rpc.BadRequest":
        return "", first(first(value, 1), 1).decode()
    return "", ""
