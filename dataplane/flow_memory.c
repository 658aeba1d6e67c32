#include "flow_memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <numa.h>

#ifndef MADV_POPULATE_WRITE
#	define MADV_POPULATE_WRITE 23 // Linux 5.14; glibc names it from 2.35 on.
#endif

static const size_t huge_page_bytes = 2 << 20;
static const size_t small_page_bytes = 4096;

const char *page_kind_words(enum page_kind kind)
{
	static const char *const words[] = {
		[PAGES_HUGE] = "2 MB pages",
		[PAGES_TRANSPARENT] = "transparent huge pages",
		[PAGES_SMALL] = "4 kB pages",
	};

	return words[kind];
}

static size_t round_up(size_t bytes, size_t page_bytes)
{
	return (bytes + page_bytes - 1) & ~(page_bytes - 1);
}

// Begins at a multiple of 2 MB, without which no huge page fits.
static void *map_aligned(size_t bytes)
{
	uint8_t *wide = mmap(NULL, bytes + huge_page_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (wide == MAP_FAILED)
		return NULL;

	uint8_t *at = (uint8_t *)round_up((uintptr_t)wide, huge_page_bytes);
	size_t before = (size_t)(at - wide);

	if (before > 0)
		munmap(wide, before);
	munmap(at + bytes, huge_page_bytes - before);
	return at;
}

static bool kernel_makes_huge_pages(void)
{
	char modes[64] = "";
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

	if (file == NULL)
		return false;
	if (fgets(modes, sizeof(modes), file) == NULL)
		modes[0] = '\0';
	fclose(file);
	return modes[0] != '\0' && strstr(modes, "[never]") == NULL;
}

// A wish, not an order: a page that the node does not have comes from another.
static void prefer_node(struct flow_memory *memory, int numa_node)
{
	if (numa_node < 0 || numa_available() < 0)
		return;
	numa_set_bind_policy(0);
	numa_tonode_memory(memory->at, memory->mapped_bytes, numa_node);
}

// Takes the pages now, so that no packet waits for one. Returns 0 or -errno.
static int populate(struct flow_memory *memory)
{
	if (madvise(memory->at, memory->mapped_bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	memset(memory->at, 0, memory->mapped_bytes); // An older kernel.
	return 0;
}

static int map_huge(size_t len_bytes, int numa_node, struct flow_memory *ret_memory)
{
	struct flow_memory memory = {
		.len_bytes = len_bytes,
		.mapped_bytes = round_up(len_bytes, huge_page_bytes),
		.pages = PAGES_HUGE,
	};

	memory.at = mmap(NULL, memory.mapped_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
	if (memory.at == MAP_FAILED)
		return -errno;
	prefer_node(&memory, numa_node);
	int r = populate(&memory);
	if (r < 0) {
		flow_memory_unmap(&memory);
		return r;
	}
	*ret_memory = memory;
	return 0;
}

static int map_small(size_t len_bytes, int numa_node, struct flow_memory *ret_memory)
{
	struct flow_memory memory = {
		.len_bytes = len_bytes,
		.mapped_bytes = round_up(len_bytes, small_page_bytes),
		.pages = PAGES_SMALL,
	};

	memory.at = map_aligned(memory.mapped_bytes);
	if (memory.at == NULL)
		return -ENOMEM;
	if (kernel_makes_huge_pages() &&
		madvise(memory.at, memory.mapped_bytes, MADV_HUGEPAGE) == 0)
		memory.pages = PAGES_TRANSPARENT;
	prefer_node(&memory, numa_node);
	int r = populate(&memory);
	if (r < 0) {
		flow_memory_unmap(&memory);
		return r;
	}
	*ret_memory = memory;
	return 0;
}

int flow_memory_map(size_t len_bytes, int numa_node, bool hugepages, struct flow_memory *ret_memory)
{
	if (hugepages && map_huge(len_bytes, numa_node, ret_memory) == 0)
		return 0;
	return map_small(len_bytes, numa_node, ret_memory);
}

void flow_memory_unmap(struct flow_memory *memory)
{
	if (memory->at != NULL)
		munmap(memory->at, memory->mapped_bytes);
	*memory = (struct flow_memory){0};
}
