"""What plugins of Apprise are given: words, something to make their requests with, and the silence to do so in."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec, module_from_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

from workbench.alerts.channels.addresses import ForbiddenError, allowed, split
from workbench.alerts.channels.base import TIME_OUT, answer_of, one_line
from workbench.alerts.channels.lines import Line
from workbench.alerts.channels.webhook import seconds_of
from workbench.core.errors import FailureError

if TYPE_CHECKING:
    from types import ModuleType

    import requests

    from workbench.alerts.messages import Message

_LONGEST_ANSWER = 1 << 20
"""How much of an answer is read, in bytes."""

_LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")
"""They write whole addresses, with what is secret in them."""

_NAMES = ("RequestException", "codes", "exceptions")
"""What else plugins take from ``requests``; none of it makes a request."""

_CUT = "\n… (the rest stands in the workbench)"

_MENTION = re.compile(r"(?<=@)(?=\S)|(?<=<)(?=!|users/|at>)", re.IGNORECASE)
"""Where what calls people begins: ``@everyone``, ``@**all**``, ``<!channel>``, ``<users/all>``, ``<at>``."""

_KINDS = {"low": "info", "normal": "info", "high": "warning", "urgent": "failure"}


class Requests:
    """What a plugin gets for the module ``requests``: the same names, and a session of ours behind them.

    Parameters
    ----------
    line : Line
        Its connections, and how long they may take.
    key : str
        The message's, which goes with each request.
    session : callable
        Makes a session that connects by a line.
    """

    def __init__(self, line: Line, key: str, session: Callable[[Line], requests.Session]) -> None:
        self.line, self.key, self._session = line, key, session
        self.status = 0
        self.after: str | None = None

    def __getattr__(self, name: str) -> Any:
        import requests

        if name not in _NAMES:
            # Others could make requests of their own.
            raise ForbiddenError("has a plugin that goes other ways than those that were looked at")
        return getattr(requests, name)

    def get(self, url: str, **options: Any) -> requests.Response:
        """Make a request; see ``request``."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """Make a request; see ``request``."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> requests.Response:
        """Make a request; see ``request``."""
        return self.request("PUT", url, **options)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Make a request; of its options only those count that say what is sent."""
        parts = split(url)
        if parts is None or (parts.scheme != "https" and (parts.hostname or "") not in allowed(self.line.hosts)):
            raise ForbiddenError("leads to an address that is not encrypted")
        sent = {name: options[name] for name in ("params", "data", "json", "headers", "auth") if name in options}
        session = self._session(self.line)
        session.headers["Idempotency-Key"] = self.key
        with (
            session,
            session.request(method, url, **sent, allow_redirects=False, stream=True, timeout=TIME_OUT) as answer,
        ):
            return self._kept(answer)

    def refusal(self) -> tuple[str, bool, float | None]:
        """Return what the service answered last that was no success."""
        return *answer_of(self.status), seconds_of(self.after)

    def _kept(self, answer: requests.Response) -> requests.Response:
        import requests

        kept = requests.Response()
        kept.status_code, kept.headers = answer.status_code, answer.headers
        kept.encoding, kept.url = answer.encoding, answer.url
        try:
            kept.raw = BytesIO(answer.raw.read(_LONGEST_ANSWER, decode_content=True))
        except Exception:
            # As ``requests`` tells it; plugins know nothing else.
            raise requests.ConnectionError("the answer broke off") from None
        if not 200 <= answer.status_code < 300:
            self.status, self.after = answer.status_code, answer.headers.get("Retry-After")
        return kept


def words(message: Message, room: int) -> dict[str, str]:
    """Return what a plugin is given: one post, however long the text; services refuse what is too long for them.

    What a text says calls nobody: behind the sign that would, there is a space of no width.
    """
    title = _MENTION.sub("\u200b", one_line(message.subject))
    text, most = _MENTION.sub("\u200b", message.text) or title, max(room - len(title) - len(_CUT) - 10, 0)
    return {
        "title": title,
        "body": text if len(text) <= most else text[:most] + _CUT,
        "notify_type": _KINDS.get(message.priority, "info"),
        "body_format": "text",
        "overflow": "truncate",
    }


def own_copy(name: str) -> ModuleType:
    """Return a module that is a copy of an installed one: that of the process, and who else uses it, stays as it is."""
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise FailureError(f"there is no module {name}; install apprise 2.2 or later")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_WARNINGS: ContextVar[list[str] | None] = ContextVar("warnings of alert channels", default=None)


class _Silence(logging.Filter):
    """Let nothing through that is logged on our behalf; what others log of theirs stays as it was."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is another's; of ours, count it if it is a warning."""
        warnings = _WARNINGS.get()
        if warnings is not None and record.levelno >= logging.WARNING:
            warnings.append(record.name)
        return warnings is None


_SILENCE = _Silence()


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Let nothing be logged by what is called here; count the warnings that there would have been."""
    for each in _LOGGERS:
        # A filter that is there already is not added again.
        logging.getLogger(each).addFilter(_SILENCE)
    warnings: list[str] = []
    token = _WARNINGS.set(warnings)
    try:
        yield warnings
    finally:
        _WARNINGS.reset(token)
