#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control_server.h"
#include "guideway/counters.h"

// The management API: what may be asked, and the documents that answer. It knows nothing of
// sockets: a call comes in, a status and a text go out.
//
//     GET  /v1/status                 how all of it fares
//     GET  /v1/services               ?service=NAME, with what its nodes are to it
//     GET  /v1/nodes                  ?node=NAME
//     GET  /v1/flows                  ?service= &node= &client=ADDRESS[/LENGTH] &protocol=tcp|udp
//                                     &state= &limit=
//     GET  /v1/counters               all that is counted, with a sentence for each word
//     GET  /v1/capture                ?host= &port= &protocol=tcp|udp|sctp &packets= &seconds=
//     GET  /v1/explain                ?protocol= &client=ADDRESS:PORT &vip=ADDRESS:PORT
//     GET  /v1/kubernetes             the cluster: its watches, and what became of its Services
//     GET  /v1/kubernetes/summary     the same without the Services
//     POST /v1/kubernetes/release     all Services are released, and none is claimed, until
//     POST /v1/kubernetes/claim       or a restart
//     GET  /v1/trace                  ?frame=HEX, or as of explain; &port= &origin=port|kernel
//     POST /v1/nodes/NAME/drain
//     POST /v1/nodes/NAME/undrain
//
// What failed is {"error": "a sentence"}, with a status of 400 and above.

enum {
	ARGUMENTS_MAX = 8,
	FLOWS_LIMIT = 1000,      // Unless asked for otherwise,
	FLOWS_LIMIT_MAX = 10000, // and never more.
};

struct api_argument {
	const char *name;
	const char *value;
};

struct api_call;
struct api_route;

// Answers, or begins an answer that the route's step goes on with.
typedef void api_begin_fn(struct api_call *call);

// Goes on, for well under a millisecond. Returns true if there is more to do.
typedef bool api_step_fn(struct api_call *call);

struct api_call {
	// Written by whoever calls.
	const struct control_sources *from;
	const struct api_route *route;
	char name[NAME_TEXT_MAX]; // Of the node in the path, or empty.
	struct api_argument arguments[ARGUMENTS_MAX];
	size_t n_arguments;

	// The answer.
	unsigned status; // Of HTTP; 0 before there is one.
	char *text;      // A JSON document of 'len' bytes, by malloc(); NULL only if out of memory.
	size_t len;
	size_t size;

	// How far a listing is.
	bool has_items;
	unsigned phase;
	size_t at;
	void *filter;     // By malloc().
	uint64_t wait_ns; // Before the next step; for a step to set.
	bool must_end;    // The route's end() is to be called if the call is given up.
};

struct api_route {
	const char *method;
	const char *path;             // '*' stands for a name.
	const char *const *arguments; // What it takes, up to NULL.
	api_begin_fn *begin;
	api_step_fn *step;                  // NULL if begin() is all.
	void (*end)(struct api_call *call); // Of a call that 'must_end'; may be NULL.
};

// Begins: finds the route, checks the arguments. Returns true if api_go_on() has more to do.
bool api_start(struct api_call *call, const char *method, const char *path);

// A step. Returns true if there is more to do.
bool api_go_on(struct api_call *call);

// Frees what the call holds.
void api_clear(struct api_call *call);

// For routes

// The argument's value, or NULL.
const char *api_argument(const struct api_call *call, const char *name);

// Answers with 'document', whose reference it takes; NULL, as of json_pack(), is a lack of memory.
void api_reply(struct api_call *call, json_t *document);

// Answers with an error.
void api_fail(struct api_call *call, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// A listing is text around items: api_text() adds the one, api_item() the other with its comma.
// api_list() begins a list. What does not fit into memory ends the call with an error.
void api_text(struct api_call *call, const char *text);
void api_list(struct api_call *call, const char *text);
void api_item(struct api_call *call, json_t *item);

// Pieces of documents. NULL when out of memory.
json_t *api_traffic(const struct traffic *traffic);
json_t *api_address(const struct address *address);
json_t *api_addresses(const struct model_node *node);
json_t *api_flow(const struct control_sources *from, const struct flow_view *flow);
json_t *api_hex(const uint8_t *bytes, size_t len);
const char *forwarding_mode_word(enum forwarding_mode mode);
const char *tunnel_kind_word(enum tunnel_kind kind);
const char *family_word(enum family family);
const char *target_state_word(enum target_state state);
const char *verdict_word(enum verdict verdict);

// Reads the arguments "protocol", "client" and "vip" into 'ret_key', which is zeroed. Returns
// false, having answered, where they make no sense.
struct flow_key;
bool api_flow_key(struct api_call *call, struct flow_key *ret_key);

// The routes
extern const struct api_route status_route;
extern const struct api_route services_route;
extern const struct api_route nodes_route;
extern const struct api_route capture_route;
extern const struct api_route drain_route;
extern const struct api_route undrain_route;
extern const struct api_route flows_route;
extern const struct api_route counters_route;
extern const struct api_route explain_route;
extern const struct api_route kubernetes_route;
extern const struct api_route kubernetes_summary_route;
extern const struct api_route kubernetes_release_route;
extern const struct api_route kubernetes_claim_route;
extern const struct api_route trace_route;
