from datetime import UTC, datetime

import time_machine
from django.core import signing

from notifications import opt_out


def token_of(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


@time_machine.travel(datetime(2026, 11, 23, 9, 30, tzinfo=UTC), tick=False)
def test_a_link_is_what_signing_makes_of_it(settings):
    settings.BASE_URL = "https://notify.example.test/"

    link = opt_out.link(7, "Reader@Example.com")

    token = signing.dumps([7, "reader@example.com"], salt="notifications.opt_out")
    assert link == f"https://notify.example.test/unsubscribe/{token}/"


def test_a_link_outlives_the_key_that_signed_it_and_new_ones_have_the_new_key(settings):
    old = token_of(opt_out.link(7, "reader@example.com"))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10

    assert opt_out.read(old) == opt_out.Wish(7, "reader@example.com")

    new = token_of(opt_out.link(7, "reader@example.com"))
    settings.SECRET_KEY_FALLBACKS = []
    assert (opt_out.read(old), opt_out.read(new)) == (None, opt_out.Wish(7, "reader@example.com"))
