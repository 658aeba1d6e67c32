# A service gives its checks an hour, and its node lets them wait: the others are served within seconds
# all the same, and so is what a reload adds.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2  accepts at port 9999, and never answers
#
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
spawn silent node2 /usr/bin/python3 -c 'import socket, time
listener = socket.create_server(("", 9999))
time.sleep(3600)'
service_add web 10.0.0.1:80/tcp node1 node2
service_add web-slow 10.0.0.2:80/tcp node2
service_check[web-slow]='{ port = 9999; interval = 3600.0; timeout = 3600.0; }'
guideway_begin
wait_until 10 on client fetch_peer web
grep "first checks of nodes are not over after 5 s" "$lab_folder/guideway.log"
refute on client fetch_peer web-slow

service_add web-more 10.0.0.3:80/tcp node1 node2
guideway_reload
wait_until 2 on client fetch_peer web-more

# Once it answers, it is served.
service_check[web-slow]='{ port = 9999; interval = 1.0; timeout = 1.0; }'
end silent KILL
spawn loud node2 "$support/node" node2 9999 5354
guideway_reload
wait_until 5 on client fetch_peer web-slow
