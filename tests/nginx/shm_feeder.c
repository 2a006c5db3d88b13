/*
 * Stands in for workerd in the tests of the nginx module: makes a segment, keeps its processes'
 * hearts beating, and does what it is told on stdin, a line a command, answering "ok" or "error".
 *
 *   price KEY BID ASK LAST MARK FUNDING AGE_MS FLAGS     publishes; 0 is unknown
 *   user ID TELEGRAM EPOCH TIER FLAGS TOTAL AVAILABLE    without positions
 *   position USER ID KEY QUANTITY NOTIONAL MARGIN LEVERAGE   one more of that user
 *   remove ID | loaded 0|1 | clear | config HASH
 *   silent ROLE AGE_MS      that role's last heartbeat was so long ago, and there are no more
 *   beat ROLE               and there are again
 *   storm MS                publishes prices as fast as it can for a while
 *   hostile SEED            fills everything behind the header with chance
 *   create                  a new segment in the place of this one
 *   public PRIVATE          ok KEY: the X25519 public key of a private one
 *   unseal PRIVATE AAD HEX  ok TEXT: what was sealed to it
 */
#include "core/clock.h"
#include "core/crypto.h"
#include "core/json.h"
#include "shm/layout.h"
#include "shm/mapping.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FEEDER_USERS 64

static shm_segment *segment;
static struct shm_process *processes[SHM_ROLE_COUNT];
static bool silent[SHM_ROLE_COUNT];
static const char *path;

static struct {
    shm_user user;
    shm_position positions[SHM_USER_POSITIONS_MAX + 1];
} users[FEEDER_USERS];
static size_t user_count;

static dec number(const char *text)
{
    dec value = DEC_ZERO;

    if (!dec_parse(text, strlen(text), &value)) {
        fprintf(stderr, "feeder: not a number: %s\n", text);
    }
    return value;
}

static bool create(void)
{
    const shm_options options = {.instruments = 256,
                                 .users = 1024,
                                 .positions = 8192,
                                 .signals = 256,
                                 .mode = 0644,
                                 .group = -1};
    char error[256];

    shm_close(segment);
    segment = NULL;
    if (!shm_create(path, &options, error, sizeof(error)) ||
        (segment = shm_open_writer(path, error, sizeof(error))) == NULL) {
        fprintf(stderr, "feeder: %s\n", error);
        return false;
    }
    for (int role = 0; role < SHM_ROLE_COUNT; role++) {
        processes[role] = shm_process_join(segment, (enum shm_role)role, 0);
        silent[role] = false;
        shm_process_beat(processes[role]);
    }
    shm_users_set_loaded(segment, true);
    user_count = 0;
    return true;
}

static void beat(void)
{
    for (int role = 0; role < SHM_ROLE_COUNT; role++) {
        if (!silent[role]) {
            shm_process_beat(processes[role]);
        }
    }
}

static int role_named(const char *name)
{
    for (int role = 0; role < SHM_ROLE_COUNT; role++) {
        if (strcmp(name, shm_role_name((enum shm_role)role)) == 0) {
            return role;
        }
    }
    return -1;
}

static bool publish(char *words[])
{
    uint32_t slot;
    const int64_t now = clock_now_ns() - atoll(words[7]) * 1000000;
    const shm_price price = {.bid = number(words[2]),
                             .ask = number(words[3]),
                             .last = number(words[4]),
                             .mark = number(words[5]),
                             .funding = number(words[6]),
                             .bid_size = DEC_ONE,
                             .ask_size = DEC_ONE,
                             .exchange_time_ns = now - 5000000,
                             .receive_time_ns = now,
                             .source = SHM_SOURCE_WS,
                             .flags = (uint32_t)atoi(words[8])};

    if (!shm_price_claim(segment, words[1], strlen(words[1]), &slot)) {
        return false;
    }
    shm_price_publish(segment, slot, &price);
    return true;
}

static bool put_user(char *words[])
{
    const int64_t id = atoll(words[1]);
    size_t at = 0;

    while (at < user_count && users[at].user.id != id) {
        at++;
    }
    if (at == FEEDER_USERS) {
        return false;
    }
    user_count = at == user_count ? user_count + 1 : user_count;
    users[at].user = (shm_user){.id = id,
                                .telegram_id = atoll(words[2]),
                                .session_epoch = atoll(words[3]),
                                .tier = (uint32_t)atoi(words[4]),
                                .flags = (uint32_t)atoi(words[5]),
                                .balance_total = number(words[6]),
                                .balance_available = number(words[7]),
                                .version = 1};
    return shm_user_put(segment, &users[at].user, users[at].positions);
}

/* The members as mirror writes them. */
static uint32_t position_text(char *out, const shm_position *position, const char *key,
                              const char *leverage)
{
    char object[SHM_POSITION_TEXT_MAX + 2];
    const char *market = strchr(key, ':') + 1, *symbol = strchr(market, ':') + 1;
    json_writer json;
    dec entry = DEC_ZERO;

    dec_div(position->entry_notional, dec_absolute(position->quantity), DEC_HALF_EVEN, &entry);
    json_begin(&json, object, sizeof(object));
    json_object(&json);
    json_key(&json, "id");
    json_id(&json, position->id);
    json_key(&json, "venue");
    json_text(&json, key, (size_t)(market - 1 - key));
    json_key(&json, "market");
    json_text(&json, market, (size_t)(symbol - 1 - market));
    json_key(&json, "symbol");
    json_string(&json, symbol);
    json_key(&json, "side");
    json_string(&json, dec_sign(position->quantity) < 0 ? "SHORT" : "LONG");
    json_key(&json, "quantity");
    json_dec(&json, dec_absolute(position->quantity));
    json_key(&json, "entry_price");
    json_dec(&json, entry);
    json_key(&json, "leverage");
    json_int(&json, atoll(leverage));
    json_key(&json, "margin");
    json_dec(&json, position->margin);
    json_key(&json, "whale_id");
    json_id(&json, 1);
    json_key(&json, "whale_name");
    json_string(&json, "Moby \"Dick\" <x>");
    json_key(&json, "opened_at");
    json_time(&json, 1790000000123456000LL);
    json_object_end(&json);
    if (!json_finish(&json)) {
        return 0;
    }
    memcpy(out, object + 1, json.length - 2);
    return (uint32_t)(json.length - 2);
}

static bool put_position(char *words[])
{
    const int64_t id = atoll(words[1]);
    shm_position *position;
    size_t at = 0;

    while (at < user_count && users[at].user.id != id) {
        at++;
    }
    if (at == user_count || users[at].user.position_count > SHM_USER_POSITIONS_MAX) {
        return false;
    }
    position = &users[at].positions[users[at].user.position_count++];
    memset(position, 0, sizeof(*position));
    position->id = atoll(words[2]);
    position->quantity = number(words[4]);
    position->entry_notional = number(words[5]);
    position->margin = number(words[6]);
    if (shm_price_find(segment, words[3], strlen(words[3]), &position->price_slot) != SHM_READ_OK) {
        position->price_slot = UINT32_MAX;
    }
    position->text_length = position_text(position->text, position, words[3], words[7]);
    return shm_user_put(segment, &users[at].user, users[at].positions);
}

static bool go_silent(const char *name, const char *age_ms)
{
    const int role = role_named(name);

    if (role < 0) {
        return false;
    }
    silent[role] = true;
    __atomic_store_n(&processes[role]->beat_ns, clock_monotonic_ns() - atoll(age_ms) * 1000000,
                     __ATOMIC_RELEASE);
    return true;
}

static bool storm(long ms)
{
    const int64_t end = clock_monotonic_ns() + ms * 1000000;
    shm_price price;
    uint32_t slots = shm_price_slots(segment);

    while (clock_monotonic_ns() < end) {
        for (uint32_t slot = 0; slot < slots; slot++) {
            char key[SHM_KEY_MAX];

            if (shm_price_key(segment, slot, key) == SHM_READ_OK && key[0] != '\0' &&
                shm_price_read(segment, slot, &price) == SHM_READ_OK) {
                price.receive_time_ns = clock_now_ns();
                shm_price_publish(segment, slot, &price);
            }
        }
        beat();
    }
    return true;
}

static bool hostile(unsigned seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;

    for (size_t at = SHM_REGION_ALIGNMENT; at + 8 <= segment->size; at += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        /* small numbers too: they get further than large ones */
        *(uint64_t *)(void *)(segment->base + at) = (state & 7) == 0 ? state : state >> 56;
    }
    return true;
}

/* What follows "ok" in the answer. */
static char told[4096];

static bool tell_public(const char *private_hex)
{
    uint8_t key[CRYPTO_KEY_SIZE], public_key[CRYPTO_KEY_SIZE];

    if (crypto_unhex(private_hex, strlen(private_hex), key, sizeof(key)) != CRYPTO_KEY_SIZE ||
        !crypto_public_key(key, public_key)) {
        return false;
    }
    told[0] = ' ';
    crypto_hex(public_key, sizeof(public_key), told + 1);
    return true;
}

static bool unseal(const char *private_hex, const char *aad, const char *sealed_hex)
{
    uint8_t key[CRYPTO_KEY_SIZE], sealed[2048];
    const long length = crypto_unhex(sealed_hex, strlen(sealed_hex), sealed, sizeof(sealed));

    if (crypto_unhex(private_hex, strlen(private_hex), key, sizeof(key)) != CRYPTO_KEY_SIZE ||
        length <= CRYPTO_SEAL_OVERHEAD ||
        !crypto_unseal(key, aad, strlen(aad), sealed, (size_t)length, told + 1)) {
        return false;
    }
    told[0] = ' ';
    told[1 + length - CRYPTO_SEAL_OVERHEAD] = '\0';
    return true;
}

static bool obey(char *words[], int count)
{
    told[0] = '\0';
    if (strcmp(words[0], "public") == 0 && count == 2) {
        return tell_public(words[1]);
    }
    if (strcmp(words[0], "unseal") == 0 && count == 4) {
        return unseal(words[1], words[2], words[3]);
    }
    if (strcmp(words[0], "price") == 0 && count == 9) {
        return publish(words);
    }
    if (strcmp(words[0], "user") == 0 && count == 8) {
        return put_user(words);
    }
    if (strcmp(words[0], "position") == 0 && count == 8) {
        return put_position(words);
    }
    if (strcmp(words[0], "remove") == 0 && count == 2) {
        return shm_user_remove(segment, atoll(words[1]));
    }
    if (strcmp(words[0], "loaded") == 0 && count == 2) {
        shm_users_set_loaded(segment, words[1][0] == '1');
        return true;
    }
    if (strcmp(words[0], "clear") == 0) {
        shm_users_clear(segment);
        user_count = 0;
        memset(users, 0, sizeof(users));
        return true;
    }
    if (strcmp(words[0], "config") == 0 && count == 2) {
        shm_set_config_hash(segment, strtoull(words[1], NULL, 16));
        return true;
    }
    if (strcmp(words[0], "silent") == 0 && count == 3) {
        return go_silent(words[1], words[2]);
    }
    if (strcmp(words[0], "beat") == 0 && count == 2 && role_named(words[1]) >= 0) {
        silent[role_named(words[1])] = false;
        beat();
        return true;
    }
    if (strcmp(words[0], "storm") == 0 && count == 2) {
        return storm(atol(words[1]));
    }
    if (strcmp(words[0], "hostile") == 0 && count == 2) {
        return hostile((unsigned)atoi(words[1]));
    }
    return strcmp(words[0], "create") == 0 && create();
}

int main(int argc, char *argv[])
{
    char line[8192];

    if (argc != 2) {
        fprintf(stderr, "usage: %s SEGMENT\n", argv[0]);
        return 2;
    }
    path = argv[1];
    if (!crypto_start() || !create()) {
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll() and stdio share the descriptor */
    puts("ok");
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        char *words[16];
        int count = 0;

        if (poll(&input, 1, 200) <= 0) {
            beat();
            continue;
        }
        if (fgets(line, sizeof(line), stdin) == NULL) {
            break;
        }
        for (char *word = strtok(line, " \n"); word != NULL && count < 16;
             word = strtok(NULL, " \n")) {
            words[count++] = word;
        }
        if (count > 0) {
            puts(obey(words, count) ? strcat(strcpy(line, "ok"), told) : "error");
        }
    }
    shm_close(segment);
    unlink(path);
    return 0;
}
