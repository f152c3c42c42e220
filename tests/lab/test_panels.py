"""The process of the Panel apps: it answers on its socket, says when it cannot, and ends with what it started."""

from __future__ import annotations

import asyncio
import stat

import psutil
import pytest

from workbench.core.errors import ServerError
from workbench.lab.panels import PanelProcess


def test_it_answers_on_a_socket_and_ends(tmp_path):
    app = tmp_path / "app.py"
    app.write_text('import panel as pn\npn.panel("hello").servable()\n')
    panel = PanelProcess([app], tmp_path / "p.sock", "/x")

    async def live():
        await panel.start()
        listening = stat.S_ISSOCK((tmp_path / "p.sock").stat().st_mode)
        ports = [item.laddr for item in psutil.Process(panel.process.pid).net_connections("inet")]
        await panel.stop()
        return listening, ports

    assert asyncio.run(live()) == (True, [])
    assert panel.process.returncode is not None


def test_a_process_that_stops_is_told(tmp_path):
    panel = PanelProcess([tmp_path / "missing.py"], tmp_path / "p.sock", "/x")
    with pytest.raises(ServerError, match="stopped with code"):
        asyncio.run(panel.start())


def test_stopping_what_never_started_does_nothing(tmp_path):
    asyncio.run(PanelProcess([], tmp_path / "p.sock", "/x").stop())
