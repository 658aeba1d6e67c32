#pragma once

#include "health.h"
#include "http_client.h"

// What health.c and the kinds of check share, and nobody else sees.

struct probe {
	struct health *health;
	struct standing standing; // What is often asked of many is in the first line of memory.
	bool settled; // Had an answer or ran out, or was unable for as long as that takes.
	unsigned n_owners;
	struct probe_config config;
	uint32_t weight;     // By its last good answer; 0 for none.
	bool answered;       // Ever, by HTTP.
	unsigned n_repeated; // Checks in a row that did not count.
	char reason[REASON_MAX];

	struct loop_timer next;     // Begins a check.
	struct loop_timer deadline; // Of the check under way.
	uint64_t first_ns;          // When the first check began; 0 before.
	uint64_t began_ns;
	uint64_t lost_ns; // loop_lost_ns() when it began.
	bool under_way;
	bool has_turn; // 'next' waits for it.

	int fd;                        // CHECK_TCP and CHECK_NODE_PORT: the socket, or -1.
	struct http_transfer transfer; // The other kinds: 'easy' is NULL without one.
	struct curl_slist *connect_to;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	char *body; // [body_len], of kinds that read it. NULL before its first byte.
	size_t body_len;
};

struct loop *health_loop(const struct health *health);
struct http_client *health_http_client(const struct health *health);

struct answer {
	enum verdict verdict;
	bool is_told;            // By HTTP.
	uint32_t weight;         // That the node gives itself; 0 for none.
	char reason[REASON_MAX]; // Why it is not the best.
};

// The answer to the check under way.
void probe_answer(struct probe *probe, const struct answer *answer, uint64_t now_ns);

// A bad answer, for 'reason'.
void probe_answer_bad(struct probe *probe, const char *reason, uint64_t now_ns);

// The check under way could not be made, for 'error', an errno. Most say something of this machine,
// and the check is repeated. So is one without a route to a node that has no verdict yet: at start
// the twin gets its addresses only after it is there. Of a node that has one it is a bad answer.
void probe_unable(struct probe *probe, int error, uint64_t now_ns);

// Begins a check: one of the two above follows, or came already.
void tcp_check_begin(struct probe *probe, uint64_t now_ns);
void http_check_begin(struct probe *probe, uint64_t now_ns);

// "connection refused", of an errno.
const char *probe_error_words(int error);

// Gives up what is under way, if anything.
void tcp_check_end(struct probe *probe);
void http_check_end(struct probe *probe);
