"""A relay on loopback that counts: what a client asks of a server, one request after the other, and passes it on as it is.

A request is what a client sends before the server answers; so the relay counts round trips, whatever is spoken. Of HTTP it
keeps the first line of each as well.
"""

from __future__ import annotations

import collections
import re
import socket
import threading

REQUEST = re.compile(rb"^(GET|POST|PUT|PATCH|DELETE|HEAD) (\S+) HTTP/1")


class Relay:
    """From a free port to a server of this machine."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.lock = threading.Lock()
        self.trips = 0
        self.connections = 0
        self.requests: collections.Counter[str] = collections.Counter()
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.door.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
            # whether the client spoke last: what it says then still belongs to the same request
            said = threading.Event()
            threading.Thread(target=self.forth, args=(client, server, said), daemon=True).start()
            threading.Thread(target=self.back, args=(server, client, said), daemon=True).start()

    def forth(self, client: socket.socket, server: socket.socket, said: threading.Event) -> None:
        while block := self.read(client):
            if not said.is_set():
                said.set()
                line = REQUEST.match(block)
                with self.lock:
                    self.trips += 1
                    if line:
                        self.requests[told(line[1].decode(), line[2].decode())] += 1
            server.sendall(block)
        self.close(server)

    def back(self, server: socket.socket, client: socket.socket, said: threading.Event) -> None:
        while block := self.read(server):
            said.clear()
            try:
                client.sendall(block)
            except OSError:
                break
        self.close(client)

    @staticmethod
    def read(end: socket.socket) -> bytes:
        try:
            return end.recv(1 << 16)
        except OSError:
            return b""

    @staticmethod
    def close(end: socket.socket) -> None:
        try:
            end.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def taken(self) -> tuple[int, dict[str, int]]:
        """Round trips and requests since the last time."""
        with self.lock:
            found = self.trips, dict(self.requests)
            self.trips = 0
            self.requests.clear()
        return found

    def stop(self) -> None:
        self.door.close()


def told(method: str, path: str) -> str:
    """A request without what changes from one to the next."""
    path = re.sub(r"\?.*", "", path)
    path = re.sub(r"\d{8}T\d+Z?[-\w]*|[0-9A-HJKMNP-TV-Z]{26}|\b[0-9a-f-]{16,}\b", "ID", path)
    return f"{method} {path}"
