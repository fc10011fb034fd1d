import base64

import pytest
from standardwebhooks import Webhook

from notifications.transports.signing import check_secret, new_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EXAMPLE = {
    "message_id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": 1614265330,
    "body": b'{"test": 2432232314}',
}


def test_the_public_vector_is_reproduced():
    assert sign([SECRET], **EXAMPLE) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "unpadded", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwB1==", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr"]
)
def test_a_secret_signs_the_same_with_and_without_its_padding(unpadded):
    assert sign([unpadded.rstrip("=")], **EXAMPLE) == sign([unpadded], **EXAMPLE)


def test_each_secret_adds_an_entry_after_exactly_one_space():
    old, new = new_secret(), new_secret()
    first, second = sign([new, old], **EXAMPLE).split(" ")
    assert (first, second) == (sign([new], **EXAMPLE), sign([old], **EXAMPLE))


def test_a_new_secret_has_32_random_bytes_and_verifies_with_another_library():
    secret = new_secret()
    assert len(check_secret(secret)) == 32
    assert secret != new_secret()
    assert Webhook(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "plain-secret",
        "whsec_",
        "whsec_%%%",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        base64.b64encode(b"x" * 32).decode(),
    ],
)
def test_a_secret_of_the_wrong_form_is_refused_without_being_shown(secret):
    with pytest.raises(ValueError, match="A signing secret is whsec_") as caught:
        check_secret(secret)
    assert secret not in str(caught.value) or secret == "whsec_"


@pytest.mark.parametrize("length", [24, 64])
def test_the_shortest_and_the_longest_secret_are_taken(length):
    assert check_secret("whsec_" + base64.b64encode(b"x" * length).decode()) == b"x" * length
