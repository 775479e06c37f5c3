"""Makes hat1_bodies.json: a second implementation of the format, on Python's `cryptography`, that shares no code with
ours and can also seal bodies that ours would never write. Run it as `python3 hat1_bodies.py > hat1_bodies.json`."""

import base64
import hashlib
import hmac
import json
import zlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

KEY = bytes(range(0x60, 0x80))
SALT = bytes(range(0x40, 0x58))
GRANT = bytes(range(0xA0, 0xB0))
APP, IAT, EXP = "acme-contacts", 1700000000, 1707776000
USER, LOGIN = "jo.döe@example.com", "login token \u2603"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def mac(message):
    return hmac.new(KEY, message, hashlib.sha256).digest()


def lp(part):
    return len(part).to_bytes(2, "big") + part


def entry(tag, value):
    return bytes([tag]) + lp(value)


def label(name, value):
    return entry(3, lp(name.encode()) + lp(value.encode()))


def body(payload, claims, kind=0, version=1, iat=IAT, exp=EXP):
    fixed = bytes([version, kind]) + iat.to_bytes(8, "big") + exp.to_bytes(8, "big") + GRANT
    return fixed + lp(payload) + lp(claims)


def pad(plain, to=0):
    size = max(len(plain), to)
    return plain + bytes(48 * (size // 48) + 47 - len(plain))


def token(suite, plaintext, username=None, login=None, purpose="hub-auth"):
    kid = mac(b"\0\0\0\1hat1/kid\0" + bytes([suite]) + (64).to_bytes(4, "big"))[:8]
    header = bytes([suite, (username is not None) + 2 * (login is not None)]) + kid + SALT
    context = b"hat1_" + header + lp(APP.encode()) + lp(purpose.encode())
    block = lambda i: mac(i.to_bytes(4, "big") + b"hat1/seal\0" + context + (512).to_bytes(4, "big"))
    aad = context
    if username is not None:
        aad += lp(username.encode())
    if login is not None:
        aad += hashlib.sha256(login.encode()).digest()
    aead = {1: AESGCM, 2: ChaCha20Poly1305}[suite](block(1))
    sealed = header + block(2) + aead.encrypt(SALT[12:], plaintext, aad)
    text = "hat1_" + base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    crc, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        crc, digit = divmod(crc, 62)
        digits = DIGITS[digit] + digits
    return text + digits


def good(name, suite, payload, claims, kind=0, pad_to=0, exp=EXP, username=None, login=None, purpose="hub-auth", **says):
    plaintext = pad(body(payload, claims, kind, exp=exp), pad_to)
    return {
        "name": name, "suite": suite, "purpose": purpose, "username": username, "hub_login_token": login, "kind": kind,
        "payload": payload.hex(), "claims": claims.hex(), "exp": exp, "pad_to": pad_to,
        "hub_origin": says.get("hub_origin"), "reseal_count": says.get("reseal_count", 0), "labels": says.get("labels", []),
        "ours_to_write": says.get("ours_to_write", True), "token": token(suite, plaintext, username, login, purpose),
    }


def bad(name, plaintext):
    return {"name": name, "suite": 1, "token": token(1, plaintext, USER)}


ORIGIN = "https://core.broadsoftlabs.com"
LABELS = [["tenant", "7"], ["tenant", ""], ["städte", "Zürich"]]
CLAIMS = entry(1, ORIGIN.encode()) + entry(2, (2).to_bytes(4, "big")) + b"".join(label(*pair) for pair in LABELS)
SAYS = {"hub_origin": ORIGIN, "reseal_count": 2, "labels": LABELS}
FULL = body(b"payload", CLAIMS)

print(json.dumps({
    "source": "hat1_bodies.py",
    "inputs_common": {"key": KEY.hex(), "salt": SALT.hex(), "app": APP, "iat": IAT, "grant_id": GRANT.hex()},
    "opens": [
        good("bound_to_user_and_login_with_all_claims", 1, b'{"a":1}', CLAIMS, 4, 200, username=USER, login=LOGIN, **SAYS),
        good("bound_to_a_login_alone", 2, bytes(48), b"", 3, login=LOGIN),
        good("an_unknown_tag_is_ignored", 2, b"p", CLAIMS + entry(77, b"new"), username=USER, ours_to_write=False, **SAYS),
        good("the_largest_payload_and_claims", 1, bytes(range(256)) * 16, entry(77, bytes(1021)), username=USER, ours_to_write=False),
        good("a_login_state_that_never_expires", 1, b"state", b"", exp=0, purpose="hub-login"),
        good("padded_to_the_longest_token", 2, b"", b"", 0, 6047, username=USER),
    ],
    "malformed": [
        bad("body_version_0", pad(body(b"p", b"", version=0))),
        bad("body_version_2", pad(body(b"p", b"", version=2))),
        bad("an_unknown_kind", pad(body(b"p", b"", kind=5))),
        bad("an_issue_time_above_63_bits", pad(body(b"p", b"", iat=1 << 63))),
        bad("an_expiry_above_63_bits", pad(body(b"p", b"", exp=1 << 63))),
        bad("a_payload_longer_than_the_body", pad(body(b"", b""))[:34] + b"\xff\xff" + bytes(11)),
        bad("claims_longer_than_the_body", pad(body(b"", b""))[:36] + b"\x00\x0a" + bytes(9)),
        bad("a_payload_of_4097_bytes", pad(body(bytes(4097), b""))),
        bad("claims_of_1025_bytes", pad(body(b"", entry(77, bytes(1022))))),
        bad("padding_that_is_not_zero", pad(FULL)[:-1] + b"\1"),
        bad("padding_that_starts_with_a_one", pad(body(b"p", b"") + b"\1")),
        bad("tags_that_descend", pad(body(b"p", entry(2, bytes(4)) + entry(1, b"https://h")))),
        bad("two_origins", pad(body(b"p", entry(1, b"https://h") * 2))),
        bad("two_entries_of_an_unknown_tag", pad(body(b"p", entry(77, b"") * 2))),
        bad("a_count_of_3_bytes", pad(body(b"p", entry(2, bytes(3))))),
        bad("a_label_with_a_tail", pad(body(b"p", entry(3, lp(b"n") + lp(b"v") + b"\0")))),
        bad("a_label_that_is_not_utf8", pad(body(b"p", entry(3, lp(b"n") + lp(b"\xff"))))),
        bad("an_origin_that_is_not_ascii", pad(body(b"p", entry(1, "https://hüb".encode())))),
        bad("claims_cut_off", pad(body(b"p", entry(1, b"https://h")[:-1]))),
    ],
}, indent=1, ensure_ascii=False))
