package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/tools/remotecommand"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubelet/pkg/cri/streaming"
	utilexec "k8s.io/utils/exec"
)

type sandbox struct {
	id      string
	config  *cri.PodSandboxConfig
	created int64
	state   cri.PodSandboxState
	link    *link // nil on the node's own network
	dir     string
}

func (s *sandbox) hostNetwork() bool {
	return s.config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() == cri.NamespaceMode_NODE
}

type container struct {
	id, sandbox                string
	config                     *cri.ContainerConfig
	created, started, finished int64
	state                      cri.ContainerState
	exit                       int32
	reason                     string
	process                    *os.Process
	gone                       chan struct{}
	dir, log                   string
}

// containerRuntime is the CRI's RuntimeService.
type containerRuntime struct {
	cri.UnimplementedRuntimeServiceServer
	mu         sync.Mutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
	pods       *podNetwork
	streams    streaming.Server
}

func newRuntime(pods *podNetwork) *containerRuntime {
	return &containerRuntime{sandboxes: map[string]*sandbox{}, containers: map[string]*container{}, pods: pods}
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (r *containerRuntime) findSandbox(id string) (*sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.sandboxes[id]; ok {
		return s, nil
	}
	return nil, status.Errorf(codes.NotFound, "no sandbox %s", id)
}

func (r *containerRuntime) findContainer(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.containers[id]; ok {
		return c, nil
	}
	return nil, status.Errorf(codes.NotFound, "no container %s", id)
}

// ---- the runtime itself

func (r *containerRuntime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "nscri", RuntimeVersion: "1", RuntimeApiVersion: "v1"}, nil
}

func (r *containerRuntime) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{
		Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
			{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: true},
		}},
		RuntimeHandlers: []*cri.RuntimeHandler{{Name: "", Features: &cri.RuntimeHandlerFeatures{}}},
	}, nil
}

func (r *containerRuntime) RuntimeConfig(context.Context, *cri.RuntimeConfigRequest) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_CGROUPFS}}, nil
}

func (r *containerRuntime) UpdateRuntimeConfig(context.Context, *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	return &cri.UpdateRuntimeConfigResponse{}, nil
}

func (r *containerRuntime) UpdateContainerResources(context.Context, *cri.UpdateContainerResourcesRequest) (*cri.UpdateContainerResourcesResponse, error) {
	return &cri.UpdateContainerResourcesResponse{}, nil
}

func (r *containerRuntime) UpdatePodSandboxResources(context.Context, *cri.UpdatePodSandboxResourcesRequest) (*cri.UpdatePodSandboxResourcesResponse, error) {
	return &cri.UpdatePodSandboxResourcesResponse{}, nil
}

func (r *containerRuntime) ListContainerStats(context.Context, *cri.ListContainerStatsRequest) (*cri.ListContainerStatsResponse, error) {
	return &cri.ListContainerStatsResponse{}, nil
}

func (r *containerRuntime) ListPodSandboxStats(context.Context, *cri.ListPodSandboxStatsRequest) (*cri.ListPodSandboxStatsResponse, error) {
	return &cri.ListPodSandboxStatsResponse{}, nil
}

func (r *containerRuntime) ListMetricDescriptors(context.Context, *cri.ListMetricDescriptorsRequest) (*cri.ListMetricDescriptorsResponse, error) {
	return &cri.ListMetricDescriptorsResponse{}, nil
}

func (r *containerRuntime) ListPodSandboxMetrics(context.Context, *cri.ListPodSandboxMetricsRequest) (*cri.ListPodSandboxMetricsResponse, error) {
	return &cri.ListPodSandboxMetricsResponse{}, nil
}

func (r *containerRuntime) ReopenContainerLog(context.Context, *cri.ReopenContainerLogRequest) (*cri.ReopenContainerLogResponse, error) {
	return &cri.ReopenContainerLogResponse{}, nil
}

// ---- sandboxes

func (r *containerRuntime) RunPodSandbox(_ context.Context, q *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	s := &sandbox{id: newID(), config: q.GetConfig(), created: time.Now().UnixNano()}
	s.dir = filepath.Join(stateFolder, "sandbox", s.id)
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "resolv.conf"), resolvConf(s.config.GetDnsConfig()), 0o644); err != nil {
		return nil, err
	}
	if !s.hostNetwork() {
		l, err := r.pods.attach(s.id)
		if err != nil {
			return nil, err
		}
		s.link = l
		for k, v := range s.config.GetLinux().GetSysctls() {
			file := filepath.Join("/proc/sys", strings.ReplaceAll(k, ".", "/"))
			if err := run(v, "ip", "netns", "exec", l.netns, "tee", file); err != nil {
				r.pods.detach(l)
				return nil, err
			}
		}
	}
	r.mu.Lock()
	r.sandboxes[s.id] = s
	r.mu.Unlock()
	return &cri.RunPodSandboxResponse{PodSandboxId: s.id}, nil
}

func resolvConf(d *cri.DNSConfig) []byte {
	var b bytes.Buffer
	if s := d.GetSearches(); len(s) > 0 {
		fmt.Fprintln(&b, "search", strings.Join(s, " "))
	}
	for _, s := range d.GetServers() {
		fmt.Fprintln(&b, "nameserver", s)
	}
	if o := d.GetOptions(); len(o) > 0 {
		fmt.Fprintln(&b, "options", strings.Join(o, " "))
	}
	return b.Bytes()
}

func (r *containerRuntime) StopPodSandbox(ctx context.Context, q *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	s, err := r.findSandbox(q.PodSandboxId)
	if err != nil {
		return &cri.StopPodSandboxResponse{}, nil
	}
	for _, c := range r.containersOf(s.id) {
		r.stop(c, 0)
	}
	r.mu.Lock()
	s.state = cri.PodSandboxState_SANDBOX_NOTREADY
	l := s.link
	s.link = nil
	r.mu.Unlock()
	if l != nil {
		r.pods.detach(l)
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (r *containerRuntime) containersOf(id string) []*container {
	r.mu.Lock()
	defer r.mu.Unlock()
	var l []*container
	for _, c := range r.containers {
		if c.sandbox == id {
			l = append(l, c)
		}
	}
	return l
}

func (r *containerRuntime) RemovePodSandbox(ctx context.Context, q *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	r.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: q.PodSandboxId})
	for _, c := range r.containersOf(q.PodSandboxId) {
		r.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: c.id})
	}
	r.mu.Lock()
	s := r.sandboxes[q.PodSandboxId]
	delete(r.sandboxes, q.PodSandboxId)
	r.mu.Unlock()
	if s != nil {
		os.RemoveAll(s.dir)
	}
	return &cri.RemovePodSandboxResponse{}, nil
}

func (r *containerRuntime) PodSandboxStatus(_ context.Context, q *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	s, err := r.findSandbox(q.PodSandboxId)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := &cri.PodSandboxStatus{
		Id: s.id, Metadata: s.config.Metadata, State: s.state, CreatedAt: s.created,
		Labels: s.config.Labels, Annotations: s.config.Annotations,
		Network: &cri.PodSandboxNetworkStatus{},
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{
			Options: s.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
	}
	if s.link != nil {
		st.Network.Ip = s.link.ips[0]
		for _, ip := range s.link.ips[1:] {
			st.Network.AdditionalIps = append(st.Network.AdditionalIps, &cri.PodIP{Ip: ip})
		}
	}
	return &cri.PodSandboxStatusResponse{Status: st}, nil
}

func (r *containerRuntime) ListPodSandbox(_ context.Context, q *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := q.GetFilter()
	a := &cri.ListPodSandboxResponse{}
	for _, s := range r.sandboxes {
		if f.GetId() != "" && f.Id != s.id || f.GetState() != nil && f.State.State != s.state || !matches(f.GetLabelSelector(), s.config.Labels) {
			continue
		}
		a.Items = append(a.Items, &cri.PodSandbox{Id: s.id, Metadata: s.config.Metadata, State: s.state,
			CreatedAt: s.created, Labels: s.config.Labels, Annotations: s.config.Annotations})
	}
	return a, nil
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// ---- containers

func (r *containerRuntime) CreateContainer(_ context.Context, q *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	s, err := r.findSandbox(q.PodSandboxId)
	if err != nil {
		return nil, err
	}
	c := &container{id: newID(), sandbox: s.id, config: q.Config, created: time.Now().UnixNano(), gone: make(chan struct{})}
	c.dir = filepath.Join(stateFolder, "container", c.id)
	c.log = filepath.Join(s.config.LogDirectory, c.config.LogPath)
	if _, ok := known[r.imageOf(c)]; !ok {
		return nil, status.Errorf(codes.NotFound, "no stand-in for image %q", c.config.GetImage().GetImage())
	}
	r.mu.Lock()
	r.containers[c.id] = c
	r.mu.Unlock()
	return &cri.CreateContainerResponse{ContainerId: c.id}, nil
}

func (r *containerRuntime) imageOf(c *container) string {
	if id, ok := strings.CutPrefix(c.config.GetImage().GetImage(), "sha256:"); ok {
		return id
	}
	return imageName(c.config.GetImage().GetImage())
}

func (r *containerRuntime) spec(c *container, s *sandbox) *initSpec {
	img := known[r.imageOf(c)]
	args := append([]string{}, c.config.Command...)
	if len(args) == 0 {
		args = append(args, img.entrypoint...)
	}
	if len(c.config.Args) > 0 {
		args = append(args, c.config.Args...)
	} else if len(c.config.Command) == 0 {
		args = append(args, img.cmd...)
	}
	spec := &initSpec{
		Hostname: s.config.Hostname, Lower: lowerLayers, Dir: c.dir, Args: args, Cwd: c.config.WorkingDir,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "HOSTNAME=" + s.config.Hostname},
	}
	if spec.Cwd == "" {
		spec.Cwd = "/"
	}
	if s.link != nil {
		spec.Netns = "/run/netns/" + s.link.netns
	}
	if spec.Hostname == "" || s.hostNetwork() {
		spec.Hostname, _ = os.Hostname()
	}
	for _, e := range c.config.Envs {
		spec.Env = append(spec.Env, e.Key+"="+e.Value)
	}
	spec.Mounts = append(spec.Mounts, initMount{Source: filepath.Join(s.dir, "resolv.conf"), Target: "/etc/resolv.conf"})
	for _, m := range c.config.Mounts {
		spec.Mounts = append(spec.Mounts, initMount{m.HostPath, m.ContainerPath, m.Readonly})
	}
	sc := c.config.GetLinux().GetSecurityContext()
	spec.Uid, spec.Gid = int(sc.GetRunAsUser().GetValue()), int(sc.GetRunAsGroup().GetValue())
	for _, g := range sc.GetSupplementalGroups() {
		spec.Groups = append(spec.Groups, int(g))
	}
	return spec
}

func (r *containerRuntime) StartContainer(_ context.Context, q *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	c, err := r.findContainer(q.ContainerId)
	if err != nil {
		return nil, err
	}
	s, err := r.findSandbox(c.sandbox)
	if err != nil {
		return nil, err
	}
	if err := r.start(c, s); err != nil {
		return nil, err
	}
	return &cri.StartContainerResponse{}, nil
}

func (r *containerRuntime) start(c *container, s *sandbox) error {
	if err := os.MkdirAll(filepath.Dir(c.log), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "init")
	cmd.ExtraFiles = []*os.File{specR}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	stdout, _ := cmd.StdoutPipe()
	stderr, _ := cmd.StderrPipe()
	if err := startThread(cmd); err != nil {
		return err
	}
	specR.Close()
	json.NewEncoder(specW).Encode(r.spec(c, s))
	specW.Close()

	r.mu.Lock()
	c.process, c.started, c.state = cmd.Process, time.Now().UnixNano(), cri.ContainerState_CONTAINER_RUNNING
	r.mu.Unlock()
	go func() {
		var lines sync.WaitGroup
		var lock sync.Mutex
		for name, pipe := range map[string]io.Reader{"stdout": stdout, "stderr": stderr} {
			lines.Add(1)
			go func() {
				defer lines.Done()
				copyLog(log, &lock, name, pipe)
			}()
		}
		lines.Wait()
		err := cmd.Wait()
		log.Close()
		r.mu.Lock()
		c.finished, c.state = time.Now().UnixNano(), cri.ContainerState_CONTAINER_EXITED
		c.exit, c.reason = exitCode(err)
		r.mu.Unlock()
		close(c.gone)
	}()
	return nil
}

// startThread starts the command from one thread that lives as long as the
// process, because the parent-death signal follows the thread, not the process.
func startThread(cmd *exec.Cmd) error {
	starter.Do(func() {
		go func() {
			runtime.LockOSThread()
			for s := range starts {
				s.done <- s.cmd.Start()
			}
		}()
	})
	done := make(chan error)
	starts <- start{cmd, done}
	return <-done
}

type start struct {
	cmd  *exec.Cmd
	done chan error
}

var (
	starter sync.Once
	starts  = make(chan start)
)

func exitCode(err error) (int32, string) {
	var e *exec.ExitError
	if err == nil {
		return 0, "Completed"
	}
	if errors.As(err, &e) {
		if w := e.Sys().(syscall.WaitStatus); w.Signaled() {
			return 128 + int32(w.Signal()), "Error"
		}
		return int32(e.ExitCode()), "Error"
	}
	return 255, "Error"
}

// copyLog writes what the kubelet reads: time, stream, full or partial, line.
func copyLog(w io.Writer, lock *sync.Mutex, stream string, from io.Reader) {
	b := bufio.NewReaderSize(from, 16384)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			tag := "F"
			if line[len(line)-1] != '\n' {
				tag, line = "P", append(append([]byte{}, line...), '\n')
			}
			lock.Lock()
			fmt.Fprintf(w, "%s %s %s %s", time.Now().UTC().Format(time.RFC3339Nano), stream, tag, line)
			lock.Unlock()
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// stop asks with SIGTERM, waits and then kills; killing process 1 of a PID
// namespace ends all of it.
func (r *containerRuntime) stop(c *container, timeout time.Duration) {
	r.mu.Lock()
	running := c.state == cri.ContainerState_CONTAINER_RUNNING
	r.mu.Unlock()
	if !running {
		return
	}
	if timeout > 0 {
		c.process.Signal(syscall.SIGTERM)
		select {
		case <-c.gone:
			return
		case <-time.After(timeout):
		}
	}
	c.process.Kill()
	<-c.gone
}

func (r *containerRuntime) StopContainer(_ context.Context, q *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	if c, err := r.findContainer(q.ContainerId); err == nil {
		r.stop(c, time.Duration(q.Timeout)*time.Second)
	}
	return &cri.StopContainerResponse{}, nil
}

func (r *containerRuntime) RemoveContainer(_ context.Context, q *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	c, err := r.findContainer(q.ContainerId)
	if err != nil {
		return &cri.RemoveContainerResponse{}, nil
	}
	r.stop(c, 0)
	r.mu.Lock()
	delete(r.containers, c.id)
	r.mu.Unlock()
	os.RemoveAll(c.dir)
	os.Remove(c.log)
	return &cri.RemoveContainerResponse{}, nil
}

func (r *containerRuntime) ListContainers(_ context.Context, q *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := q.GetFilter()
	a := &cri.ListContainersResponse{}
	for _, c := range r.containers {
		if f.GetId() != "" && f.Id != c.id || f.GetPodSandboxId() != "" && f.PodSandboxId != c.sandbox ||
			f.GetState() != nil && f.State.State != c.state || !matches(f.GetLabelSelector(), c.config.Labels) {
			continue
		}
		a.Containers = append(a.Containers, &cri.Container{
			Id: c.id, PodSandboxId: c.sandbox, Metadata: c.config.Metadata, Image: c.config.Image,
			ImageRef: "sha256:" + r.imageOf(c), ImageId: "sha256:" + r.imageOf(c), State: c.state, CreatedAt: c.created,
			Labels: c.config.Labels, Annotations: c.config.Annotations,
		})
	}
	return a, nil
}

func (r *containerRuntime) ContainerStatus(_ context.Context, q *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	c, err := r.findContainer(q.ContainerId)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return &cri.ContainerStatusResponse{Status: &cri.ContainerStatus{
		Id: c.id, Metadata: c.config.Metadata, State: c.state,
		CreatedAt: c.created, StartedAt: c.started, FinishedAt: c.finished, ExitCode: c.exit, Reason: c.reason,
		Image:    &cri.ImageSpec{Image: r.imageOf(c), UserSpecifiedImage: c.config.GetImage().GetUserSpecifiedImage()},
		ImageRef: "sha256:" + r.imageOf(c), ImageId: "sha256:" + r.imageOf(c),
		Labels: c.config.Labels, Annotations: c.config.Annotations, Mounts: c.config.Mounts, LogPath: c.log,
	}}, nil
}

// ---- commands in running containers

// entering makes the command that runs argv inside the container's namespaces.
func (r *containerRuntime) entering(ctx context.Context, id string, argv []string) (*exec.Cmd, error) {
	c, err := r.findContainer(id)
	if err != nil {
		return nil, err
	}
	s, err := r.findSandbox(c.sandbox)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	running := c.state == cri.ContainerState_CONTAINER_RUNNING
	r.mu.Unlock()
	if !running {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s does not run", id)
	}
	spec := r.spec(c, s)
	args := []string{"-t", strconv.Itoa(c.process.Pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w"}
	if spec.Uid != 0 || spec.Gid != 0 {
		args = append(args, "-S", strconv.Itoa(spec.Uid), "-G", strconv.Itoa(spec.Gid))
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(append(args, "--"), argv...)...)
	cmd.Env = spec.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd, nil
}

func (r *containerRuntime) ExecSync(ctx context.Context, q *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	if q.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(q.Timeout)*time.Second)
		defer cancel()
	}
	cmd, err := r.entering(ctx, q.ContainerId, q.Cmd)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() == context.DeadlineExceeded {
		return nil, status.Errorf(codes.DeadlineExceeded, "command timed out")
	}
	code, _ := exitCode(err)
	return &cri.ExecSyncResponse{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: code}, nil
}

func (r *containerRuntime) Exec(_ context.Context, q *cri.ExecRequest) (*cri.ExecResponse, error) {
	return r.streams.GetExec(q)
}

// streamer is what the streaming server calls once a client is connected.
type streamer struct{ r *containerRuntime }

func (s streamer) Exec(ctx context.Context, id string, argv []string, in io.Reader, out, errOut io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	cmd, err := s.r.entering(ctx, id, argv)
	if err != nil {
		return err
	}
	if out != nil {
		cmd.Stdout = out
	}
	if errOut != nil {
		cmd.Stderr = errOut
	}
	if in != nil {
		// Not cmd.Stdin: Wait would then wait for the client to close its input.
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			io.Copy(pipe, in)
			pipe.Close()
		}()
	}
	err = cmd.Run()
	var e *exec.ExitError
	if errors.As(err, &e) {
		code, _ := exitCode(err)
		return utilexec.CodeExitError{Err: err, Code: int(code)}
	}
	return err
}

func (s streamer) Attach(context.Context, string, io.Reader, io.WriteCloser, io.WriteCloser, bool, <-chan remotecommand.TerminalSize) error {
	return status.Error(codes.Unimplemented, "attach")
}

func (s streamer) PortForward(context.Context, string, int32, io.ReadWriteCloser) error {
	return status.Error(codes.Unimplemented, "port forward")
}
