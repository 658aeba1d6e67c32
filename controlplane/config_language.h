#pragma once

#include <libconfig.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

// The configuration language is a table: parsing, checking, the help, and what a reload cannot
// change all follow from it.

struct reading;
struct key;

enum value_kind {
	VALUE_NUMBER,  // A whole number, 'least' to 'most'.
	VALUE_SECONDS, // Seconds, whole or not, kept in ms; 'least' to 'most' and 'standard' too.
	VALUE_TRUTH,   // true or false.
	VALUE_WORD,    // One of 'words', kept as its index.
	VALUE_TEXT,    // A string that fits, and that 'is_good' (or NULL) likes.
	VALUE_GROUP,   // A group of 'keys', whose fields are in the same struct.
	VALUE_OTHER,   // As 'parse' has it.
};

enum {
	KEY_REQUIRED = 1, // There is no default.
	KEY_RESTART = 2,  // A reload does not change it.
};

// Reads 'setting' into 'base', the struct that the key's group fills.
typedef void parse_fn(struct reading *reading, const config_setting_t *setting,
	const struct key *key, void *base);

struct keys {
	const struct key *keys; // [n]
	size_t n;
};

struct key {
	const char *name;
	const char *help;
	enum value_kind kind;
	unsigned flags;
	size_t field; // Where in the group's struct,
	size_t size;  // and how long.
	int64_t least;
	int64_t most;
	int64_t standard;         // The default, of numbers, seconds, truths and words.
	const char *const *words; // Ends with NULL.
	const char *text; // The default of a text; of VALUE_OTHER, what the help says of it.
	const char *must; // What a text or VALUE_OTHER must be: "an address, such as ...".
	bool (*is_good)(const char *text);
	parse_fn *parse;
	struct keys keys; // Of VALUE_GROUP, and for the help of VALUE_OTHER.
};

// The whole, into struct config.
extern const struct keys config_language;

// Of the groups in lists, which are read into structs of their own.
extern const struct keys port_keys;    // struct port_entry.
extern const struct keys node_keys;    // struct node_config.
extern const struct keys service_keys; // struct service_config.
extern const struct keys check_keys;   // struct check_config.
extern const struct keys pool_keys;    // struct address_pool.

// A port's keys do not all go to one struct of the configuration.
struct port_entry {
	struct port_config port;
	bool adopt;
};

// The parts of the language that are a struct's alone. In config_values.c.
parse_fn parse_ports, parse_cpus, parse_snat, parse_tunnel_source, parse_gue_port, parse_hash_key,
	parse_nodes, parse_services;
parse_fn parse_protocol, parse_vip, parse_sources, parse_node_address, parse_check, parse_status;

// In config_kubernetes.c, with what their texts must be.
parse_fn parse_servers, parse_pools, parse_pool_addresses, parse_pool_namespaces,
	parse_namespace_labels, parse_service_labels;
bool is_class(const char *text);
bool is_namespace(const char *text);
bool is_instance_name(const char *text);
bool is_pool_name(const char *text);

// Checked when all nodes and services are known: config_check.c.
parse_fn parse_nothing;
