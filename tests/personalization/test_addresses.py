"""What may be called, and what is never even connected: a listening socket counts."""

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from personalization.addresses import Policy, Refused, is_callable, target_of
from personalization.outgoing import Unreachable, post, resolve

HOME = Policy(allow_private=True)


class Listener:
    """Listens on every loopback address and counts who connects."""

    def __init__(self) -> None:
        self.sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self.sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # a machine without IPv6
            self.sockets.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        self.connections = 0
        for one in self.sockets:
            threading.Thread(target=self._accept, args=(one,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            accepted.close()

    def close(self) -> None:
        for one in self.sockets:
            one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Give something inside of the house that must not be reached."""
    made = Listener()
    yield made
    made.close()


FORBIDDEN = [
    # this machine, in all notations
    "https://127.0.0.1:{port}/", "https://127.0.0.2:{port}/", "https://127.255.255.254:{port}/", "https://127.1:{port}/",
    "https://127.0.1:{port}/", "https://0x7f.1:{port}/", "https://0x7f000001:{port}/", "https://0177.0.0.1:{port}/",
    "https://017700000001:{port}/", "https://2130706433:{port}/", "https://0x7f.0x0.0x0.0x1:{port}/",
    "https://localhost:{port}/", "https://LOCALHOST:{port}/", "https://localhost.:{port}/", "https://127.0.0.1.:{port}/",
    "https://0:{port}/", "https://0.0.0.0:{port}/", "https://[::1]:{port}/", "https://[0:0:0:0:0:0:0:1]:{port}/",
    "https://[::]:{port}/", "https://[::ffff:127.0.0.1]:{port}/", "https://[::ffff:7f00:1]:{port}/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]:{port}/", "https://[::127.0.0.1]:{port}/", "https://[::1%25lo]:{port}/",
    "https://\N{CIRCLED DIGIT ONE}\N{CIRCLED DIGIT TWO}\N{CIRCLED DIGIT SEVEN}.0.0.1:{port}/",
    "https://１２７.０.０.１:{port}/", "https://127。0。0。1:{port}/",
    # the cloud's own, other machines inside, and everything that is not of the open internet
    "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://0xa9fea9fe/", "https://2852039166/",
    "https://[::ffff:169.254.169.254]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://10.0.0.1/",
    "https://10.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.0.1/", "https://192.168.257/",
    "https://100.64.0.1/", "https://192.0.0.8/", "https://192.0.2.1/", "https://198.18.0.1/", "https://198.51.100.7/",
    "https://203.0.113.9/", "https://224.0.0.1/", "https://239.255.255.250/", "https://240.0.0.1/",
    "https://255.255.255.255/", "https://[fc00::1]/", "https://[fec0::1]/", "https://[ff02::1]/", "https://[2001:db8::1]/",
    # addresses that carry another one inside
    "https://[2002:7f00:1::]/", "https://[2002:a00:1::1]/", "https://[64:ff9b::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a00:1]/", "https://[2001:0:7f00:1::]/", "https://[::ffff:0:127.0.0.1]/",
    # not what it seems
    "http://127.0.0.1:{port}/", "http://93.184.216.34/", "https://good.example@127.0.0.1:{port}/",
    "https://user:secret@93.184.216.34/", "https://93.184.216.34:22/", "https://93.184.216.34:8443/",
    "ftp://127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x", "//127.0.0.1:{port}/",
    "https:127.0.0.1:{port}", "https://127.0.0.1:{port}\\@good.example/", "https://good.example\\@127.0.0.1:{port}/",
    "https://127.0.0.1\t:{port}/", "https://127.0.0.1:{port}/\r\nHost: x", "https://127.0.0.1:999999/", "https://[::1/",
    "https://", "https:///x", "javascript:alert(1)", "", " ",
]  # fmt: skip


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_forbidden_url_is_refused_before_anything_is_connected(url: str, listener: Listener) -> None:
    policy = Policy(ports=frozenset({80, 443, listener.port}))
    with pytest.raises((Refused, Unreachable)):
        post(url.format(port=listener.port), b"{}", {}, policy=policy)
    assert listener.connections == 0


def test_the_table_is_long_enough() -> None:
    assert len(FORBIDDEN) > 60
    assert len(set(FORBIDDEN)) == len(FORBIDDEN)


@pytest.mark.parametrize(
    "others", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "2606:2800:21f::1"], []]
)
def test_a_name_is_refused_when_one_of_its_addresses_is_not_public(
    others: list[str], listener: Listener
) -> None:
    policy = Policy(ports=frozenset({listener.port}))
    with pytest.raises(Refused):
        post(
            f"https://hooks.example:{listener.port}/",
            b"",
            {},
            policy=policy,
            resolver=lambda host, port: others,
        )
    assert listener.connections == 0


def test_a_name_is_resolved_once_so_that_a_second_answer_changes_nothing(listener: Listener) -> None:
    """DNS rebinding: public when it is checked, loopback when it is connected."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    policy = Policy(ports=frozenset({listener.port}))
    with pytest.raises(
        BaseException, match=r"93\.184\.216\.34|No connection|No answer"
    ):  # pytest-socket lets nobody out
        post(f"https://hooks.example:{listener.port}/", b"", {}, policy=policy, resolver=rebinding)
    assert asked == ["hooks.example"]
    assert listener.connections == 0


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:2800:21f:cb07::1", "172.32.0.1", "100.128.0.1"]
)
def test_a_public_address_may_be_called(address: str) -> None:
    assert is_callable(address, policy=Policy())


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd00::1"])
def test_ones_own_network_may_be_called_only_where_somebody_said_so(address: str) -> None:
    assert not is_callable(address, policy=Policy())
    assert is_callable(address, policy=HOME)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::ffff:127.0.0.1", "rubbish"]
)
def test_some_addresses_may_not_be_called_even_then(address: str) -> None:
    assert not is_callable(address, policy=HOME)


def test_a_target_is_taken_apart() -> None:
    target = target_of("https://Bücher.example/a%20b?c=d#e", policy=Policy())
    assert (target.host, target.port, target.path) == ("xn--bcher-kva.example", 443, "/a%20b?c=d")
    with pytest.raises(Refused, match="ASCII"):
        target_of("https://hooks.example/ü", policy=Policy())


def test_a_name_that_nobody_knows_is_said_so() -> None:
    with pytest.raises(Unreachable, match="not known"):
        resolve("nobody.invalid", 443)


# -- answers -------------------------------------------------------------------------------------------------------


class Server:
    """Answers one connection with these bytes, perhaps slowly, perhaps over TLS."""

    def __init__(self, *answer: bytes, pause: float = 0.0, context: ssl.SSLContext | None = None) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.answer, self.pause, self.context = answer, pause, context
        self.asked, self.connections = b"", 0
        self.ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            try:
                line = self.context.wrap_socket(line, server_side=True) if self.context else line
                self.asked = b""
                while not self.asked.endswith(b"}") and (more := line.recv(65_536)):
                    self.asked += more
                for part in self.answer:
                    line.sendall(part)
                    self.ended.wait(self.pause)
            except OSError:
                pass  # the caller hung up: what a test looks at is on its side
            finally:
                line.close()

    def close(self) -> None:
        self.ended.set()
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


def call(server: Server, scheme: str = "http", host: str = "hooks.example", **options: object) -> object:
    return post(
        f"{scheme}://{host}:{server.port}/in?x=1", b'{"a":1}', {"webhook-id": "msg_1"},
        policy=HOME, resolver=lambda host, port: ["127.0.0.1"], **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_request_names_the_host_and_carries_the_body() -> None:
    server = Server(b"HTTP/1.1 204 No Content\r\n\r\n")
    answer = call(server)
    server.close()
    assert (answer.status, answer.ok) == (204, True)  # type: ignore[attr-defined]
    head, _, body = server.asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /in?x=1 HTTP/1.1\r\n")
    assert f"Host: hooks.example:{server.port}".encode() in head
    assert b"webhook-id: msg_1" in head
    assert body == b'{"a":1}'


def test_a_redirect_is_not_followed(listener: Listener) -> None:
    server = Server(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{listener.port}/\r\n\r\n".encode())
    answer = call(server)
    server.close()
    assert (answer.status, answer.ok) == (302, False)  # type: ignore[attr-defined]
    assert (server.connections, listener.connections) == (1, 0)


def test_only_the_beginning_of_a_long_answer_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    server = Server(head, *([b"x" * 65_536] * 64))
    answer = call(server)
    server.close()
    assert answer.ok  # type: ignore[attr-defined]
    assert len(answer.text) == 300  # type: ignore[attr-defined]


def test_an_answer_that_drips_ends_after_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personalization.outgoing.ANSWER_SECONDS", 0.3)
    server = Server(*(bytes([one]) for one in b"HTTP/1.1 200 OK\r\n"), pause=0.05)
    with pytest.raises(Unreachable, match="three seconds"):
        call(server)
    server.close()


def test_rubbish_is_no_answer() -> None:
    server = Server(b"hello\r\n\r\n")
    with pytest.raises(Unreachable, match="not HTTP"):
        call(server)
    server.close()


def test_nobody_there_is_no_answer() -> None:
    server = Server()
    server.close()
    with pytest.raises(Unreachable, match="No connection"):
        call(server)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server of this name serves with, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    text = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + text)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "both.pem")
    return serving, ssl.create_default_context(cadata=text.decode())


def test_the_name_and_not_the_address_is_proved_by_tls(tmp_path: Path) -> None:
    serving, trust = certificate(tmp_path, "hooks.example")
    named: list[str | None] = []
    serving.sni_callback = lambda line, name, context: named.append(name)
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", context=serving)
    assert call(server, "https", trust=trust).text == "ok"  # type: ignore[attr-defined]
    assert named == ["hooks.example"]
    with pytest.raises(Unreachable, match="No secure connection"):
        call(server, "https", "other.example", trust=trust)
    with pytest.raises(Unreachable, match="No secure connection"):
        call(server, "https")  # a certificate that nobody vouches for
    server.close()
