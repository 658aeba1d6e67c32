#pragma once

#include <sys/types.h>

// Network namespaces for tests that need the real kernel: one of the test's own, in which it may do
// as it likes, and others held by children, at the far end of a wire. All of it is gone with the
// test, however that ends.

// Moves the process to a new namespace, its loopback up and without waiting for
// duplicates of IPv6 addresses. Without the right to do so the test is
// skipped: exits with 77.
void netns_enter_new(void);

// A child that does nothing but hold a new namespace.
pid_t netns_hold(void);
void netns_release(pid_t holder);

// Runs a shell command here, or in the namespace that 'holder' holds. Fails the test if it fails.
__attribute__((format(printf, 1, 2))) void run(const char *format, ...);
__attribute__((format(printf, 2, 3))) void run_in(pid_t holder, const char *format, ...);

// The same, returning its exit status instead.
__attribute__((format(printf, 1, 2))) int try_run(const char *format, ...);
