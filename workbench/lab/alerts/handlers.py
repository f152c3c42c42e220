"""What the front end asks about alerts: which are open, and that they were seen or can wait."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from workbench.core.errors import InputError, ParameterError, UnknownNameError, WorkbenchError
from workbench.core.spans import read_span
from workbench.lab.alerts.standing import Standing
from workbench.lab.alerts.telling import Telling

LONGEST_DAYS = 366
"""How long a rule can be told to wait from here."""

AnyHandler = TypeVar("AnyHandler", bound="AlertHandler")


def told(
    method: Callable[[AnyHandler, *tuple[Any, ...]], Awaitable[dict[str, Any]]],
) -> Callable[[AnyHandler, *tuple[Any, ...]], Awaitable[None]]:
    """Answer with what a method returns, or with the sentence of its error."""

    @wraps(method)
    async def answered(self: AnyHandler, /, *given: Any) -> None:
        try:
            answer = await method(self, *given)
        except WorkbenchError as error:
            self.set_status(_status(error))
            answer = {"message": str(error)}
        self.finish(answer)

    return answered


def _status(error: WorkbenchError) -> HTTPStatus:
    if isinstance(error, UnknownNameError):
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.BAD_REQUEST if isinstance(error, InputError) else HTTPStatus.SERVICE_UNAVAILABLE


class AlertHandler(ExtensionHandlerMixin, APIHandler):
    """What the three have in common."""

    auth_resource = "alerts"

    @property
    def telling(self) -> Telling:
        """Who tells every window of this server what has changed."""
        found: Telling = self.settings["trii_alerts"]
        return found

    @property
    def standing(self) -> Standing:
        """The open messages."""
        return self.telling.standing


class OpenAlerts(AlertHandler):
    """Messages with an alert that nobody has acknowledged."""

    @web.authenticated
    @authorized
    @told
    async def get(self) -> dict[str, Any]:
        """Return them, the newest first."""
        return {"messages": [each.plain() for each in await self.telling.look()]}


class Acknowledge(AlertHandler):
    """Somebody has seen the alerts of a message."""

    @web.authenticated
    @authorized
    @told
    async def post(self, message: str) -> dict[str, Any]:
        """Note it, and return of how many it is new."""
        who = os.environ.get("JUPYTERHUB_USER")
        count = await asyncio.to_thread(self.standing.acknowledge, int(message), who)
        await self.telling.look()
        return {"acknowledged": count}


class Snooze(AlertHandler):
    """The rules of a message are to tell nobody for a while."""

    @web.authenticated
    @authorized
    @told
    async def post(self, message: str) -> dict[str, Any]:
        """Note it, and return how many rules that are; the body's ``for`` is a length of time such as ``"1 h"``."""
        body = self.get_json_body()
        given = body.get("for") if isinstance(body, dict) else None
        span = read_span("for", given)
        if not 0 < span.total_seconds() <= LONGEST_DAYS * 86_400:
            raise ParameterError(f"for={given!r:.60} is no time to wait; give up to {LONGEST_DAYS} days")
        count = await asyncio.to_thread(self.standing.snooze, int(message), span)
        await self.telling.look()
        return {"snoozed": count}


_MESSAGE = r"/workbench/alerts/(\d{1,15})"
HANDLERS = [
    (r"/workbench/alerts", OpenAlerts),
    (f"{_MESSAGE}/acknowledge", Acknowledge),
    (f"{_MESSAGE}/snooze", Snooze),
]
