// Command names is the test cluster's DNS, as far as upstream's tests need one: it knows the cluster
// IPs of Services by NAME.NAMESPACE.svc.cluster.local, of which it asks the API server anew each time.
//
// usage: KUBECONFIG=FILE names ADDRESS:PORT
package main

import (
	"context"
	"log"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	zone       = ".svc.cluster.local."
	queryMax   = 512 // RFC 1035, 2.3.4: nobody asks with more by UDP.
	timeToLive = 1   // In seconds: tests make and remove Services of one name.
)

type server struct {
	client kubernetes.Interface
	socket net.PacketConn
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 100, 200
	socket, err := net.ListenPacket("udp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	s := &server{kubernetes.NewForConfigOrDie(config), socket}
	for {
		query := make([]byte, queryMax)
		n, from, err := socket.ReadFrom(query)
		if err != nil {
			log.Fatal(err)
		}
		go s.reply(query[:n], from)
	}
}

func (s *server) reply(query []byte, to net.Addr) {
	answer, err := s.answer(query)
	if err == nil {
		_, err = s.socket.WriteTo(answer, to)
	}
	if err != nil {
		log.Printf("%v asks: %v", to, err)
	}
}

func (s *server) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.RecursionAvailable = true, true
	m.Additionals = nil
	for _, q := range m.Questions {
		service, err := s.find(q.Name.String())
		switch {
		case apierrors.IsNotFound(err):
			m.RCode = dnsmessage.RCodeNameError
		case err != nil:
			log.Print(err)
			m.RCode = dnsmessage.RCodeServerFailure
		default:
			m.Answers = append(m.Answers, records(q, service)...)
		}
	}
	return m.Pack()
}

// find returns an error that IsNotFound for a name that is no Service's.
func (s *server) find(name string) (*corev1.Service, error) {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(name), zone), ".")
	if len(labels) != 2 || labels[0] == "" || labels[1] == "" {
		return nil, apierrors.NewNotFound(corev1.Resource("services"), name)
	}
	return s.client.CoreV1().Services(labels[1]).Get(context.Background(), labels[0], metav1.GetOptions{})
}

// records are the addresses of the family that is asked for; there may be none.
func records(q dnsmessage.Question, service *corev1.Service) []dnsmessage.Resource {
	var list []dnsmessage.Resource
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: timeToLive}
	for _, text := range service.Spec.ClusterIPs {
		address, err := netip.ParseAddr(text)
		if err != nil {
			continue // It is headless.
		}
		if kind, body := record(address); kind == q.Type {
			list = append(list, dnsmessage.Resource{Header: header, Body: body})
		}
	}
	return list
}

func record(address netip.Addr) (dnsmessage.Type, dnsmessage.ResourceBody) {
	if address.Is4() {
		return dnsmessage.TypeA, &dnsmessage.AResource{A: address.As4()}
	}
	return dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: address.As16()}
}
