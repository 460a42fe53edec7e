"""Settings: usable addresses of engines, and a sentence for everything else."""

import pytest

from services.writer.settings import Settings, SettingsError, load


def test_nothing_has_to_be_set() -> None:
    assert load({}) == Settings()
    assert load({"LLM_URL": " ", "PORT": "", "API_KEYS": ""}) == Settings()
    assert Settings().llm_url == "http://127.0.0.1:11434/v1"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://ollama:11434", "http://ollama:11434/v1"),
        ("http://ollama:11434/", "http://ollama:11434/v1"),
        ("http://ollama:11434/v1/", "http://ollama:11434/v1"),
        ("https://api.example.org/v1/chat/completions", "https://api.example.org/v1"),
        ("https://api.example.org/v1beta/openai", "https://api.example.org/v1beta/openai"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
    ],
)
def test_an_engines_address_may_be_written_in_every_usual_way(given: str, used: str) -> None:
    assert load({"LLM_URL": given}).llm_url == used


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://ollama:11434", True),
        ("http://192.168.1.5:1", True),
        ("http://[::1]:1", True),
        ("https://api.example.org", False),
    ],
)
def test_a_proxy_of_the_environment_is_only_used_for_engines_far_away(url: str, near: bool) -> None:
    assert load({"LLM_URL": url}).engine_is_near is near


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LLM_URL", "ollama:11434", "http://"),
        ("LLM_URL", "ftp://ollama", "http://"),
        ("LLM_URL", "http://", "http://"),
        ("LLM_URL", "http://h:99999", "65535"),
        ("LLM_URL", "http://user:secret@h", "LLM_API_KEY"),
        ("LLM_API_KEY", "schlüssel", "ASCII"),
        ("API_KEYS", " , ", "holds no key"),
        ("ALLOWED_ORIGINS", "https://a.example/path", "without a path"),
        ("LLM_PARALLEL", "0", "from 1 to 256"),
        ("WRITER_QUEUE", "many", "whole number"),
        ("PORT", "70000", "65535"),
        ("PROMPTS_DIR", "/nowhere", "no folder"),
        ("LOG_LEVEL", "LOUD", "DEBUG"),
    ],
)
def test_an_unusable_value_is_named_and_no_secret_shown(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        load({name: value})
    assert str(caught.value).startswith(f"{name}:")
    assert "secret" not in str(caught.value)


def test_keys_are_not_shown_with_the_settings() -> None:
    assert "hidden" not in repr(load({"LLM_API_KEY": "hidden-1", "API_KEYS": "hidden-2"}))
