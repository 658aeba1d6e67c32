#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Prints an answer of guideway's for people. What an answer lacks is shown as a dash or a 0.

void show_status(const json_t *answer);
void show_services(const json_t *answer);
void show_nodes(const json_t *answer);
void show_flows(const json_t *answer);
void show_kubernetes(const json_t *answer);
void show_claim(const json_t *answer);
void show_capture(const json_t *answer);
void show_counters(const json_t *answer);
void show_explanation(const json_t *answer);
void show_trace(const json_t *answer);
void show_drain(const json_t *answer);

// Writes what was captured to a pcapng file, "-" being stdout. Returns false, having said why,
// where it cannot be written.
bool write_capture(const json_t *answer, const char *path);

// Parts of answers

const char *text_of(const json_t *object, const char *name);
json_int_t number_of(const json_t *object, const char *name);
double real_of(const json_t *object, const char *name);
bool is_true(const json_t *object, const char *name);

// How many of a cluster's Services are in a stage, as its summary has it.
json_int_t stage_of(const json_t *summary, const char *stage);

// A frame in a few words, as far as the headers of an ordinary one say it, with its MAC addresses
// if those are wanted; and an IP packet without an Ethernet header.
void print_frame(const char *hex, bool with_mac);
void print_packet(const char *hex);

// Reads "0a1b..." into at most 'most' bytes. Returns how many there were.
size_t from_hex(const char *hex, uint8_t *ret_bytes, size_t most);

enum { UNITS_TEXT_MAX = 32 };

// "1.5 MB"; "12.3 M" with 'unit' empty. Returns 'ret_text'.
char *with_units(double value, const char *unit, char ret_text[UNITS_TEXT_MAX]);

// "3 d 4 h", "5 min 6 s". Returns 'ret_text'.
char *as_duration(json_int_t s, char ret_text[UNITS_TEXT_MAX]);
