"""Says what a parcel costs, in cents."""
from http.server import BaseHTTPRequestHandler, HTTPServer


PRICES = {"letter": 95, "small": 270, "parcel": 549}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"ok" if self.path == "/healthz" else str(PRICES.get(self.path[1:], 0)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    HTTPServer(("", 8080), Handler).serve_forever()
