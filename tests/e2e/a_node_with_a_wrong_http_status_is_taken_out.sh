# A node that answers its check with a wrong status gets nothing; one that fails another kind of
# check fails it for the services that ask so: HTTP, TCP, and HTTPS with and without a good
# certificate.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2  answers 503 for a while; then without HTTPS
#
. "$(dirname "$0")/lib.sh"

https_serve()
{
	spawn "$1-https" "$1" openssl s_server -accept 8443 -cert "$lab_folder/cert.pem" \
		-key "$lab_folder/key.pem" -www -quiet
}

# are_peers SERVICE NODES
are_peers()
{
	[ "$(on client peers "$1" 20)" = "$2" ]
}

lab client guideway node1 node2
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=node -addext subjectAltName=DNS:node \
	-keyout "$lab_folder/key.pem" -out "$lab_folder/cert.pem" 2>/dev/null
https_serve node1
https_serve node2
service_add web 10.0.0.1:80/tcp node1 node2
service_add web-tcp 10.0.0.2:80/tcp node1 node2
service_add web-https 10.0.0.3:80/tcp node1 node2
service_add web-strict 10.0.0.4:80/tcp node1 node2
service_check[web-tcp]='"tcp"'
service_check[web-https]='{ kind = "https"; port = 8443; path = "/"; }'
service_check[web-strict]='{ kind = "https"; port = 8443; verify = true; host = "node"; }'
guideway_begin
for service in web web-tcp web-https; do
	wait_until 10 are_peers $service "node1 node2"
done
refute on client curl -sf --max-time 5 "$(url_of web-strict)"
ctl nodes node1 | grep -i certificate >/dev/null

end node2 KILL
spawn sick node2 /usr/bin/python3 -c 'import http.server
class Sick(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)
http.server.HTTPServer(("", 8080), Sick).serve_forever()'
wait_until 10 are_peers web node1
wait_until 10 eval 'ctl nodes node2 | grep 503'
wait_until 10 eval 'curl_status=$(on client curl -s -o /dev/null -w "%{http_code} " \
	"$(url_of web-tcp)" "$(url_of web-tcp)" "$(url_of web-tcp)" "$(url_of web-tcp)"); [[ $curl_status == *503* ]]'
end sick KILL
node_serve node2
wait_until 10 are_peers web "node1 node2"

end node2-https KILL
wait_until 10 are_peers web-https node1
are_peers web "node1 node2"
are_peers web-tcp "node1 node2"
https_serve node2
wait_until 10 are_peers web-https "node1 node2"
