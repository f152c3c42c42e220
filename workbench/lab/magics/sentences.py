"""What goes wrong in a magic, told in one sentence, as an error that fails the cell.

IPython tells its ``UsageError`` on stderr only: no error lies in the cell's output, so that a run fails without saying
why. An exception that renders itself is an error output like any other, without a traceback.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from IPython.core.error import UsageError

from workbench.core.errors import WorkbenchError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


def in_a_sentence(magic: Callable[_Given, _Answer]) -> Callable[_Given, _Answer]:
    """Let the workbench's errors leave a magic without a traceback."""

    @wraps(magic)
    def told(*args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
        # An error of the user's own cell is shown without the frames in between.
        __tracebackhide__ = True
        try:
            return magic(*args, **kwargs)
        except WorkbenchError as error:
            _bare(error)
            raise

    return told


def _bare(error: Any) -> None:
    # The name is IPython's protocol; the type of the error stays what it was.
    error._render_traceback_ = lambda: [f"{type(error).__name__}: {error}"]


def fail_on_misuse(shell: InteractiveShell) -> None:
    """Let a magic that is misused, of whatever package, leave an error in the cell's output, too."""
    shell.set_custom_exc((UsageError,), _tell)


def _tell(shell: Any, kind: type[BaseException], error: BaseException, _traceback: Any, tb_offset: Any = None) -> None:  # noqa: ARG001 - IPython's signature
    # IPython shows an error so, and in a kernel sends it as one.
    shell._showtraceback(kind, error, [f"{kind.__name__}: {error}"])
