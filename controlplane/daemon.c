#include "daemon.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "address_text.h"
#include "alarms.h"
#include "clock.h"
#include "config.h"
#include "config_reader.h"
#include "control_server.h"
#include "drains.h"
#include "kernel/interfaces.h"
#include "kernel/kernel.h"
#include "kubernetes/kubernetes.h"
#include "kubernetes/shared_key_seek.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "reconcile.h"
#include "snat_twin.h"
#include "state_directory.h"

// Start and end are one list, read down and up:
//
//     configuration, state directory
//     hash key             of a cluster, if there is none yet: nothing is taken before
//     interfaces recovered, taken
//     dataplane            all packets go to the kernel from here on
//     interfaces moved     the machine is reachable as before, by the twins
//     kernel mirror, control socket
//     health, first table  VIPs are served from here on, and announced
//     Kubernetes           and what a cluster asks for, once it is known

#define LOCK_PATIENCE_NS (2 * NSEC_PER_SEC)
#define KERNEL_TICK_NS (100 * NSEC_PER_MSEC)
#define LOCAL_PORTS_FILE "/proc/sys/net/ipv4/ip_local_port_range"

enum {
	UNRESOLVED_PER_STEP = 256,
	TWIN_ADDRESSES_MAX = N_FAMILIES * SNAT_ADDRESSES_MAX,
};

struct daemon {
	const char *config_path;
	struct config *started; // What was started with: some of it holds until the end.
	struct config *wanted;  // What is in force of the rest; may be 'started'.
	struct state_directory *directory;
	struct drains *drains;
	struct loop *loop;
	struct config_reader *reader;
	struct interfaces *interfaces;
	struct dataplane *dp;
	struct kernel *kernel;
	struct reconcile *reconcile;
	struct kubernetes *kubernetes; // NULL if there is no cluster.
	struct control_server *server;
	int signal_fd;
	uint64_t started_ns;
	bool snat_is_new; // Of a twin, and in no table yet.
	struct load load;
	struct alarms alarms;
	uint64_t alarms_due_ns;
	struct loop_timer second;
	struct loop_timer kernel_tick;
};

// Reading the configuration

static void log_lines(enum log_level level, struct text_lines *lines, const char *after)
{
	for (size_t i = 0; i < lines->n; i++)
		log_line(level, "%s%s", lines->lines[i], after);
	text_lines_clear(lines);
}

static void log_warnings(const char *path, const struct config *config)
{
	struct text_lines warnings = {0};

	config_warnings(config, &warnings);
	for (size_t i = 0; i < warnings.n; i++)
		log_warning("%s: %s", path, warnings.lines[i]);
	text_lines_clear(&warnings);
}

// Returns NULL having said why.
static struct config *read_config(const char *path)
{
	struct text_lines mistakes = {0};
	struct config *config;

	if (config_parse_file(path, &config, &mistakes) == 0)
		return config;
	log_lines(LEVEL_ERROR, &mistakes, "");
	return NULL;
}

// What needs a restart stays as it was; only what could not be forwarded with that is refused.
static bool fits_what_was_started(const struct daemon *d, const struct config *wanted)
{
	const struct config *started = d->started;
	bool fits = true;

	if (wanted->n_services > started->services_max) {
		log_error("there are %zu services, and room for %zu until a restart",
			wanted->n_services, started->services_max);
		fits = false;
	}
	if (wanted->n_nodes > started->nodes_max) {
		log_error("there are %zu nodes, and room for %zu until a restart", wanted->n_nodes,
			started->nodes_max);
		fits = false;
	}
	return fits;
}

static bool begins_with(const struct config *config, const struct config *with, enum family family)
{
	size_t n = with->n_snat[family];

	return config->n_snat[family] >= n &&
		memcmp(config->snat[family], with->snat[family],
			n * sizeof(with->snat[family][0])) == 0;
}

// SNAT addresses of a twin

static void say_snat(const struct config *config)
{
	char text[ADDRESS_TEXT_MAX], line[WHY_MAX] = "";
	size_t len = 0;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		for (size_t i = 0; i < config->n_snat[f] && len < sizeof(line); i++)
			len += (size_t)snprintf(&line[len], sizeof(line) - len, "%s%s",
				len == 0 ? "" : ", ", address_format(&config->snat[f][i], text));
	}
	log_info("snat: nodes see the addresses of %s: %s", config->snat_twin,
		len == 0 ? "none" : line);
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (config->n_snat[f] == 0)
			log_line(config->n_snat[IPV4] + config->n_snat[IPV6] == 0 ? LEVEL_WARNING
										  : LEVEL_INFO,
				"snat: %s has no %s address: services of that family in mode snat "
				"are not served until it has one",
				config->snat_twin, f == IPV4 ? "IPv4" : "IPv6");
	}
	for (size_t i = 0; i < config->n_nodes; i++) {
		if (config->nodes[i].is_out)
			log_warning(SNAT_TWIN_IS_NODE, config->nodes[i].name);
	}
}

static bool take_snat(const struct daemon *d, struct config *config)
{
	struct address addresses[TWIN_ADDRESSES_MAX];
	size_t n = kernel_addresses_of(d->kernel, config->snat_twin, addresses, TWIN_ADDRESSES_MAX);

	return snat_twin_follow(config, addresses, n);
}

static void keep_twin(const struct daemon *d, struct config *wanted)
{
	if (strcmp(wanted->snat_twin, d->wanted->snat_twin) != 0)
		log_warning("snat: whose addresses are taken stays as it is until a restart");
	strcpy(wanted->snat_twin, d->wanted->snat_twin);
	memcpy(wanted->snat, d->wanted->snat, sizeof(wanted->snat));
	memcpy(wanted->n_snat, d->wanted->n_snat, sizeof(wanted->n_snat));
	if (wanted->snat_twin[0] != '\0')
		(void)take_snat(d, wanted);
}

// A flow knows its SNAT address by its place in the list: what is there stays in its place.
static void keep_snat(const struct daemon *d, struct config *wanted)
{
	if (wanted->snat_twin[0] != '\0' || d->wanted->snat_twin[0] != '\0') {
		keep_twin(d, wanted);
		return;
	}
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (begins_with(wanted, d->wanted, f))
			continue;
		memcpy(wanted->snat[f], d->wanted->snat[f], sizeof(wanted->snat[f]));
		wanted->n_snat[f] = d->wanted->n_snat[f];
		log_warning("snat: addresses in use stay as they are until a restart; only new "
			    "ones after them are taken");
	}
}

static void say_what_would_be_right(int error)
{
	if (error == -ENOSPC)
		log_error("of what is gone, and whose last flows go on, there may be as many as "
			  "memory.services and memory.nodes say: reload again when these are over, "
			  "or raise them and restart");
	if (error == -EINVAL)
		log_error("SNAT addresses stay as they are until a restart: use others as VIPs, or "
			  "restart");
	if (error == -EBUSY || error == -ENOMEM)
		log_error("reload again later, or restart");
}

// Of a cluster there is no more than there was room for at the start.
static void keep_room(const struct daemon *d, struct config *wanted)
{
	wanted->services_max = d->started->services_max;
	wanted->nodes_max = d->started->nodes_max;
	wanted->dataplane.nodes_max = d->started->dataplane.nodes_max;
	wanted->dataplane.services_max = d->started->dataplane.services_max;
}

static int want(struct daemon *d, const struct config *wanted, char ret_why[WHY_MAX])
{
	return d->kubernetes == NULL ? reconcile_want(d->reconcile, wanted, ret_why)
				     : kubernetes_want(d->kubernetes, wanted, ret_why);
}

static void follow_snat(struct daemon *d)
{
	char why[WHY_MAX];

	if (d->wanted->snat_twin[0] == '\0' || (!take_snat(d, d->wanted) && !d->snat_is_new))
		return;
	if (!d->snat_is_new)
		say_snat(d->wanted);
	int r = want(d, d->wanted, why);
	d->snat_is_new = r < 0;
	if (r < 0)
		log_about("snat", LEVEL_ERROR, "the addresses of %s are not taken for snat yet: %s",
			d->wanted->snat_twin, why);
}

static bool apply(struct daemon *d, struct config *wanted)
{
	struct text_lines keys = {0};
	char why[WHY_MAX];

	if (!fits_what_was_started(d, wanted))
		return false;

	keep_snat(d, wanted);
	int compared = config_needs_restart(d->started, wanted, &keys);
	keep_room(d, wanted);
	int r = want(d, wanted, why);
	if (r < 0) {
		text_lines_clear(&keys);
		log_error("no table can be built of the configuration: %s", why);
		say_what_would_be_right(r);
		return false;
	}
	if (compared == 0)
		log_lines(LEVEL_WARNING, &keys, " changes only at a restart, and is as before");
	if (d->wanted != d->started)
		config_free(d->wanted);
	d->wanted = wanted;
	log_start(wanted->log_level);
	log_warnings(d->config_path, wanted);
	log_info("read %s again: %zu services over %zu nodes", d->config_path, wanted->n_services,
		wanted->n_nodes);
	return true;
}

// At the end of a reload, with what the file says now.
static void take_config(void *argument, struct config *wanted, struct text_lines *mistakes)
{
	struct daemon *d = argument;

	log_lines(LEVEL_ERROR, mistakes, "");
	if (wanted == NULL || !apply(d, wanted)) {
		log_error("%s was not applied: all is as before", d->config_path);
		config_free(wanted);
	}
	notify("READY=1");
}

static void reload(struct daemon *d)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		loop_clock_ns() / 1000);
	notify(state);
	int r = config_reader_ask(d->reader);
	if (r < 0) {
		log_error("%s cannot be read now, all is as before: %s", d->config_path,
			strerror(-r));
		notify("READY=1");
	}
}

// Steps of the loop

static void take_signal(void *argument, uint32_t, uint64_t)
{
	struct daemon *d = argument;
	struct signalfd_siginfo info;

	if (read(d->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		reload(d);
		return;
	}
	log_info("ending, as told by signal %u", info.ssi_signo);
	notify("STOPPING=1");
	if (d->kubernetes != NULL)
		kubernetes_end(d->kubernetes);
	else
		loop_stop(d->loop);
}

static void take_kernel(void *argument, uint32_t, uint64_t now_ns)
{
	struct daemon *d = argument;

	int r = kernel_ready(d->kernel, now_ns);
	if (r < 0) {
		loop_forget(d->loop, kernel_fd(d->kernel));
		log_error("the kernel's routes are followed no more, restart to mend it: %s",
			strerror(-r));
	}
	reconcile_routes_changed(d->reconcile);
}

static void tick_kernel(void *argument, uint64_t now_ns)
{
	struct daemon *d = argument;

	kernel_tick(d->kernel, now_ns);
	follow_snat(d);
	reconcile_routes_changed(d->reconcile);
	loop_timer_set(d->loop, &d->kernel_tick, now_ns + KERNEL_TICK_NS);
}

// Level-triggered: what is left is taken by the next step.
static void take_unresolved(void *argument, uint32_t, uint64_t now_ns)
{
	struct daemon *d = argument;
	struct address addresses[UNRESOLVED_PER_STEP];

	size_t n = dataplane_take_unresolved(d->dp, addresses, UNRESOLVED_PER_STEP);
	for (size_t i = 0; i < n; i++)
		kernel_resolve(d->kernel, &addresses[i], now_ns);
}

static void each_second(void *argument, uint64_t now_ns)
{
	struct daemon *d = argument;
	struct loop_step step = loop_take_longest(d->loop);

	loop_timer_set(d->loop, &d->second, now_ns + NSEC_PER_SEC);
	dataplane_follow_links(d->dp);
	load_take(&d->load, d->dp, now_ns);
	if (step.took_ns > SLOW_STEP_NS)
		log_limited(LEVEL_WARNING,
			"the control loop was held for %" PRIu64 " ms by one step (%s)",
			step.took_ns / NSEC_PER_MSEC, step.name);
	if (now_ns >= d->alarms_due_ns) {
		alarms_check(&d->alarms, d->dp);
		d->alarms_due_ns = now_ns + LOG_INTERVAL_S * NSEC_PER_SEC;
	}
	log_tick();
}

static void ready(void *argument)
{
	struct daemon *d = argument;
	const struct plan *plan = reconcile_plan(d->reconcile);
	size_t n_unserved = 0;

	for (size_t i = 0; i < plan->n_pools; i++)
		n_unserved += plan->pools[i].n_in[TARGET_UP] == 0 ? plan->pools[i].n_services : 0;
	log_info("ready after %" PRIu64 " ms: %zu services over %zu nodes",
		(loop_clock_ns() - d->started_ns) / NSEC_PER_MSEC, d->wanted->n_services,
		d->wanted->n_nodes);
	if (n_unserved > 0)
		log_warning("%zu services have no node that is up", n_unserved);
	int r = notify("READY=1");
	if (r < 0)
		log_warning("systemd was not told that all is ready: %s", strerror(-r));
}

// The start, in the order of the picture above. Each returns 0 or -errno, having said why.

// Signals are blocked then, for the loop to read: a start that waits asks here.
static bool is_told_to_end(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

// A process that was killed may still be giving back its memory, and has the lock until then.
static int open_state(struct daemon *d, char ret_why[WHY_MAX])
{
	uint64_t until_ns = loop_clock_ns() + LOCK_PATIENCE_NS;
	int r;

	while ((r = state_directory_open(d->started->state, &d->directory, ret_why)) == -EBUSY &&
		loop_clock_ns() < until_ns && !is_told_to_end())
		usleep(50000);
	return r;
}

static int start_state(struct daemon *d)
{
	char why[WHY_MAX];

	int r = open_state(d, why);
	if (r < 0) {
		log_error("%s", why);
		return r;
	}
	r = drains_open(d->directory, d->started_ns, &d->drains);
	if (r < 0) {
		log_error("the drained nodes in %s cannot be read: %s", d->started->state,
			strerror(-r));
		return r;
	}
	return 0;
}

// Guidewayes of a cluster have one key: who has none yet gets it from there.
static int seek_hash_key(struct daemon *d, uint64_t ret_key[2])
{
	char why[WHY_MAX];

	log_info("asking the cluster for the hash key");
	int r = shared_key_seek(d->loop, &d->started->kubernetes, is_told_to_end, ret_key, why);
	if (r == 0)
		return state_directory_set_hash_key(d->directory, ret_key);
	if (r != -ECANCELED)
		log_error("%s", why);
	return r;
}

static int start_hash_key(struct daemon *d)
{
	uint64_t *key = d->started->dataplane.hash_key;

	if (d->started->has_hash_key)
		return 0;
	int r = state_directory_find_hash_key(d->directory, key);
	if (r == -ENOENT && d->started->kubernetes.enabled)
		r = seek_hash_key(d, key);
	else if (r == -ENOENT)
		r = state_directory_hash_key(d->directory, key);
	if (r < 0)
		log_error("the hash key in %s can be neither read nor made: %s", d->started->state,
			strerror(-r));
	return r;
}

// Of the ports, those that are interfaces of the kernel now.
static size_t find_interfaces(const struct config *config, struct interface_config *ret_interfaces)
{
	size_t n = 0;

	for (size_t i = 0; i < config->dataplane.n_ports; i++) {
		const struct port_config *port = &config->dataplane.ports[i];

		if (strlen(port->device) >= IFNAMSIZ || if_nametoindex(port->device) == 0)
			continue;
		strcpy(ret_interfaces[n].device, port->device);
		strcpy(ret_interfaces[n].twin, port->twin);
		ret_interfaces[n].adopt = config->adopt[i];
		n++;
	}
	return n;
}

static bool read_local_ports(char *ret_text, size_t room)
{
	FILE *file = fopen(LOCAL_PORTS_FILE, "re");
	bool has_read = file != NULL && fgets(ret_text, (int)room, file) != NULL;

	if (file != NULL)
		fclose(file);
	ret_text[strcspn(ret_text, "\n")] = '\0';
	return has_read;
}

static int start_snat_ports(struct daemon *d)
{
	struct dataplane_config *dataplane = &d->started->dataplane;
	char text[64] = "";

	if (d->started->snat_twin[0] == '\0')
		return 0;
	int r = read_local_ports(text, sizeof(text))
		? snat_twin_ports(text, &dataplane->snat_port_first, &dataplane->snat_port_last)
		: -ENOENT;
	if (r < 0)
		log_error("snat = \"twin\" takes ports that the kernel leaves, whose own are "
			  "\"%s\" (" LOCAL_PORTS_FILE "): must be such that %d are left below "
			  "or above, as net.ipv4.ip_local_port_range=\"32768 60999\"",
			text, SNAT_TWIN_PORTS_MIN);
	return r;
}

static int start_dataplane(struct daemon *d)
{
	struct interface_config interfaces[PORTS_MAX];
	char why[WHY_MAX];

	int r = interfaces_recover(d->directory, dataplane_clean_up, why);
	if (r < 0) {
		log_error("%s", why);
		return r;
	}
	r = interfaces_take(interfaces, find_interfaces(d->started, interfaces), d->directory,
		&d->interfaces, why);
	if (r == 0)
		r = dataplane_start(&d->started->dataplane, &d->dp, why);
	if (r == 0)
		r = interfaces_move(d->interfaces, why);
	if (r < 0)
		log_error("%s", why);
	return r;
}

static void say_what_was_had(const struct daemon *d)
{
	static const char *const steerings[] = {[STEERING_AUTO] = "unknown",
		[STEERING_RSS] = "RSS",
		[STEERING_SOFTWARE] = "software"};
	struct port_status port;

	for (size_t i = 0; dataplane_read_port(d->dp, i, &port) == 0; i++) {
		const char *device = d->started->dataplane.ports[i].device;

		log_info("port %s: %s, twin %s, %u queues for %zu workers, steered by %s", device,
			port.driver, port.twin, port.rx_queues, d->started->dataplane.n_workers,
			steerings[port.steering]);
		if (port.note[0] != '\0')
			log_warning("port %s: %s", device, port.note);
	}
	if (d->started->dataplane.hugepages && !dataplane_has_huge_pages(d->dp))
		log_warning(
			"packet buffers are on 4 kB pages, which is slower: memory.hugepages is "
			"true, but too few huge pages are free; reserve more (vm.nr_hugepages) "
			"and restart, or say false");
	log_info("flow memory is on %s", dataplane_flow_memory(d->dp));
}

static void set_next_hop(void *context, next_hop_id id, const struct next_hop *hop)
{
	dataplane_set_next_hop(context, id, hop);
}

static int start_kernel(struct daemon *d)
{
	const struct dataplane_config *dataplane = &d->started->dataplane;
	struct kernel_config config = {.n_twins = dataplane->n_ports,
		.set_next_hop = set_next_hop,
		.context = d->dp,
		.gives_up = is_told_to_end};
	char why[WHY_MAX];

	for (size_t i = 0; i < dataplane->n_ports; i++)
		strcpy(config.twins[i], dataplane->ports[i].twin);
	int r = kernel_start(&config, loop_clock_ns(), &d->kernel, why);
	if (r < 0)
		log_error("%s", why);
	return r;
}

static int start_watches(struct daemon *d)
{
	uint64_t now_ns = loop_clock_ns();

	int r = loop_watch(d->loop, kernel_fd(d->kernel), EPOLLIN, "kernel's news", take_kernel, d);
	if (r == 0)
		r = loop_watch(d->loop, dataplane_event_fd(d->dp), EPOLLIN, "unresolved addresses",
			take_unresolved, d);
	if (r == 0)
		r = loop_watch(d->loop, d->signal_fd, EPOLLIN, "signal", take_signal, d);
	if (r < 0) {
		log_error("the control loop cannot watch what it has to: %s", strerror(-r));
		return r;
	}
	d->second = (struct loop_timer){.name = "each second", .fn = each_second, .argument = d};
	d->kernel_tick =
		(struct loop_timer){.name = "kernel's timers", .fn = tick_kernel, .argument = d};
	loop_timer_set(d->loop, &d->second, now_ns);
	loop_timer_set(d->loop, &d->kernel_tick, now_ns);
	return 0;
}

static int start_server(struct daemon *d)
{
	struct control_sources sources = {
		.loop = d->loop,
		.dp = d->dp,
		.kernel = d->kernel,
		.reconcile = d->reconcile,
		.kubernetes = d->kubernetes,
		.load = &d->load,
		.config = d->started,
		.started_ns = d->started_ns,
	};
	char why[WHY_MAX];

	int r = control_server_start(&sources, &d->server, why);
	if (r < 0)
		log_error("%s", why);
	return r;
}

static int start_reconcile(struct daemon *d)
{
	struct reconcile_config config = {
		.loop = d->loop,
		.dp = d->dp,
		.kernel = d->kernel,
		.drains = d->drains,
		.ports = d->started->dataplane.ports,
		.n_ports = d->started->dataplane.n_ports,
		.services_max = d->started->dataplane.services_max,
		.nodes_max = d->started->dataplane.nodes_max,
		.ready = ready,
		.argument = d,
	};
	char why[WHY_MAX];

	if (d->started->snat_twin[0] != '\0') {
		(void)take_snat(d, d->started);
		say_snat(d->started);
	}
	int r = reconcile_create(&config, &d->reconcile);
	if (r == 0)
		r = reconcile_want(d->reconcile, d->wanted, why);
	if (r < 0)
		log_error("there is not enough memory for services and nodes");
	return r;
}

static int start_kubernetes(struct daemon *d)
{
	char why[WHY_MAX];

	if (!d->started->kubernetes.enabled)
		return 0;
	int r = kubernetes_start(
		d->loop, d->reconcile, d->directory, d->wanted, &d->kubernetes, why);
	if (r < 0)
		log_error("%s", why);
	return r;
}

// From here on, signals that end or reload are read from an fd, by the loop: no thread started
// later is interrupted by them.
static int start_signals(struct daemon *d)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN); // Of a control connection, or virtio_user's.
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	d->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signal_fd < 0 || loop_create(&d->loop) < 0 ||
		config_reader_create(d->loop, d->config_path, take_config, d, &d->reader) < 0) {
		log_error("no file descriptor is left for signals and the control loop");
		return -EMFILE;
	}
	return 0;
}

// Each check under way has a socket: as many as we may have.
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int start(struct daemon *d)
{
	int (*const steps[])(struct daemon *) = {start_signals, start_state, start_hash_key,
		start_snat_ports, start_dataplane, start_kernel, start_reconcile, start_kubernetes,
		start_server, start_watches};

	raise_limits();
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int r = is_told_to_end() ? -ECANCELED : steps[i](d);
		if (r < 0)
			return r;
	}
	say_what_was_had(d);
	return 0;
}

static void stop(struct daemon *d)
{
	char why[WHY_MAX];

	control_server_stop(d->server);
	kernel_stop(d->kernel);
	if (interfaces_give_back(d->interfaces, why) < 0)
		log_error("%s", why);
	dataplane_stop(d->dp);
	if (interfaces_restore(d->interfaces, why) < 0)
		log_error("%s", why);
	reconcile_destroy(d->reconcile);
	kubernetes_stop(d->kubernetes);
	config_reader_destroy(d->reader);
	loop_destroy(d->loop);
	drains_close(d->drains);
	state_directory_close(d->directory);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	if (d->wanted != d->started)
		config_free(d->wanted);
	config_free(d->started);
}

static int run(struct daemon *d)
{
	if (start(d) < 0) {
		if (!is_told_to_end())
			return EXIT_START;
		log_info("ending, as told while starting");
		return EXIT_ENDED;
	}

	int r = loop_run(d->loop);
	if (r < 0) {
		log_error("the control loop failed: %s", strerror(-r));
		return EXIT_RUNNING;
	}
	return EXIT_ENDED;
}

int daemon_run(const char *config_path)
{
	struct daemon d = {
		.config_path = config_path, .signal_fd = -1, .started_ns = loop_clock_ns()};

	d.started = read_config(config_path);
	if (d.started == NULL)
		return EXIT_CONFIG;

	d.wanted = d.started;
	log_start(d.started->log_level);
	log_warnings(config_path, d.started);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	int status = run(&d);
	stop(&d);
	curl_global_cleanup();
	return status;
}
