"""Fills an API server with a cluster: Nodes, Services and EndpointSlices, without anything behind them.

usage: many_objects.py HOST KEYS-FOLDER NODES SERVICES LOCAL-EVERY

One of LOCAL-EVERY Services is Local, with endpoints on three nodes. All bear Guideway's finalizer,
as those do that it had before. Runs in the namespace from which
HOST is reached, as the administrator whose keys are in the folder.
"""

import http.client
import json
import ssl
import sys
import threading

WORKERS = 12
ENDPOINTS = 3


def node(i):
    name = f"worker-{i:04}"
    return "/api/v1/nodes", {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": [
            {"type": "InternalIP", "address": f"10.90.{i // 250}.{i % 250 + 1}"}]}}


def space(i):
    return f"space-{i % 100:02}"


def service(i, is_local):
    spec = {"type": "LoadBalancer", "loadBalancerClass": "guideway.dev/lb",
            "externalTrafficPolicy": "Local" if is_local else "Cluster",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    return f"/api/v1/namespaces/{space(i)}/services", {
        "apiVersion": "v1", "kind": "Service", "spec": spec,
        "metadata": {"name": f"service-{i:05}", "finalizers": ["guideway.dev/lb-cleanup"]}}


def endpoint(node_number):
    return {"addresses": ["10.244.0.1"], "nodeName": f"worker-{node_number:04}",
            "conditions": {"ready": True, "serving": True, "terminating": False}}


def endpoint_slice(i, n_nodes):
    return f"/apis/discovery.k8s.io/v1/namespaces/{space(i)}/endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": f"service-{i:05}-slice",
                     "labels": {"kubernetes.io/service-name": f"service-{i:05}"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [endpoint((i + j * 37) % n_nodes) for j in range(ENDPOINTS)]}


def objects(n_nodes, n_services, local_every):
    for i in range(100):
        yield "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                     "metadata": {"name": space(i)}}
    for i in range(n_nodes):
        yield node(i)
    for i in range(n_services):
        is_local = i % local_every == 0
        if is_local:
            yield endpoint_slice(i, n_nodes)
        yield service(i, is_local)


class Creator(threading.Thread):
    """Takes its share of the objects, in turn."""

    def __init__(self, host, tls, mine):
        super().__init__()
        self.connection = http.client.HTTPSConnection(host, 6443, context=tls)
        self.mine = mine
        self.failed = None

    def create(self, path, document):
        self.connection.request("POST", path, json.dumps(document),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (201, 409):  # 409: it is there.
            raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")

    def run(self):
        try:
            for path, document in self.mine:
                self.create(path, document)
        except Exception as error:
            self.failed = error


def create_all(host, tls, these):
    creators = [Creator(host, tls, these[i::WORKERS]) for i in range(WORKERS)]
    for creator in creators:
        creator.start()
    for creator in creators:
        creator.join()
        if creator.failed:
            sys.exit(f"many_objects.py: {creator.failed}")


def main():
    host, keys, n_nodes, n_services, local_every = sys.argv[1:]
    tls = ssl.create_default_context(cafile=f"{keys}/ca.crt")
    tls.load_cert_chain(f"{keys}/admin.crt", f"{keys}/admin.key")
    everything = list(objects(int(n_nodes), int(n_services), int(local_every)))
    spaces = [o for o in everything if o[0] == "/api/v1/namespaces"]
    create_all(host, tls, spaces)
    create_all(host, tls, [o for o in everything if o[0] != "/api/v1/namespaces"])


main()
