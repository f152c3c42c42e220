"""The channel that is always there: JupyterLab, which reads the messages itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.alerts.channels.base import Channel

if TYPE_CHECKING:
    from workbench.alerts.messages import Message


class LabChannel(Channel):
    """A notification in JupyterLab: the message is shown there once it counts as sent."""

    def send(self, message: Message) -> None:
        """Do nothing: JupyterLab looks for messages that were sent."""

    def described(self) -> str:
        """Return where messages go."""
        return "a notification in JupyterLab"
