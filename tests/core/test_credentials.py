"""Keys of providers: from the settings first, then from the keyring, and never part of a text."""

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, NoKeyringError
from pydantic import SecretStr

from workbench.core.credentials import SERVICE, find_key, how_to_give
from workbench.core.settings import load_settings

SECRET = "sk-9f3e-not-for-anyone"


class MemoryKeyring(KeyringBackend):
    """A keyring that holds its passwords in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.passwords = {}
        self.asked = []

    def get_password(self, service, username):
        self.asked.append((service, username))
        return self.passwords.get((service, username))

    def set_password(self, service, username, password):
        self.passwords[service, username] = password


class ClosedKeyring(MemoryKeyring):
    """A keyring that cannot be used."""

    fault = NoKeyringError

    def get_password(self, service, username):
        raise self.fault(f"{service} {username} is not to be had")


class LockedKeyring(ClosedKeyring):
    """A keyring whose owner did not unlock it."""

    fault = KeyringLocked


@pytest.fixture(autouse=True)
def no_variables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORKBENCH_KEYS__FRED", raising=False)


@pytest.fixture
def put():
    """Use a keyring for the length of a test."""
    before = keyring.get_keyring()

    def used(backend):
        keyring.set_keyring(backend)
        return backend

    yield used
    keyring.set_keyring(before)


def test_a_key_of_the_keyring_is_found_under_our_name(put):
    put(MemoryKeyring())
    keyring.set_password(SERVICE, "fred", SECRET)
    assert find_key(load_settings(), "fred") == SecretStr(SECRET)
    assert find_key(load_settings(), "yahoo") is None


def test_a_key_of_another_service_is_not_ours(put):
    put(MemoryKeyring()).set_password("other", "fred", SECRET)
    assert find_key(load_settings(), "fred") is None


def test_a_key_of_the_settings_comes_first_and_asks_no_keyring(put, monkeypatch):
    backend = put(MemoryKeyring())
    backend.set_password(SERVICE, "fred", "another")
    monkeypatch.setenv("WORKBENCH_KEYS__FRED", SECRET)
    assert find_key(load_settings(), "fred") == SecretStr(SECRET)
    assert backend.asked == []


@pytest.mark.parametrize("backend", [ClosedKeyring, LockedKeyring])
def test_a_keyring_that_cannot_be_used_holds_nothing(put, backend):
    put(backend())
    assert find_key(load_settings(), "fred") is None


def test_an_empty_password_is_no_key(put):
    put(MemoryKeyring()).set_password(SERVICE, "fred", "")
    assert find_key(load_settings(), "fred") is None


def test_an_empty_variable_is_no_key(put, monkeypatch):
    put(MemoryKeyring()).set_password(SERVICE, "fred", SECRET)
    monkeypatch.setenv("WORKBENCH_KEYS__FRED", "")
    assert find_key(load_settings(), "fred") == SecretStr(SECRET)


def test_a_key_is_in_no_text(put):
    put(MemoryKeyring()).set_password(SERVICE, "fred", SECRET)
    found = find_key(load_settings(), "fred")
    assert SECRET not in f"{found} {found!r} {[found]}"


def test_the_remedy_names_both_ways():
    assert how_to_give("twelve_data") == (
        "set WORKBENCH_KEYS__TWELVE_DATA, or keep it with: keyring set trii-workbench twelve_data"
    )
