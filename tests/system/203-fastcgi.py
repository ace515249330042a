"""php-cgi on a FastCGI socket of usher's, behind nginx; its errors reach the
log, and a roll in between is not noticed."""
from harness import Daemon, connect, receive_all, stopped, wait_for
from lab import Root

roots = ["peers"]
root = True
group = "peers"
timeout = 120

CONF = """
[service php]
listen = unix:@DIR@/php.sock
exec = /usr/bin/php-cgi -d cgi.force_redirect=0
protocol = fastcgi
workers = 3
settle = 500ms
environment = PHP_FCGI_MAX_REQUESTS=0
"""

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; fastcgi_temp_path {dir}/fastcgi;
    proxy_temp_path {dir}/p; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_pass unix:{dir}/php.sock;
            fastcgi_param SCRIPT_FILENAME /srv/php/index.php;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
        }}
    }}
}}
"""

with Root("peers") as peers:
    peers.write("/srv/php/index.php", """<?php
        if ($_GET["log"] ?? "") file_put_contents("php://stderr", "seen\\n");
        echo "pid ", getmypid(), " q ", $_GET["q"] ?? "";
        """)
    with Daemon(CONF, root=peers, fds=False) as usher:
        port = usher.port("nginx")
        peers.write("/etc/nginx/usher.conf",
                    NGINX.format(dir=usher.dir, port=port))
        nginx = peers.popen("/usr/sbin/nginx", "-c", "/etc/nginx/usher.conf")

        def get(query):
            with connect(f"tcp:127.0.0.1:{port}") as client:
                client.sendall(f"GET /?{query} HTTP/1.0\r\n\r\n".encode())
                answer = receive_all(client)
            assert b"200 OK" in answer, answer
            return answer.rpartition(b"\r\n\r\n")[2].decode()
        try:
            wait_for(lambda: get("q=0"))
            for n in range(20):
                assert get(f"q={n}").endswith(f" q {n}")
            pids = {w["pid"] for w in usher.service("php")["workers"]}
            assert int(get("q=x").split()[1]) in pids
            get("log=1")
            usher.wait_log(r"php\[\d+\]: seen")
            usher.call("Roll", service="php", wait=True)
            for n in range(20):
                assert get(f"q={n}").endswith(f" q {n}")
        finally:
            stopped(nginx)
