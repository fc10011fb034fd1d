import pytest
from django.core.exceptions import ValidationError

from notifications.endpoint_url import join, normalise_base_url, validate_base_url, validate_path


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("https://billing.example.com", "https://billing.example.com"),
        ("https://billing.example.com/", "https://billing.example.com/"),
        ("HTTPS://Billing.Example.COM/Hooks", "https://billing.example.com/Hooks"),
        ("https://bücher.example/é", "https://xn--bcher-kva.example/%C3%A9"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://a.test/a%20b;c=1/@x", "https://a.test/a%20b;c=1/@x"),
    ],
)
def test_a_good_base_url_is_stored_normalised(written, stored):
    validate_base_url(written)
    assert normalise_base_url(written) == stored
    assert normalise_base_url(stored) == stored


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://a.test", "scheme"),
        ("a.test", "scheme"),
        ("", "scheme"),
        ("https:a.test", "scheme"),
        ("https:/a.test", "scheme"),
        ("ftp://a.test", "scheme"),
        ("javascript:alert(1)//https://", "scheme"),
        ("https://a.test:443", "port"),
        ("https://a.test:8443/x", "port"),
        ("https://a.test:", "port"),
        ("https://a.test:x", "port"),
        ("https://[::1]:443", "port"),
        ("https://user@a.test", "userinfo"),
        ("https://user:pw@a.test", "userinfo"),
        ("https://a.test:443@b.test", "userinfo"),
        ("https://a.test/#x", "fragment"),
        ("https://a.test#", "fragment"),
        ("https://a.test?x=1", "query"),
        ("https://a.test/?", "query"),
        ("https://", "host"),
        ("https:///x", "host"),
        ("https://a..test", "host"),
        ("https://-a.test", "host"),
        ("https://a_b.test", "host"),
        ("https://*.test", "host"),
        ("https://a%2etest", "host"),
        ("https://" + "a" * 64 + ".test", "host"),
        ("https://1.2.3.4.5", "host"),
        ("https://[::1", "host"),
        ("https://127.0.0.1", "ip_literal"),
        ("https://8.8.8.8", "ip_literal"),
        ("https://2130706433", "ip_literal"),
        ("https://0x7f.1", "ip_literal"),
        ("https://0177.0.0.1", "ip_literal"),
        ("https://127.0.0.1.", "ip_literal"),
        ("https://\uff11\uff12\uff17.0.0.1", "ip_literal"),
        ("https://[::1]", "ip_literal"),
        ("https://[::ffff:127.0.0.1]/x", "ip_literal"),
        ("https://a.test/ x", "characters"),
        (" https://a.test", "characters"),
        ("https://a.test\n", "characters"),
        ("https://a.test/\x00", "characters"),
        ("https://a.test/\u200b", "characters"),
        ("https://a.test/%zz", "characters"),
        ("https://a.test\\@b.test", "backslash"),
        ("https://a.test/a/../b", "detour"),
        ("https://a.test/%2e%2E/b", "detour"),
        ("https://a.test//b", "detour"),
        ("https://a.test/" + "x" * 2034, "length"),
        ("https://a.test/" + "é" * 400, "length"),
    ],
)
def test_a_bad_base_url_is_refused_with_its_reason(url, code):
    with pytest.raises(ValidationError) as caught:
        validate_base_url(url)
    assert caught.value.code == code
    assert caught.value.message.endswith((".", "%25.", "out.", "signed instead."))


def test_2048_characters_are_the_most():
    longest = "https://a.test/" + "x" * 2033
    assert len(longest) == 2048
    validate_base_url(longest)
    with pytest.raises(ValidationError, match="2,049 characters; at most 2,048"):
        validate_base_url(longest + "x")


def test_an_address_in_an_opened_network_is_taken(settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["10.0.0.0/8", "fd00::/8"]
    validate_base_url("https://10.1.2.3/x")
    assert normalise_base_url("https://0x0a010203/") == "https://10.1.2.3/"
    assert normalise_base_url("https://[FD00:0::1]/") == "https://[fd00::1]/"
    with pytest.raises(ValidationError):
        validate_base_url("https://192.168.0.1")


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://a.test", "", "https://a.test"),
        ("https://a.test", "/hooks", "https://a.test/hooks"),
        ("https://a.test/", "/hooks", "https://a.test/hooks"),
        ("https://a.test/base/", "hooks/x", "https://a.test/base/hooks/x"),
        (
            "https://a.test/base",
            "/hooks/?k=v&u=http://x/..//",
            "https://a.test/base/hooks/?k=v&u=http://x/..//",
        ),
        ("https://a.test", "?k=v", "https://a.test?k=v"),
        ("https://a.test", "/é/%2F", "https://a.test/%C3%A9/%2F"),
    ],
)
def test_a_path_is_joined_below_the_base(base, path, url):
    assert join(base, path) == url


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("//evil.test/x", "host"),
        ("https://evil.test/x", "host"),
        ("/../x", "detour"),
        ("..", "detour"),
        ("/a/%2e%2e/x", "detour"),
        ("/a/%252e%252e/x", "detour"),
        ("/a/..%2fx", "detour"),
        ("/a//x", "detour"),
        ("/a/%5c../x", "detour"),
        ("/a\\x", "backslash"),
        ("/a#x", "fragment"),
        ("/a b", "characters"),
        ("/a\r\nHost: x", "characters"),
        ("/%", "characters"),
        ("/" + "x" * 2048, "length"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path, code):
    with pytest.raises(ValidationError) as caught:
        validate_path(path)
    assert caught.value.code == code
    with pytest.raises(ValidationError):
        join("https://a.test", path)
