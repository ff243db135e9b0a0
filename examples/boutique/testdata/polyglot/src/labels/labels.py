"""Prints labels."""
from http.server import BaseHTTPRequestHandler, HTTPServer


def label(number):
    return f"*{number.upper()}*"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"ok" if self.path == "/healthz" else label(self.path[1:]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    HTTPServer(("", 8080), Handler).serve_forever()
