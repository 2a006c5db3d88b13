/*
 * Leaders and faults: moves, the script's determinism, a restart that fakes no move, and
 * percentages.
 */
#include "paper_fixture.h"

#include "workerd/paper/paper_faults.h"
#include "workerd/paper/paper_leader.h"

#define ONE_WAY "4990000000000000001"
#define CAPTURED "4681698170884314113"
#define LINES_MAX 400

typedef struct {
    fixture f;
    paper_leaders leaders;
    char *lines[LINES_MAX]; /* what was recorded */
    unsigned line_count;
    bool full;
    char error[256];
} stage;

static bool keep(void *owner, const char *text, size_t length)
{
    stage *s = owner;

    if (s->full || s->line_count == LINES_MAX) {
        return false;
    }
    s->lines[s->line_count++] = strndup(text, length);
    return true;
}

static void load(stage *s)
{
    size_t length;
    char *text = fixture_file("conf/demo/leaders.json", &length);

    if (!paper_leaders_load(&s->leaders, &s->f.market, text, length, s->error, sizeof(s->error))) {
        fail_msg("%s", s->error);
    }
    s->leaders.record = keep;
    s->leaders.owner = s;
    s->leaders.seed = 1;
    s->leaders.pace_ms = 1000;
    s->leaders.running = true;
}

static int setup(void **state)
{
    stage *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    fixture_open(&s->f);
    load(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    stage *s = *state;

    for (unsigned i = 0; i < s->line_count; i++) {
        free(s->lines[i]);
    }
    paper_leaders_free(&s->leaders);
    fixture_close(&s->f);
    free(s);
    return 0;
}

static bool move(stage *s, const char *id, enum paper_action action, bool is_short,
                 const char *fraction)
{
    paper_move wanted = {.symbol = s->f.btc,
                         .action = action,
                         .is_short = is_short,
                         .has_side = true,
                         .fraction = D(fraction)};

    return paper_leader_move(&s->leaders, paper_leaders_find(&s->leaders, id), &wanted, FIXTURE_NOW,
                             s->error, sizeof(s->error));
}

static dec held(stage *s, const char *id, enum paper_position_side side)
{
    const paper_leader *leader = paper_leaders_find(&s->leaders, id);

    for (unsigned i = 0; i < leader->row_count; i++) {
        if (leader->rows[i].side == side && strcmp(leader->rows[i].symbol, "BTCUSDT") == 0) {
            return leader->rows[i].position.amount;
        }
    }
    return DEC_ZERO;
}

static void a_one_way_leader_moves_through_every_action(void **state)
{
    stage *s = *state;

    assert_true(move(s, ONE_WAY, PAPER_OPEN, false, "0.5"));
    /* 20000 x 0.5 as margin at 10x: 100,000 / 60000.10, down to the step */
    assert_dec(held(s, ONE_WAY, PAPER_BOTH), "1.666");
    assert_false(move(s, ONE_WAY, PAPER_OPEN, true, "0.5"));
    assert_true(move(s, ONE_WAY, PAPER_INCREASE, false, "0.5"));
    assert_dec(held(s, ONE_WAY, PAPER_BOTH), "2.499");
    assert_true(move(s, ONE_WAY, PAPER_REDUCE, false, "0.5"));
    assert_dec(held(s, ONE_WAY, PAPER_BOTH), "1.25");
    assert_true(move(s, ONE_WAY, PAPER_FLIP, false, "0"));
    assert_dec(held(s, ONE_WAY, PAPER_BOTH), "-1.25");
    assert_true(move(s, ONE_WAY, PAPER_INCREASE, false, "0.1"));
    assert_dec(held(s, ONE_WAY, PAPER_BOTH), "-1.375");
    assert_true(move(s, ONE_WAY, PAPER_CLOSE, false, "0"));
    assert_dec(held(s, ONE_WAY, PAPER_BOTH), "0");
    assert_false(move(s, ONE_WAY, PAPER_CLOSE, false, "0"));
    assert_string_equal(s->error, "there is no such position");
    assert_int_equal(paper_leaders_find(&s->leaders, ONE_WAY)->order_count, 6);
}

static void a_hedged_leader_moves_its_long_and_short_rows(void **state)
{
    stage *s = *state;

    assert_dec(held(s, CAPTURED, PAPER_LONG), "0.771"); /* as captured */
    assert_dec(held(s, CAPTURED, PAPER_SHORT), "-0.02");
    assert_true(move(s, CAPTURED, PAPER_REDUCE, false, "0.5"));
    assert_dec(held(s, CAPTURED, PAPER_LONG), "0.386");
    assert_true(move(s, CAPTURED, PAPER_CLOSE, true, "0"));
    assert_dec(held(s, CAPTURED, PAPER_SHORT), "0");
    assert_true(move(s, CAPTURED, PAPER_FLIP, false, "0"));
    assert_dec(held(s, CAPTURED, PAPER_LONG), "0");
    assert_dec(held(s, CAPTURED, PAPER_SHORT), "-0.386");
    assert_dec(held(s, CAPTURED, PAPER_BOTH), "0"); /* always, in hedge mode */
}

static void a_move_that_cannot_be_recorded_does_not_happen(void **state)
{
    stage *s = *state;

    s->full = true;
    assert_false(move(s, ONE_WAY, PAPER_OPEN, false, "0.5"));
    assert_dec(held(s, ONE_WAY, PAPER_BOTH), "0");
    assert_false(paper_leader_hide(&s->leaders, paper_leaders_find(&s->leaders, ONE_WAY), true,
                                   FIXTURE_NOW));
    assert_false(paper_leaders_find(&s->leaders, ONE_WAY)->hidden);
}

static void run_script(stage *s, int64_t from, int steps)
{
    for (int i = 0; i < steps; i++) {
        paper_leaders_tick(&s->leaders, FIXTURE_NOW + (from + i) * 1000);
    }
}

/* Every row of every leader, as text. */
static void picture(const stage *s, char *out, size_t capacity)
{
    size_t length = 0;

    for (unsigned l = 0; l < s->leaders.count; l++) {
        const paper_leader *leader = &s->leaders.leaders[l];

        length += (size_t)snprintf(out + length, capacity - length, "%s %d %llu\n", leader->id,
                                   leader->hidden, (unsigned long long)leader->order_count);
        for (unsigned i = 0; i < leader->row_count; i++) {
            const paper_leader_row *row = &leader->rows[i];
            char amount[DEC_TEXT_MAX], cost[DEC_TEXT_MAX];

            dec_format(row->position.amount, amount);
            dec_format(row->position.cost, cost);
            if (!dec_is_zero(row->position.amount)) {
                length += (size_t)snprintf(out + length, capacity - length, " %s %d %s %s %d\n",
                                           row->symbol, row->side, amount, cost, row->leverage);
            }
        }
    }
}

static void the_same_seed_makes_the_same_script(void **state)
{
    stage *s = *state;
    char first[8192], second[8192];

    run_script(s, 0, 120);
    assert_true(s->leaders.moves >= 100);
    picture(s, first, sizeof(first));
    paper_leaders_free(&s->leaders);
    load(s);
    s->full = false;
    run_script(s, 0, 120);
    picture(s, second, sizeof(second));
    assert_string_equal(first, second);
    paper_leaders_free(&s->leaders);
    load(s);
    s->leaders.seed = 2;
    run_script(s, 0, 40);
    picture(s, second, sizeof(second));
    assert_string_not_equal(first, second);
}

static void a_restart_fakes_no_move_and_goes_on_with_the_script(void **state)
{
    static jsmntok_t tokens[256];
    stage *s = *state;
    char before[8192], after[8192], onward[8192];
    json_doc doc;

    run_script(s, 0, 60);
    assert_true(paper_leader_hide(&s->leaders, paper_leaders_find(&s->leaders, CAPTURED), true,
                                  FIXTURE_NOW));
    picture(s, before, sizeof(before));
    paper_leaders_free(&s->leaders);
    load(s);
    for (unsigned i = 0; i < s->line_count; i++) {
        assert_int_equal(json_parse(&doc, s->lines[i], strlen(s->lines[i]), tokens, 256), JSON_OK);
        assert_true(paper_leaders_replay(&s->leaders, &doc));
    }
    picture(s, after, sizeof(after));
    assert_string_equal(before, after);
    run_script(s, 60, 20);
    picture(s, onward, sizeof(onward));
    assert_string_not_equal(after, onward);
}

static void the_script_waits_while_it_is_stopped(void **state)
{
    stage *s = *state;

    s->leaders.running = false;
    run_script(s, 0, 20);
    assert_int_equal(s->leaders.moves, 0);
}

static void a_file_of_the_wrong_shape_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "[", "{\"leaders\":[{}]}",
        "{\"leaders\":[{\"id\":\"1\",\"detail\":{},\"list\":{},\"positions\":[{\"symbol\":\"X\"}]}]"
        "}",
        "{\"leaders\":[{\"id\":\"1\",\"detail\":{},\"list\":{},\"positions\":[{\"symbol\":\"X\","
        "\"positionSide\":\"BOTH\",\"positionAmount\":\"1\",\"entryPrice\":\"1\",\"leverage\":0}]}]"
        "}"};
    stage *s = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        paper_leaders leaders;

        assert_false(paper_leaders_load(&leaders, &s->f.market, strdup(texts[i]), strlen(texts[i]),
                                        s->error, sizeof(s->error)));
        paper_leaders_free(&leaders);
    }
}

/* ---- faults -------------------------------------------------------------------------------------
 */

static void faults_strike_as_often_as_they_were_told(void **state)
{
    stage *s = *state;
    paper_faults faults, again;
    int counts[PAPER_FAULT_COUNT + 1] = {0};

    assert_true(paper_faults_parse(
        &faults,
        "late=5:300,held=2.5:900,never=1,accept_then_drop=10,error=20,error_after=0.5,seed=9",
        s->error, sizeof(s->error)));
    assert_int_equal(faults.late_ms, 300);
    assert_int_equal(faults.held_ms, 900);
    again = faults;
    for (int i = 0; i < 100000; i++) {
        enum paper_fault fault = paper_faults_draw(&faults);

        counts[fault]++;
        assert_int_equal(fault, paper_faults_draw(&again)); /* from the seed alone */
    }
    assert_in_range(counts[PAPER_FAULT_LATE], 4700, 5300);
    assert_in_range(counts[PAPER_FAULT_HELD], 2300, 2700);
    assert_in_range(counts[PAPER_FAULT_NEVER], 850, 1150);
    assert_in_range(counts[PAPER_FAULT_DROP], 9600, 10400);
    assert_in_range(counts[PAPER_FAULT_ERROR], 19500, 20500);
    assert_in_range(counts[PAPER_FAULT_ERROR_AFTER], 400, 600);
    assert_in_range(counts[PAPER_FAULT_NONE], 60000, 62000);
}

static void faults_that_make_no_sense_are_refused(void **state)
{
    static const char *const texts[] = {
        "late=5",   "late=5:", "never=x",        "never=101",  "never=-1", "error=60,never=50",
        "sudden=5", "never",   "late=1:9999999", "scope=some", "never=1:5"};
    stage *s = *state;
    paper_faults faults;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (paper_faults_parse(&faults, texts[i], s->error, sizeof(s->error))) {
            fail_msg("%s was taken", texts[i]);
        }
    }
    assert_true(paper_faults_parse(&faults, "", s->error, sizeof(s->error)));
    assert_int_equal(paper_faults_draw(&faults), PAPER_FAULT_NONE);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_one_way_leader_moves_through_every_action),
        EACH(a_hedged_leader_moves_its_long_and_short_rows),
        EACH(a_move_that_cannot_be_recorded_does_not_happen),
        EACH(the_same_seed_makes_the_same_script),
        EACH(a_restart_fakes_no_move_and_goes_on_with_the_script),
        EACH(the_script_waits_while_it_is_stopped),
        EACH(a_file_of_the_wrong_shape_is_refused),
        EACH(faults_strike_as_often_as_they_were_told),
        EACH(faults_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
