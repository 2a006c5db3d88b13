/*
 * `workerd status`: segment, processes, counters, latencies.
 *
 * Promises: it only reads; it works while the daemon is down, and then says so; the JSON has the
 * members `state`, `epoch`, `configuration`, `processes`, `counters`, `latencies`, `users_loaded`,
 * `signals`, whatever the state.
 */
#include "workerd/status.h"

#include "core/clock.h"
#include "core/json.h"
#include "shm/shm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_JSON_MAX (64 * 1024)
#define MICROSECOND_NS 1000

typedef struct {
    const shm_segment *segment;
    enum shm_state state;
    bool same_config;
    shm_process_info processes[SHM_PROCESSES_MAX];
    size_t process_count;
} status_view;

static const struct {
    const char *name;
    unsigned per_mille;
} quantiles[] = {{"p50_us", 500}, {"p90_us", 900}, {"p99_us", 990}};

#define QUANTILE_COUNT (sizeof(quantiles) / sizeof(quantiles[0]))

static void status_look(const whale_config *config, shm_segment *segment, status_view *view)
{
    view->segment = segment;
    view->state = shm_state_now(segment);
    view->same_config = shm_config_hash(segment) == config_hash(config);
    view->process_count = shm_processes(segment, view->processes, SHM_PROCESSES_MAX);
}

/* -1 where it never beat in this boot. */
static int64_t age_ms(int64_t age_ns)
{
    return age_ns == INT64_MAX ? -1 : age_ns / CLOCK_MS_NS;
}

/* ---- JSON
 * ---------------------------------------------------------------------------------------- */

static void json_processes(json_writer *json, const status_view *view)
{
    json_key(json, "processes");
    json_array(json);
    for (size_t i = 0; i < view->process_count; i++) {
        const shm_process_info *process = &view->processes[i];

        json_object(json);
        json_key(json, "role");
        json_string(json, shm_role_name(process->role));
        json_key(json, "slot");
        json_int(json, process->slot);
        json_key(json, "pid");
        json_int(json, process->pid);
        json_key(json, "beat_age_ms");
        json_int(json, age_ms(process->beat_age_ns));
        json_key(json, "started_at");
        json_time(json, process->started_ns);
        json_object_end(json);
    }
    json_array_end(json);
}

static void json_latencies(json_writer *json, const status_view *view)
{
    json_key(json, "latencies");
    json_object(json);
    for (unsigned i = 0; i < SHM_HISTOGRAM_COUNT; i++) {
        shm_histogram_total total;

        shm_histogram_read(view->segment, (enum shm_histogram)i, &total);
        json_key(json, shm_histogram_name((enum shm_histogram)i));
        json_object(json);
        json_key(json, "count");
        json_int(json, (int64_t)total.count);
        for (size_t q = 0; q < QUANTILE_COUNT; q++) {
            json_key(json, quantiles[q].name);
            json_int(json, shm_histogram_quantile(&total, quantiles[q].per_mille) / MICROSECOND_NS);
        }
        json_object_end(json);
    }
    json_object_end(json);
}

static bool print_json(const status_view *view)
{
    char *buffer = malloc(STATUS_JSON_MAX);
    json_writer json;
    bool done;

    if (buffer == NULL) {
        return false;
    }
    json_begin(&json, buffer, STATUS_JSON_MAX);
    json_object(&json);
    json_key(&json, "state");
    json_string(&json, shm_state_name(view->state));
    json_key(&json, "epoch");
    json_id(&json, (int64_t)shm_epoch(view->segment));
    json_key(&json, "configuration");
    json_string(&json, view->same_config ? "same" : "mismatch");
    json_key(&json, "users_loaded");
    json_bool(&json, shm_users_loaded(view->segment));
    json_key(&json, "signals");
    json_int(&json, (int64_t)shm_signal_last(view->segment));
    json_processes(&json, view);
    json_key(&json, "counters");
    json_object(&json);
    for (unsigned i = 0; i < SHM_COUNTER_COUNT; i++) {
        json_key(&json, shm_counter_name((enum shm_counter)i));
        json_int(&json, (int64_t)shm_counter_total(view->segment, (enum shm_counter)i));
    }
    json_object_end(&json);
    json_latencies(&json, view);
    json_object_end(&json);
    done = json_finish(&json);
    if (done) {
        printf("%.*s\n", (int)json.length, json.buffer);
    }
    free(buffer);
    return done;
}

/* ---- text
 * ---------------------------------------------------------------------------------------- */

static void print_duration(int64_t duration_ns)
{
    if (duration_ns < CLOCK_MS_NS) {
        printf("  %7" PRId64 " us", duration_ns / MICROSECOND_NS);
    } else {
        printf("  %7" PRId64 " ms", (int64_t)(duration_ns / CLOCK_MS_NS));
    }
}

static void print_latencies(const status_view *view)
{
    puts("latencies: at most      half       nine in ten    99 in 100");
    for (unsigned i = 0; i < SHM_HISTOGRAM_COUNT; i++) {
        shm_histogram_total total;

        shm_histogram_read(view->segment, (enum shm_histogram)i, &total);
        if (total.count == 0) {
            continue;
        }
        printf("  %-24s", shm_histogram_name((enum shm_histogram)i));
        for (size_t q = 0; q < QUANTILE_COUNT; q++) {
            print_duration(shm_histogram_quantile(&total, quantiles[q].per_mille));
        }
        printf("  of %" PRIu64 "\n", total.count);
    }
}

static void print_text(const status_view *view)
{
    printf("segment: %s, configuration: %s, users: %s\n", shm_state_name(view->state),
           view->same_config ? "the same as in the file" : "not that of the file",
           shm_users_loaded(view->segment) ? "loaded" : "not loaded");
    puts("processes:");
    for (size_t i = 0; i < view->process_count; i++) {
        const shm_process_info *process = &view->processes[i];
        char started[CLOCK_TEXT_MAX];

        clock_format(process->started_ns, started);
        printf("  %-7s %u  pid %-8d beat %6" PRId64 " ms ago  since %s\n",
               shm_role_name(process->role), process->slot, (int)process->pid,
               age_ms(process->beat_age_ns), started);
    }
    puts("counters:");
    for (unsigned i = 0; i < SHM_COUNTER_COUNT; i++) {
        uint64_t total = shm_counter_total(view->segment, (enum shm_counter)i);

        if (total > 0) {
            printf("  %-28s %12" PRIu64 "  %s\n", shm_counter_name((enum shm_counter)i), total,
                   shm_counter_help((enum shm_counter)i));
        }
    }
    print_latencies(view);
}

bool status_print(const whale_config *config, bool json)
{
    shm_segment *segment = shm_open_reader(config->shm_path);
    status_view view = {0};
    bool done = true;

    if (segment == NULL) {
        fputs("workerd: out of memory\n", stderr);
        return false;
    }
    status_look(config, segment, &view);
    if (json) {
        done = print_json(&view);
    } else {
        print_text(&view);
    }
    shm_close(segment);
    return done && fflush(stdout) == 0 && view.state == SHM_LIVE;
}
