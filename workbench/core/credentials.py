"""Secrets: from the settings (environment, file), else from the system's keyring. They stay ``SecretStr``."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from workbench.core.settings import Settings

SERVICE = "trii-workbench"
"""The name under which ``keyring set trii-workbench NAME`` keeps a key."""


def find_key(settings: Settings, name: str) -> SecretStr | None:
    """Return the key of a provider, ``None`` where there is none."""
    return find_secret(settings.keys, name, name)


def find_secret(given: Mapping[str, SecretStr], name: str, kept_as: str) -> SecretStr | None:
    """Return a secret from the settings, else from the system's keyring, ``None`` where there is none.

    Parameters
    ----------
    given : mapping of str to SecretStr
        The secrets of that kind in the settings.
    name : str
        Its name there.
    kept_as : str
        Its name in the keyring.
    """
    if name in given and given[name].get_secret_value():
        return given[name]
    import keyring
    from keyring.errors import KeyringError

    try:
        kept = keyring.get_password(SERVICE, kept_as)
    except KeyringError:
        # No keyring on this machine, or a locked one: as if it held nothing.
        return None
    return SecretStr(kept) if kept else None


def how_to_give(name: str) -> str:
    """Return the remedy for a missing key."""
    return f"set WORKBENCH_KEYS__{name.upper()}, or keep it with: keyring set {SERVICE} {name}"
