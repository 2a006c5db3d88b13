/*
 * The paper exchange's engine: what fills, what is refused and why, and that the money adds up.
 */
#include "paper_fixture.h"

#include "workerd/paper/paper_faults.h"

static int setup(void **state)
{
    fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

/* ---- fills --------------------------------------------------------------------------------------
 */

static void market_orders_fill_whole_at_the_touch(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    const paper_order *buy = fixture_trade(f, who, PAPER_BUY, "0.012"), *sell;

    assert_int_equal(buy->status, PAPER_FILLED);
    assert_dec(buy->executed, "0.012");
    assert_dec(buy->fill_price, "60000.1");
    assert_dec(buy->commission, "0.3600006"); /* 0.012 x 60000.1 x 0.0005 */
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->amount, "0.012");
    assert_dec(paper_position_entry(fixture_position(f, who, f->btc, PAPER_BOTH)), "60000.1");
    sell = fixture_trade(f, who, PAPER_SELL, "0.012");
    assert_dec(sell->fill_price, "60000");
    assert_dec(sell->realised, "-0.0012");
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->amount, "0");
    /* 10000 - 0.3600006 - 0.0012 - 0.36 */
    assert_dec(f->exchange->accounts[who].wallet, "9999.2787994");
    assert_true(sell->id > buy->id && sell->trade_id > buy->trade_id);
    assert_true(buy->id > (1LL << 53));
}

static void a_profit_is_taken_on_the_average_entry(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "100000");
    const paper_order *order;

    fixture_trade(f, who, PAPER_BUY, "0.010"); /* at 60000.10 */
    fixture_touch(f->btc, "60100.00", "60100.10");
    fixture_trade(f, who, PAPER_BUY, "0.020"); /* at 60100.10: average 60066.7666… */
    fixture_touch(f->btc, "60200.00", "60200.10");
    order = fixture_trade(f, who, PAPER_SELL, "0.015");
    /* 0.015 x 60200 - 1802.003 / 2, half-even at 8 places */
    assert_dec(order->realised, "1.9985");
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->amount, "0.015");
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->cost, "901.0015");
}

static void an_order_larger_than_the_position_turns_it(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "100000");
    const paper_order *order;

    fixture_trade(f, who, PAPER_BUY, "0.010");
    fixture_touch(f->btc, "60100.00", "60100.10");
    order = fixture_trade(f, who, PAPER_SELL, "0.025");
    assert_dec(order->realised, "0.999"); /* of the 0.010 that closed */
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->amount, "-0.015");
    assert_dec(paper_position_entry(fixture_position(f, who, f->btc, PAPER_BOTH)), "60100");
}

/* Over any sequence: wallet = deposit + profits - fees, exactly; and equity = cash flows + holding.
 */
static void the_money_adds_up_over_random_orders(void **state)
{
    fixture *f = *state;
    uint64_t seed = 7;

    for (int round = 0; round < 20; round++) {
        uint32_t who = fixture_account(f, "1000000");
        dec cash = D("1000000"), realised = DEC_ZERO, fees = DEC_ZERO, sum, gap;
        const paper_position *position;
        int filled = 0;

        for (int i = 0; i < 200; i++) {
            char bid[32], ask[32], quantity[32];
            uint64_t price = 5000000 + paper_random(&seed, 2000000);
            paper_request request;
            const paper_order *order;
            dec value;

            snprintf(bid, sizeof(bid), "%u.%02u", (unsigned)(price / 100),
                     (unsigned)(price % 10) * 10);
            snprintf(ask, sizeof(ask), "%u.%02u", (unsigned)(price / 100 + 1), 50u);
            fixture_touch(f->btc, bid, ask);
            snprintf(quantity, sizeof(quantity), "0.%03u", (unsigned)paper_random(&seed, 90) + 3);
            request = fixture_market(f->btc, who, paper_random(&seed, 2) ? PAPER_BUY : PAPER_SELL,
                                     quantity);
            order = fixture_place(f, &request);
            if (order == NULL) {
                assert_int_equal(f->refusal.code, -2019);
                continue;
            }
            filled++;
            assert_true(dec_mul(order->executed, order->fill_price, DEC_HALF_EVEN, &value));
            assert_true(order->side == PAPER_BUY ? dec_sub(cash, value, &cash)
                                                 : dec_add(cash, value, &cash));
            assert_true(dec_sub(cash, order->commission, &cash));
            assert_true(dec_add(realised, order->realised, &realised));
            assert_true(dec_add(fees, order->commission, &fees));
        }
        assert_true(filled > 100);
        assert_true(dec_add(D("1000000"), realised, &sum) && dec_sub(sum, fees, &sum));
        assert_int_equal(dec_compare(sum, f->exchange->accounts[who].wallet), 0);
        /* cash and the position's cost: equal but for the profits' rounding at 8 places */
        position = fixture_position(f, who, f->btc, PAPER_BOTH);
        assert_true(dec_sign(position->amount) < 0 ? dec_sub(cash, position->cost, &cash)
                                                   : dec_add(cash, position->cost, &cash));
        assert_true(dec_sub(cash, sum, &gap));
        assert_true(dec_compare(dec_absolute(gap), D("0.000001")) < 0);
    }
}

/* ---- reduce-only --------------------------------------------------------------------------------
 */

static void reduce_only_is_cut_down_to_the_position(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_market(f->btc, who, PAPER_SELL, "0.050");
    const paper_order *order;

    fixture_trade(f, who, PAPER_BUY, "0.012");
    request.reduce_only = request.has_reduce_only = true;
    order = fixture_place(f, &request);
    assert_non_null(order);
    assert_dec(order->quantity, "0.012");
    assert_dec(order->executed, "0.012");
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->amount, "0");
}

static void reduce_only_with_nothing_to_reduce_is_refused(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_market(f->btc, who, PAPER_SELL, "0.010");

    request.reduce_only = request.has_reduce_only = true;
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -2022);
    fixture_trade(f, who, PAPER_SELL, "0.012"); /* short: a sell would add to it */
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -2022);
}

static void the_smallest_notional_is_waived_for_reduce_only(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_market(f->btc, who, PAPER_SELL, "0.001");

    fixture_trade(f, who, PAPER_BUY, "0.012");
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -4164);
    assert_string_equal(
        f->refusal.text,
        "Order's notional must be no smaller than 100 (unless you choose reduce only).");
    request.reduce_only = request.has_reduce_only = true;
    assert_non_null(fixture_place(f, &request));
}

/* ---- client ids ---------------------------------------------------------------------------------
 */

static void a_used_id_is_taken_again_once_its_order_is_closed(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000"), other = fixture_account(f, "10000");
    paper_request request = fixture_market(f->btc, who, PAPER_BUY, "0.012");
    paper_request resting = fixture_limit(f->btc, who, PAPER_BUY, "0.012", "59000.00");
    const paper_order *first, *second;

    strcpy(request.client_id, "w1");
    strcpy(resting.client_id, "w2");
    first = fixture_place(f, &request);
    second = fixture_place(f, &request);
    assert_true(first != NULL && second != NULL && first->id != second->id);
    assert_ptr_equal(paper_order_by_client(f->exchange, who, "w1"), second); /* the newest */
    assert_non_null(fixture_place(f, &resting));
    assert_null(fixture_place(f, &resting)); /* still open: a duplicate */
    assert_int_equal(f->refusal.code, -4116);
    resting.account = other;
    assert_non_null(fixture_place(f, &resting)); /* another account's ids are its own */
    assert_null(paper_order_by_client(f->exchange, other, "w1"));
}

static void client_ids_are_checked_as_the_venue_does(void **state)
{
    (void)state;
    assert_true(paper_client_id_valid("w.A:/_-9", 8));
    assert_true(paper_client_id_valid("abcdefghijklmnopqrstuvwxyz0123456789", 36));
    assert_false(paper_client_id_valid("", 0));
    assert_false(paper_client_id_valid("abcdefghijklmnopqrstuvwxyz01234567890", 37));
    assert_false(paper_client_id_valid("a b", 3));
    assert_false(paper_client_id_valid("a%b", 3));
}

/* ---- filters ------------------------------------------------------------------------------------
 */

static void quantities_and_prices_off_the_filters_are_refused(void **state)
{
    static const struct {
        const char *quantity, *price; /* price NULL: a market order */
        int code;
    } cases[] = {
        {"0", NULL, -4003},          {"-0.01", NULL, -4003},       {"0.0101", NULL, -1111},
        {"121", NULL, -4005},        {"1001", "60000.00", -4005},  {"0.001", NULL, -4164},
        {"0.01", "0", -4001},        {"0.01", "-1", -4001},        {"0.01", "60000.001", -1111},
        {"0.01", "60000.05", -4014}, {"0.01", "500.00", -4013},    {"0.01", "9000000.00", -4002},
        {"0.01", "63001.00", -4016}, {"0.001", "60000.00", -4164},
    };
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000000");

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        paper_request request =
            cases[i].price == NULL
                ? fixture_market(f->btc, who, PAPER_BUY, cases[i].quantity)
                : fixture_limit(f->btc, who, PAPER_BUY, cases[i].quantity, cases[i].price);

        assert_null(fixture_place(f, &request));
        assert_int_equal(f->refusal.code, cases[i].code);
    }
    assert_int_equal(f->exchange->accepted, 0);
}

static void without_a_price_nothing_is_filled(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_market(f->btc, who, PAPER_BUY, "0.012");

    f->btc->bid = f->btc->ask = DEC_ZERO;
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -1008); /* "not executed", and it is not */
    assert_int_equal(f->refusal.status, 503);
}

/* ---- margin -------------------------------------------------------------------------------------
 */

static void an_account_opens_no_more_than_its_margin_carries(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "1000");
    paper_request large = fixture_market(f->btc, who, PAPER_BUY, "0.334"); /* 20040 at 20x: 1002 */
    paper_request right = fixture_market(f->btc, who, PAPER_BUY, "0.320");
    paper_request more = fixture_market(f->btc, who, PAPER_BUY, "0.020");

    assert_null(fixture_place(f, &large));
    assert_int_equal(f->refusal.code, -2019);
    assert_non_null(fixture_place(f, &right));
    assert_null(fixture_place(f, &more));
    assert_int_equal(f->refusal.code, -2019);
    fixture_trade(f, who, PAPER_SELL, "0.320"); /* closing needs no margin */
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->amount, "0");
}

static void leverage_is_checked_and_changes_the_margin(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "1000");
    paper_request request = fixture_market(f->btc, who, PAPER_BUY, "0.100"); /* 6000 */
    paper_totals totals;

    assert_false(paper_exchange_set_leverage(f->exchange, who, 0, 126, FIXTURE_NOW, &f->refusal));
    assert_int_equal(f->refusal.code, -4028);
    assert_string_equal(f->refusal.text, "Leverage 126 is not valid");
    assert_false(paper_exchange_set_leverage(f->exchange, who, 0, 0, FIXTURE_NOW, &f->refusal));
    assert_true(paper_exchange_set_leverage(f->exchange, who, 0, 5, FIXTURE_NOW, &f->refusal));
    assert_null(fixture_place(f, &request)); /* 1200 at 5x */
    assert_int_equal(f->refusal.code, -2019);
    assert_true(paper_exchange_set_leverage(f->exchange, who, 0, 10, FIXTURE_NOW, &f->refusal));
    assert_non_null(fixture_place(f, &request));
    assert_true(paper_account_totals(f->exchange, who, 0, PAPER_BOTH, NULL, DEC_ZERO, &totals));
    assert_dec(totals.position_margin, "600.0005"); /* 0.1 x 60000.05 / 10 */
    assert_dec(totals.unrealised, "-0.005");
    assert_dec(totals.wallet, "996.999995");
    assert_dec(totals.available, "396.994495");
}

static void a_position_has_a_largest_size_at_each_leverage(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "100000000");
    paper_request request = fixture_market(f->btc, who, PAPER_BUY, "6"); /* 360,000 */

    assert_true(paper_exchange_set_leverage(f->exchange, who, 0, 125, FIXTURE_NOW, &f->refusal));
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -2027);
    assert_true(paper_exchange_set_leverage(f->exchange, who, 0, 100, FIXTURE_NOW, &f->refusal));
    assert_non_null(fixture_place(f, &request));
    assert_false(paper_exchange_set_leverage(f->exchange, who, 0, 125, FIXTURE_NOW, &f->refusal));
    assert_int_equal(f->refusal.code, -2027);
}

/* ---- resting orders -----------------------------------------------------------------------------
 */

static void a_limit_order_rests_until_the_touch_reaches_it(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_limit(f->btc, who, PAPER_BUY, "0.012", "59900.00");
    const paper_order *order = fixture_place(f, &request);

    assert_int_equal(order->status, PAPER_NEW);
    assert_int_equal(f->exchange->accounts[who].open_orders, 1);
    fixture_touch(f->btc, "59900.00", "59900.10");
    paper_exchange_tick(f->exchange, f->btc, FIXTURE_NOW + 1);
    assert_int_equal(order->status, PAPER_NEW); /* the ask is not there yet */
    fixture_touch(f->btc, "59899.00", "59899.10");
    paper_exchange_tick(f->exchange, f->btc, FIXTURE_NOW + 2);
    assert_int_equal(order->status, PAPER_FILLED);
    assert_dec(order->fill_price, "59900");
    assert_true(order->maker);
    assert_dec(order->commission, "0.14376"); /* 0.0002 */
    assert_int_equal(f->exchange->accounts[who].open_orders, 0);
}

static void a_limit_order_that_crosses_fills_at_the_touch(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_limit(f->btc, who, PAPER_BUY, "0.012", "60500.00");
    const paper_order *order = fixture_place(f, &request);

    assert_int_equal(order->status, PAPER_FILLED);
    assert_dec(order->fill_price, "60000.1");
    assert_false(order->maker);
}

static void time_in_force_says_what_becomes_of_the_rest(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request away = fixture_limit(f->btc, who, PAPER_BUY, "0.012", "59900.00");
    paper_request across = fixture_limit(f->btc, who, PAPER_BUY, "0.012", "60100.00");

    away.force = PAPER_IOC;
    assert_int_equal(fixture_place(f, &away)->status, PAPER_EXPIRED);
    away.force = PAPER_FOK;
    assert_null(fixture_place(f, &away));
    assert_int_equal(f->refusal.code, -5021);
    across.force = PAPER_GTX;
    assert_null(fixture_place(f, &across));
    assert_int_equal(f->refusal.code, -5022);
    across.force = PAPER_FOK;
    assert_int_equal(fixture_place(f, &across)->status, PAPER_FILLED);
}

static void cancelling_takes_an_order_once(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_limit(f->btc, who, PAPER_BUY, "0.012", "59900.00");
    paper_order *order = NULL;

    assert_non_null(fixture_place(f, &request));
    order = paper_order_get(f->exchange, PAPER_FIRST_ORDER);
    assert_true(paper_exchange_cancel(f->exchange, order, FIXTURE_NOW, &f->refusal));
    assert_int_equal(order->status, PAPER_CANCELED);
    assert_false(paper_exchange_cancel(f->exchange, order, FIXTURE_NOW, &f->refusal));
    assert_int_equal(f->refusal.code, -2011);
}

static void a_resting_reduce_only_order_never_opens_anything(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_limit(f->btc, who, PAPER_SELL, "0.012", "60100.00");
    const paper_order *cut, *late;

    fixture_trade(f, who, PAPER_BUY, "0.012");
    request.reduce_only = request.has_reduce_only = true;
    cut = fixture_place(f, &request);
    late = fixture_place(f, &request);
    fixture_trade(f, who, PAPER_SELL, "0.008"); /* 0.004 is left */
    fixture_touch(f->btc, "60100.00", "60100.10");
    paper_exchange_tick(f->exchange, f->btc, FIXTURE_NOW);
    assert_dec(fixture_position(f, who, f->btc, PAPER_BOTH)->amount, "0");
    assert_int_equal(late->status, PAPER_FILLED);
    assert_dec(late->executed, "0.004");
    assert_int_equal(cut->status, PAPER_EXPIRED);
}

/* ---- hedge mode and settings --------------------------------------------------------------------
 */

static void hedge_mode_keeps_both_sides_apart(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_market(f->btc, who, PAPER_BUY, "0.012");

    request.position_side = PAPER_LONG;
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -4061); /* one-way still */
    assert_true(paper_exchange_set_hedge(f->exchange, who, true, FIXTURE_NOW, &f->refusal));
    assert_non_null(fixture_place(f, &request));
    request.side = PAPER_SELL;
    request.position_side = PAPER_SHORT;
    assert_non_null(fixture_place(f, &request));
    assert_dec(fixture_position(f, who, f->btc, PAPER_LONG)->amount, "0.012");
    assert_dec(fixture_position(f, who, f->btc, PAPER_SHORT)->amount, "-0.012");
    request.position_side = PAPER_LONG;
    request.quantity = D("0.020");
    assert_null(fixture_place(f, &request)); /* more than the long side holds */
    assert_int_equal(f->refusal.code, -2022);
    request.quantity = D("0.012");
    request.has_reduce_only = true;
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -1106);
    request.position_side = PAPER_BOTH;
    request.has_reduce_only = false;
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -4061);
}

static void settings_that_are_so_already_say_so(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");

    assert_false(paper_exchange_set_hedge(f->exchange, who, false, FIXTURE_NOW, &f->refusal));
    assert_int_equal(f->refusal.code, -4059);
    assert_false(
        paper_exchange_set_margin_type(f->exchange, who, 0, false, FIXTURE_NOW, &f->refusal));
    assert_int_equal(f->refusal.code, -4046);
    fixture_trade(f, who, PAPER_BUY, "0.012");
    assert_false(paper_exchange_set_hedge(f->exchange, who, true, FIXTURE_NOW, &f->refusal));
    assert_int_equal(f->refusal.code, -4068);
    assert_false(
        paper_exchange_set_margin_type(f->exchange, who, 0, true, FIXTURE_NOW, &f->refusal));
    assert_int_equal(f->refusal.code, -4048);
}

/* ---- bounds and records -------------------------------------------------------------------------
 */

static bool refuse_to_record(void *owner, const paper_event *event)
{
    (void)event;
    (*(int *)owner)++;
    return false;
}

static void nothing_happens_that_could_not_be_recorded(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000");
    paper_request request = fixture_market(f->btc, who, PAPER_BUY, "0.012");
    int asked = 0;

    f->exchange->record = refuse_to_record;
    f->exchange->owner = &asked;
    assert_null(fixture_place(f, &request));
    assert_int_equal(f->refusal.code, -1008);
    assert_int_equal(asked, 1);
    assert_dec(f->exchange->accounts[who].wallet, "10000");
    assert_int_equal(f->exchange->next_order, PAPER_FIRST_ORDER);
    assert_null(paper_order_get(f->exchange, PAPER_FIRST_ORDER));
}

static void the_oldest_order_makes_room_and_a_resting_one_expires(void **state)
{
    fixture *f = *state;
    uint32_t who = fixture_account(f, "10000"), busy = fixture_account(f, "1000000000");
    paper_request resting = fixture_limit(f->btc, who, PAPER_BUY, "0.012", "59900.00");
    paper_request away = fixture_limit(f->btc, busy, PAPER_BUY, "0.012", "59900.00");
    const paper_order *first;

    strcpy(resting.client_id, "old");
    first = fixture_place(f, &resting);
    assert_non_null(first);
    away.force = PAPER_IOC; /* accepted and expired at once: the cheapest order there is */
    for (int i = 1; i < PAPER_ORDERS_MAX; i++) {
        assert_non_null(fixture_place(f, &away));
    }
    assert_int_equal(first->status, PAPER_NEW);
    assert_ptr_equal(paper_order_by_client(f->exchange, who, "old"), first);
    assert_non_null(fixture_place(f, &away));
    assert_null(paper_order_by_client(f->exchange, who, "old"));
    assert_null(paper_order_get(f->exchange, PAPER_FIRST_ORDER));
    assert_int_equal(f->exchange->accounts[who].open_orders, 0);
    assert_non_null(fixture_place(f, &resting)); /* its id is free again */
}

static void accounts_have_names_and_keys_of_their_own(void **state)
{
    fixture *f = *state;
    uint32_t first = fixture_account(f, "10"), second = fixture_account(f, "20");
    char key[PAPER_KEY_LENGTH + 1];
    paper_event twice = {.kind = PAPER_EVENT_ACCOUNT,
                         .name = "account-0",
                         .key = "another",
                         .secret = "s",
                         .balance = DEC_ZERO};

    snprintf(key, sizeof(key), "%064u", 1u);
    assert_int_equal(paper_account_by_key(f->exchange, key, strlen(key)), second);
    assert_int_equal(paper_account_by_name(f->exchange, "account-0", 9), first);
    assert_int_equal(paper_account_by_name(f->exchange, "account-9", 9), PAPER_NO_ACCOUNT);
    assert_int_equal(paper_account_by_key(f->exchange, "", 0), PAPER_NO_ACCOUNT);
    assert_false(paper_exchange_commit(f->exchange, &twice));
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(market_orders_fill_whole_at_the_touch),
        EACH(a_profit_is_taken_on_the_average_entry),
        EACH(an_order_larger_than_the_position_turns_it),
        EACH(the_money_adds_up_over_random_orders),
        EACH(reduce_only_is_cut_down_to_the_position),
        EACH(reduce_only_with_nothing_to_reduce_is_refused),
        EACH(the_smallest_notional_is_waived_for_reduce_only),
        EACH(a_used_id_is_taken_again_once_its_order_is_closed),
        EACH(client_ids_are_checked_as_the_venue_does),
        EACH(quantities_and_prices_off_the_filters_are_refused),
        EACH(without_a_price_nothing_is_filled),
        EACH(an_account_opens_no_more_than_its_margin_carries),
        EACH(leverage_is_checked_and_changes_the_margin),
        EACH(a_position_has_a_largest_size_at_each_leverage),
        EACH(a_limit_order_rests_until_the_touch_reaches_it),
        EACH(a_limit_order_that_crosses_fills_at_the_touch),
        EACH(time_in_force_says_what_becomes_of_the_rest),
        EACH(cancelling_takes_an_order_once),
        EACH(a_resting_reduce_only_order_never_opens_anything),
        EACH(hedge_mode_keeps_both_sides_apart),
        EACH(settings_that_are_so_already_say_so),
        EACH(nothing_happens_that_could_not_be_recorded),
        EACH(the_oldest_order_makes_room_and_a_resting_one_expires),
        EACH(accounts_have_names_and_keys_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
