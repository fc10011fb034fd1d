"""The text of a mail, read back by Python's own parser."""

import email.policy
from email import message_from_bytes

import pytest

from notifications import mime

HEADERS = [("Subject", "Hi"), ("From", "Billing <b@example.com>"), ("To", "ada@example.com")]


def plain(content: str) -> str:
    return content.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def read(text: str):
    return message_from_bytes(text.encode(), policy=email.policy.default)


@pytest.mark.parametrize(
    "words",
    ["Hello\nthere", "Grüße €\n", "=_bellwether_of_parts\n--=_bellwether_of_parts--", "x" * 5000, ".\n..\nend",
     "trailing \t\nspace ", "", "From here\n", "a\r\nb\rc", "\x0c= =3D"],
)  # fmt: skip
def test_both_parts_come_back_as_they_were(words):
    parsed = read(mime.write(HEADERS, text=words, html=f"<p>{words}</p>"))
    assert not parsed.defects
    assert plain(parsed.get_body(("plain",)).get_content()) == plain(words)
    assert plain(parsed.get_body(("html",)).get_content()) == plain(f"<p>{words}</p>")
    alone = read(mime.write(HEADERS, text=words))
    assert plain(alone.get_content()) == plain(words)
    assert alone.get_content_type() == "text/plain"


@pytest.mark.parametrize(
    "subject", ["Invoice 1", "Rechnung für Ada", "long " * 80, "ü" * 300, "tab\there", ""]
)
def test_a_subject_comes_back_as_it_was(subject):
    text = mime.write([("Subject", subject), *HEADERS[1:]], text="x")
    assert " ".join(read(text)["Subject"].split()) == " ".join(subject.split())
    assert text.isascii()
    assert max(len(line) for line in text.split("\r\n")) <= 998


def test_a_long_url_stays_in_one_piece():
    value = f"<https://bellwether.example/unsubscribe/{'aZ09-_:' * 100}/>"
    text = mime.write([*HEADERS, ("List-Unsubscribe", value)], text="x")
    assert f"\r\nList-Unsubscribe: {value}\r\n" in text
    assert read(text)["List-Unsubscribe"] == value


@pytest.mark.parametrize("value", ["a\r\nBcc: eve@example.com", "a\nb", "a\rb"])
def test_a_line_break_never_starts_another_header(value):
    with pytest.raises(ValueError, match="line break"):
        mime.write([("Subject", value)], text="x")


@pytest.mark.parametrize(
    ("name", "address", "shown"),
    [
        ("", "ada@example.com", "ada@example.com"),
        ("Ada", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ('Ada "the first", Ltd.', "ada@example.com", "ada@example.com"),
        ("Grüße & Co", "ada@example.com", "ada@example.com"),
    ],
)
def test_an_address_comes_back_with_its_name(name, address, shown):
    text = mime.write([("From", mime.mailbox(address, name))], text="x")
    [found] = read(text)["From"].addresses
    assert (found.display_name, found.addr_spec) == (name, shown)
    assert text.isascii()


def test_letters_before_the_at_stay_as_they_are():
    text = mime.write([("To", mime.mailbox("ädä@example.com"))], text="x")
    assert "To: ädä@example.com\r\n" in text


@pytest.mark.parametrize(
    "address", ["a b@example.com", "a@example.com\r\nBcc: x@y.example", "nobody", "<a@b.example>"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="address"):
        mime.mailbox(address)
