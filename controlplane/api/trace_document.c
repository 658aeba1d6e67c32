#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "address_text.h"
#include "api/api.h"
#include "api/trace.h"
#include "protocol.h"

// What each step is called, and what it says, in the order of the journey.

enum { SENTENCE_MAX = 512, HEADERS_TEXT_MAX = 256 };

// The steps as they come.
struct telling {
	const struct control_sources *from;
	const struct trace *trace;
	const struct trace_visit *visit;
	json_t *steps;
};

static __attribute__((format(printf, 3, 4))) void say(
	struct telling *t, const char *step, const char *format, ...)
{
	char sentence[SENTENCE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	json_array_append_new(t->steps,
		json_pack("{s:I, s:s, s:s}", "worker", (json_int_t)t->visit->worker, "step", step,
			"says", sentence));
}

static const char *node_name(const struct telling *t, node_id node)
{
	const char *name = table_builder_node_name(reconcile_builder(t->from->reconcile), node);

	return name != NULL ? name : "that is gone";
}

static const char *service_name(const struct telling *t, service_id service)
{
	const char *name =
		table_builder_service_name(reconcile_builder(t->from->reconcile), service);

	return name != NULL ? name : "that is gone";
}

// Headers
// =======

static void add_flags(uint8_t flags, char text[HEADERS_TEXT_MAX])
{
	static const char *const words[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};

	for (int i = 0; i < 6; i++) {
		if (flags & 1 << i) {
			strcat(text, " ");
			strcat(text, words[i]);
		}
	}
}

static void format_end(
	const struct address *address, __be16 port, bool has_port, char ret_text[ENDPOINT_TEXT_MAX])
{
	if (has_port)
		endpoint_format(address, ntohs(port), ret_text);
	else
		address_format(address, ret_text);
}

// "tcp SYN 198.51.100.7:31337 > 10.0.0.1:80".
static void format_headers(const struct trace_headers *h, char ret_text[HEADERS_TEXT_MAX])
{
	bool has_ports = h->kind == TRACE_PORTS;
	char source[ENDPOINT_TEXT_MAX], destination[ENDPOINT_TEXT_MAX],
		flags[HEADERS_TEXT_MAX] = "";
	char protocol[32];

	snprintf(protocol, sizeof(protocol), "protocol %u", h->protocol);
	if (h->kind == TRACE_ICMP)
		strcpy(protocol, h->family == IPV4 ? "icmp" : "icmpv6");
	else if (strcmp(protocol_word(h->protocol), "none") != 0)
		strcpy(protocol, protocol_word(h->protocol));
	add_flags(h->tcp_flags, flags);
	format_end(&h->source, h->source_port, has_ports, source);
	format_end(&h->destination, h->destination_port, has_ports, destination);
	snprintf(ret_text, HEADERS_TEXT_MAX, "%s%s %s > %s", protocol, flags, source, destination);
}

static void say_headers(struct telling *t)
{
	const struct trace_headers *h = &t->visit->headers;
	char text[HEADERS_TEXT_MAX];

	if (t->visit->is_unread) {
		say(t, "read", "the frame is for nobody here");
		return;
	}
	if (h->kind == TRACE_ARP || h->kind == TRACE_OTHER) {
		say(t, "read", h->kind == TRACE_ARP ? "ARP" : "neither IP nor ARP");
		return;
	}
	format_headers(h, text);
	say(t, "read", "%s, %u bytes of %s, hop limit %u", text, h->ip_len,
		h->family == IPV4 ? "IPv4" : "IPv6", h->hop_limit);
	if (h->fault != DROP_NONE && h->fault != DROP_FRAGMENT)
		say(t, "read", "if it is for us, it is wrong: %s", drop_reason_sentence(h->fault));
}

static void say_fragment(struct telling *t)
{
	if (!t->visit->is_fragment)
		return;
	if (t->visit->is_whole)
		say(t, "fragment", "it was the one of its datagram that had been missing here");
	else if (t->trace->is_kept && t->visit->handed_to == UINT32_MAX)
		say(t, "fragment", "a fragment, which is kept until the rest has come");
	else
		say(t, "fragment", "a fragment");
}

// Whose it is
// ===========

static void say_inner(struct telling *t)
{
	char text[HEADERS_TEXT_MAX];

	if (!t->visit->has_inner)
		return;
	format_headers(&t->visit->inner, text);
	say(t, "inside", "an ICMP error, about %s", text);
}

static void say_whose(struct telling *t)
{
	static const char *const sentences[] = {
		[TRACE_TO_NOBODY] = "for none of our addresses",
		[TRACE_TO_SERVICE] = "to a service",
		[TRACE_TO_SNAT] = "to an SNAT address: a reply, or an error",
		[TRACE_TO_VIP] = "to a VIP, and to no service's port",
		[TRACE_TO_TUNNEL] = "to where outer packets come from; the kernel's, unless an "
				    "error about one",
		[TRACE_TO_MACHINE] = "to this machine, or beyond an interface that is no port's: "
				     "the kernel's",
		[TRACE_TO_CLIENT] = "from a NodePort of a service in the mode dnat: a reply",
		[TRACE_NEIGHBOUR] = "asks for the MAC address of one of our addresses",
	};
	bool is_waiting = t->visit->is_fragment && !t->visit->is_whole &&
		(t->trace->is_kept || t->visit->handed_to != UINT32_MAX);

	if (!t->visit->is_unread && !is_waiting)
		say(t, "whose", "%s", sentences[t->visit->whose]);
}

static void say_service(struct telling *t)
{
	if (t->visit->service != SERVICE_NONE)
		say(t, "service", "%s, in the mode %s", service_name(t, t->visit->service),
			forwarding_mode_word(t->visit->mode));
}

// What is chosen
// ==============

static void say_owner(struct telling *t)
{
	if (t->visit->handed_to != UINT32_MAX)
		say(t, "owner", "handed to worker %u", t->visit->handed_to);
}

static void say_flow(struct telling *t)
{
	const struct flow_view *flow = &t->visit->flow;

	if (t->visit->flow_begun)
		say(t, "flow", "there is none; one would begin, to node %s from SNAT port %u",
			node_name(t, flow->node), ntohs(flow->snat_port));
	else if (t->visit->flow_found)
		say(t, "flow", "there is one, to node %s from SNAT port %u, and it would be %s",
			node_name(t, flow->node), ntohs(flow->snat_port),
			flow_state_word(flow->state));
	else if (t->visit->mode == MODE_SNAT &&
		(t->visit->whose == TRACE_TO_SNAT || t->visit->service != SERVICE_NONE))
		say(t, "flow", "there is none%s",
			t->visit->has_inner ? " that is looked at here" : "");
}

// These are asked of packets to services alone.
static void say_choice(struct telling *t)
{
	const struct trace_visit *v = t->visit;

	if (v->has_sources)
		say(t, "sources", "the service has a list of sources, which %s this one",
			v->is_admitted ? "holds" : "does not hold");
	if (v->has_slot)
		say(t, "slot", "%u of the service's ring, node %s", v->slot,
			v->slot_node == NODE_NONE ? "none" : node_name(t, v->slot_node));
	if (v->has_affinity)
		say(t, "affinity", "the client went to node %s before",
			node_name(t, v->affinity_node));
}

static void say_target(struct telling *t)
{
	if (t->visit->node != NODE_NONE)
		say(t, "node", "%s%s",
			t->visit->whose == TRACE_TO_SERVICE || t->visit->has_inner ? "" : "from ",
			node_name(t, t->visit->node));
	if (t->visit->next_hop < NEXT_HOP_MAX)
		say(t, "next hop", "number %u", t->visit->next_hop);
	else if (t->visit->next_hop == NEXT_HOP_RESOLVE)
		say(t, "next hop", "the destination itself, on a connected network");
}

static void say_visit(struct telling *t)
{
	say_headers(t);
	say_fragment(t);
	say_inner(t);
	say_whose(t);
	say_service(t);
	say_choice(t);
	if (t->visit->handed_to == UINT32_MAX) {
		say_flow(t);
		say_target(t);
	}
	say_owner(t);
}

static void say_events(struct telling *t)
{
	for (int i = 0; i < N_EVENTS; i++) {
		if (t->trace->has_event[i] && i != EVENT_FLOWS_CREATED)
			say(t, "counted", "%s: %s", event_word(i), event_sentence(i));
	}
}

// How it ends
// ===========

static const char *verdict_of(const struct trace *trace)
{
	if (trace->drop != DROP_NONE)
		return "dropped";
	if (trace->n_frames == 0)
		return trace->is_kept ? "kept" : "taken";
	switch (trace->frames[0].way) {
	case TRACE_BY_PORT:
		return "leaves";
	case TRACE_WAITS:
		return "waits";
	default:
		return "kernel";
	}
}

static json_t *frame_document(const struct trace *trace, const struct trace_frame *frame)
{
	static const char *const ways[] = {
		[TRACE_BY_PORT] = "port",
		[TRACE_BY_TWIN] = "kernel",
		[TRACE_BY_TWIN_CONTROL] = "kernel",
		[TRACE_WAITS] = "waits",
	};
	json_t *bytes = api_hex(&trace->bytes[frame->at], frame->len);

	return json_pack("{s:s, s:i, s:I, s:o}", "way", ways[frame->way], "port", frame->port,
		"len", (json_int_t)frame->len, "bytes", bytes);
}

static json_t *frames_document(const struct trace *trace)
{
	json_t *frames = json_array();

	for (size_t i = 0; i < trace->n_frames; i++)
		json_array_append_new(frames, frame_document(trace, &trace->frames[i]));
	return frames;
}

json_t *trace_document(const struct control_sources *from, const struct trace_request *request,
	const struct trace *trace)
{
	struct telling t = {.from = from, .trace = trace, .steps = json_array()};

	for (size_t i = 0; i < trace->n_visits; i++) {
		t.visit = &trace->visits[i];
		say_visit(&t);
	}
	if (trace->n_visits > 0)
		say_events(&t);

	json_t *document = json_pack("{s:s, s:s, s:s, s:b, s:i, s:s, s:o, s:o, s:o}", "verdict",
		verdict_of(trace), "drop", drop_reason_word(trace->drop), "sentence",
		drop_reason_sentence(trace->drop), "answered",
		trace->drop != DROP_NONE && trace->n_frames > 0, "port", (int)request->port,
		"origin", request->from_kernel ? "kernel" : "port", "frame",
		api_hex(request->frame, request->len), "steps", t.steps, "frames",
		frames_document(trace));
	if (document != NULL && trace->n_frames > 0 && trace->frames[0].way == TRACE_WAITS)
		json_object_set_new(document, "waits_for", api_address(&trace->waits_for));
	return document;
}
