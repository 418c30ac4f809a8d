"""Programs of others on mood_event.aio, each with a thousand requests at once.

Everything here is in processes of its own. A server answers nobody before all have
asked, so that they really are at once.
"""

import asyncio
import importlib
import signal
import sys

import pytest
from running import Running

REQUESTS = 1000

PRELUDE = f"""
import asyncio, resource
from mood_event import Loop, aio

REQUESTS = {REQUESTS}

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
wanted = 2 * REQUESTS + 200
if soft != resource.RLIM_INFINITY and soft < wanted:
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

class Crowd:
    '''Has those who wait go on when there are a thousand.'''

    def __init__(self):
        self.count = 0
        self.complete = asyncio.Event()

    async def wait(self):
        self.count += 1
        if self.count == REQUESTS:
            self.complete.set()
        await self.complete.wait()

class Ticks:
    '''A repeating timer of the Loop's own, beside all that.'''

    def __init__(self):
        self.count = 0
        self.timer = aio.ev_loop().timer(0.001, 0.001, self)

    def __call__(self, watcher, revents):
        self.count += 1

    def __enter__(self):
        self.timer.start()

    def __exit__(self, *exc_info):
        self.timer.stop()
        assert self.count > 1
"""

CLIENTS = """
async def ask(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
"""


@pytest.fixture(autouse=True)
def enough_descriptors():
    """Two for each request, where a client and its server are one process."""
    resource = pytest.importorskip("resource")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2 * REQUESTS + 200:
        pytest.skip(f"this system allows {hard} descriptors")


def test_aiohttp(run_script):
    run_script(
        PRELUDE
        + """
import sys
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

async def main():
    crowd = Crowd()

    async def handle(request):
        await crowd.wait()
        return web.json_response({"number": int(request.query["number"])})

    async def echo(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data.upper())
        return socket

    app = web.Application()
    app.router.add_get("/", handle)
    app.router.add_get("/echo", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=REQUESTS).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def get(number):
        async with session.get(url, params={"number": number}) as response:
            return (await response.json())["number"]

    async with ClientSession(
        connector=TCPConnector(limit=0), timeout=ClientTimeout(total=50)
    ) as session:
        with Ticks():
            numbers = await asyncio.gather(*map(get, range(REQUESTS)))
        assert numbers == list(range(REQUESTS))
        async with session.ws_connect(url + "/echo") as socket:
            await socket.send_str("abc")
            assert await socket.receive_str() == "ABC"
    await runner.cleanup()

aio.run(main())
""",
        options=("-W", "error"),
    )


UVICORN = (
    PRELUDE
    + """
crowd = None

async def app(scope, receive, send):
    global crowd
    if scope["type"] == "lifespan":
        crowd = Crowd()
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    assert scope["type"] == "http"
    await crowd.wait()
    kind = type(asyncio.get_running_loop())
    body = f"{kind.__module__}.{kind.__name__} {scope['path']}".encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_uvicorn(run_script, tmp_path, signum):
    (tmp_path / "served.py").write_text(UVICORN)
    server = Running(
        [
            *(sys.executable, "-m", "uvicorn", "served:app"),
            *("--app-dir", str(tmp_path), "--port", "0", "--no-access-log"),
            *("--loop", "mood_event.aio:new_event_loop"),
        ]
    )
    with server:
        port = server.find(r"running on http://127\.0\.0\.1:(\d+)")[1]
        run_script(
            PRELUDE
            + CLIENTS
            + """
import sys

REQUEST = b"GET /%d HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"

async def main():
    with Ticks():
        answers = await asyncio.gather(
            *(ask(int(sys.argv[1]), REQUEST % n) for n in range(REQUESTS))
        )
    for n, answer in enumerate(answers):
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert answer.endswith(b"mood_event.aio.EventLoop /%d" % n), answer

aio.run(main())
""",
            port,
        )
        # It shuts down in order, and then leaves the signal to what it was before.
        assert server.end(signum) in (0, -signum)
        assert "Application shutdown complete" in server.output


def test_anyio(run_script):
    run_script(
        PRELUDE
        + """
import os, signal, sys
import anyio

async def main():
    crowd = Crowd()

    async def handle(stream):
        async with stream:
            data = await stream.receive()
            await crowd.wait()
            await stream.send(data.upper())

    async def talk(number):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"number %d" % number)
            assert await stream.receive() == b"NUMBER %d" % number

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as servers:
        servers.start_soon(listener.serve, handle)
        with Ticks():
            async with anyio.create_task_group() as clients:
                for number in range(REQUESTS):
                    clients.start_soon(talk, number)
        servers.cancel_scope.cancel()
    await listener.aclose()

    assert await anyio.to_thread.run_sync(pow, 2, 10) == 1024
    result = await anyio.run_process(["/bin/sh", "-c", "cat; exit 3"], input=b"x",
                                     check=False)
    assert (result.returncode, result.stdout) == (3, b"x")
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        async for signum in signals:
            assert signum == signal.SIGUSR1
            break
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep(30)
    assert scope.cancelled_caught
    return type(asyncio.get_running_loop())

kind = anyio.run(main, backend_options={"loop_factory": aio.new_event_loop})
assert kind is aio.EventLoop
"""
    )


PYTEST_ASYNCIO = (
    PRELUDE
    + CLIENTS
    + """
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def server():
    crowd = Crowd()

    async def handle(reader, writer):
        data = await reader.readline()
        await crowd.wait()
        writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=REQUESTS)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

@pytest.mark.asyncio
async def test_a_crowd(server):
    assert type(asyncio.get_running_loop()) is aio.EventLoop
    with Ticks():
        answers = await asyncio.gather(
            *(ask(server, b"number %d\\n" % n) for n in range(REQUESTS))
        )
    assert answers == [b"NUMBER %d\\n" % n for n in range(REQUESTS)]

loops = set()

@pytest.mark.asyncio
@pytest.mark.parametrize("n", [1, 2])
async def test_each_has_a_loop_of_its_own(n):
    loops.add(aio.ev_loop())
    assert len(loops) == n
    await aio.event(aio.ev_loop().timer(0.001, 0.0, aio.ignore))
"""
)

BY_POLICY = """
import pytest
from mood_event import aio

@pytest.fixture(scope="session")
def event_loop_policy():
    return aio.EventLoopPolicy()
"""

BY_HOOK = """
from mood_event import aio

def pytest_asyncio_loop_factories():
    return {"mood_event": aio.new_event_loop}
"""


@pytest.mark.parametrize("how", ["policy", "hook"])
def test_pytest_asyncio(run_script, tmp_path, how):
    plugin = importlib.import_module("pytest_asyncio.plugin")
    has_hook = hasattr(plugin, "_asyncio_loop_factory")
    if how == "hook" and not has_hook:
        pytest.skip("pytest-asyncio has this from a version on that is not for 3.9")
    if how == "policy" and not hasattr(asyncio, "DefaultEventLoopPolicy"):
        pytest.skip("this Python's asyncio has no policies")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
    )
    (tmp_path / "conftest.py").write_text(BY_HOOK if how == "hook" else BY_POLICY)
    (tmp_path / "test_it.py").write_text(PYTEST_ASYNCIO)
    # Where it has the hook, it says that policies are deprecated.
    warnings = ["-W", "ignore:.*event_loop_policy" if how == "policy" else "error"]
    result = run_script(
        "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))",
        *("-q", "-p", "no:cacheprovider", *warnings, str(tmp_path)),
        env={"PYTEST_ADDOPTS": ""},
    )
    assert "3 passed" in result.stdout
