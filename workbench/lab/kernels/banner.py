"""One line about a kernel: the data that it serves, what it computes on, up to when it may know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.core.known import limit
from workbench.core.provenance import code_version

if TYPE_CHECKING:
    from workbench.bench import Workbench
    from workbench.lab.kernels.profiles import Profile


def banner(bench: object, profile: Profile) -> str:
    """Return one line, such as ``TRII Workbench 0.1.0 · us_equities@1.1 to 2012-12-31 · cpu (2 cores)``.

    It costs a few milliseconds, creates nothing and does not fail: what cannot be told is told as a sentence.

    Parameters
    ----------
    bench : object
        What the notebook calls so: a ``Workbench``, or anything else where none could be opened or another thing has
        been given the name.
    profile : Profile
    """
    from workbench.bench import Workbench

    data = _or_why(lambda: served(bench)) if isinstance(bench, Workbench) else "no bench"
    return " · ".join([f"{profile.title} {code_version()}", data, _or_why(profile.device)])


def served(bench: Workbench) -> str:
    """Say which data a bench serves now: of the settings' dataset the version and last session, and the limit.

    The version is the one in the ``attrs`` of Bars. The last session is left out under a limit, which may hide it.
    """
    known = limit()
    data = _stored(bench, told_to=known is None)
    return data if known is None else f"{data}, only what was known by {known:%Y-%m-%d %H:%M} UTC"


def _or_why(tell: Any) -> str:
    try:
        return str(tell())
    except Exception as error:
        # Without its banner a kernel would answer nobody.
        return " ".join(str(error).split()) or type(error).__name__


def _stored(bench: Workbench, *, told_to: bool) -> str:
    settings, dataset = bench.settings, bench.settings.dataset
    if settings.store_url is not None:
        # Far away: a line that is only read now and then is not worth the wait.
        return dataset
    from workbench.data.tables.versions import written

    place = settings.store / dataset
    bars, actions = written(place / "bars"), written(place / "actions")
    if bars is None or bars[0] is None or actions is None:
        return f"no data yet ({dataset} is loaded with the first read)"
    version, last = f"{dataset}@{bars[0]}.{actions[0] or 0}", bars[1]
    return f"{version} to {last:%Y-%m-%d}" if told_to and last else version
