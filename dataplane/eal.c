#include "eal.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "device.h"
#include "why.h"

enum {
	ARGUMENTS_MAX = 32 + PORTS_MAX * 2,
	ARGUMENT_TEXT_MAX = 64 * WORKERS_MAX,
	LAST_WORDS_MAX = 256,
	MEGABYTE = 1 << 20,
};

struct arguments {
	int n;
	char *words[ARGUMENTS_MAX + 1];
};

// The words are never freed.
__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...)
{
	char *word = NULL;
	va_list values;

	va_start(values, format);
	if (a->n < ARGUMENTS_MAX && vasprintf(&word, format, values) >= 0)
		a->words[a->n++] = word;
	va_end(values);
}

unsigned eal_worker_lcore(size_t worker)
{
	return (unsigned)worker + 1;
}

// What DPDK says
// ==============
//
// goes to stderr while all is running. While it starts only the last line is kept: a driver that
// fails returns a number, but logs a reason; and drivers log as errors what they find a way around.
static char last_words[LAST_WORDS_MAX];
static bool quiet = true;

// EAL adds only that a driver failed.
static bool is_worth_keeping(const char *line)
{
	static const char eal[] = "EAL:";
	const size_t len = sizeof(eal) - 1;

	return strncmp(line, eal, len) != 0 || last_words[0] == '\0' ||
		strncmp(last_words, eal, len) == 0;
}

static ssize_t hear(void *, const char *text, size_t len)
{
	size_t line_len = len;

	while (line_len > 0 && text[line_len - 1] == '\n')
		line_len--;
	if (line_len > 0 && is_worth_keeping(text))
		snprintf(last_words, sizeof(last_words), "%.*s", (int)line_len, text);
	if (!quiet)
		fwrite(text, 1, len, stderr);
	return (ssize_t)len;
}

const char *eal_last_words(void)
{
	return last_words;
}

void eal_forget_words(void)
{
	last_words[0] = '\0';
}

static void listen_to_logs(void)
{
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = hear});

	if (stream == NULL)
		return;
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	rte_openlog_stream(stream);
}

// The libraries under net_af_xdp write to stderr, unless told where to. They came with the driver,
// so that there is nothing to link with. Level 0 is a warning.
static int hear_library(int level, const char *format, va_list values)
{
	if (level > 0)
		return 0;
	return vsnprintf(last_words, sizeof(last_words), format, values);
}

static void listen_to_library(const char *file, const char *verb)
{
	typedef int print_fn(int level, const char *format, va_list values);
	print_fn *(*set_print)(print_fn *);

	void *library = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
	if (library == NULL)
		return;
	*(void **)&set_print = dlsym(library, verb);
	if (set_print != NULL)
		set_print(hear_library);
	dlclose(library);
}

static size_t read_number(const char *path)
{
	size_t number = 0;
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%zu", &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

// Pages that are free and that nobody has a claim on.
static size_t free_bytes_of(const char *page_folder)
{
	char path[512];
	size_t page_kb;

	if (sscanf(page_folder, "hugepages-%zukB", &page_kb) != 1)
		return 0;
	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", page_folder);
	size_t n_free = read_number(path);
	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/resv_hugepages", page_folder);
	size_t n_reserved = read_number(path);
	return n_free > n_reserved ? (n_free - n_reserved) * page_kb * 1024 : 0;
}

static size_t free_hugepage_bytes(void)
{
	size_t sum = 0;
	DIR *folder = opendir("/sys/kernel/mm/hugepages");

	if (folder == NULL)
		return 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
		sum += free_bytes_of(entry->d_name);
	closedir(folder);
	return sum;
}

// That it is not among those that we have is no answer: isolated ones (isolcpus=) are not
// inherited, but whoever asks may have them.
static bool may_use(unsigned cpu, const cpu_set_t *allowed)
{
	cpu_set_t wanted;

	if (cpu >= CPU_SETSIZE)
		return false;
	CPU_ZERO(&wanted);
	CPU_SET(cpu, &wanted);
	bool may = sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
	sched_setaffinity(0, sizeof(*allowed), allowed);
	return may;
}

static int check_cpus(
	const struct dataplane_config *config, const cpu_set_t *allowed, char *ret_why)
{
	for (size_t i = 0; i < config->n_workers; i++) {
		unsigned cpu = config->worker_cpus[i];

		if (!may_use(cpu, allowed))
			return why(ret_why, -EINVAL,
				"worker %zu: CPU %u is not one that this process may use: it is "
				"not online, or not of the process's cpuset, which "
				"cpuset.cpus.effective of its cgroup has",
				i, cpu);
	}
	return 0;
}

// The control thread gets the CPUs that no worker has, or else shares all of them.
static void choose_control_cpus(
	const struct dataplane_config *config, const cpu_set_t *allowed, cpu_set_t *ret_cpus)
{
	*ret_cpus = *allowed;
	for (size_t i = 0; i < config->n_workers; i++)
		CPU_CLR(config->worker_cpus[i], ret_cpus);
	if (CPU_COUNT(ret_cpus) == 0)
		*ret_cpus = *allowed;
}

static void add_lcores(
	struct arguments *a, const struct dataplane_config *config, const cpu_set_t *allowed)
{
	char text[ARGUMENT_TEXT_MAX];
	size_t len = 0;
	cpu_set_t control;

	choose_control_cpus(config, allowed, &control);
	len += snprintf(text, sizeof(text), "--lcores=0@(");
	for (unsigned cpu = 0, n = 0; cpu < CPU_SETSIZE && n < 64; cpu++) {
		if (CPU_ISSET(cpu, &control))
			len += snprintf(text + len, sizeof(text) - len, n++ ? ",%u" : "%u", cpu);
	}
	len += snprintf(text + len, sizeof(text) - len, ")");
	for (size_t i = 0; i < config->n_workers; i++)
		len += snprintf(text + len, sizeof(text) - len, ",%u@%u", eal_worker_lcore(i),
			config->worker_cpus[i]);
	add(a, "%s", text);
}

// PCI devices are named to EAL; all others are probed one by one later, where a failure can be
// told. Some drivers call their port as the device is called here, others as DPDK writes it: we do
// as DPDK does, and find it either way.
static bool add_pci_devices(struct arguments *a, const struct dataplane_config *config)
{
	bool some = false;

	for (size_t i = 0; i < config->n_ports; i++) {
		const char *device = config->ports[i].device;
		char name[DEVICE_TEXT_MAX];

		if (!device_name_of_pci(device, name))
			continue;
		add(a, "-a");
		add(a, "%s%s", name, device + strcspn(device, ","));
		some = true;
	}
	if (!some)
		add(a, "--no-pci");
	return some;
}

// With '--in-memory' no file is left in hugetlbfs, whatever our end; it excludes '--no-huge'.
static void add_memory(struct arguments *a, const struct dataplane_config *config,
	const struct eal_memory *memory, bool has_pci)
{
	if (config->hugepages && free_hugepage_bytes() >= memory->on_huge_pages) {
		add(a, "--in-memory");
		add(a, "--single-file-segments"); // virtio_user shares its memory by file.
		if (!has_pci)
			add(a, "--iova-mode=va");
		return;
	}
	add(a, "--no-huge");
	add(a, "--no-shconf");
	add(a, "-m");
	add(a, "%zu", (memory->on_small_pages + MEGABYTE - 1) / MEGABYTE);
	add(a, "--iova-mode=va");
}

int eal_start(const struct dataplane_config *config, const struct eal_memory *memory,
	char ret_why[WHY_MAX])
{
	static struct arguments a; // For as long as EAL, which keeps the words and starts once.
	cpu_set_t allowed;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	int r = check_cpus(config, &allowed, ret_why);
	if (r < 0)
		return r;

	// Drivers write to sockets whose other end may have gone.
	signal(SIGPIPE, SIG_IGN);
	listen_to_logs();
	// libxdp would pin its programs in bpffs, where a kill leaves them.
	setenv("LIBXDP_SKIP_DISPATCHER", "1", 0);

	add(&a, "guideway");
	add(&a, "--file-prefix=guideway-%s", config->instance);
	add(&a, "--no-telemetry");
	add(&a, "--log-level=warning");
	add_lcores(&a, config, &allowed);
	add_memory(&a, config, memory, add_pci_devices(&a, config));

	// EAL writes to the array that it is given.
	char *words[ARGUMENTS_MAX + 1];
	memcpy(words, a.words, sizeof(words));
	if (rte_eal_init(a.n, words) < 0)
		return why(ret_why, -rte_errno, "DPDK does not start with %zu MB of memory: %s",
			memory->on_small_pages / MEGABYTE,
			last_words[0] ? last_words : rte_strerror(rte_errno));

	listen_to_library("libxdp.so.1", "libxdp_set_print");
	listen_to_library("libbpf.so.1", "libbpf_set_print");
	return 0;
}

// net_tap has itself told of packets by a real-time signal, which any thread may get that does not
// block it. The workers do not.
static void block_driver_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		sigaddset(&signals, i);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

void eal_end_start(void)
{
	block_driver_signals();
	quiet = false;
}

void eal_begin_stop(void)
{
	quiet = true;
}
