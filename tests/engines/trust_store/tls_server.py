"""In the sandbox: an HTTPS server with the certificate `leaf.pem`, and a client of it.

Runs the command that it is given, with $URL and $ADDRESS (host:port) telling where the server is. The
last line printed is how many requests came; one comes only from a client that trusts the server.
"""

import http.server
import os
import ssl
import subprocess
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    served = 0

    def do_GET(self) -> None:
        type(self).served += 1
        body = b"welcome"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the base's way of naming

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us is what the tests look for."""


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("leaf.pem")
server = Server(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"localhost:{server.server_port}"
where = {"ADDRESS": address, "URL": f"https://{address}/"}
subprocess.run(sys.argv[1:], check=False, stdin=subprocess.DEVNULL, env=os.environ | where)
sys.stdout.write(f"\n{Handler.served}\n")
