#include "load.h"

// The clock that workers count EVENT_BUSY_CYCLES by.
static uint64_t cycles_now(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t cycles;

	asm volatile("mrs %0, cntvct_el0" : "=r"(cycles));
	return cycles;
#endif
}

static double rate(uint64_t now, uint64_t before, double per)
{
	return per > 0 ? (double)(now - before) / per : 0;
}

void load_take(struct load *load, const struct dataplane *dp, uint64_t now_ns)
{
	uint64_t cycles = cycles_now();
	double passed_cycles = load->last_ns == 0 ? 0 : (double)(cycles - load->last_cycles);
	double passed_s = load->last_ns == 0 ? 0 : (double)(now_ns - load->last_ns) / 1e9;
	size_t i = 0;

	for (; i < WORKERS_MAX; i++) {
		struct counters *last = &load->last[i];
		struct worker_load *w = &load->workers[i];
		struct counters now;

		if (dataplane_read_worker(dp, i, &now, &w->cpu) < 0)
			break;
		w->busy = rate(now.events[EVENT_BUSY_CYCLES], last->events[EVENT_BUSY_CYCLES],
			passed_cycles);
		w->busy = w->busy > 1 ? 1 : w->busy;
		w->rx_packets_per_s = rate(
			now.events[EVENT_RX_PACKETS], last->events[EVENT_RX_PACKETS], passed_s);
		w->rx_bytes_per_s =
			rate(now.events[EVENT_RX_BYTES], last->events[EVENT_RX_BYTES], passed_s);
		*last = now;
	}
	load->n_workers = i;
	load->last_ns = now_ns;
	load->last_cycles = cycles;
}
