/*
 * What an ended trade changes: positions and ledger to the last digit, and, for seeded random lives
 * of a position, that nothing is ever lost: the wallet moves by exactly realised P&L less fees.
 */
#include "workerd/trade/trade_settle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static dec d(const char *text)
{
    dec value = DEC_ZERO;

    assert_true(dec_parse(text, strlen(text), &value));
    return value;
}

static void assert_dec(const char *what, dec value, const char *text)
{
    char got[DEC_TEXT_MAX], wanted[DEC_TEXT_MAX];

    dec_format(value, got);
    dec_format(d(text), wanted);
    if (strcmp(got, wanted) != 0) {
        fail_msg("%s: %s, not %s", what, got, wanted);
    }
}

static const trade_instrument *btc(void)
{
    static trade_instrument instrument = {.id = 1, .name = "binance:usdm:BTCUSDT"};

    snprintf(instrument.venue, sizeof(instrument.venue), "binance");
    snprintf(instrument.rules.settle, sizeof(instrument.rules.settle), "USDT");
    instrument.rules.quantity_unit = VENUE_UNIT_BASE;
    instrument.rules.contract_size = DEC_ONE;
    return &instrument;
}

static venue_fill fill(enum venue_side side, const char *price, const char *quantity,
                       const char *fee, const char *realised)
{
    venue_fill one = {.side = side, .fee_asset = "USDT"};

    one.price = d(price);
    one.quantity = d(quantity);
    one.fee = d(fee);
    one.realised_pnl = d(realised);
    return one;
}

/* An entry: 0.01 BTC wanted, 62 held, leverage 10. */
static trade_settle_facts entry(const venue_fill *fills, size_t count)
{
    trade_settle_facts facts = {.side = VENUE_BUY, .leverage = 10, .instrument = btc()};

    facts.quantity = d("0.01");
    facts.hold = d("62");
    facts.fills = fills;
    facts.fill_count = count;
    return facts;
}

static trade_position long_position(void)
{
    trade_position position = {.id = 5, .version = 3, .leverage = 10};

    position.quantity = d("0.03");
    position.entry_notional = d("1800");
    position.margin = d("180");
    position.realised_pnl = d("1");
    position.fees = d("0.9");
    return position;
}

static trade_settle_facts closing(const venue_fill *fills, size_t count, const char *quantity)
{
    trade_settle_facts facts = {.side = VENUE_SELL,
                                .reduce_only = true,
                                .leverage = 10,
                                .instrument = btc(),
                                .position = long_position()};

    facts.quantity = d(quantity);
    facts.fills = fills;
    facts.fill_count = count;
    return facts;
}

/* "HELD>POSITION MARGIN 60 USDT; ..." */
static void assert_moves(const char *what, const trade_settlement *settlement, const char *wanted)
{
    char got[1024] = "";

    for (size_t i = 0; i < settlement->move_count; i++) {
        const trade_move *move = &settlement->moves[i];
        char amount[DEC_TEXT_MAX], one[160];

        dec_format(move->amount, amount);
        snprintf(one, sizeof(one), "%s%s>%s %s %s %s", i > 0 ? "; " : "",
                 trade_ledger_kind_name(move->from), trade_ledger_kind_name(move->to),
                 trade_ledger_reason_name(move->reason), amount, move->asset);
        strncat(got, one, sizeof(got) - strlen(got) - 1);
    }
    if (strcmp(got, wanted) != 0) {
        fail_msg("%s:\n  %s\nnot\n  %s", what, got, wanted);
    }
}

/* ---- entries -----------------------------------------------------------------------------------
 */

static void
given_a_first_entry_filled_when_settled_then_margin_fee_and_rest_leave_what_was_held(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "60000", "0.01", "0.3", "0")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_int_equal(s.end, TRADE_FILLED);
    assert_true(s.opens && !s.changes);
    assert_dec("quantity", s.position.quantity, "0.01");
    assert_dec("entry notional", s.position.entry_notional, "600");
    assert_dec("margin", s.position.margin, "60");
    assert_dec("fees", s.position.fees, "0.3");
    assert_int_equal(s.position.leverage, 10);
    assert_dec("average", s.average_price, "60000");
    assert_moves("entry", &s,
                 "HELD>POSITION MARGIN 60 USDT; HELD>FEE TRADING_FEE 0.3 USDT; "
                 "HELD>AVAILABLE RELEASE 1.7 USDT");
}

static void given_fills_at_many_prices_when_settled_then_the_sums_are_exact(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "60000.1", "0.003", "0.0900001", "0"),
                          fill(VENUE_BUY, "60000.7", "0.0065", "0.1950023", "0"),
                          fill(VENUE_BUY, "60001", "0.0005", "0.01500025", "0")};
    trade_settle_facts facts = entry(fills, 3);
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_dec("filled", s.filled_quantity, "0.01");
    assert_dec("entry notional", s.position.entry_notional, "600.00535");
    assert_dec("average", s.average_price, "60000.535");
    assert_dec("fee", s.fee, "0.30000265");
    assert_moves("entry", &s,
                 "HELD>POSITION MARGIN 60.000535 USDT; HELD>FEE TRADING_FEE 0.30000265 USDT; "
                 "HELD>AVAILABLE RELEASE 1.69946235 USDT");
}

static void given_a_short_entry_when_settled_then_the_quantity_is_negative(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "60000", "0.01", "0.3", "0")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    facts.side = VENUE_SELL;
    assert_true(trade_settle(&facts, &s));
    assert_dec("quantity", s.position.quantity, "-0.01");
    assert_dec("entry notional", s.position.entry_notional, "600");
}

static void given_a_partial_entry_when_settled_then_the_rest_of_the_hold_is_free(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "60000", "0.004", "0.12", "0")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_int_equal(s.end, TRADE_PARTIAL);
    assert_dec("filled", s.filled_quantity, "0.004");
    assert_moves("partial", &s,
                 "HELD>POSITION MARGIN 24 USDT; HELD>FEE TRADING_FEE 0.12 USDT; "
                 "HELD>AVAILABLE RELEASE 37.88 USDT");
}

static void given_an_entry_without_fills_when_settled_then_everything_held_is_free(void **state)
{
    trade_settle_facts facts = entry(NULL, 0);
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_int_equal(s.end, TRADE_FAILED);
    assert_false(s.opens || s.changes);
    assert_moves("failed", &s, "HELD>AVAILABLE RELEASE 62 USDT");
}

static void
given_a_fill_dearer_than_what_was_held_when_settled_then_available_pays_the_rest(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "63000", "0.01", "0.315", "0")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_dec("margin", s.position.margin, "63");
    assert_moves("dear", &s,
                 "HELD>POSITION MARGIN 62 USDT; AVAILABLE>POSITION MARGIN 1 USDT; "
                 "AVAILABLE>FEE TRADING_FEE 0.315 USDT");
}

static void given_an_entry_that_surfaced_when_settled_then_available_pays_it_all(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "60000", "0.01", "0.3", "0")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    facts.hold = DEC_ZERO;
    assert_true(trade_settle(&facts, &s));
    assert_moves("surfaced", &s,
                 "AVAILABLE>POSITION MARGIN 60 USDT; AVAILABLE>FEE TRADING_FEE 0.3 USDT");
}

static void given_fees_in_another_coin_when_settled_then_they_come_from_that_coin(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "60000", "0.004", "0.0002", "0"),
                          fill(VENUE_BUY, "60000", "0.006", "0.0003", "0")};
    trade_settle_facts facts = entry(fills, 2);
    trade_settlement s;

    (void)state;
    snprintf(fills[0].fee_asset, sizeof(fills[0].fee_asset), "BNB");
    snprintf(fills[1].fee_asset, sizeof(fills[1].fee_asset), "BNB");
    assert_true(trade_settle(&facts, &s));
    assert_dec("fee in the settle asset", s.fee, "0");
    assert_moves("coin", &s,
                 "HELD>POSITION MARGIN 60 USDT; AVAILABLE>FEE TRADING_FEE 0.0005 BNB; "
                 "HELD>AVAILABLE RELEASE 2 USDT");
}

static void given_a_rebate_when_settled_then_it_is_paid_to_available(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "60000", "0.01", "-0.06", "0")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_moves("rebate", &s,
                 "HELD>POSITION MARGIN 60 USDT; FEE>AVAILABLE TRADING_FEE 0.06 USDT; "
                 "HELD>AVAILABLE RELEASE 2 USDT");
}

static void given_an_increase_when_settled_then_the_position_grows(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "66000", "0.01", "0.33", "0")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    facts.position = long_position();
    facts.hold = d("70");
    assert_true(trade_settle(&facts, &s));
    assert_true(s.changes && !s.opens);
    assert_dec("quantity", s.position.quantity, "0.04");
    assert_dec("entry notional", s.position.entry_notional, "2460");
    assert_dec("margin", s.position.margin, "246");
    assert_dec("fees", s.position.fees, "1.23");
}

/* ---- exits -------------------------------------------------------------------------------------
 */

static void given_a_close_with_profit_when_settled_then_margin_and_profit_come_back(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "61000", "0.03", "0.915", "30")};
    trade_settle_facts facts = closing(fills, 1, "0.03");
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_int_equal(s.end, TRADE_FILLED);
    assert_dec("quantity", s.position.quantity, "0");
    assert_dec("margin", s.position.margin, "0");
    assert_dec("entry notional", s.position.entry_notional, "0");
    assert_dec("realised", s.position.realised_pnl, "31");
    assert_dec("fees", s.position.fees, "1.815");
    assert_moves("close", &s,
                 "AVAILABLE>FEE TRADING_FEE 0.915 USDT; POSITION>AVAILABLE MARGIN_RETURN 180 USDT; "
                 "EXTERNAL>AVAILABLE REALISED_PNL 30 USDT");
}

static void given_a_close_with_loss_when_settled_then_the_loss_leaves(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "59000", "0.03", "0.885", "-30")};
    trade_settle_facts facts = closing(fills, 1, "0.03");
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_moves("close", &s,
                 "AVAILABLE>FEE TRADING_FEE 0.885 USDT; POSITION>AVAILABLE MARGIN_RETURN 180 USDT; "
                 "AVAILABLE>EXTERNAL REALISED_PNL 30 USDT");
}

static void given_a_reduction_when_settled_then_margin_returns_in_proportion(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "61000", "0.01", "0.305", "10")};
    trade_settle_facts facts = closing(fills, 1, "0.01");
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_true(s.changes);
    assert_dec("quantity", s.position.quantity, "0.02");
    assert_dec("margin", s.position.margin, "120");
    assert_dec("entry notional", s.position.entry_notional, "1200");
}

static void given_a_short_when_reduced_then_the_rest_stays_short(void **state)
{
    venue_fill fills[] = {fill(VENUE_BUY, "61000", "0.01", "0.305", "-10")};
    trade_settle_facts facts = closing(fills, 1, "0.01");
    trade_settlement s;

    (void)state;
    facts.side = VENUE_BUY;
    facts.position.quantity = d("-0.03");
    assert_true(trade_settle(&facts, &s));
    assert_dec("quantity", s.position.quantity, "-0.02");
}

static void given_a_partial_close_when_settled_then_the_rest_stays_open(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "61000", "0.01", "0.305", "10")};
    trade_settle_facts facts = closing(fills, 1, "0.03");
    trade_settlement s;

    (void)state;
    assert_true(trade_settle(&facts, &s));
    assert_int_equal(s.end, TRADE_PARTIAL);
    assert_dec("quantity", s.position.quantity, "0.02");
}

static void given_a_copy_that_is_gone_when_settled_then_its_margin_returns_and_nothing_else_is_said(
    void **state)
{
    trade_settle_facts facts = closing(NULL, 0, "0.03");
    trade_settlement s;

    (void)state;
    assert_true(trade_settle_external(&facts, &s));
    assert_int_equal(s.end, TRADE_FAILED);
    assert_true(s.changes);
    assert_dec("quantity", s.position.quantity, "0");
    assert_moves("gone", &s, "POSITION>AVAILABLE MARGIN_RETURN 180 USDT");
    facts.position.id = 0;
    assert_false(trade_settle_external(&facts, &s));
}

/* ---- what the venue netted ----------------------------------------------------------------------
 */

/* 0.03 in the books; the user has sold by hand, and the venue cuts our order to what is left. */
static void given_a_close_that_was_cut_when_settled_then_what_is_gone_leaves_the_books(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "61000", "0.01", "0.305", "10")};
    trade_settle_facts facts = closing(fills, 1, "0.03");
    trade_settlement s;

    (void)state;
    facts.accepted = d("0.01");
    assert_true(trade_settle(&facts, &s));
    assert_int_equal(s.end, TRADE_PARTIAL);
    assert_true(s.changes && s.external);
    assert_dec("filled", s.filled_quantity, "0.01");
    assert_dec("quantity", s.position.quantity, "0");
    assert_dec("margin", s.position.margin, "0");
    assert_moves("cut", &s,
                 "AVAILABLE>FEE TRADING_FEE 0.305 USDT; "
                 "POSITION>AVAILABLE MARGIN_RETURN 180 USDT; "
                 "EXTERNAL>AVAILABLE REALISED_PNL 10 USDT");
    facts.accepted = d("0.02"); /* cut, and then filled in part */
    assert_true(trade_settle(&facts, &s));
    assert_dec("rest", s.position.quantity, "0.01");
    assert_dec("margin of the rest", s.position.margin, "60");
    assert_dec("entry of the rest", s.position.entry_notional, "600");
    facts.quantity = d("0.02"); /* a reduction that was not cut says nothing of the rest */
    assert_true(trade_settle(&facts, &s));
    assert_false(s.external);
    assert_dec("not cut", s.position.quantity, "0.02");
    facts.accepted = d("0.009"); /* more filled than accepted */
    assert_false(trade_settle(&facts, &s));
}

static void given_a_late_entry_against_a_smaller_copy_when_settled_then_the_copy_turns(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "60000", "0.05", "1.5", "2")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    facts.side = VENUE_SELL;
    facts.quantity = d("0.05");
    facts.hold = DEC_ZERO;
    facts.position = long_position();
    assert_true(trade_settle(&facts, &s));
    assert_dec("quantity", s.position.quantity, "-0.02");
    assert_dec("entry notional", s.position.entry_notional, "1200");
    assert_dec("margin", s.position.margin, "120");
    assert_moves("cross", &s,
                 "AVAILABLE>POSITION MARGIN 120 USDT; AVAILABLE>FEE TRADING_FEE 1.5 USDT; "
                 "POSITION>AVAILABLE MARGIN_RETURN 180 USDT; "
                 "EXTERNAL>AVAILABLE REALISED_PNL 2 USDT");
}

static void
given_a_late_entry_against_a_larger_copy_when_settled_then_the_copy_shrinks(void **state)
{
    venue_fill fills[] = {fill(VENUE_SELL, "60000", "0.01", "0.3", "1")};
    trade_settle_facts facts = entry(fills, 1);
    trade_settlement s;

    (void)state;
    facts.side = VENUE_SELL;
    facts.position = long_position();
    assert_true(trade_settle(&facts, &s));
    assert_dec("quantity", s.position.quantity, "0.02");
    assert_dec("margin", s.position.margin, "120");
}

/* ---- contradictions ----------------------------------------------------------------------------
 */

static void given_facts_that_contradict_when_settled_then_nothing_is_booked(void **state)
{
    venue_fill too_much[] = {fill(VENUE_BUY, "60000", "0.02", "0.6", "0")};
    venue_fill wrong_side[] = {fill(VENUE_SELL, "60000", "0.01", "0.3", "0")};
    venue_fill no_quantity[] = {fill(VENUE_BUY, "60000", "0", "0.3", "0")};
    venue_fill no_price[] = {fill(VENUE_BUY, "0", "0.01", "0.3", "0")};
    venue_fill close_all[] = {fill(VENUE_SELL, "60000", "0.04", "1.2", "0")};
    trade_settle_facts facts = entry(too_much, 1);
    trade_settlement s;

    (void)state;
    assert_false(trade_settle(&facts, &s));
    facts.fills = wrong_side;
    assert_false(trade_settle(&facts, &s));
    facts.fills = no_quantity;
    assert_false(trade_settle(&facts, &s));
    facts.fills = no_price;
    assert_false(trade_settle(&facts, &s));
    facts = closing(close_all, 1, "0.04"); /* more than there is */
    assert_false(trade_settle(&facts, &s));
    facts.position.id = 0;
    assert_false(trade_settle(&facts, &s));
    facts = closing(close_all, 1, "0.04");
    facts.position.quantity = d("-0.1"); /* a sale cannot reduce a short */
    assert_false(trade_settle(&facts, &s));
}

/* ---- whole lives -------------------------------------------------------------------------------
 */

typedef struct {
    dec available, held, position, fee, external;
} books;

static void apply(books *account, const trade_settlement *settlement)
{
    for (size_t i = 0; i < settlement->move_count; i++) {
        const trade_move *move = &settlement->moves[i];
        dec *kinds[] = {&account->available, &account->held, &account->position, &account->fee,
                        &account->external};

        assert_true(dec_sign(move->amount) > 0);
        assert_true(dec_sub(*kinds[move->from], move->amount, kinds[move->from]));
        assert_true(dec_add(*kinds[move->to], move->amount, kinds[move->to]));
    }
}

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static dec draw_units(uint64_t *seed, int64_t least, int64_t range, __int128 unit)
{
    return (dec){(__int128)(least + (int64_t)(draw(seed) % (uint64_t)range)) * unit};
}

/* Opens, grows, shrinks and at last closes; prices, fees and profits of odd digits. */
static void live(uint64_t *seed)
{
    books account = {.available = d("100000")};
    trade_position position = {0};
    dec wallet = d("100000"), booked_wallet;

    for (int step = 0; step < 12 || !dec_is_zero(position.quantity); step++) {
        bool last = step >= 11;
        bool shrink = !dec_is_zero(position.quantity) && (last || draw(seed) % 2 == 0);
        dec price = draw_units(seed, 50000000, 20000000, 1000000000LL);
        venue_fill one = {.side = shrink ? VENUE_SELL : VENUE_BUY, .fee_asset = "USDT"};
        trade_settle_facts facts = {.side = one.side,
                                    .reduce_only = shrink,
                                    .leverage = 7,
                                    .instrument = btc(),
                                    .position = position,
                                    .fills = &one,
                                    .fill_count = 1};
        trade_settlement s;

        one.price = price;
        one.quantity = draw_units(seed, 1, 50, 1000000000LL);
        if (shrink) {
            one.quantity = last ? position.quantity : dec_least(one.quantity, position.quantity);
            one.realised_pnl = draw_units(seed, -100000, 200000, 1234567LL);
        } else {
            facts.hold = draw_units(seed, 0, 400, 987654321987LL);
        }
        one.fee = draw_units(seed, 0, 1000, 33333333LL);
        facts.quantity = one.quantity;
        assert_true(dec_sub(account.available, facts.hold, &account.available));
        assert_true(dec_add(account.held, facts.hold, &account.held));
        assert_true(trade_settle(&facts, &s));
        apply(&account, &s);
        position = s.position;
        position.id = dec_is_zero(position.quantity) ? 0 : 1;
        if (position.id == 0) {
            position = (trade_position){0};
        }
        assert_true(dec_add(wallet, one.realised_pnl, &wallet));
        assert_true(dec_sub(wallet, one.fee, &wallet));
        assert_true(dec_add(account.available, account.held, &booked_wallet));
        assert_true(dec_add(booked_wallet, account.position, &booked_wallet));
        assert_int_equal(dec_compare(booked_wallet, wallet), 0);
        assert_int_equal(dec_compare(account.position, position.margin), 0);
        assert_true(dec_is_zero(account.held));
    }
    assert_true(dec_is_zero(account.position));
}

static void given_many_lives_of_positions_when_settled_then_the_wallet_is_the_venues(void **state)
{
    uint64_t seed = 20261120;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        live(&seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            given_a_first_entry_filled_when_settled_then_margin_fee_and_rest_leave_what_was_held),
        cmocka_unit_test(given_fills_at_many_prices_when_settled_then_the_sums_are_exact),
        cmocka_unit_test(given_a_short_entry_when_settled_then_the_quantity_is_negative),
        cmocka_unit_test(given_a_partial_entry_when_settled_then_the_rest_of_the_hold_is_free),
        cmocka_unit_test(given_an_entry_without_fills_when_settled_then_everything_held_is_free),
        cmocka_unit_test(
            given_a_fill_dearer_than_what_was_held_when_settled_then_available_pays_the_rest),
        cmocka_unit_test(given_an_entry_that_surfaced_when_settled_then_available_pays_it_all),
        cmocka_unit_test(given_fees_in_another_coin_when_settled_then_they_come_from_that_coin),
        cmocka_unit_test(given_a_rebate_when_settled_then_it_is_paid_to_available),
        cmocka_unit_test(given_an_increase_when_settled_then_the_position_grows),
        cmocka_unit_test(given_a_close_with_profit_when_settled_then_margin_and_profit_come_back),
        cmocka_unit_test(given_a_close_with_loss_when_settled_then_the_loss_leaves),
        cmocka_unit_test(given_a_reduction_when_settled_then_margin_returns_in_proportion),
        cmocka_unit_test(given_a_short_when_reduced_then_the_rest_stays_short),
        cmocka_unit_test(given_a_partial_close_when_settled_then_the_rest_stays_open),
        cmocka_unit_test(
            given_a_copy_that_is_gone_when_settled_then_its_margin_returns_and_nothing_else_is_said),
        cmocka_unit_test(
            given_a_close_that_was_cut_when_settled_then_what_is_gone_leaves_the_books),
        cmocka_unit_test(
            given_a_late_entry_against_a_smaller_copy_when_settled_then_the_copy_turns),
        cmocka_unit_test(
            given_a_late_entry_against_a_larger_copy_when_settled_then_the_copy_shrinks),
        cmocka_unit_test(given_facts_that_contradict_when_settled_then_nothing_is_booked),
        cmocka_unit_test(given_many_lives_of_positions_when_settled_then_the_wallet_is_the_venues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
