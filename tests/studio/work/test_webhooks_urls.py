"""Which callback URLs are taken, in what form, and how long to wait between tries."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stemwright.errors import CallbackUrlError
from stemwright.studio.outbound import check_url
from stemwright.studio.work.webhooks import LONGEST_BACKOFF, backoff


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://hooks.example/a?b=c", "https://hooks.example/a?b=c"),
        ("HTTPS://Hooks.Example:8443", "https://hooks.example:8443"),
        ("http://hooks.example:80/x#part", "http://hooks.example/x"),
        ("http://müller.example/ü", "http://xn--mller-kva.example/%C3%BC"),
        ("http://[2001:db8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://10.0.0.1/", "http://10.0.0.1/"),
        ("http://my_service:3000/callback", "http://my_service:3000/callback"),
        ("http://h/?to=me@example.org", "http://h/?to=me@example.org"),
    ],
)
def test_good_urls_are_put_into_one_form(url: str, normal: str) -> None:
    assert check_url(url) == normal


BAD = ["", "hooks.example", "//hooks.example/", "/x", "ftp://h/", "file:///etc/passwd", "javascript:alert(1)", "http://",
       "http:///x", "http:h", "http://:80/", "http://h:0/", "http://h:65536/", "http://h:-1/", "http://h:x/", "http://h:/",
       "http://h:1_0/", "http://h:８０/", "http://u@h/", "http://u:p@h/", "http://@h/", "http://a@b@h/", "http://h\\@evil/",
       "http://h/\\x", "http://a b/", " http://h/", "http://h/ ", "http://h/\r\nX: y", "http://h/\x00", "http://h/\x7f",
       "http://h/\u2028", "http://h/\u202e", "http://h/\ud800", "http://a..b/", "http://-a/", "http://*/", "http://a%00b/",
       "http://%31%32%37.0.0.1/", "http://[::1", "http://[::1%25eth0]/", "http://[1.2.3.4]/", "http://[v1.x]/",
       "http://::1/", "http://１２７.0.0.1/", "http://" + "a" * 64 + ".com/", "http://h/" + "a" * 2048,
       "http://h/" + "ü" * 1000, "http://xn--/", "http://xn--\u0661/"]  # fmt: skip


@pytest.mark.parametrize("url", BAD)
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(CallbackUrlError) as caught:
        check_url(url)
    assert (caught.value.code, caught.value.status) == ("bad_callback_url", 422)
    assert "u:p" not in caught.value.message


@given(st.text(max_size=40).map("http://".__add__) | st.text("htps:/@[]\\.%#?0123456789aé。 \n-_", max_size=30))
@example("http://xn--a.example/")
def test_any_text_is_a_url_of_one_form_or_refused(text: str) -> None:
    try:
        normal = check_url(text)
    except CallbackUrlError:
        return
    assert check_url(normal) == normal
    assert normal.isascii()
    assert "@" not in normal.split("/")[2].split("?")[0]


# Waiting


@given(st.integers(1, 10**6), st.randoms(use_true_random=False))
def test_waits_grow_fivefold_up_to_ten_minutes(attempt: int, random: Random) -> None:
    wait = backoff(attempt, random.random)
    about = 5.0 ** (min(attempt, 5) - 1)
    assert 0.75 * min(about, 480) <= wait <= min(1.25 * about, LONGEST_BACKOFF)


def test_waits_differ() -> None:
    random = Random(1)
    assert len({backoff(9, random.random) for _ in range(100)}) == 100
