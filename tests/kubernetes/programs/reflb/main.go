// Command reflb is a plain load balancer by which the test cluster itself is checked, and nothing
// else. It gives every Service of type LoadBalancer an address, and routes it by the kernel to all
// nodes that fit, or to one if the Service wants session affinity; kube-proxy there does the rest.
package main

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// finalizer is the one the upstream tests look for.
const finalizer = "service.kubernetes.io/load-balancer-cleanup"

var pools = map[corev1.IPFamily]netip.Prefix{
	corev1.IPv4Protocol: netip.MustParsePrefix("203.0.113.0/24"),
	corev1.IPv6Protocol: netip.MustParsePrefix("2001:db8:113::/64"),
}

type balancer struct {
	client   kubernetes.Interface
	services corelisters.ServiceLister
	nodes    corelisters.NodeLister
	slices   discoverylisters.EndpointSliceLister
	owner    map[netip.Addr]string // address to service
	route    map[netip.Addr]string // address to what ip-route was last told
}

func main() {
	spreadByPorts()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 100, 200
	b := &balancer{
		client: kubernetes.NewForConfigOrDie(config),
		owner:  map[netip.Addr]string{},
		route:  map[netip.Addr]string{},
	}
	b.run(b.watch())
}

// spreadByPorts makes the kernel choose among several hops by ports, not by addresses alone.
func spreadByPorts() {
	for _, v := range []string{"ipv4", "ipv6"} {
		file := "/proc/sys/net/" + v + "/fib_multipath_hash_policy"
		if err := os.WriteFile(file, []byte("1"), 0); err != nil {
			log.Fatal(err)
		}
	}
}

// watch returns, once all is known, a channel on which something comes when something has changed.
func (b *balancer) watch() <-chan struct{} {
	wake := make(chan struct{}, 1)
	touch := func(any) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	f := informers.NewSharedInformerFactory(b.client, 0)
	services, nodes, slices := f.Core().V1().Services(), f.Core().V1().Nodes(), f.Discovery().V1().EndpointSlices()
	b.services, b.nodes, b.slices = services.Lister(), nodes.Lister(), slices.Lister()
	for _, i := range []cache.SharedIndexInformer{services.Informer(), nodes.Informer(), slices.Informer()} {
		i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: touch, DeleteFunc: touch, UpdateFunc: func(_, n any) { touch(n) }})
	}
	f.Start(nil)
	f.WaitForCacheSync(nil)
	log.Print("ready")
	return wake
}

func (b *balancer) run(wake <-chan struct{}) {
	for {
		select {
		case <-wake:
		case <-time.After(time.Second):
		}
		if err := b.reconcile(context.Background()); err != nil {
			log.Print(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func wanted(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil && s.DeletionTimestamp == nil
}

func (b *balancer) reconcile(ctx context.Context) error {
	all, err := b.services.List(labels.Everything())
	if err != nil {
		return err
	}
	sort.Slice(all, func(i, j int) bool { return all[i].UID < all[j].UID })
	alive := map[string]bool{}
	for _, s := range all {
		if wanted(s) {
			alive[string(s.UID)] = true
			for _, in := range s.Status.LoadBalancer.Ingress { // what an earlier run gave
				if a, err := netip.ParseAddr(in.IP); err == nil && b.owner[a] == "" {
					b.owner[a] = string(s.UID)
				}
			}
		}
	}
	for a, uid := range b.owner {
		if !alive[uid] {
			b.unroute(a)
			delete(b.owner, a)
		}
	}
	var first error
	for _, s := range all {
		if err := b.service(ctx, s); err != nil && !apierrors.IsConflict(err) && first == nil {
			first = fmt.Errorf("%s/%s: %w", s.Namespace, s.Name, err)
		}
	}
	return first
}

func (b *balancer) service(ctx context.Context, s *corev1.Service) error {
	if !wanted(s) {
		return b.release(ctx, s)
	}
	if !slices.Contains(s.Finalizers, finalizer) {
		s = s.DeepCopy()
		s.Finalizers = append(s.Finalizers, finalizer)
		var err error
		if s, err = b.client.CoreV1().Services(s.Namespace).Update(ctx, s, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	var ingress []corev1.LoadBalancerIngress
	for _, family := range s.Spec.IPFamilies {
		a, err := b.address(string(s.UID), family)
		if err != nil {
			return err
		}
		b.point(a, b.targets(s, family))
		ingress = append(ingress, corev1.LoadBalancerIngress{IP: a.String()})
	}
	if !sameAddresses(ingress, s.Status.LoadBalancer.Ingress) {
		s = s.DeepCopy()
		s.Status.LoadBalancer.Ingress = ingress
		_, err := b.client.CoreV1().Services(s.Namespace).UpdateStatus(ctx, s, metav1.UpdateOptions{})
		return err
	}
	return nil
}

func sameAddresses(a, b []corev1.LoadBalancerIngress) bool {
	return slices.EqualFunc(a, b, func(x, y corev1.LoadBalancerIngress) bool { return x.IP == y.IP })
}

// release takes back what a service that is no longer ours still carries.
func (b *balancer) release(ctx context.Context, s *corev1.Service) error {
	i := slices.Index(s.Finalizers, finalizer)
	if i < 0 {
		return nil
	}
	var err error
	if len(s.Status.LoadBalancer.Ingress) > 0 && s.DeletionTimestamp == nil {
		s = s.DeepCopy()
		s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
		if s, err = b.client.CoreV1().Services(s.Namespace).UpdateStatus(ctx, s, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	s = s.DeepCopy()
	s.Finalizers = slices.DeleteFunc(s.Finalizers, func(f string) bool { return f == finalizer })
	_, err = b.client.CoreV1().Services(s.Namespace).Update(ctx, s, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return err
}

func (b *balancer) address(uid string, family corev1.IPFamily) (netip.Addr, error) {
	p := pools[family]
	for a, u := range b.owner {
		if u == uid && p.Contains(a) {
			return a, nil
		}
	}
	a := p.Addr().Next()
	for i := 0; i < 250 && p.Contains(a); i++ {
		if b.owner[a] == "" {
			b.owner[a] = uid
			return a, nil
		}
		a = a.Next()
	}
	return netip.Addr{}, fmt.Errorf("pool %s is used up", p)
}

// targets lists the nodes' addresses that may get a service's traffic: the nodes
// with a ready endpoint under externalTrafficPolicy Local, else every ready node.
func (b *balancer) targets(s *corev1.Service, family corev1.IPFamily) []string {
	local := s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	has := map[string]bool{}
	if local {
		all, _ := b.slices.EndpointSlices(s.Namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: s.Name}))
		for _, es := range all {
			if string(es.AddressType) != string(family) {
				continue
			}
			for _, e := range es.Endpoints {
				if e.NodeName != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
					has[*e.NodeName] = true
				}
			}
		}
	}
	nodes, _ := b.nodes.List(labels.Everything())
	var l []string
	for _, n := range nodes {
		if local && !has[n.Name] || !ready(n) {
			continue
		}
		for _, a := range n.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP && ip.Is4() == (family == corev1.IPv4Protocol) {
				l = append(l, ip.String())
			}
		}
	}
	slices.Sort(l)
	if s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP && len(l) > 1 {
		l = l[:1]
	}
	return l
}

func ready(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// ---- the kernel's routes

func family(a netip.Addr) string {
	if a.Is4() {
		return "-4"
	}
	return "-6"
}

func (b *balancer) point(a netip.Addr, via []string) {
	if len(via) == 0 {
		b.unroute(a)
		return
	}
	hops := "via " + via[0]
	if len(via) > 1 {
		hops = ""
		for _, v := range via {
			hops += " nexthop via " + v
		}
	}
	if b.route[a] == hops {
		return
	}
	if a.Is6() {
		ip(family(a), "route del "+a.String()) // where IPv4 replaces, IPv6 may add
	}
	ip(family(a), "route replace "+a.String()+" "+hops)
	log.Printf("%s %s", a, hops)
	b.route[a] = hops
}

func (b *balancer) unroute(a netip.Addr) {
	if b.route[a] != "" {
		ip(family(a), "route del "+a.String())
		log.Printf("%s off", a)
		delete(b.route, a)
	}
}

func ip(family, args string) {
	out, err := exec.Command("ip", append([]string{family}, strings.Fields(args)...)...).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "No such process") {
		log.Printf("ip %s %s: %v: %s", family, args, err, out)
	}
}
