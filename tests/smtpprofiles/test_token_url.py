import pytest
from django.core.exceptions import ValidationError

from smtpprofiles.token_url import validate_token_url


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com/oauth2/token",
        "https://login.example.com:8443/realms/billing/token?tenant=7",
        "https://xn--bcher-kva.example/token",
        "https://login.example.com/" + "a" * 2022,
    ],
)
def test_a_token_url_may_have_a_port_and_a_query(url):
    validate_token_url(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://login.example.com/", "starts with https://"),
        ("https:///token", "host or port"),
        ("https://login.example.com/" + "a" * 2023, "at most 2,048"),
        ("https://user:pw@login.example.com/", "no user name or password"),
        ("https://login.example.com/#x", "fragment"),
        ("https://login.example.com:0/", "Port 0"),
        ("https://login.example.com:99999/", "host or port"),
        ("https://1.2.3.4.5/", "host or port"),
        ("https://login.example.com/a b", "a space"),
        ("https://login.example.com\\@x/", "backslash"),
        ("https://bücher.example/", "ASCII"),
    ],
)
def test_a_token_url_at_fault_is_refused_with_the_remedy(url, words):
    with pytest.raises(ValidationError, match=words):
        validate_token_url(url)
