"""Fills an API server with a cluster: Nodes, Services and EndpointSlices. many_nodes.py stands for all nodes.

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
LOCAL_PORTS_FROM = 20000  # Each Local Service has two: its NodePort and its healthCheckNodePort.


def node(i):
    name = f"worker-{i:04}"
    return "/api/v1/nodes", {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": [
            {"type": "InternalIP", "address": f"10.90.{i // 250}.{i % 250 + 1}"}]}}


def space(i):
    return f"space-{i % 100:02}"


def service_name(i):
    return f"service-{i:05}"


def health_port(i, local_every):
    return LOCAL_PORTS_FROM + i // local_every * 2 + 1


def service_with_health_port(port, local_every):
    """Its namespace and its name; None if that is nobody's."""
    if port < LOCAL_PORTS_FROM or port % 2 == 0:
        return None
    i = (port - LOCAL_PORTS_FROM) // 2 * local_every
    return space(i), service_name(i)


def service(i, local_every):
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    spec = {"type": "LoadBalancer", "loadBalancerClass": "guideway.dev/lb", "ports": [port]}
    if i % local_every == 0:
        spec["externalTrafficPolicy"] = "Local"
        spec["healthCheckNodePort"] = health_port(i, local_every)
        port["nodePort"] = spec["healthCheckNodePort"] - 1
    return f"/api/v1/namespaces/{space(i)}/services", {
        "apiVersion": "v1", "kind": "Service", "spec": spec,
        "metadata": {"name": service_name(i), "finalizers": ["guideway.dev/lb-cleanup"]}}


def endpoint(node_number):
    return {"addresses": ["10.244.0.1"], "nodeName": f"worker-{node_number:04}",
            "conditions": {"ready": True, "serving": True, "terminating": False}}


def endpoint_slice(i, n_nodes):
    return f"/apis/discovery.k8s.io/v1/namespaces/{space(i)}/endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": f"{service_name(i)}-slice",
                     "labels": {"kubernetes.io/service-name": service_name(i)}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [endpoint((i + j * 37) % n_nodes) for j in range(ENDPOINTS)]}


def objects(n_nodes, n_services, local_every):
    """In steps, of which each is to be whole before the next begins."""
    local = range(0, n_services, local_every)
    spaces = [("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                      "metadata": {"name": space(i)}}) for i in range(100)]
    # They ask for their ports, which others would be given else.
    local_services = [service(i, local_every) for i in local]
    others = [node(i) for i in range(n_nodes)]
    others += [endpoint_slice(i, n_nodes) for i in local]
    others += [service(i, local_every) for i in range(n_services) if i % local_every != 0]
    return spaces, local_services, others


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
    for step in objects(int(n_nodes), int(n_services), int(local_every)):
        create_all(host, tls, step)


if __name__ == "__main__":
    main()
