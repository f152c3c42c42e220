"""jupyter-scheduler's handlers, which tell a caller's mistake as such: by themselves they say 500 and log a crash."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from jupyter_scheduler import models
from jupyter_scheduler.exceptions import SchedulerError
from jupyter_scheduler.pydantic_v1 import ValidationError
from jupyter_server.base.handlers import APIHandler
from tornado import web

from workbench.core.errors import InputError, UnknownNameError

_LAST = 253_402_300_799_999
"""The last millisecond of the year 9999, which is as far as dates go."""

_ASKED = (
    models.CreateJob,
    models.CreateJobDefinition,
    models.CreateJobFromDefinition,
    models.ListJobDefinitionsQuery,
    models.ListJobsQuery,
    models.UpdateJob,
    models.UpdateJobDefinition,
)
"""The models of what is asked; one of an answer that cannot be made is the server's fault."""

_NUMBERS = ("start_time", "create_time", "max_items")


class Telling(APIHandler):
    """What goes before a handler of jupyter-scheduler's, so that mistakes are told as such."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse what the handler would stumble over."""
        await super().prepare()
        if not self.current_user:
            return
        if not _takes(getattr(self, str(self.request.method).lower()), self.path_kwargs):
            raise web.HTTPError(405)
        for name in (*_NUMBERS, "status", "sort_by"):
            for value in self.get_query_arguments(name):
                if fault := _query_fault(name, value):
                    raise web.HTTPError(400, fault)

    def get_json_body(self) -> dict[str, Any]:
        """Return the request's body."""
        body = super().get_json_body()
        if not isinstance(body, dict):
            raise web.HTTPError(400, "the request's body is no JSON object; send one")
        if fault := _body_fault(str(self.request.method), self.path_kwargs, body):
            raise web.HTTPError(400, fault)
        return body

    @property
    def log(self) -> Any:
        """The log, without mistakes of the caller's."""
        return _Quieter(super().log, {})

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log what is no mistake of the caller's."""
        if _mistake(error, self.request.method) is None:
            super().log_exception(kind, error, trace)

    def write_error(self, status_code: int, **details: Any) -> None:
        """Answer a mistake with 400 or 404, and its sentence."""
        _kind, error, trace = details.get("exc_info") or (None, None, None)
        answer = _mistake(error, self.request.method)
        if answer is not None:
            self.set_status(answer.status_code)
            status_code, details["exc_info"] = answer.status_code, (type(answer), answer, trace)
        super().write_error(status_code, **details)


def told(handler: type[Any]) -> type[Any]:
    """Return a handler that answers a mistake of the caller's with 400, 404 or 405, and keeps it out of the log."""
    return type(handler.__name__, (Telling, handler), {})


class _Quieter(logging.LoggerAdapter):  # type: ignore[type-arg]
    def exception(self, msg: object, *args: object, **named: Any) -> None:
        """Tell a mistake of the caller's in a line, without where in the code it was found."""
        if isinstance(msg, BaseException) and _is_mistake(msg):
            self.debug("%s", msg)
        else:
            super().exception(msg, *args, **named)


def _takes(method: Any, given: dict[str, Any]) -> bool:
    """Say whether a method is there for an address: one handler serves those with and without an id."""
    try:
        inspect.signature(method).bind(**given)
    except TypeError:
        return False
    return True


def _query_fault(name: str, value: str) -> str | None:
    """Return what is wrong with a value in the address that jupyter-scheduler reads unguarded."""
    if name == "status":
        known = [each.value for each in models.Status]
        wrong, remedy = bool(value) and value.upper() not in known, f"choose one of {', '.join(known)}"
    elif name == "sort_by":
        wrong, remedy = not value, "leave it out, or name a column"
    else:
        number = value.isascii() and value.isdecimal() and len(value) <= len(str(_LAST)) and int(value) <= _LAST
        wrong, remedy = bool(value) and not number, f"give a whole number from 0 to {_LAST}"
    return f"{name}={value[:40]!r} cannot be used; {remedy}" if wrong else None


def _body_fault(method: str, path: dict[str, Any], body: dict[str, Any]) -> str | None:
    """Return what is wrong with a request's body before jupyter-scheduler reads it."""
    if method == "POST" and not path and not isinstance(body.get("input_uri"), str):
        return "a job needs input_uri, the path of a notebook; give it"
    if method == "PATCH" and "job_id" in path and body.get("status") not in (None, models.Status.STOPPED.value):
        return f"status={str(body['status'])[:40]!r} cannot be set; a job can only be STOPPED"
    return None


def _mistake(error: BaseException | None, method: str) -> web.HTTPError | None:
    """Return how a mistake of the caller's is answered; ``None`` for what is none."""
    cause = error.__cause__ if isinstance(error, web.HTTPError) and error.status_code == 500 else None
    if cause is None or not _is_mistake(cause):
        return None
    # Only these two name nothing but a run or a schedule.
    missing = method in ("GET", "DELETE") and isinstance(cause.__cause__, UnknownNameError)
    return web.HTTPError(404 if missing else 400, _sentence(cause))


def _is_mistake(error: BaseException) -> bool:
    if isinstance(error, ValidationError):
        return error.model in _ASKED
    return isinstance(error, SchedulerError) and isinstance(error.__cause__, InputError)


def _sentence(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))} of the request cannot be used ({first['msg']}); mend it"
    return str(error)
