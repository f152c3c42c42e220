"""What somebody who only looks at dashboards may do, asked of a real ``workbench apps``."""

from __future__ import annotations

import re
import time
import uuid

import httpx
import pytest
import websocket
from kernel_channel import Channel

VOILA = "voila/render/market.ipynb"
PANEL = "workbench/panel/market"
NO_KERNEL = str(uuid.UUID(int=4))

CLOSED = [
    ("GET", "api/contents"),
    ("GET", "api/contents/market.ipynb"),
    ("PUT", "api/contents/new.ipynb"),
    ("DELETE", "api/contents/market.ipynb"),
    ("GET", "api/kernels"),
    ("POST", "api/kernels"),
    ("DELETE", "api/kernels/{kernel}"),
    ("POST", "api/kernels/{kernel}/restart"),
    ("POST", "api/kernels/{kernel}/interrupt"),
    ("GET", "api/kernelspecs"),
    ("GET", "api/sessions"),
    ("POST", "api/sessions"),
    ("GET", "api/terminals"),
    ("POST", "api/terminals"),
    ("GET", "api/config/notebook"),
    ("GET", "api/nbconvert"),
    ("POST", "api/shutdown"),
    ("GET", "files/market.ipynb"),
    ("GET", "view/market.ipynb"),
    ("GET", "nbconvert/html/market.ipynb"),
    ("GET", "voila/files/market.ipynb"),
    ("GET", "voila/files/../../apps/market.py"),
    ("GET", "voila/render/../reports/daily_signals.ipynb"),
    ("GET", "lab"),
    ("GET", "tree"),
    ("GET", "lab/api/settings"),
    ("GET", "proxy/22"),
]


@pytest.fixture(scope="module")
def viewer(viewers):
    """A viewer's HTTP client, with cookies from the printed address and the token, which stands in for XSRF's."""
    headers = {"Authorization": f"token {viewers.token}"}
    with httpx.Client(base_url=viewers.base, headers=headers, timeout=60) as client:
        assert client.get(viewers.url).status_code == 200
        yield client


@pytest.fixture(scope="module")
def kernel(viewer):
    """The kernel of an open Voilà page."""
    return open_page(viewer)


def open_page(viewer):
    page = viewer.get(VOILA)
    assert page.status_code == 200
    return re.search(r'"kernelId": ?"([\w-]+)"', page.text)[1]


def alive(viewer, kernel):
    return viewer.get(f"api/kernels/{kernel}").status_code == 200


def test_the_index_and_both_kinds_of_dashboard_are_shown(viewer):
    index = viewer.get("workbench/")
    assert index.status_code == 200
    assert f'href="/{PANEL}"' in index.text
    assert f'href="/{VOILA}"' in index.text
    assert "JupyterLab" not in index.text
    assert viewer.get(PANEL).status_code == 200


@pytest.mark.parametrize(("method", "path"), CLOSED, ids=[" ".join(case) for case in CLOSED])
def test_nothing_else_is_offered(viewer, kernel, method, path):
    answer = viewer.request(method, path.format(kernel=kernel))
    assert answer.status_code in (403, 404, 405), answer.text[:300]
    assert alive(viewer, kernel)


def test_a_page_may_ask_for_the_state_of_its_kernel(viewer, kernel):
    assert viewer.get(f"api/kernels/{kernel}").json()["id"] == kernel


@pytest.mark.parametrize("channel", ["shell", "control", "stdin"])
def test_code_sent_to_a_pages_kernel_is_ignored(viewers, kernel, tmp_path, channel):
    target = tmp_path / "written"
    socket = Channel(viewers, kernel)
    try:
        sent = socket.execute(f"open({str(target)!r}, 'w').write('x')", channel)
        assert socket.answers_before_the_next(sent) == []
    finally:
        socket.close()
    assert not target.exists()


@pytest.mark.parametrize(
    ("kind", "channel", "content"),
    [
        ("shutdown_request", "control", {"restart": False}),
        ("interrupt_request", "control", {}),
        ("inspect_request", "shell", {"code": "bench", "cursor_pos": 5, "detail_level": 0}),
        ("complete_request", "shell", {"code": "be", "cursor_pos": 2}),
        ("history_request", "shell", {"hist_access_type": "tail", "n": 9, "raw": True, "output": False}),
        ("debug_request", "control", {"type": "request", "command": "debugInfo", "seq": 1}),
        ("create_subshell_request", "control", {}),
    ],
)
def test_other_messages_to_a_pages_kernel_are_ignored(viewers, viewer, kernel, kind, channel, content):
    socket = Channel(viewers, kernel)
    try:
        sent = socket.send(kind, content, channel)
        assert socket.answers_before_the_next(sent, channel) == []
    finally:
        socket.close()
    assert alive(viewer, kernel)


def test_a_kernels_websocket_wants_the_token(viewers, kernel):
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        Channel(viewers, kernel, headers={})


def test_a_kernels_websocket_refuses_a_foreign_origin(viewers, viewer, kernel):
    cookies = "; ".join(f"{name}={value}" for name, value in viewer.cookies.items())
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        Channel(viewers, kernel, headers={"Cookie": cookies, "Origin": "http://evil.example"})
    Channel(viewers, kernel, headers={"Cookie": cookies, "Origin": viewers.origin}).close()


def test_a_panel_apps_websocket_refuses_strangers_and_foreign_origins(viewers, viewer):
    address = f"{viewers.base.replace('http', 'ws', 1)}{PANEL}/ws"
    with pytest.raises(websocket.WebSocketBadStatusException, match=r"403|302"):
        websocket.create_connection(address, suppress_origin=True, timeout=10)
    cookies = "; ".join(f"{name}={value}" for name, value in viewer.cookies.items())
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(address, cookie=cookies, origin="http://evil.example", timeout=10)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "workbench/",
        PANEL,
        f"{PANEL}/autoload.js",
        "workbench/panel/",
        "workbench/panel/static/js/bokeh.min.js",
        VOILA,
        "voila",
        "voila/tree",
        "voila/api/contents",
        "voila/files/logo.svg",
        f"voila/execution/{NO_KERNEL}",
        f"api/kernels/{NO_KERNEL}",
        "api/me",
        "api/contents",
    ],
)
def test_without_the_token_nothing_is_shown(viewers, path):
    answer = httpx.get(viewers.base + path, timeout=30)
    assert answer.status_code in (302, 403, 404)
    if answer.status_code == 302:
        assert re.match(r"/login\?|/workbench/\??$", answer.headers["location"])


def test_a_wrong_token_is_no_token(viewers):
    assert httpx.get(f"{viewers.base}workbench/?token=0").status_code in (302, 403)


def goodbye(server, viewer, kernel, **headers):
    """Send what a closing page sends: cookies but no XSRF token."""
    cookies = "; ".join(f"{name}={value}" for name, value in viewer.cookies.items())
    return httpx.post(f"{server.base}voila/api/shutdown/{kernel}", headers={"Cookie": cookies, **headers}).status_code


def test_only_the_page_itself_may_end_its_kernel(viewers, viewer):
    kernel = open_page(viewer)
    page = viewers.base + VOILA
    evil = "http://evil.example"
    assert goodbye(viewers, viewer, kernel, Origin=evil, Referer=f"{evil}/") == 403
    assert goodbye(viewers, viewer, kernel, Origin=evil, Referer=page) == 403
    assert goodbye(viewers, viewer, kernel, Origin=viewers.origin, Referer=f"{evil}/") == 403
    assert goodbye(viewers, viewer, kernel, Referer=f"{evil}/") == 403
    assert goodbye(viewers, viewer, kernel) == 403
    stranger = {"Origin": viewers.origin, "Referer": page}
    answer = httpx.post(f"{viewers.base}voila/api/shutdown/{kernel}", headers=stranger)
    assert answer.status_code in (302, 403)
    assert alive(viewer, kernel)
    assert goodbye(viewers, viewer, kernel, Origin=viewers.origin, Referer=page) == 204
    assert not alive(viewer, kernel)


def test_a_state_changing_request_without_the_xsrf_token_is_refused(viewers, viewer):
    cookies = "; ".join(f"{name}={value}" for name, value in viewer.cookies.items())
    answer = httpx.post(f"{viewers.base}login", headers={"Cookie": cookies}, data={"password": viewers.token})
    assert answer.status_code == 403


def test_ending_a_kernel_that_is_not_there_is_no_server_error(viewers, viewer):
    page = {"Origin": viewers.origin, "Referer": viewers.base + VOILA}
    assert goodbye(viewers, viewer, NO_KERNEL, **page) in (204, 404)


def test_the_token_is_not_written_to_the_log_twice(viewers):
    time.sleep(0.2)
    assert viewers.log.read_text().count(viewers.token) == 1
