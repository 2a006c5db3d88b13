/*
 * Which request meets which fault. See the header.
 */
#include "workerd/paper/paper_faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAPER_FAULT_WHOLE 1000000

static const char *const paper_fault_names[PAPER_FAULT_COUNT] = {
    "late", "held", "never", "accept_then_drop", "error", "error_after"};
/* The admin endpoint's names of the same. */
static const char *const paper_fault_members[PAPER_FAULT_COUNT] = {
    "late_percent",  "held_percent",
    "never_percent", "drop_after_accept_percent",
    "error_percent", "error_after_accept_percent"};

uint64_t paper_random(uint64_t *state, uint64_t below)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ULL; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return below == 0 ? z : z % below;
}

/* "12.5" percent as 125,000 of a million. */
static bool paper_fault_share(const char *text, size_t length, int64_t *share)
{
    dec percent;

    if (!dec_parse(text, length, &percent) || dec_sign(percent) < 0 ||
        dec_compare(percent, dec_from_int(100)) > 0) {
        return false;
    }
    *share = (int64_t)(percent.units / (DEC_ONE.units / (PAPER_FAULT_WHOLE / 100)));
    return true;
}

static bool paper_faults_check(const paper_faults *faults, char *error, size_t capacity)
{
    int64_t sum = 0;

    for (int i = 0; i < PAPER_FAULT_COUNT; i++) {
        sum += faults->share[i];
    }
    if (sum > PAPER_FAULT_WHOLE) {
        snprintf(error, capacity, "the faults add up to more than 100 percent");
        return false;
    }
    if (faults->late_ms < 0 || faults->late_ms > PAPER_FAULT_DELAY_MAX || faults->held_ms < 0 ||
        faults->held_ms > PAPER_FAULT_DELAY_MAX) {
        snprintf(error, capacity, "a delay is not between 0 and %d ms", PAPER_FAULT_DELAY_MAX);
        return false;
    }
    return true;
}

static bool paper_fault_item(paper_faults *faults, char *item)
{
    char *value = strchr(item, '='), *end;

    if (value == NULL) {
        return false;
    }
    *value++ = '\0';
    if (strcmp(item, "seed") == 0) {
        faults->seed = strtoull(value, &end, 10);
        return *value != '\0' && *end == '\0';
    }
    if (strcmp(item, "scope") == 0) {
        faults->all = strcmp(value, "all") == 0;
        return faults->all || strcmp(value, "orders") == 0;
    }
    for (int i = 0; i < PAPER_FAULT_COUNT; i++) {
        if (strcmp(item, paper_fault_names[i]) == 0) {
            bool delayed = i == PAPER_FAULT_LATE || i == PAPER_FAULT_HELD;
            int64_t *delay = i == PAPER_FAULT_LATE ? &faults->late_ms : &faults->held_ms;

            end = value + strcspn(value, ":");
            if (!paper_fault_share(value, (size_t)(end - value), &faults->share[i]) ||
                *end != (delayed ? ':' : '\0')) {
                return false;
            }
            if (delayed) {
                value = end + 1;
                *delay = strtoll(value, &end, 10);
            }
            return end != value && *end == '\0';
        }
    }
    return false;
}

bool paper_faults_parse(paper_faults *faults, const char *text, char *error, size_t capacity)
{
    char copy[512], *rest = NULL;

    *faults = (paper_faults){.seed = 1};
    if (strlen(text) >= sizeof(copy)) {
        snprintf(error, capacity, "whale_paper_faults is too long");
        return false;
    }
    strcpy(copy, text);
    for (char *item = strtok_r(copy, ", ", &rest); item != NULL;
         item = strtok_r(NULL, ", ", &rest)) {
        if (!paper_fault_item(faults, item)) {
            snprintf(error, capacity, "whale_paper_faults: \"%s\" is not understood", item);
            return false;
        }
    }
    faults->state = faults->seed;
    return paper_faults_check(faults, error, capacity);
}

bool paper_faults_json(paper_faults *faults, const json_doc *doc, char *error, size_t capacity)
{
    paper_faults changed = *faults;
    int64_t seed = 0;
    int scope = json_at(doc, 0, "scope");

    for (int i = 0; i < PAPER_FAULT_COUNT; i++) {
        int node = json_at(doc, 0, paper_fault_members[i]);
        const char *text;
        size_t length;

        if (json_slice(doc, node, &text, &length) &&
            !paper_fault_share(text, length, &changed.share[i])) {
            snprintf(error, capacity, "%s is not a percentage", paper_fault_members[i]);
            return false;
        }
    }
    if (json_at(doc, 0, "late_ms") >= 0) {
        (void)json_get_int(doc, json_at(doc, 0, "late_ms"), &changed.late_ms);
    }
    if (json_at(doc, 0, "held_ms") >= 0) {
        (void)json_get_int(doc, json_at(doc, 0, "held_ms"), &changed.held_ms);
    }
    if (json_get_int(doc, json_at(doc, 0, "seed"), &seed)) {
        changed.seed = changed.state = (uint64_t)seed;
    }
    if (scope >= 0) {
        changed.all = json_equals(doc, scope, "all");
    }
    if (!paper_faults_check(&changed, error, capacity)) {
        return false;
    }
    *faults = changed;
    return true;
}

void paper_faults_write(json_writer *writer, const paper_faults *faults)
{
    json_object(writer);
    for (int i = 0; i < PAPER_FAULT_COUNT; i++) {
        dec percent = {(__int128)faults->share[i] * (DEC_ONE.units / (PAPER_FAULT_WHOLE / 100))};

        json_key(writer, paper_fault_members[i]);
        json_dec(writer, percent);
    }
    json_key(writer, "late_ms");
    json_int(writer, faults->late_ms);
    json_key(writer, "held_ms");
    json_int(writer, faults->held_ms);
    json_key(writer, "seed");
    json_int(writer, (int64_t)faults->seed);
    json_key(writer, "scope");
    json_string(writer, faults->all ? "all" : "orders");
    json_key(writer, "met");
    json_object(writer);
    for (int i = 0; i < PAPER_FAULT_COUNT; i++) {
        json_key(writer, paper_fault_names[i]);
        json_int(writer, (int64_t)faults->met[i]);
    }
    json_object_end(writer);
    json_object_end(writer);
}

enum paper_fault paper_faults_draw(paper_faults *faults)
{
    int64_t sum = 0, drawn;

    for (int i = 0; i < PAPER_FAULT_COUNT; i++) {
        sum += faults->share[i];
    }
    if (sum == 0) {
        return PAPER_FAULT_NONE; /* the usual case draws nothing */
    }
    drawn = (int64_t)paper_random(&faults->state, PAPER_FAULT_WHOLE);
    for (int i = 0; i < PAPER_FAULT_COUNT; i++) {
        if (drawn < faults->share[i]) {
            faults->met[i]++;
            return (enum paper_fault)i;
        }
        drawn -= faults->share[i];
    }
    return PAPER_FAULT_NONE;
}
