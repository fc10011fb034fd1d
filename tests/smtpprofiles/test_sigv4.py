"""Signatures of Amazon's published test suite, signed again."""

from datetime import UTC, datetime

import pytest
import requests
import time_machine

from smtpprofiles.sigv4 import Sigv4

KEY = {"key_id": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
HOST = "https://example.amazonaws.com"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "signature"),
    [
        ("GET", f"{HOST}/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", f"{HOST}/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", f"{HOST}/ሴ", {}, b"", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        (
            "GET",
            f"{HOST}/?Param2=value2&Param1=value1",
            {},
            b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            f"{HOST}/",
            FORM,
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "POST",
            f"{HOST}/",
            {"My-Header1": "VALUE1"},
            b"",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ),
    ],
)
def test_the_vectors_of_amazon_are_signed_as_published(method, url, headers, body, signature):
    signed = Sigv4(**KEY, region="us-east-1", service="service").headers(
        method, url, headers=headers, body=body, at=AT
    )
    assert signed["Authorization"].rpartition("Signature=")[2] == signature
    assert signed["X-Amz-Date"] == "20150830T123600Z"


def test_the_published_call_of_iam_is_signed_as_published():
    # The worked example of the AWS General Reference, with its signing key.
    signer = Sigv4(**KEY, region="us-east-1", service="iam")
    assert signer.key("20150830").hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    signed = signer.headers(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        body=b"",
        at=AT,
    )
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_a_request_is_signed_as_it_goes_out_and_names_its_session():
    signer = Sigv4(**KEY, token="session", region="us-east-1", service="service")
    with time_machine.travel(AT, tick=False):
        request = requests.Request("POST", f"{HOST}/", headers=FORM, data=b"Param1=value1", auth=signer)
        prepared = request.prepare()
    again = signer.headers("POST", f"{HOST}/", headers=FORM, body=b"Param1=value1", at=AT)
    assert {name: prepared.headers[name] for name in again} == again
    assert "content-type;host;x-amz-date;x-amz-security-token" in again["Authorization"]
    assert KEY["secret"] not in repr(signer)
