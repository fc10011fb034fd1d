"""What we sign verifies with the libraries that receivers use."""

import base64
import json
import os
import random
import shutil
import subprocess
import time

import pytest
import standardwebhooks
import svix.webhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from notifications.transports.signing import (
    check_key_pair,
    new_key_pair,
    new_secret,
    public_key,
    sign,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY_PAIR = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
EXAMPLE = {
    "message_id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": 1614265330,
    "body": b'{"test": 2432232314}',
}
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
BODIES = 10_000
NPM = "standardwebhooks@1.1.1"
NODE = """
const { Webhook } = require("standardwebhooks");
const lines = require("fs").readFileSync(0, "utf8").split("\\n").filter(Boolean).map(JSON.parse);
const webhook = new Webhook(process.argv[1]);
let verified = 0;
for (const { headers, body } of lines) { webhook.verify(body, headers); verified += 1; }
try { webhook.verify(lines[0].body + " ", lines[0].headers); } catch (error) { console.log(verified); }
"""


def test_the_public_vectors_are_reproduced():
    assert sign([SECRET, KEY_PAIR], **EXAMPLE) == f"{V1} {V1A}"
    assert public_key(KEY_PAIR) == PUBLIC


def test_a_new_key_pair_signs_what_its_public_half_verifies():
    pair = new_key_pair()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key(pair).removeprefix("whpk_")))
    version, _, signature = sign([pair], **EXAMPLE).partition(",")
    assert version == "v1a"
    key.verify(base64.b64decode(signature), b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}')
    with pytest.raises(InvalidSignature):
        key.verify(
            base64.b64decode(signature), b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232315}'
        )


@pytest.mark.parametrize(
    "pair", ["whsk_", SECRET, KEY_PAIR.removeprefix("whsk_"), KEY_PAIR[:-8] + "AAAAAA==", "whsk_%%%"]
)
def test_a_key_pair_whose_halves_do_not_belong_together_is_refused_without_being_shown(pair):
    with pytest.raises(ValueError, match="A signing key pair is whsk_") as caught:
        check_key_pair(pair)
    assert pair == "whsk_" or pair not in str(caught.value)


@pytest.fixture(scope="module")
def signed():
    """So many bodies, each signed by a v1 secret and a key pair, as requests."""
    chance = random.Random(4)
    secret, pair, now = new_secret(), new_key_pair(), int(time.time())
    requests = []
    for number in range(BODIES):
        body = json.dumps(_value(chance, 3), ensure_ascii=chance.random() < 0.5)
        signature = sign([secret, pair], message_id=f"dlv_{number}", timestamp=now, body=body.encode())
        headers = {
            "webhook-id": f"dlv_{number}",
            "webhook-timestamp": str(now),
            "webhook-signature": signature,
        }
        requests.append({"headers": headers, "body": body})
    return secret, pair, requests


def _value(chance, depth):
    kind = chance.randrange(8 if depth else 6)
    if kind == 0:
        return chance.choice([None, True, False, "", 0])
    if kind == 1:
        return chance.randrange(-(10 ** chance.randrange(1, 40)), 10 ** chance.randrange(1, 40))
    if kind == 2:
        return round(chance.uniform(-1e12, 1e12), chance.randrange(6))
    if kind <= 5:
        # Every plane of Unicode, without the surrogates, which no UTF-8 has.
        points = (
            chance.choice([chance.randrange(0x80), chance.randrange(0xD800), 0x1F4B6]) for _ in range(12)
        )
        return "".join(map(chr, points))
    if kind == 6:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {f"k{number}ë": _value(chance, depth - 1) for number in range(chance.randrange(1, 5))}


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.webhooks.Webhook])
def test_ten_thousand_bodies_verify_with_the_libraries_for_python(signed, library):
    secret, _, requests = signed
    webhook = library(secret)
    verified = [webhook.verify(each["body"], each["headers"]) is not ... for each in requests]
    assert verified == [True] * BODIES
    with pytest.raises(Exception, match="signature"):
        webhook.verify(requests[0]["body"] + " ", requests[0]["headers"])


def test_ten_thousand_bodies_verify_by_ed25519(signed):
    _, pair, requests = signed
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key(pair).removeprefix("whpk_")))
    for each in requests:
        headers = each["headers"]
        _, _, signature = headers["webhook-signature"].partition(" v1a,")
        key.verify(
            base64.b64decode(signature),
            f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{each['body']}".encode(),
        )


def test_ten_thousand_bodies_verify_with_the_library_for_javascript(signed, tmp_path):
    node, npm = shutil.which("node"), shutil.which("npm")
    must = os.environ.get("CI") == "true" and node
    if not (node and npm):
        (pytest.fail if must else pytest.skip)("node and npm are not installed")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    install += ["--prefix", str(tmp_path), "--cache", str(tmp_path / "cache"), NPM]
    try:
        subprocess.run(install, check=True, capture_output=True, timeout=60, text=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        (pytest.fail if must else pytest.skip)(f"{NPM} cannot be installed: {error.stderr}")
    secret, _, requests = signed
    lines = "\n".join(json.dumps(each) for each in requests)
    ran = subprocess.run(
        [node, "-e", NODE, secret],
        check=False,
        input=lines,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert (ran.stdout.strip(), ran.stderr) == (str(BODIES), "")
