"""A channel is found by its name and by its address's scheme; a stranger's kind comes through the same door."""

import pytest
from pydantic import SecretStr
from web_answers import SECRET, everything_said

from workbench.alerts import channels as room
from workbench.alerts.channels import channels, find_channel, how_to_give, require_channels
from workbench.alerts.channels.apprised import ChatChannel, MailChannel
from workbench.alerts.channels.base import Channel, DeliveryError
from workbench.alerts.channels.lab import LabChannel
from workbench.alerts.channels.webhook import WebhookChannel
from workbench.core.errors import FailureError, ParameterError, UnknownNameError
from workbench.core.settings import load_settings

ADDRESSES = {
    "hook": f"https://hooks.example.org/{SECRET}",
    "post": f"mailtos://me:{SECRET}@example.org",
    "team": f"discord://1234/{SECRET}",
}


@pytest.fixture
def settings(tmp_path):
    return load_settings(home=tmp_path, channels=ADDRESSES)


class PagerChannel(Channel):
    """A stranger's."""

    schemes = ("pager",)

    def send(self, message):
        raise DeliveryError("the pager is switched off")

    def described(self):
        return "a pager"


@pytest.fixture
def install(monkeypatch):
    """Install kinds of channels, next to the built-in ones."""

    def installed(**kinds):
        found = {**room.available(room.GROUP), **kinds}

        def load(group, word, name):
            if isinstance(kinds.get(name), Exception):
                raise FailureError(f"{word} {name!r} cannot be loaded; repair or remove its package")
            return kinds[name] if name in kinds else original(group, word, name)

        original = room.load
        monkeypatch.setattr(room, "available", lambda _group: found)
        monkeypatch.setattr(room, "load", load)

    return installed


@pytest.mark.parametrize(
    ("name", "kind"), [("lab", LabChannel), ("hook", WebhookChannel), ("post", MailChannel), ("team", ChatChannel)]
)
def test_a_channels_kind_is_the_one_that_knows_the_scheme_of_its_address(settings, name, kind):
    found = find_channel(settings, name)
    assert type(found) is kind
    assert found.name == name


def test_what_channels_there_are_is_told_without_their_secrets(settings):
    told = channels(settings)
    assert told == {
        "lab": "a notification in JupyterLab",
        "hook": "a webhook at ….example.org",
        "post": "mail to 1 recipient through example.org",
        "team": "Discord",
    }
    assert SECRET not in str(told) + repr(settings)


def test_a_channel_that_cannot_be_used_says_so_and_keeps_none_of_the_others(tmp_path):
    told = channels(load_settings(home=tmp_path, channels={**ADDRESSES, "inner": f"https://10.0.0.7/{SECRET}"}))
    assert told["inner"].startswith("cannot be used: the address of channel 'inner' leads to a private network")
    assert told["team"] == "Discord"
    assert SECRET not in str(told)


def test_jupyterlab_takes_every_message(settings, message):
    find_channel(settings, "lab").send(message)


def test_jupyterlab_has_no_address(tmp_path):
    with pytest.raises(ParameterError, match="give yours another name"):
        find_channel(load_settings(home=tmp_path, channels={"lab": "https://hooks.example.org/"}), "lab")


def test_an_unknown_channel_is_told_with_the_nearest(settings):
    with pytest.raises(UnknownNameError, match=r"unknown channel 'hok' .*WORKBENCH_CHANNELS__HOK.*nearest known: hook"):
        require_channels(settings, ["lab", "hok"])


def test_an_address_that_the_keyring_keeps_is_used(settings, monkeypatch):
    kept = {("trii-workbench", "channel_pocket"): f"discord://99/{SECRET}"}
    monkeypatch.setattr("keyring.get_password", lambda service, name: kept.get((service, name)))
    assert find_channel(settings, "pocket").described() == "Discord"
    assert how_to_give("pocket").endswith("keyring set trii-workbench channel_pocket")
    # The provider's key of the same name is none of a channel.
    kept[("trii-workbench", "other")] = f"discord://99/{SECRET}"
    with pytest.raises(UnknownNameError):
        find_channel(settings, "other")


@pytest.mark.parametrize("address", [f"pager://{SECRET}", SECRET, f"{SECRET}://x", "file:///etc/passwd", "dbus://", ""])
def test_an_address_of_no_known_scheme_is_refused_and_never_repeated(tmp_path, address, monkeypatch):
    monkeypatch.setattr("keyring.get_password", lambda *_given: None)
    settings = load_settings(home=tmp_path, channels={"x": address})
    with pytest.raises((ParameterError, UnknownNameError)) as caught:
        find_channel(settings, "x")
    assert SECRET.lower() not in everything_said(caught.value).lower()


def test_a_strangers_channel_comes_through_the_same_door(tmp_path, install, message):
    install(pager=PagerChannel)
    settings = load_settings(home=tmp_path, channels={"mine": f"PAGER://{SECRET}"})
    found = find_channel(settings, "mine")
    assert type(found) is PagerChannel
    assert found.address == SecretStr(f"PAGER://{SECRET}")
    assert channels(settings)["mine"] == "a pager"
    with pytest.raises(DeliveryError, match="the pager is switched off; it is tried again later"):
        found.send(message)


def test_two_kinds_that_claim_one_scheme_are_told(tmp_path, install):
    install(pager=PagerChannel, beeper=type("Beeper", (PagerChannel,), {}))
    with pytest.raises(ParameterError, match=r"claimed by .*Beeper and .*PagerChannel"):
        find_channel(load_settings(home=tmp_path, channels={"mine": "pager://1"}), "mine")


def test_a_kind_that_cannot_be_loaded_stands_in_nobody_elses_way(settings, install, tmp_path):
    install(pager=ImportError("gone"))
    assert find_channel(settings, "hook").described() == "a webhook at ….example.org"
    with pytest.raises(FailureError, match="'pager' cannot be loaded"):
        find_channel(load_settings(home=tmp_path, channels={"mine": "pager://1"}), "mine")
