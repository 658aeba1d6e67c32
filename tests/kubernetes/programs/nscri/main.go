// Command nscri is a container runtime without images: it speaks the Container Runtime Interface to
// an unmodified kubelet and runs every pod as plain processes in a network namespace of its own. So a
// machine on which no containers can be run has pods that start, become ready, are asked to end and
// end as Kubernetes has it.
//
// One nscri serves one node. It is started inside the node's namespaces, beside its kubelet. What it
// keeps, it keeps in memory: when it goes, so does the node.
package main

import (
	"flag"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubelet/pkg/cri/streaming"
)

const (
	socket      = "/run/nscri.sock" // Where the kubelet asks.
	stateFolder = "/run/nscri"      // What containers write.

	// The layers of every container's root, as overlayfs takes them: what images bring, over the
	// machine's own files.
	lowerLayers = "/.image:/.machine"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		containerInit()
		return
	}
	prefix4 := flag.String("pods4", "", "IPv4 prefix of this node's pods")
	prefix6 := flag.String("pods6", "", "IPv6 prefix of this node's pods")
	flag.Parse()

	pods, err := newPodNetwork(*prefix4, *prefix6)
	if err != nil {
		log.Fatal(err)
	}
	rt := newRuntime(pods)
	if err := rt.serveStreams(); err != nil {
		log.Fatal(err)
	}
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, rt)
	cri.RegisterImageServiceServer(server, images{})
	log.Fatal(server.Serve(l))
}

// serveStreams is where clients of exec are sent. The streaming server wants to know its port before
// it listens.
func (r *containerRuntime) serveStreams() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	config := streaming.DefaultConfig
	config.Addr = listener.Addr().String()
	listener.Close()
	if r.streams, err = streaming.NewServer(config, streamer{r}); err != nil {
		return err
	}
	go func() { log.Fatal(r.streams.Start(true)) }()
	return nil
}
