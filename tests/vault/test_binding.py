"""A secret goes to the server it was given to, and to the one origin, and to nobody else."""

from __future__ import annotations

import pytest

from roundhouse.errors import BadConfiguration
from roundhouse.vault.binding import Binding, may_use, origin_of

GIT = Binding("GIT_TOKEN", "git")
REMOTE = Binding("API_TOKEN", "remote", "https://api.example.com:443")


def test_its_own_server_may_use_it() -> None:
    assert may_use(GIT, "git") is None
    assert may_use(REMOTE, "remote", origin_of("https://API.example.com/other/path?x=1")) is None


@pytest.mark.parametrize(
    ("secret", "server", "origin", "said"),
    [
        (GIT, "thief", None, "was given to the server 'git', not to 'thief'"),
        (GIT, "git", "https://evil.example:443", "would be sent to https://evil.example:443"),
        (REMOTE, "remote", "https://evil.example:443", "to be sent to https://api.example.com:443, and now"),
        (REMOTE, "remote", "http://api.example.com:80", "http://api.example.com:80"),
        (REMOTE, "remote", "https://api.example.com:8443", "https://api.example.com:8443"),
        (REMOTE, "remote", None, "would go to a process"),
        (Binding("NEW", None), "git", None, "given to no server yet"),
    ],
)
def test_anybody_and_anywhere_else_is_refused_with_the_reason(
    secret: Binding, server: str, origin: str | None, said: str
) -> None:
    reason = may_use(secret, server, origin)
    assert reason
    assert secret.name in reason
    assert said in reason


def test_the_reason_says_how_a_person_can_allow_it() -> None:
    reason = may_use(REMOTE, "remote", "https://new.example:443")
    assert reason
    assert "`roundhouse secret set API_TOKEN --server remote`" in reason


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.com", "https://example.com:443"),
        ("HTTP://Example.COM.:80/x", "http://example.com:80"),
        ("https://user:pw@example.com/x", "https://example.com:443"),
        ("https://user:${secret:PW}@example.com/x", "https://example.com:443"),
        ("https://example.com/ä?ö=ü", "https://example.com:443"),
        ("https://example.com/${secret:KEY}?a={b}", "https://example.com:443"),
        ("https://good.example@evil.example/", "https://evil.example:443"),
        ("https://[::1]:8080/", "https://[::1]:8080"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example:443"),
        ("wss://example.com/", "wss://example.com:443"),
    ],
)
def test_an_origin_is_scheme_host_and_port_in_one_spelling(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "//example.com",
        "example.com",
        "ftp://example.com:21/",
        "https:///path",
        "https://example.com:port/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://exa\tmple.com/",
        "\x01https://example.com/",
        "https://example.com/\r\nHost: evil.example",
        "https://good.example\\@evil.example/",
        "https://faß.example/",  # one host in one standard, another in the next
        "https://ex%61mple.com/",
        "https://${secret:HOST}/",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_has_no_origin(url: str) -> None:
    with pytest.raises(BadConfiguration, match="no scheme, host and port that are certain"):
        origin_of(url)


def test_the_error_does_not_show_what_may_be_secret_in_it() -> None:
    with pytest.raises(BadConfiguration) as caught:
        origin_of("ftp://user:canary@example.com/canary?token=canary")
    assert "canary" not in str(caught.value)
