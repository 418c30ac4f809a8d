"""An echo server whose watchers are set anew in their own callbacks."""

import errno
import socket

import mood.event as ev

MESSAGES = [b"one", b"two" * 1000, b"three" * 20000, b""]


class Connection:
    def __init__(self, sock, loop, closed):
        self.sock = sock
        self.sock.setblocking(False)
        self.buffer = b""
        self.finished = False
        self.closed = closed
        self.watcher = ev.Io(self.sock, ev.EV_READ, loop, self.io_cb)
        self.watcher.start()

    def reset(self, events):
        self.watcher.stop()
        self.watcher.set(self.sock, events)
        self.watcher.start()

    def io_cb(self, watcher, revents):
        try:
            if revents & ev.EV_READ:
                self.handle_read()
            else:
                self.handle_write()
        except OSError as err:
            if err.errno not in (errno.EAGAIN, errno.EINTR):
                raise

    def handle_read(self):
        data = self.sock.recv(4096)
        if data:
            self.buffer += data
        else:
            self.finished = True
        if self.buffer:
            self.reset(ev.EV_WRITE)
        elif self.finished:
            self.close()

    def handle_write(self):
        sent = self.sock.send(self.buffer)
        self.buffer = self.buffer[sent:]
        if not self.buffer:
            if self.finished:
                self.close()
            else:
                self.reset(ev.EV_READ)

    def close(self):
        self.watcher.stop()
        self.watcher = None
        self.sock.close()
        self.closed(self)


class Server:
    def __init__(self, expected):
        self.loop = ev.default_loop()
        self.expected = expected
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(socket.SOMAXCONN)
        self.sock.setblocking(False)
        self.connections = set()
        self.accepted = 0
        self.watcher = self.loop.io(self.sock, ev.EV_READ, self.accept_cb)
        self.watcher.start()

    def accept_cb(self, watcher, revents):
        while True:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                break
            self.accepted += 1
            self.connections.add(Connection(sock, watcher.loop, self.closed))

    def closed(self, connection):
        self.connections.remove(connection)
        self.expected -= 1
        if not self.expected:
            self.watcher.stop()
            self.sock.close()


class Client:
    def __init__(self, address, loop, message):
        self.message = message
        self.left = message
        self.echo = b""
        self.sock = socket.create_connection(address)
        self.sock.setblocking(False)
        self.writer = loop.io(self.sock, ev.EV_WRITE, self.write_cb)
        self.reader = loop.io(self.sock, ev.EV_READ, self.read_cb)
        self.writer.start()
        self.reader.start()

    def write_cb(self, watcher, revents):
        if self.left:
            self.left = self.left[self.sock.send(self.left) :]
        if not self.left:
            watcher.stop()
            self.sock.shutdown(socket.SHUT_WR)

    def read_cb(self, watcher, revents):
        data = self.sock.recv(65536)
        self.echo += data
        if not data:
            watcher.stop()
            self.sock.close()


server = Server(len(MESSAGES))
address = server.sock.getsockname()
clients = [Client(address, server.loop, message) for message in MESSAGES]
print("running", server.loop.start())
print("accepted", server.accepted, "open", len(server.connections))
for client in clients:
    print(len(client.message), client.echo == client.message)
