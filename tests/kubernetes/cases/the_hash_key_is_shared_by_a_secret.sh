# The hash key: who has none gets it from the Secret, or makes that; the leader makes it anew when it is
# deleted; another key in it is told loudly, and taken at a restart. Without a key nothing is served.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

secret()
{
	admin --namespace guideway get secret guideway-hash-key --output 'jsonpath={.data.hash-key}' | base64 -d
}

secret_is()
{
	[ "$(secret)" = "$1" ]
}

key_is()
{
	[ "$(instance hash_key)" = "$1" ]
}

# In the state directory, as 32 digits.
kept()
{
	/usr/bin/python3 -c 'import struct, sys
print("%016x%016x" % struct.unpack("=QQ", open(sys.argv[1], "rb").read()))' "$lab_folder/$lab_guideway.state/hash-key"
}

admin --namespace guideway delete secret guideway-hash-key --ignore-not-found >/dev/null
instance_begin
wait_until 10 leads
key=$(secret)
[ "$(kept)" = "$key" ]

admin --namespace guideway delete secret guideway-hash-key >/dev/null
wait_until 5 secret_is "$key"
wait_until 5 key_is shared

another=0123456789abcdef0123456789abcdef
admin --namespace guideway patch secret guideway-hash-key --patch "{\"stringData\": {\"hash-key\": \"$another\"}}" >/dev/null
wait_until 5 key_is another
ctl kubernetes | grep '^HASH KEY' >/dev/null
grep -q 'error: the hash key of the Secret guideway-hash-key is another' "$lab_folder/guideway.log"
end guideway
instance_begin
wait_until 10 key_is shared
[ "$(kept)" = "$another" ]
end guideway

# The first start of all, while no API server answers.
rm -r "$lab_folder/guideway.state"
audit_forget
apiserver_stop
guideway_more=$(instance_config)
guideway_spawn
wait_until 10 grep -q 'nothing is served yet' "$lab_folder/guideway.log"
refute api status
apiserver_start
audit_forgive
wait_until 30 api status
[ "$(kept)" = "$another" ]
