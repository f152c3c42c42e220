"""Keys of providers: from the settings (environment, file), else from the system's keyring. They stay ``SecretStr``."""

from __future__ import annotations

from pydantic import SecretStr

from workbench.core.settings import Settings

SERVICE = "trii-workbench"
"""The name under which ``keyring set trii-workbench NAME`` keeps a key."""


def find_key(settings: Settings, name: str) -> SecretStr | None:
    """Return the key of a provider, ``None`` where there is none."""
    if name in settings.keys and settings.keys[name].get_secret_value():
        return settings.keys[name]
    import keyring
    from keyring.errors import KeyringError

    try:
        kept = keyring.get_password(SERVICE, name)
    except KeyringError:
        # No keyring on this machine, or a locked one: as if it held nothing.
        return None
    return SecretStr(kept) if kept else None


def how_to_give(name: str) -> str:
    """Return the remedy for a missing key."""
    return f"set WORKBENCH_KEYS__{name.upper()}, or keep it with: keyring set {SERVICE} {name}"
