"""API keys: read from the environment alone, and kept out of every message."""

import os

from nlilab.core.errors import UserError

KEY_VARIABLES = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


def api_key(provider: str, model: str, required: bool = True) -> str:
    """The provider's key, "" where it is missing and not required; a UserError names the variable and the generator."""
    variable = KEY_VARIABLES[provider]
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"{variable} holds characters that no key has: generator {provider}/{model} cannot send it")
    if required and not key:
        raise UserError(f"{variable} is not set: generator {provider}/{model} needs it; export it and run again")
    return key


def redacted(message: str, key: str) -> str:
    """The message without the key, which servers like to quote back."""
    return message.replace(key, "[key]") if key else message
