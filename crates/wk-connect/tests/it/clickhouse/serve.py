"""Speaks ClickHouse's HTTP interface in front of its engine (chdb), as far as the tests need it; for tests only.

Arguments: the folder of the data, the port, and, where sign-in is wanted, a user and a password. What SQL means, types,
formats, codecs, merging and deduplication are the engine's own. What a real server adds is not here: quotas, rights,
asynchronous inserts, limits of connections.
"""

import base64
import json
import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

FOLDER, PORT = sys.argv[1], int(sys.argv[2])
SIGN_IN = f"{sys.argv[3]}:{sys.argv[4]}" if len(sys.argv) > 4 else None
# Parameters of the address that are no settings of the engine.
OWN = {"query", "database", "default_format", "wait_end_of_query"}

engine = session.Session(FOLDER)
lock = threading.Lock()


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def run(sql, wanted_format, database, settings, packed):
    """The engine's answer and how many rows it read."""
    body, packing = packed
    with lock:
        engine.query(f"USE {database}")
        insert = re.match(r"(INSERT INTO .*?) FORMAT (RowBinary\w*)$", sql, re.S)
        if insert:
            with tempfile.NamedTemporaryFile(dir=FOLDER, suffix=".rows") as rows:
                rows.write(body)
                rows.flush()
                words = ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
                words = f" SETTINGS {words}" if words else ""
                engine.query(f"{insert[1]} FROM INFILE {quoted(rows.name)} COMPRESSION {quoted(packing)}{words} FORMAT {insert[2]}")
            return b"", 0
        try:
            for name, value in settings.items():
                engine.query(f"SET {name} = {quoted(value)}")
            answer = engine.query(sql, wanted_format)
            return answer.bytes(), answer.rows_read()
        finally:
            for name in settings:
                if not name.startswith("param_"):
                    engine.query(f"SET {name} = DEFAULT")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = bytearray()
        while True:
            line = self.rfile.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the body was cut off")
            size = int(line, 16)
            chunk = self.rfile.read(size)
            if len(chunk) < size or len(self.rfile.readline()) == 0:
                raise ConnectionError("the body was cut off")
            if size == 0:
                return bytes(out)
            out += chunk

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, b"Ok.\n", {})

    def do_POST(self):
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            body = self.body()
        except ConnectionError:
            self.close_connection = True
            return
        if SIGN_IN is not None:
            given = self.headers.get("Authorization", "Basic ").split(" ", 1)[1]
            if base64.b64decode(given).decode() != SIGN_IN:
                text = "Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)"
                return self.answer(403, text.encode(), {"X-ClickHouse-Exception-Code": "516"})
        sql = parameters.get("query") or body.decode()
        try:
            settings = {name: value for name, value in parameters.items() if name not in OWN}
            wanted = parameters.get("default_format", "TabSeparated")
            packing = self.headers.get("Content-Encoding", "none")
            rows, read = run(sql, wanted, parameters.get("database", "default"), settings, (body, packing))
        except Exception as error:
            text = str(error)
            code = re.search(r"Code: (\d+)", text)
            headers = {"X-ClickHouse-Exception-Code": code[1]} if code else {}
            return self.answer(500, text.encode(), headers)
        self.answer(200, rows, {"X-ClickHouse-Summary": json.dumps({"read_rows": str(read)})})


server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
server.daemon_threads = True
# Nobody is left who would end it once its parent is gone.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
