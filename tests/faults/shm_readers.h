/*
 * Every read call there is, on a segment of any content. Shared by the fault tests and the fuzzer:
 * what it does must never crash, never leave the bounds of its buffers, and end soon.
 */
#ifndef WHALE_TESTS_SHM_READERS_H
#define WHALE_TESTS_SHM_READERS_H

#include "shm/shm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS_INSTRUMENTS 8
#define READERS_USERS 16
#define READERS_SIGNALS 8

/* A small segment with something in every region. False: with the reason on stderr. */
static inline bool readers_make_segment(const char *path)
{
    const shm_options options = {.instruments = READERS_INSTRUMENTS,
                                 .users = READERS_USERS,
                                 .positions = 64,
                                 .signals = READERS_SIGNALS,
                                 .mode = 0640,
                                 .group = -1};
    static shm_position positions[4];
    char error[256] = "";
    shm_segment *segment = NULL;

    if (!shm_create(path, &options, error, sizeof(error)) ||
        (segment = shm_open_writer(path, error, sizeof(error))) == NULL) {
        fprintf(stderr, "%s\n", error);
        return false;
    }
    shm_process_beat(shm_process_join(segment, SHM_ROLE_MASTER, 0));
    shm_count(shm_process_join(segment, SHM_ROLE_FEED, 0), SHM_feed_ticks_total, 3);
    for (int i = 0; i < READERS_INSTRUMENTS; i++) {
        const shm_price price = {.bid = dec_from_int(i), .source = SHM_SOURCE_WS};
        char key[32];
        uint32_t slot;

        snprintf(key, sizeof(key), "v:m:%d", i);
        if (shm_price_claim(segment, key, strlen(key), &slot)) {
            shm_price_publish(segment, slot, &price);
        }
    }
    for (int i = 1; i < READERS_USERS; i++) {
        const shm_user user = {.id = i, .telegram_id = 100 + i, .position_count = (uint32_t)i % 5};
        for (int j = 0; j < 4; j++) {
            positions[j].id = j;
            positions[j].text_length = (uint32_t)(i * j * 7);
        }
        shm_user_put(segment, &user, positions);
    }
    shm_users_set_loaded(segment, true);
    for (int i = 0; i < READERS_SIGNALS + 3; i++) {
        const shm_signal signal = {.id = i, .text_length = 2, .text = "{}"};
        shm_signal_push(segment, &signal);
    }
    shm_whales_put(segment, "[1]", 3);
    shm_whales_put(segment, "[12]", 4);
    shm_close(segment);
    return true;
}

static inline void readers_read_users(const shm_segment *segment)
{
    for (int64_t id = 0; id < READERS_USERS + 2; id++) {
        /* exactly as large as said, so that a sanitizer sees a step beyond it */
        const uint32_t capacity = (uint32_t)id % 7;
        shm_position *positions = malloc((capacity + 1) * sizeof(*positions));
        shm_user user;

        if (positions == NULL) {
            return;
        }
        for (int by = 0; by < 2; by++) {
            const enum shm_read read =
                by == 0 ? shm_user_by_id(segment, id, &user, positions + 1, capacity)
                        : shm_user_by_telegram(segment, 100 + id, &user, positions + 1, capacity);
            for (uint32_t i = 0; read == SHM_READ_OK && i < capacity && i < user.position_count;
                 i++) {
                if (positions[1 + i].text_length > SHM_POSITION_TEXT_MAX) {
                    abort();
                }
            }
        }
        free(positions);
    }
    shm_users_loaded(segment);
}

static inline void readers_read_rest(const shm_segment *segment)
{
    static const size_t rooms[] = {0, 1, 7, 4096, SHM_WHALES_TEXT_MAX};
    shm_process_info info[5];
    shm_histogram_total total;
    shm_signal signal;
    const uint64_t last = shm_signal_last(segment);

    for (uint64_t back = 0; back < READERS_SIGNALS + 2; back++) {
        if (shm_signal_read(segment, last - back, &signal) == SHM_READ_OK &&
            signal.text_length > SHM_SIGNAL_TEXT_MAX) {
            abort();
        }
    }
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        char *out = malloc(rooms[i] == 0 ? 1 : rooms[i]);
        size_t length;
        uint64_t version;

        if (out != NULL &&
            shm_whales_read(segment, out, rooms[i], &length, &version) == SHM_READ_OK &&
            length > SHM_WHALES_TEXT_MAX) {
            abort();
        }
        free(out);
    }
    shm_processes(segment, info, 5);
    for (int role = 0; role < SHM_ROLE_COUNT; role++) {
        shm_heartbeat_age_ns(segment, (enum shm_role)role);
    }
    for (int i = 0; i < SHM_COUNTER_COUNT; i++) {
        shm_counter_total(segment, (enum shm_counter)i);
    }
    for (int i = 0; i < SHM_HISTOGRAM_COUNT; i++) {
        shm_histogram_read(segment, (enum shm_histogram)i, &total);
        shm_histogram_quantile(&total, 999);
    }
}

static inline void readers_read_everything(shm_segment *segment)
{
    char key[SHM_KEY_MAX];
    shm_price price;
    uint32_t slot;

    shm_state_name(shm_state_now(segment));
    shm_epoch(segment);
    shm_config_hash(segment);
    for (uint32_t i = 0; i <= shm_price_slots(segment); i++) {
        shm_price_key(segment, i, key);
        if (strlen(key) >= SHM_KEY_MAX) {
            abort();
        }
        shm_price_read(segment, i, &price);
    }
    for (int i = 0; i < READERS_INSTRUMENTS + 1; i++) {
        snprintf(key, sizeof(key), "v:m:%d", i);
        if (shm_price_find(segment, key, strlen(key), &slot) == SHM_READ_OK &&
            slot >= shm_price_slots(segment)) {
            abort();
        }
    }
    readers_read_users(segment);
    readers_read_rest(segment);
}

#endif
