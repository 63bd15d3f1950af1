"""Addresses of servers: what is kept of a URL, and where keys go."""

from __future__ import annotations

import pytest

from promptkit.errors import ModelError
from promptkit.models.remote.address import address_of, is_url


def test_a_url_is_taken_apart() -> None:
    found = address_of("HTTP://me:p%40ss@Example.com:8080/api/v1/#a/b:1", {})
    assert (found.root, found.host) == ("http://example.com:8080/api", "example.com:8080")
    assert (found.model, found.login, found.key) == ("a/b:1", ("me", "p@ss"), None)
    assert address_of("http://[::1]:80", {}).root == "http://[::1]:80"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://x", "begins with http"),
        ("http://", "begins with http"),
        ("http://x:99999", "malformed"),
        ("https://x/v1?api_key=secret", "has no [?]query"),
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as found:
        address_of(url, {})
    assert "secret" not in str(found.value)


def test_the_key_of_openai_goes_nowhere_else() -> None:
    keys = {"OPENAI_API_KEY": "sk-openai"}
    assert address_of("https://api.openai.com/v1", keys).key == "sk-openai"
    assert address_of("http://127.0.0.1:8080", keys).key is None
    theirs = keys | {"OPENAI_BASE_URL": "http://127.0.0.1:8080/v1"}
    assert address_of("http://127.0.0.1:8080", theirs).key == "sk-openai"
    assert address_of("http://x", keys | {"PROMPTKIT_API_KEY": "own"}).key == "own"


def test_a_secret_in_the_open_is_known() -> None:
    keys = {"PROMPTKIT_API_KEY": "own"}
    assert address_of("http://example.com", keys).sends_openly
    assert not address_of("https://example.com", keys).sends_openly
    assert not address_of("http://localhost:8080", keys).sends_openly
    assert not address_of("http://example.com", {}).sends_openly


def test_urls_are_told_from_files() -> None:
    assert is_url("http://127.0.0.1:8080")
    assert not is_url("hf:owner/repo/file.gguf")
    assert not is_url("httpd.gguf")
