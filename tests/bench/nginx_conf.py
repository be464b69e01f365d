"""A configuration for nginx that answers two requests with bodies as long as the service's."""
import json
import sys

sizes, certificate, key, prefix = json.load(open(sys.argv[1])), *sys.argv[2:5]
print(f"""
worker_processes 1;
pid {prefix}/pid;
error_log {prefix}/error.log;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 60;
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  default_type "application/json; charset=utf-8";
  server {{
    listen 127.0.0.1:9443 ssl reuseport;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    ssl_session_cache off;
    if ($http_authorization = "") {{ return 401 "{'x' * sizes['challenge_body']}"; }}
    return 202 "{'x' * sizes['assigned_body']}";
  }}
}}""")
