"""Secrets in arguments and messages."""

from __future__ import annotations

import pytest

from lmms_videominer.redaction import is_secret, redacted, secret_values, without_secrets
from lmms_videominer.selectors.settings import setting_names

SECRET = ["api_key", "openai_api_key", "x-api-key", "token", "hf_token", "azure_ad_token", "use_auth_token"]
SECRET += ["password", "client_secret", "aws_secret_access_key", "Authorization", "API_KEY"]
OPEN = ["caption_tokens", "max_new_tokens", "eos_token", "image_token", "tokenizer", "base_url", "key_frames", "model"]


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_told_by_its_name(name):
    assert is_secret(name)
    assert without_secrets({name: "canary", "model": "m"}) == {"model": "m"}
    assert secret_values({name: "canary", "model": "m"}) == {"canary"}
    for text in (f"{name}=canary", f"a,{name}=canary,b=c", f"{{'{name}': 'canary'}}", f'--x "{name}": "canary" y'):
        assert "canary" not in redacted(text) and "***" in redacted(text)


@pytest.mark.parametrize("name", [*OPEN, *setting_names()])
def test_other_names_are_no_secrets(name):
    assert not is_secret(name)
    assert redacted(f"{name}=canary") == f"{name}=canary"
    assert without_secrets({name: "canary"}) == {name: "canary"}


@pytest.mark.parametrize(
    ("address", "shown", "kept"),
    [
        ("https://me:canary@host/v1", "https://***@host/v1", "https://host/v1"),
        ("https://host/v1?api_key=canary", "https://host/v1?api_key=***", "https://host/v1"),
        ("https://host/v1?v=2&token=canary&w=3", "https://host/v1?v=2&token=***&w=3", "https://host/v1?v=2&w=3"),
        ("https://host/v1?key=canary", "https://host/v1?key=***", "https://host/v1"),
        ("https://host/v1?v=2", "https://host/v1?v=2", "https://host/v1?v=2"),
    ],
)
def test_an_address_has_no_login_and_no_key(address, shown, kept):
    assert redacted(f"cannot reach {address}") == f"cannot reach {shown}"
    assert without_secrets({"base_url": address}) == {"base_url": kept}
    assert ("canary" in secret_values({"base_url": address})) == ("canary" in address)


def test_headers_are_arguments_within_an_argument():
    for headers in ({"Authorization": "Bearer canary", "X": "y"}, '{"Authorization": "Bearer canary", "X": "y"}'):
        assert "canary" not in str(without_secrets({"headers": headers}))
        assert any("canary" in value for value in secret_values({"headers": headers}))
    assert redacted("Authorization: Bearer canary") == "Authorization: Bearer ***"
