/*
 * A stand-in for workerd beside an nginx under test: makes the segment, keeps it alive, and puts
 * into it what a test says on stdin. A command a line, answered by one line: "ok ..." or "error
 * ...". So a test decides every value, age and state, and knows when it stands.
 *
 *   segment PATH
 *   create [instruments=64 users=64 positions=512 signals=16]   a new generation
 *   config FILE                     publish the hash of this whale.conf (none: 0)
 *   beat ROLE on|off | age ROLE MS  a live writer; a dead one; one that died MS ago
 *   price KEY [bid= bid_size= ask= ask_size= last= mark= funding= age_ms= time_ns= received_ns=
 *              source= flags= keep=1]      keep: published again and again, so that it stays fresh
 *   claim KEY | release KEY | tear KEY (as a writer that died in the middle) | mend KEY
 *   position [id= key= quantity= notional= margin= realised=] text=MEMBERS     for the next `user`
 *   user [id= telegram= epoch= tier= flags= total= available=] | remove ID | loaded on|off
 *   mirror CONNINFO                 all users, read and written as the mirror role does
 *   whales JSON                     the ranking page
 *   count NAME N | observe NAME NS  in the feed's block
 *   poke OFFSET HEX | noise SEED FROM COUNT   hostile bytes
 *   unseal KEYFILE AAD HEX          answers the plain text
 *   quit
 */
#include "core/clock.h"
#include "core/config.h"
#include "core/crypto.h"
#include "queries.h"
#include "shm/mapping.h"
#include "workerd/mirror/mirror_rows.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BEAT_MS 50
#define LINE_MAX_BYTES (256 * 1024)
#define KEPT_MAX 64

static const char *path;
static shm_segment *segment;
static shm_process *processes[SHM_ROLE_COUNT];
static bool beating[SHM_ROLE_COUNT];
static shm_position positions[SHM_USER_POSITIONS_MAX + 1];
static uint32_t position_count;
static struct {
    uint32_t slot;
    shm_price price;
} kept[KEPT_MAX];
static size_t kept_count;

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void answer(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

/* ---- arguments: words, and name=value pairs behind them -----------------------------------------
 */

/* The next word of the line, or NULL. */
static char *word(char **line)
{
    char *text;

    do {
        text = strsep(line, " ");
    } while (text != NULL && *text == '\0');
    return text;
}

static const char *word_or(char **line, const char *fallback)
{
    const char *text = word(line);

    return text != NULL ? text : fallback;
}

/* The value of " name=" up to the next blank; false where it is not there. */
static bool pair(const char *line, const char *name, char *out, size_t capacity)
{
    const size_t length = strlen(name);
    const char *at = line;

    while (at != NULL && *at != '\0') {
        at += strspn(at, " ");
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            snprintf(out, capacity, "%.*s", (int)strcspn(at + length + 1, " "), at + length + 1);
            return true;
        }
        at = strchr(at, ' ');
    }
    return false;
}

static int64_t pair_int(const char *line, const char *name, int64_t fallback)
{
    char text[64];

    return pair(line, name, text, sizeof(text)) ? strtoll(text, NULL, 0) : fallback;
}

static dec pair_dec(const char *line, const char *name)
{
    char text[64];
    dec value = DEC_ZERO;

    if (pair(line, name, text, sizeof(text)) && !dec_parse(text, strlen(text), &value)) {
        fprintf(stderr, "segment: not a number: %s=%s\n", name, text);
        exit(1);
    }
    return value;
}

static int role_of(const char *name)
{
    for (int role = 0; role < SHM_ROLE_COUNT; role++) {
        if (strcmp(shm_role_name((enum shm_role)role), name) == 0) {
            return role;
        }
    }
    return -1;
}

/* ---- the segment as a whole ---------------------------------------------------------------------
 */

static void join(enum shm_role role)
{
    processes[role] = shm_process_join(segment, role, 0);
    beating[role] = true;
}

static void do_create(char *line)
{
    char error[512] = "";
    const shm_options options = {
        .instruments = (uint32_t)pair_int(line, "instruments", 64),
        .users = (uint32_t)pair_int(line, "users", 64),
        .positions = (uint32_t)pair_int(line, "positions", 512),
        .signals = (uint32_t)pair_int(line, "signals", 16),
        .mode = 0640,
        .group = -1,
    };

    shm_close(segment);
    segment = NULL;
    kept_count = 0;
    if (!shm_create(path, &options, error, sizeof(error)) ||
        (segment = shm_open_writer(path, error, sizeof(error))) == NULL) {
        answer("error %s", error);
        return;
    }
    join(SHM_ROLE_MASTER);
    join(SHM_ROLE_FEED);
    join(SHM_ROLE_MIRROR);
    answer("ok %zu", (size_t)segment->header.size);
}

static void do_config(char *line)
{
    static whale_config config;
    char error[CONFIG_ERROR_MAX] = "";
    const char *file = word(&line);

    config_defaults(&config);
    if (file != NULL && !config_read(&config, file, error)) {
        answer("error %s", error);
        return;
    }
    shm_set_config_hash(segment, file != NULL ? config_hash(&config) : 0);
    answer("ok");
}

static void do_beat(char *line)
{
    const int role = role_of(word_or(&line, ""));

    if (role < 0) {
        answer("error no such role");
        return;
    }
    if (processes[role] == NULL) {
        join((enum shm_role)role);
    }
    beating[role] = strcmp(word_or(&line, "on"), "on") == 0;
    if (beating[role]) {
        shm_process_beat(processes[role]);
    }
    answer("ok");
}

static void do_age(char *line)
{
    const int role = role_of(word_or(&line, ""));
    const int64_t age_ms = atoll(word_or(&line, "0"));

    if (role < 0 || processes[role] == NULL) {
        answer("error no such role");
        return;
    }
    beating[role] = false;
    shm_store_release((uint64_t *)&processes[role]->beat_ns,
                      (uint64_t)(clock_monotonic_ns() - age_ms * CLOCK_MS_NS));
    answer("ok");
}

static void do_poke(char *line)
{
    const uint64_t offset = strtoull(word_or(&line, "0"), NULL, 0);
    uint8_t bytes[512];
    const char *hex = word_or(&line, "");
    const long length = crypto_unhex(hex, strlen(hex), bytes, sizeof(bytes));

    if (length < 0 || offset + (uint64_t)length > segment->size) {
        answer("error out of bounds");
        return;
    }
    memcpy(segment->base + offset, bytes, (size_t)length);
    answer("ok");
}

/* Overwrites COUNT words anywhere behind FROM: mostly small or huge numbers, as real damage is. */
static void do_noise(char *line)
{
    uint64_t state = strtoull(word_or(&line, "1"), NULL, 0) | 1;
    const uint64_t from = strtoull(word_or(&line, "4096"), NULL, 0);
    const uint64_t count = strtoull(word_or(&line, "1000"), NULL, 0);
    static const uint64_t shapes[] = {0, 1, 2, UINT32_MAX, INT64_MAX, UINT64_MAX};

    for (uint64_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        const uint64_t at = from + state % (segment->size - from - 8) / 8 * 8;
        const uint64_t value = state % 16 < 6 ? shapes[state % 16] : state;
        shm_store((uint64_t *)(void *)(segment->base + at), value);
    }
    answer("ok");
}

/* ---- prices -------------------------------------------------------------------------------------
 */

static void do_price(char *line)
{
    const char *key = word_or(&line, "");
    const int64_t received =
        pair_int(line, "received_ns", clock_now_ns() - pair_int(line, "age_ms", 0) * CLOCK_MS_NS);
    const shm_price price = {
        .bid = pair_dec(line, "bid"),
        .bid_size = pair_dec(line, "bid_size"),
        .ask = pair_dec(line, "ask"),
        .ask_size = pair_dec(line, "ask_size"),
        .last = pair_dec(line, "last"),
        .mark = pair_dec(line, "mark"),
        .funding = pair_dec(line, "funding"),
        .exchange_time_ns = pair_int(line, "time_ns", received),
        .receive_time_ns = received,
        .source = (uint32_t)pair_int(line, "source", SHM_SOURCE_WS),
        .flags = (uint32_t)pair_int(line, "flags", 0),
    };
    uint32_t slot;

    if (!shm_price_claim(segment, key, strlen(key), &slot)) {
        answer("error no slot");
        return;
    }
    shm_price_publish(segment, slot, &price);
    for (size_t i = 0; i < kept_count; i++) {
        if (kept[i].slot == slot) {
            kept[i] = kept[--kept_count];
            break;
        }
    }
    if (pair_int(line, "keep", 0) != 0 && kept_count < KEPT_MAX) {
        kept[kept_count].slot = slot;
        kept[kept_count++].price = price;
    }
    answer("ok %u", slot);
}

static void do_slot(const char *command, char *line)
{
    const char *key = word_or(&line, "");
    struct shm_price_slot *record;
    uint32_t slot;

    if (strcmp(command, "claim") == 0
            ? !shm_price_claim(segment, key, strlen(key), &slot)
            : shm_price_find(segment, key, strlen(key), &slot) != SHM_READ_OK) {
        answer("error no slot");
        return;
    }
    record = shm_region_record(segment, SHM_REGION_PRICES, sizeof(*record), slot);
    if (strcmp(command, "release") == 0) {
        shm_price_release(segment, slot);
    } else if (strcmp(command, "tear") == 0) {
        shm_write_begin(&record->sequence);
    } else if (strcmp(command, "mend") == 0) {
        shm_write_end(&record->sequence, shm_write_begin(&record->sequence));
    }
    answer("ok %u", slot);
}

static void keep_prices(void)
{
    for (size_t i = 0; i < kept_count; i++) {
        kept[i].price.receive_time_ns = clock_now_ns();
        shm_price_publish(segment, kept[i].slot, &kept[i].price);
    }
}

/* ---- users --------------------------------------------------------------------------------------
 */

static void do_position(char *line)
{
    char *text = strstr(line, "text=");
    char key[SHM_KEY_MAX] = "";
    shm_position *position = &positions[position_count];

    if (text == NULL || strlen(text + 5) >= SHM_POSITION_TEXT_MAX ||
        position_count > SHM_USER_POSITIONS_MAX) {
        answer("error text");
        return;
    }
    memset(position, 0, sizeof(*position));
    position->text_length = (uint32_t)strlen(text + 5);
    memcpy(position->text, text + 5, position->text_length);
    *text = '\0';
    position->id = pair_int(line, "id", 1);
    position->quantity = pair_dec(line, "quantity");
    position->entry_notional = pair_dec(line, "notional");
    position->margin = pair_dec(line, "margin");
    position->realised_pnl = pair_dec(line, "realised");
    if (!pair(line, "key", key, sizeof(key)) ||
        shm_price_find(segment, key, strlen(key), &position->price_slot) != SHM_READ_OK) {
        position->price_slot = UINT32_MAX;
    }
    position_count++;
    answer("ok");
}

static void do_user(char *line)
{
    const shm_user user = {
        .id = pair_int(line, "id", 1),
        .telegram_id = pair_int(line, "telegram", 1),
        .session_epoch = pair_int(line, "epoch", 1),
        .balance_total = pair_dec(line, "total"),
        .balance_available = pair_dec(line, "available"),
        .tier = (uint32_t)pair_int(line, "tier", 0),
        .flags = (uint32_t)pair_int(line, "flags", SHM_USER_ACTIVE),
        .version = 1,
        .position_count = position_count,
    };
    const bool put = shm_user_put(segment, &user, positions);

    position_count = 0;
    answer(put ? "ok" : "error no room");
}

/* As mirror does it: a row's price slot is looked up when the user is put. */
static void put_user(void *owner, mirror_user *user)
{
    const uint32_t known =
        user->user.position_count > SHM_USER_POSITIONS_MAX ? 0 : user->user.position_count;

    for (uint32_t i = 0; i < known; i++) {
        if (shm_price_find(segment, user->names[i], strlen(user->names[i]),
                           &user->positions[i].price_slot) != SHM_READ_OK) {
            user->positions[i].price_slot = UINT32_MAX;
        }
    }
    *(size_t *)owner += shm_user_put(segment, &user->user, user->positions);
}

static void do_mirror(const char *conninfo)
{
    static mirror_user scratch;
    PGconn *pg = PQconnectdb(conninfo);
    PGresult *ids = PQexec(pg, "select coalesce(array_agg(id), '{}') from users");
    const char *values[2] = {PQntuples(ids) == 1 ? PQgetvalue(ids, 0, 0) : "{}", "65"};
    PGresult *rows = PQexecParams(pg, query_mirror_users, 2, NULL, values, NULL, NULL, 0);
    size_t put = 0;

    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        fprintf(stderr, "segment: mirror: %s\n", PQerrorMessage(pg));
        answer("error postgres");
    } else {
        mirror_rows_users(rows, &scratch, put_user, &put);
        shm_users_set_loaded(segment, true);
        answer("ok %zu", put);
    }
    PQclear(rows);
    PQclear(ids);
    PQfinish(pg);
}

/* ---- counters, and what only the signer can do
 * ---------------------------------------------------
 */

static void do_count(char *line)
{
    const char *name = word_or(&line, "");
    const uint64_t by = strtoull(word_or(&line, "1"), NULL, 0);

    for (int i = 0; i < SHM_COUNTER_COUNT; i++) {
        if (strcmp(shm_counter_name((enum shm_counter)i), name) == 0) {
            shm_count(processes[SHM_ROLE_FEED], (enum shm_counter)i, by);
            answer("ok");
            return;
        }
    }
    answer("error no such counter");
}

static void do_observe(char *line)
{
    const char *name = word_or(&line, "");
    const int64_t ns = atoll(word_or(&line, "1"));

    for (int i = 0; i < SHM_HISTOGRAM_COUNT; i++) {
        if (strcmp(shm_histogram_name((enum shm_histogram)i), name) == 0) {
            shm_observe(processes[SHM_ROLE_FEED], (enum shm_histogram)i, ns);
            answer("ok");
            return;
        }
    }
    answer("error no such histogram");
}

static void do_unseal(char *line)
{
    static uint8_t sealed[32768], plain[32768];
    const char *file = word_or(&line, ""), *aad = word_or(&line, ""), *hex = word_or(&line, "");
    const long length = crypto_unhex(hex, strlen(hex), sealed, sizeof(sealed));
    uint8_t key[CRYPTO_KEY_SIZE];
    char error[256] = "it does not open";

    if (length < CRYPTO_SEAL_OVERHEAD || !crypto_read_key(file, key, error, sizeof(error)) ||
        !crypto_unseal(key, aad, strlen(aad), sealed, (size_t)length, plain)) {
        answer("error %s", error);
        return;
    }
    answer("ok %.*s", (int)length - CRYPTO_SEAL_OVERHEAD, (const char *)plain);
}

/* ---- the loop -----------------------------------------------------------------------------------
 */

static void obey(char *line)
{
    static const struct {
        const char *name;
        void (*run)(char *line);
    } commands[] = {{"create", do_create},     {"config", do_config},   {"beat", do_beat},
                    {"age", do_age},           {"poke", do_poke},       {"noise", do_noise},
                    {"price", do_price},       {"user", do_user},       {"count", do_count},
                    {"position", do_position}, {"observe", do_observe}, {"unseal", do_unseal}};
    const char *command = word_or(&line, "");

    line = line != NULL ? line : (char[]){""};
    if (segment == NULL && strcmp(command, "create") != 0 && strcmp(command, "unseal") != 0) {
        answer("error no segment yet");
        return;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(command, commands[i].name) == 0) {
            commands[i].run(line);
            return;
        }
    }
    if (strcmp(command, "remove") == 0) {
        answer(shm_user_remove(segment, atoll(line)) ? "ok" : "error no such user");
    } else if (strcmp(command, "loaded") == 0) {
        shm_users_set_loaded(segment, strcmp(line, "on") == 0);
        answer("ok");
    } else if (strcmp(command, "mirror") == 0) {
        do_mirror(line);
    } else if (strcmp(command, "whales") == 0) {
        answer(shm_whales_put(segment, line, strlen(line)) ? "ok" : "error no room");
    } else {
        do_slot(command, line);
    }
}

static void beat(void)
{
    for (int role = 0; role < SHM_ROLE_COUNT; role++) {
        if (beating[role]) {
            shm_process_beat(processes[role]);
        }
    }
    keep_prices();
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

    if (argc != 2 || !crypto_start()) {
        return 2;
    }
    path = argv[1];
    setvbuf(stdin, NULL, _IONBF, 0); /* or poll would not see what stdio has taken already */
    for (;;) {
        if (poll(&in, 1, BEAT_MS) > 0) {
            if (fgets(line, sizeof(line), stdin) == NULL) {
                return 0;
            }
            line[strcspn(line, "\n")] = '\0';
            if (strcmp(line, "quit") == 0) {
                return 0;
            }
            obey(line);
        }
        beat();
    }
}
