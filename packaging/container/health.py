"""Exit code 0 if a tap's API answers 200: the health check of its container, and a probe of Kubernetes.

python3 -I -S health.py [PATH [SOCKET]]: of the API, /healthz if not given, and of its Unix socket. Without imports that
take long, because it starts every few seconds.
"""

import socket
import sys

path, place = (*sys.argv[1:], *("/healthz", "/run/redis-tap/api.sock")[len(sys.argv) - 1 :])
with socket.socket(socket.AF_UNIX) as api:
    api.settimeout(3)
    try:
        api.connect(place)
        api.sendall(f"GET {path} HTTP/1.1\r\nHost: tap\r\nConnection: close\r\n\r\n".encode())
        head, _, body = api.makefile("rb").read().partition(b"\r\n\r\n")
    except OSError as error:
        sys.exit(f"{place}: {error}")
print(body.decode())
if not head.startswith(b"HTTP/1.1 200 "):
    sys.exit(head.decode().splitlines()[0] if head else f"{place}: no answer")
