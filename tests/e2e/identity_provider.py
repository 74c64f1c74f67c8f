"""An identity provider on a free port of loopback, with keys of its own: prints the port, then answers lines of JSON.

    .cache/clients/moto/bin/python tests/e2e/identity_provider.py

{"serve": [kid, …]} changes the key set, made as needed; {"status": number} what is answered instead of 200;
{"sign": claims, "kid": kid} prints a token. Each line is answered by one. Ends when standard input does.
"""
import http.server
import json
import sys
import threading

from joserfc import jwt
from joserfc.jwk import RSAKey

keys, served, status = {}, [], 200


def key(kid):
    if kid not in keys:
        keys[kid] = RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})
    return keys[kid]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/pool/.well-known/jwks.json"
        body = json.dumps({"keys": [key(kid).as_dict(private=False) for kid in served]}).encode()
        self.send_response(status if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
for line in sys.stdin:
    request = json.loads(line)
    answer = ""
    if "serve" in request:
        for each in request["serve"]:
            key(each)
        served = request["serve"]
    elif "status" in request:
        status = request["status"]
    else:
        answer = jwt.encode({"alg": "RS256", "kid": request["kid"]}, request["sign"], key(request["kid"]))
    print(json.dumps(answer), flush=True)
