/*
 * The journal: a venue that was killed is the venue it was, and a torn end is cut off.
 */
#include "paper_fixture.h"

#include "core/crypto.h"
#include "core/log.h"
#include "workerd/paper/paper_faults.h"
#include "workerd/paper/paper_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    fixture f;
    char path[64], error[256];
    paper_journal *journal;
} house;

static int setup(void **state)
{
    house *h = calloc(1, sizeof(*h));
    int fd;

    assert_non_null(h);
    fixture_open(&h->f);
    strcpy(h->path, "/tmp/test_paper_journal.XXXXXX");
    fd = mkstemp(h->path);
    assert_true(fd >= 0);
    close(fd);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    house *h = *state;

    paper_journal_close(h->journal);
    fixture_close(&h->f);
    unlink(h->path);
    free(h);
    return 0;
}

static void start(house *h)
{
    h->journal = paper_journal_open(h->path, h->f.exchange, NULL, NULL, h->error, sizeof(h->error));
    if (h->journal == NULL) {
        fail_msg("%s", h->error);
    }
}

/* As after a kill: everything in memory is gone, the file is not. */
static void restart(house *h)
{
    paper_journal_close(h->journal);
    fixture_close(&h->f);
    fixture_open(&h->f);
    start(h);
}

/* The whole state, as a text that two venues can be compared by. */
static char *picture(const paper_exchange *exchange)
{
    size_t size = 1 << 20, length = 0;
    char *text = malloc(size), number[DEC_TEXT_MAX];

    assert_non_null(text);
    for (uint32_t i = 0; i < exchange->account_count; i++) {
        const paper_account *account = &exchange->accounts[i];

        dec_format(account->wallet, number);
        length += (size_t)snprintf(text + length, size - length, "%s %s %s %s %d %d %u %lld\n",
                                   account->name, account->key, account->secret, number,
                                   account->hedge, account->can_withdraw, account->open_orders,
                                   (long long)account->last_order);
        for (unsigned h = 0; h < account->holding_count; h++) {
            const paper_holding *holding = &account->holdings[h];

            length += (size_t)snprintf(text + length, size - length, " %u %u %d", holding->symbol,
                                       holding->leverage, holding->isolated);
            for (unsigned s = 0; s < 3; s++) {
                dec_format(holding->sides[s].amount, number);
                length += (size_t)snprintf(text + length, size - length, " %s", number);
                dec_format(holding->sides[s].cost, number);
                length += (size_t)snprintf(text + length, size - length, "@%s", number);
            }
            text[length++] = '\n';
        }
    }
    for (int64_t id = PAPER_FIRST_ORDER; id < exchange->next_order; id++) {
        const paper_order *order = paper_order_get(exchange, id);
        json_writer writer;

        assert_non_null(order);
        json_begin(&writer, text + length, size - length - 1);
        json_object(&writer);
        paper_journal_order(&writer, exchange, order);
        json_object_end(&writer);
        assert_true(json_finish(&writer));
        length += writer.length;
        text[length++] = '\n';
    }
    text[length] = '\0';
    return text;
}

/* A busy day of several accounts: every kind of event. */
static void trade_a_while(house *h, uint64_t seed, int count)
{
    static const char *const prices[] = {"60000.00", "59950.00", "60050.00", "59900.00"};
    fixture *f = &h->f;

    for (int i = 0; i < count; i++) {
        uint32_t who = (uint32_t)paper_random(&seed, f->exchange->account_count);
        enum paper_side side = paper_random(&seed, 2) ? PAPER_BUY : PAPER_SELL;
        paper_request request = fixture_market(f->btc, who, side, "0.012");
        const paper_order *order;

        if (paper_random(&seed, 3) == 0) {
            request = fixture_limit(f->btc, who, side, "0.015", prices[paper_random(&seed, 4)]);
        }
        if (paper_random(&seed, 4) == 0) {
            request.reduce_only = request.has_reduce_only = true;
        }
        snprintf(request.client_id, sizeof(request.client_id), "w%u",
                 (unsigned)paper_random(&seed, 40));
        order = fixture_place(f, &request);
        if (order != NULL && order->status == PAPER_NEW && paper_random(&seed, 3) == 0) {
            assert_true(paper_exchange_cancel(f->exchange, paper_order_get(f->exchange, order->id),
                                              FIXTURE_NOW + i, &f->refusal));
        }
        if (paper_random(&seed, 5) == 0) {
            fixture_touch(f->btc, prices[paper_random(&seed, 4)], "60050.10");
            paper_exchange_tick(f->exchange, f->btc, FIXTURE_NOW + i);
        }
        (void)paper_exchange_set_leverage(f->exchange, who, (uint16_t)paper_random(&seed, 2),
                                          5 + (int64_t)paper_random(&seed, 20), FIXTURE_NOW + i,
                                          &f->refusal);
    }
}

static void a_killed_venue_is_as_it_was(void **state)
{
    house *h = *state;
    char *before, *after;

    start(h);
    for (int i = 0; i < 5; i++) {
        fixture_account(&h->f, "10000.12345678");
    }
    assert_true(paper_exchange_set_hedge(h->f.exchange, 4, true, FIXTURE_NOW, &h->f.refusal));
    assert_true(
        paper_exchange_set_margin_type(h->f.exchange, 3, 1, true, FIXTURE_NOW, &h->f.refusal));
    trade_a_while(h, 11, 600);
    before = picture(h->f.exchange);
    assert_true(h->f.exchange->fills > 100);
    restart(h);
    after = picture(h->f.exchange);
    assert_string_equal(before, after);
    /* and goes on with new ids */
    trade_a_while(h, 12, 50);
    free(before);
    before = picture(h->f.exchange);
    restart(h);
    free(after);
    after = picture(h->f.exchange);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void a_torn_last_line_is_cut_off(void **state)
{
    static const char torn[] = "{\"kind\":\"account\",\"time_ms\":17951770600";
    house *h = *state;
    struct stat status;
    off_t whole;
    int fd;

    start(h);
    fixture_account(&h->f, "10000");
    assert_int_equal(stat(h->path, &status), 0);
    whole = status.st_size;
    fd = open(h->path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, torn, sizeof(torn) - 1), sizeof(torn) - 1);
    close(fd);
    restart(h);
    assert_int_equal(h->f.exchange->account_count, 1);
    assert_int_equal(stat(h->path, &status), 0);
    assert_int_equal(status.st_size, whole);
    fixture_account(&h->f, "20000"); /* the next line stands on its own */
    restart(h);
    assert_int_equal(h->f.exchange->account_count, 2);
}

/* Cut anywhere, it starts with the events whose lines are whole. */
static void a_journal_cut_at_any_byte_still_starts(void **state)
{
    house *h = *state;
    char text[16 * 1024];
    ssize_t length;
    int fd;

    start(h);
    fixture_account(&h->f, "10000");
    fixture_account(&h->f, "10000");
    trade_a_while(h, 3, 8);
    fd = open(h->path, O_RDWR);
    length = read(fd, text, sizeof(text));
    assert_true(length > 0 && length < (ssize_t)sizeof(text));
    for (ssize_t cut = length - 1; cut >= 0; cut -= 61) {
        uint32_t lines = 0;

        assert_int_equal(ftruncate(fd, cut), 0);
        for (ssize_t i = 0; i < cut; i++) {
            lines += text[i] == '\n';
        }
        restart(h);
        assert_int_equal(h->f.exchange->account_count, lines > 2 ? 2 : lines);
    }
    close(fd);
}

static void a_line_that_does_not_fit_stops_the_start(void **state)
{
    static const char *const lines[] = {
        "{\"kind\":\"leverage\",\"time_ms\":1,\"account\":\"nobody\",\"symbol\":\"BTCUSDT\","
        "\"leverage\":5}\n",
        "not json\n",
        "{\"kind\":\"surprise\",\"time_ms\":1}\n",
        "{\"kind\":\"order\",\"time_ms\":1,\"account\":\"nobody\"}\n",
    };
    house *h = *state;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int fd = open(h->path, O_WRONLY | O_TRUNC);

        assert_int_equal(write(fd, lines[i], strlen(lines[i])), strlen(lines[i]));
        close(fd);
        assert_null(
            paper_journal_open(h->path, h->f.exchange, NULL, NULL, h->error, sizeof(h->error)));
        assert_string_equal(h->error, "the journal's line 1 does not fit what came before it");
    }
}

static void without_a_path_no_journal_is_kept(void **state)
{
    house *h = *state;

    h->journal = paper_journal_open("", h->f.exchange, NULL, NULL, h->error, sizeof(h->error));
    assert_non_null(h->journal);
    fixture_account(&h->f, "10000");
    assert_int_equal(h->f.exchange->account_count, 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_killed_venue_is_as_it_was),
        EACH(a_torn_last_line_is_cut_off),
        EACH(a_journal_cut_at_any_byte_still_starts),
        EACH(a_line_that_does_not_fit_stops_the_start),
        EACH(without_a_path_no_journal_is_kept),
    };

    log_start("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
