/*
 * The decision and the sizes, as tables: each row is a follower who differs from a plain one, with
 * what comes of it to the last digit. Money as text, so that a row reads as the product's rules do.
 */
#include "workerd/trade/trade_decide.h"
#include "workerd/trade/trade_size.h"

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

static trade_instrument btc(void)
{
    trade_instrument instrument = {.id = 1, .name = "binance:usdm:BTCUSDT", .venue = "binance"};
    venue_instrument *rules = &instrument.rules;

    snprintf(rules->symbol, sizeof(rules->symbol), "BTCUSDT");
    snprintf(rules->settle, sizeof(rules->settle), "USDT");
    rules->market = VENUE_USDM;
    rules->trading = true;
    rules->multiplier = rules->contract_size = DEC_ONE;
    rules->quantity_unit = VENUE_UNIT_BASE;
    rules->quantity_step = rules->market_quantity_step = d("0.001");
    rules->quantity_min = rules->market_quantity_min = d("0.001");
    rules->quantity_max = d("1000");
    rules->market_quantity_max = d("120");
    rules->notional_min = d("5");
    rules->leverage_max = 125;
    return instrument;
}

/* PRO, 10,000 free, follows with a fixed 100, leverage copied up to 20. */
static trade_follower plain(void)
{
    trade_follower follower = {.user_id = 7,
                               .user_version = 1,
                               .follow_id = 3,
                               .follow_version = 1,
                               .account_id = 9,
                               .tier = TRADE_PRO,
                               .user_active = true,
                               .auto_copy = true,
                               .close_on_whale_exit = true,
                               .default_leverage = 5,
                               .maximum_leverage = 20,
                               .followed = true,
                               .copy_leverage = true,
                               .size_kind = TRADE_SIZE_FIXED,
                               .account_active = true};

    follower.size_value = d("100");
    follower.available = d("10000");
    return follower;
}

static trade_signal open_long(void)
{
    return (trade_signal){.id = 1,
                          .whale_id = 2,
                          .instrument_id = 1,
                          .kind = TRADE_OPEN,
                          .side = VENUE_BUY,
                          .fraction = DEC_ONE,
                          .leverage = 10};
}

static trade_decision decide(const trade_signal *signal, const trade_follower *follower)
{
    trade_instrument instrument = btc();
    trade_decision decision;

    trade_decide(signal, follower, &instrument, d("60000"), &decision);
    return decision;
}

static void assert_reason(const char *row, enum whale_error got, enum whale_error wanted)
{
    if (got != wanted) {
        fail_msg("%s: %s, not %s", row, error_code(got), error_code(wanted));
    }
}

/* ---- sizes -------------------------------------------------------------------------------------
 */

typedef struct {
    const char *name;
    enum trade_size_kind kind;
    const char *value, *default_size, *maximum, *available;
    int leverage; /* of the follow; 0: the whale's 10 */
    enum whale_error reason;
    const char *quantity, *size, *hold;
} size_row;

/*
 * At 60,000 and leverage 10 a step of 0.001 is a notional of 60 and a margin of 6. The least size
 * is 5 / 10 x 1.2 = 0.6. Hold = margin + 0.15 % of the notional.
 */
/* clang-format off */
static const size_row size_rows[] = {
    {"fixed amount", TRADE_SIZE_FIXED, "100", NULL, NULL, "10000", 0, ERROR_NONE, "0.016", "96", "97.44"},
    {"fixed amount on the step", TRADE_SIZE_FIXED, "60", NULL, NULL, "10000", 0, ERROR_NONE, "0.01", "60", "60.9"},
    {"fixed amount above a tenth of the balance", TRADE_SIZE_FIXED, "3000", NULL, NULL, "10000", 0, ERROR_NONE, "0.5", "3000", "3045"},
    {"leverage of the follow", TRADE_SIZE_FIXED, "100", NULL, NULL, "10000", 20, ERROR_NONE, "0.033", "99", "101.97"},
    {"leverage of one", TRADE_SIZE_FIXED, "100", NULL, NULL, "10000", 1, ERROR_NONE, "0.001", "60", "60.09"},
    {"leverage above the maximum is cut", TRADE_SIZE_FIXED, "100", NULL, NULL, "10000", 50, ERROR_NONE, "0.033", "99", "101.97"},
    {"per cent of the balance", TRADE_SIZE_PERCENT, "2", NULL, NULL, "10000", 0, ERROR_NONE, "0.033", "198", "200.97"},
    {"per cent above a tenth is cut to a tenth", TRADE_SIZE_PERCENT, "50", NULL, NULL, "10000", 0, ERROR_NONE, "0.166", "996", "1010.94"},
    {"user's default", TRADE_SIZE_DEFAULT, NULL, "250", NULL, "10000", 0, ERROR_NONE, "0.041", "246", "249.69"},
    {"one per cent where nothing is named", TRADE_SIZE_DEFAULT, NULL, NULL, NULL, "10000", 0, ERROR_NONE, "0.016", "96", "97.44"},
    {"one per cent of little is too small", TRADE_SIZE_DEFAULT, NULL, NULL, NULL, "400", 0, ERROR_SIZE_TOO_SMALL, NULL, NULL, NULL},
    {"one per cent that is just enough", TRADE_SIZE_DEFAULT, NULL, NULL, NULL, "600", 0, ERROR_NONE, "0.001", "6", "6.09"},
    {"a size below the step", TRADE_SIZE_DEFAULT, NULL, NULL, NULL, "500", 0, ERROR_SIZE_TOO_SMALL, NULL, NULL, NULL},
    {"fixed amount below five", TRADE_SIZE_FIXED, "4.99", NULL, NULL, "10000", 0, ERROR_SIZE_TOO_SMALL, NULL, NULL, NULL},
    {"least above most", TRADE_SIZE_PERCENT, "10", NULL, NULL, "50", 1, ERROR_SIZE_LIMITS_CROSS, NULL, NULL, NULL},
    {"maximum cuts", TRADE_SIZE_FIXED, "500", NULL, "120", "10000", 0, ERROR_NONE, "0.02", "120", "121.8"},
    {"maximum below the least", TRADE_SIZE_FIXED, "500", NULL, "5.5", "10000", 1, ERROR_SIZE_LIMITS_CROSS, NULL, NULL, NULL},
    {"maximum below five", TRADE_SIZE_FIXED, "500", NULL, "4", "10000", 0, ERROR_SIZE_TOO_SMALL, NULL, NULL, NULL},
    {"short of balance takes 80 per cent", TRADE_SIZE_FIXED, "200", NULL, NULL, "100", 0, ERROR_NONE, "0.013", "78", "79.17"},
    {"exactly all of the balance is short, for the fee", TRADE_SIZE_FIXED, "100", NULL, NULL, "100", 0, ERROR_NONE, "0.013", "78", "79.17"},
    {"80 per cent below five", TRADE_SIZE_FIXED, "200", NULL, NULL, "6", 0, ERROR_FUNDS_SHORT, NULL, NULL, NULL},
    {"80 per cent below the least", TRADE_SIZE_FIXED, "200", NULL, NULL, "7", 1, ERROR_FUNDS_SHORT, NULL, NULL, NULL},
    {"balance below five", TRADE_SIZE_FIXED, "100", NULL, NULL, "4.999999999999", 0, ERROR_BALANCE_TOO_LOW, NULL, NULL, NULL},
    {"no balance", TRADE_SIZE_FIXED, "100", NULL, NULL, "0", 0, ERROR_BALANCE_TOO_LOW, NULL, NULL, NULL},
    {"balance below zero", TRADE_SIZE_FIXED, "100", NULL, NULL, "-12", 0, ERROR_BALANCE_TOO_LOW, NULL, NULL, NULL},
    {"above the venue's most", TRADE_SIZE_FIXED, "900000", NULL, NULL, "1000000", 20, ERROR_NONE, "120", "360000", "370800"},
    {"a sum no dec holds is refused, not wrapped", TRADE_SIZE_FIXED, "99999999999999999999999999", NULL, NULL, "99999999999999999999999999", 20, ERROR_FUNDS_SHORT, NULL, NULL, NULL},
};
/* clang-format on */

static void given_a_size_when_a_position_opens_then_margin_quantity_and_hold_are_exact(void **state)
{
    trade_signal signal = open_long();

    (void)state;
    for (size_t i = 0; i < sizeof(size_rows) / sizeof(size_rows[0]); i++) {
        const size_row *row = &size_rows[i];
        trade_follower follower = plain();
        trade_decision decision;

        follower.size_kind = row->kind;
        follower.size_value = row->value != NULL ? d(row->value) : DEC_ZERO;
        follower.has_default_size = row->default_size != NULL;
        follower.default_size = row->default_size != NULL ? d(row->default_size) : DEC_ZERO;
        follower.has_maximum_size = row->maximum != NULL;
        follower.maximum_size = row->maximum != NULL ? d(row->maximum) : DEC_ZERO;
        follower.available = d(row->available);
        follower.follow_leverage = row->leverage;
        decision = decide(&signal, &follower);
        assert_reason(row->name, decision.reason, row->reason);
        assert_dec(row->name, decision.quantity, row->quantity != NULL ? row->quantity : "0");
        assert_dec(row->name, decision.size, row->size != NULL ? row->size : "0");
        assert_dec(row->name, decision.hold, row->hold != NULL ? row->hold : "0");
    }
}

/* ---- leverage ----------------------------------------------------------------------------------
 */

typedef struct {
    const char *name;
    int follow, whale, user_default, maximum, venue, account, wanted;
    bool copy;
    const char *other; /* an open copy of another whale */
} leverage_row;

/* clang-format off */
static const leverage_row leverage_rows[] = {
    {"the follow's own first", 7, 10, 5, 20, 125, 0, 7, true, "0"},
    {"else the whale's", 0, 10, 5, 20, 125, 0, 10, true, "0"},
    {"the whale's only where it is copied", 0, 10, 3, 20, 125, 0, 3, false, "0"},
    {"the whale's unknown", 0, 0, 3, 20, 125, 0, 3, true, "0"},
    {"five where nothing is set", 0, 0, 0, 20, 125, 0, 5, true, "0"},
    {"capped by the user", 0, 100, 5, 20, 125, 0, 20, true, "0"},
    {"capped by the instrument", 0, 100, 5, 125, 50, 0, 50, true, "0"},
    {"capped by the ceiling where no cap is known", 0, 150, 5, 0, 0, 0, 125, true, "0"},
    {"what the account has set does not matter alone", 0, 10, 5, 20, 125, 3, 10, true, "0"},
    {"another open copy keeps the account's", 0, 10, 5, 20, 125, 3, 3, true, "0.5"},
};
/* clang-format on */

static void
given_leverages_when_a_position_opens_then_the_first_set_one_counts_within_the_caps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(leverage_rows) / sizeof(leverage_rows[0]); i++) {
        const leverage_row *row = &leverage_rows[i];
        trade_instrument instrument = btc();
        trade_follower follower = plain();
        trade_signal signal = open_long();
        trade_decision decision;

        instrument.rules.leverage_max = row->venue;
        follower.follow_leverage = row->follow;
        follower.copy_leverage = row->copy;
        follower.default_leverage = row->user_default;
        follower.maximum_leverage = row->maximum;
        follower.account_leverage = row->account;
        follower.other_quantity = d(row->other);
        signal.leverage = row->whale;
        trade_decide(&signal, &follower, &instrument, d("60000"), &decision);
        assert_reason(row->name, decision.reason, ERROR_NONE);
        if (decision.leverage != row->wanted) {
            fail_msg("%s: %d, not %d", row->name, decision.leverage, row->wanted);
        }
    }
}

static void
given_a_spot_market_when_a_position_opens_then_leverage_is_one_and_free_users_may(void **state)
{
    trade_instrument instrument = btc();
    trade_follower follower = plain();
    trade_signal signal = open_long();
    trade_decision decision;

    (void)state;
    instrument.rules.market = VENUE_SPOT;
    follower.tier = TRADE_FREE;
    trade_decide(&signal, &follower, &instrument, d("60000"), &decision);
    assert_reason("spot", decision.reason, ERROR_NONE);
    assert_int_equal(decision.leverage, 1);
    assert_dec("quantity", decision.quantity, "0.001");
}

/* ---- checks ------------------------------------------------------------------------------------
 */

typedef void change(trade_follower *follower, trade_signal *signal);

static void change_nothing(trade_follower *follower, trade_signal *signal)
{
    (void)follower;
    (void)signal;
}

static void change_user_inactive(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->user_active = false;
    follower->auto_copy = false; /* the first check wins */
}

static void change_copy_off(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->auto_copy = false;
}

static void change_unfollowed(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->followed = false;
}

static void change_no_account(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->account_id = 0;
}

static void change_account_inactive(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->account_active = false;
}

static void change_hedge(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->hedge_mode = true;
}

static void change_spot_only(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->spot_only = true;
}

static void change_stale(trade_follower *follower, trade_signal *signal)
{
    (void)follower;
    signal->stale = true;
}

static void change_free(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->tier = TRADE_FREE;
}

static void change_loss_reached(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->has_loss_limit = true;
    follower->loss_limit = d("50");
    follower->loss_today = d("50");
}

static void change_loss_not_reached(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->has_loss_limit = true;
    follower->loss_limit = d("50");
    follower->loss_today = d("49.999999999999");
}

static void change_gained_today(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->has_loss_limit = true;
    follower->loss_limit = d("50");
    follower->loss_today = d("-500");
}

static void change_pro_full(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->open_positions = 10;
}

static void change_pro_nearly_full(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->open_positions = 9;
}

static void change_own_limit(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->open_positions = 3;
    follower->maximum_positions = 3;
}

static void change_own_limit_above_the_tier(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->open_positions = 10;
    follower->maximum_positions = 50;
}

static void change_elite(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->tier = TRADE_ELITE;
    follower->open_positions = 400;
}

static void change_elite_own_limit(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->tier = TRADE_ELITE;
    follower->open_positions = 2;
    follower->maximum_positions = 2;
}

static void change_opposite_other(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->other_quantity = d("-0.5");
}

static void change_same_other(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->other_quantity = d("0.5");
}

static void change_opposite_on_its_way(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->others_short = d("0.5");
}

static void change_opposite_own(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->held.id = 4;
    follower->held.quantity = d("-0.5");
}

static void change_flip_with_close_on_its_way(trade_follower *follower, trade_signal *signal)
{
    signal->kind = TRADE_FLIP;
    follower->held.id = 4;
    follower->held.quantity = d("-0.5");
    follower->exits_short = d("0.5");
}

static void change_flip_with_part_on_its_way(trade_follower *follower, trade_signal *signal)
{
    signal->kind = TRADE_FLIP;
    follower->held.id = 4;
    follower->held.quantity = d("-0.5");
    follower->exits_short = d("0.4");
}

static void change_already_holds(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->held.id = 4;
    follower->held.quantity = d("0.01");
}

static void change_entry_on_its_way(trade_follower *follower, trade_signal *signal)
{
    (void)signal;
    follower->entries_long = d("0.01");
}

typedef struct {
    const char *name;
    change *apply;
    enum whale_error reason;
} check_row;

/* clang-format off */
static const check_row check_rows[] = {
    {"a plain follower", change_nothing, ERROR_NONE},
    {"inactive before anything else", change_user_inactive, ERROR_USER_INACTIVE},
    {"copying switched off", change_copy_off, ERROR_COPY_OFF},
    {"follow ended", change_unfollowed, ERROR_COPY_OFF},
    {"no account", change_no_account, ERROR_NO_ACCOUNT},
    {"account not active", change_account_inactive, ERROR_ACCOUNT_INACTIVE},
    {"hedge mode", change_hedge, ERROR_HEDGE_MODE_UNSUPPORTED},
    {"spot only", change_spot_only, ERROR_COPY_OFF},
    {"old signal", change_stale, ERROR_SIGNAL_STALE},
    {"futures on FREE", change_free, ERROR_FUTURES_NEED_PRO},
    {"daily loss reached", change_loss_reached, ERROR_DAILY_LOSS_REACHED},
    {"daily loss not reached", change_loss_not_reached, ERROR_NONE},
    {"a gain is no loss", change_gained_today, ERROR_NONE},
    {"tenth of PRO", change_pro_full, ERROR_POSITIONS_FULL},
    {"ninth of PRO", change_pro_nearly_full, ERROR_NONE},
    {"own limit", change_own_limit, ERROR_POSITIONS_FULL},
    {"own limit above the tier's", change_own_limit_above_the_tier, ERROR_POSITIONS_FULL},
    {"ELITE is unlimited", change_elite, ERROR_NONE},
    {"ELITE with an own limit", change_elite_own_limit, ERROR_POSITIONS_FULL},
    {"another whale's copy on the other side", change_opposite_other, ERROR_OPPOSITE_POSITION},
    {"another whale's copy on the same side", change_same_other, ERROR_NONE},
    {"another entry to the other side on its way", change_opposite_on_its_way, ERROR_OPPOSITE_POSITION},
    {"own copy on the other side", change_opposite_own, ERROR_OPPOSITE_POSITION},
    {"flip whose close is on its way", change_flip_with_close_on_its_way, ERROR_NONE},
    {"flip whose close leaves something", change_flip_with_part_on_its_way, ERROR_OPPOSITE_POSITION},
    {"copied already", change_already_holds, ERROR_ALREADY_COPIED},
    {"copy on its way already", change_entry_on_its_way, ERROR_ALREADY_COPIED},
};
/* clang-format on */

static void
given_a_follower_when_a_position_opens_then_the_first_failed_check_is_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(check_rows) / sizeof(check_rows[0]); i++) {
        trade_follower follower = plain();
        trade_signal signal = open_long();
        trade_decision decision;

        check_rows[i].apply(&follower, &signal);
        decision = decide(&signal, &follower);
        assert_reason(check_rows[i].name, decision.reason, check_rows[i].reason);
        if (decision.reason != ERROR_NONE) {
            assert_dec(check_rows[i].name, decision.hold, "0");
            assert_dec(check_rows[i].name, decision.quantity, "0");
        }
    }
}

static void
given_no_instrument_or_no_price_when_a_position_opens_then_it_is_not_copied(void **state)
{
    trade_instrument instrument = btc();
    trade_follower follower = plain();
    trade_signal signal = open_long();
    trade_decision decision;

    (void)state;
    trade_decide(&signal, &follower, NULL, d("60000"), &decision);
    assert_reason("not listed", decision.reason, ERROR_NO_INSTRUMENT);
    trade_decide(&signal, &follower, &instrument, DEC_ZERO, &decision);
    assert_reason("no price", decision.reason, ERROR_PRICE_UNKNOWN);
    instrument.rules.trading = false;
    trade_decide(&signal, &follower, &instrument, d("60000"), &decision);
    assert_reason("not trading", decision.reason, ERROR_NO_INSTRUMENT);
}

static void given_tiers_when_reserving_then_the_limit_to_recheck_is_told(void **state)
{
    trade_signal signal = open_long();
    trade_follower follower = plain();

    (void)state;
    assert_int_equal(decide(&signal, &follower).positions_max, 10);
    follower.maximum_positions = 4;
    assert_int_equal(decide(&signal, &follower).positions_max, 4);
    follower.tier = TRADE_ELITE;
    follower.maximum_positions = 0;
    assert_int_equal(decide(&signal, &follower).positions_max, TRADE_POSITIONS_UNLIMITED);
}

/* ---- increase ----------------------------------------------------------------------------------
 */

typedef struct {
    const char *name, *held, *entries, *exits, *fraction, *available, *maximum, *price;
    enum trade_tier tier;
    int open_positions;
    enum whale_error reason;
    const char *quantity, *size;
} increase_row;

/* The held copy has leverage 10. */
/* clang-format off */
static const increase_row increase_rows[] = {
    {"half as much again", "0.1", "0", "0", "0.5", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_NONE, "0.05", "300"},
    {"rounded down to the step", "0.1", "0", "0", "0.333", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_NONE, "0.033", "198"},
    {"more than doubled", "0.1", "0", "0", "2.5", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_NONE, "0.25", "1500"},
    {"the entry is still on its way", "0", "0.1", "0", "0.5", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_NONE, "0.05", "300"},
    {"part of it is being sold", "0.1", "0", "0.04", "0.5", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_NONE, "0.03", "180"},
    {"all of it is being sold", "0.1", "0", "0.1", "0.5", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_NO_POSITION, NULL, NULL},
    {"nothing held", "0", "0", "0", "0.5", "10000", NULL, "60000", TRADE_PRO, 0, ERROR_NO_POSITION, NULL, NULL},
    {"held on the other side", "-0.1", "0", "0", "0.5", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_OPPOSITE_POSITION, NULL, NULL},
    {"capped by funds at 80 per cent", "0.1", "0", "0", "1", "100", NULL, "60000", TRADE_PRO, 1, ERROR_NONE, "0.013", "78"},
    {"capped by the user's maximum", "0.1", "0", "0", "1", "10000", "120", "60000", TRADE_PRO, 1, ERROR_NONE, "0.02", "120"},
    {"too little to order", "0.001", "0", "0", "0.5", "10000", NULL, "60000", TRADE_PRO, 1, ERROR_SIZE_TOO_SMALL, NULL, NULL},
    {"no limit of positions", "0.1", "0", "0", "0.5", "10000", NULL, "60000", TRADE_PRO, 10, ERROR_NONE, "0.05", "300"},
    {"no price", "0.1", "0", "0", "0.5", "10000", NULL, "0", TRADE_PRO, 1, ERROR_PRICE_UNKNOWN, NULL, NULL},
    {"plan lapsed", "0.1", "0", "0", "0.5", "10000", NULL, "60000", TRADE_FREE, 1, ERROR_FUTURES_NEED_PRO, NULL, NULL},
    {"no funds", "0.1", "0", "0", "0.5", "4", NULL, "60000", TRADE_PRO, 1, ERROR_BALANCE_TOO_LOW, NULL, NULL},
};
/* clang-format on */

static void
given_a_copy_when_the_whale_adds_then_the_same_fraction_is_added_as_far_as_funds_go(void **state)
{
    trade_instrument instrument = btc();

    (void)state;
    for (size_t i = 0; i < sizeof(increase_rows) / sizeof(increase_rows[0]); i++) {
        const increase_row *row = &increase_rows[i];
        trade_follower follower = plain();
        trade_signal signal = open_long();
        trade_decision decision;

        signal.kind = TRADE_INCREASE;
        signal.fraction = d(row->fraction);
        follower.size_value = d("5000"); /* so that it bounds nothing here */
        follower.tier = row->tier;
        follower.held.quantity = d(row->held);
        follower.held.id = !dec_is_zero(follower.held.quantity);
        follower.held.leverage = follower.held.id != 0 ? 10 : 0;
        follower.entries_long = d(row->entries);
        follower.exits_long = d(row->exits);
        follower.available = d(row->available);
        follower.open_positions = row->open_positions;
        follower.has_maximum_size = row->maximum != NULL;
        follower.maximum_size = row->maximum != NULL ? d(row->maximum) : DEC_ZERO;
        trade_decide(&signal, &follower, &instrument, d(row->price), &decision);
        assert_reason(row->name, decision.reason, row->reason);
        assert_dec(row->name, decision.quantity, row->quantity != NULL ? row->quantity : "0");
        assert_dec(row->name, decision.size, row->size != NULL ? row->size : "0");
    }
}

typedef struct {
    const char *name;
    enum trade_size_kind kind;
    const char *value, *margin, *entries, *fraction, *available, *maximum;
    enum whale_error reason;
    const char *quantity, *size;
} bound_row;

/* Held: 0.01 at leverage 10; the whale probed with dust and now adds its real size. */
/* clang-format off */
static const bound_row bound_rows[] = {
    {"a named amount bounds it", TRADE_SIZE_FIXED, "60", "60", "0", "1000", "10000", NULL, ERROR_NONE, "0.01", "60"},
    {"a named amount above a tenth of the balance", TRADE_SIZE_FIXED, "3000", "60", "0", "1000", "10000", NULL, ERROR_NONE, "0.5", "3000"},
    {"per cent of the balance", TRADE_SIZE_PERCENT, "3", "60", "0", "1000", "10000", NULL, ERROR_NONE, "0.05", "300"},
    {"a tenth of the balance at most", TRADE_SIZE_PERCENT, "50", "60", "0", "1000", "10000", NULL, ERROR_NONE, "0.166", "996"},
    {"one per cent where nothing is named", TRADE_SIZE_DEFAULT, NULL, "60", "0", "1000", "10000", NULL, ERROR_NONE, "0.016", "96"},
    {"the whale's fraction where it is less", TRADE_SIZE_FIXED, "60", "60", "0", "0.5", "10000", NULL, ERROR_NONE, "0.005", "30"},
    {"the maximum is the position's", TRADE_SIZE_FIXED, "60", "60", "0", "1000", "10000", "90", ERROR_NONE, "0.005", "30"},
    {"entries on their way count", TRADE_SIZE_FIXED, "60", "60", "0.003", "1000", "10000", "90", ERROR_NONE, "0.002", "12"},
    {"the maximum is reached", TRADE_SIZE_FIXED, "60", "60", "0", "1000", "10000", "60", ERROR_SIZE_LIMITS_CROSS, NULL, NULL},
    {"the maximum is exceeded", TRADE_SIZE_FIXED, "60", "600", "0", "1000", "10000", "60", ERROR_SIZE_LIMITS_CROSS, NULL, NULL},
    {"a named amount above the funds", TRADE_SIZE_FIXED, "600", "60", "0", "1000", "100", NULL, ERROR_NONE, "0.013", "78"},
    {"per cent never takes 80 of the funds", TRADE_SIZE_PERCENT, "100", "60", "0", "1000", "100", NULL, ERROR_NONE, "0.001", "6"},
};
/* clang-format on */

static void
given_a_whale_that_adds_many_times_its_size_when_copied_then_the_users_bounds_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bound_rows) / sizeof(bound_rows[0]); i++) {
        const bound_row *row = &bound_rows[i];
        trade_follower follower = plain();
        trade_signal signal = open_long();
        trade_decision decision;

        signal.kind = TRADE_INCREASE;
        signal.fraction = d(row->fraction);
        follower.size_kind = row->kind;
        follower.size_value = row->value != NULL ? d(row->value) : DEC_ZERO;
        follower.held = (trade_position){.id = 4, .leverage = 10};
        follower.held.quantity = d("0.01");
        follower.held.margin = d(row->margin);
        follower.entries_long = d(row->entries);
        follower.available = d(row->available);
        follower.has_maximum_size = row->maximum != NULL;
        follower.maximum_size = row->maximum != NULL ? d(row->maximum) : DEC_ZERO;
        decision = decide(&signal, &follower);
        assert_reason(row->name, decision.reason, row->reason);
        assert_dec(row->name, decision.quantity, row->quantity != NULL ? row->quantity : "0");
        assert_dec(row->name, decision.size, row->size != NULL ? row->size : "0");
    }
}

/* One position, one leverage: where the user has lowered the maximum since, nothing is added. */
static void
given_a_kept_leverage_above_the_maximum_when_the_whale_enters_then_it_is_refused(void **state)
{
    trade_follower follower = plain();
    trade_signal signal = open_long();

    (void)state;
    follower.maximum_leverage = 3;
    follower.account_leverage = 20;
    assert_int_equal(decide(&signal, &follower).leverage, 3); /* nothing keeps the account's */
    follower.other_quantity = d("0.5");
    assert_reason("another copy", decide(&signal, &follower).reason, ERROR_LEVERAGE_LIMIT);
    follower.account_leverage = 3;
    assert_reason("within", decide(&signal, &follower).reason, ERROR_NONE);
    signal.kind = TRADE_INCREASE;
    follower.held = (trade_position){.id = 4, .leverage = 20};
    follower.held.quantity = d("0.01");
    assert_reason("own copy", decide(&signal, &follower).reason, ERROR_LEVERAGE_LIMIT);
    signal = (trade_signal){
        .id = 1, .kind = TRADE_CLOSE, .side = VENUE_SELL, .closes = true, .fraction = DEC_ONE};
    assert_reason("exit", decide(&signal, &follower).reason, ERROR_NONE);
}

/* ---- exits -------------------------------------------------------------------------------------
 */

typedef struct {
    const char *name;
    enum trade_kind kind;
    enum venue_side side;
    const char *held, *entries, *exits, *fraction;
    bool close_on_exit, account_active;
    enum whale_error reason;
    const char *quantity;
} exit_row;

/* clang-format off */
static const exit_row exit_rows[] = {
    {"close of a long", TRADE_CLOSE, VENUE_SELL, "0.123", "0", "0", "1", true, true, ERROR_NONE, "0.123"},
    {"close of a short", TRADE_CLOSE, VENUE_BUY, "-0.123", "0", "0", "1", true, true, ERROR_NONE, "0.123"},
    {"close with the entry on its way", TRADE_CLOSE, VENUE_SELL, "0", "0.05", "0", "1", true, true, ERROR_NONE, "0.05"},
    {"close with an increase on its way", TRADE_CLOSE, VENUE_SELL, "0.1", "0.05", "0", "1", true, true, ERROR_NONE, "0.15"},
    {"close after a reduction on its way", TRADE_CLOSE, VENUE_SELL, "0.1", "0", "0.04", "1", true, true, ERROR_NONE, "0.06"},
    {"close that is on its way", TRADE_CLOSE, VENUE_SELL, "0.1", "0", "0.1", "1", true, true, ERROR_NO_POSITION, NULL},
    {"close of the other side", TRADE_CLOSE, VENUE_SELL, "-0.1", "0", "0", "1", true, true, ERROR_NO_POSITION, NULL},
    {"close of nothing", TRADE_CLOSE, VENUE_SELL, "0", "0", "0", "1", true, true, ERROR_NO_POSITION, NULL},
    {"reduction on the step", TRADE_REDUCE, VENUE_SELL, "0.1", "0", "0", "0.25", true, true, ERROR_NONE, "0.025"},
    {"reduction rounds up", TRADE_REDUCE, VENUE_SELL, "0.1", "0", "0", "0.251", true, true, ERROR_NONE, "0.026"},
    {"reduction of the smallest copy takes all", TRADE_REDUCE, VENUE_SELL, "0.001", "0", "0", "0.1", true, true, ERROR_NONE, "0.001"},
    {"reduction that leaves dust takes all", TRADE_REDUCE, VENUE_SELL, "0.002", "0", "0", "0.9", true, true, ERROR_NONE, "0.002"},
    {"reduction by the whole", TRADE_REDUCE, VENUE_SELL, "0.1", "0", "0", "1", true, true, ERROR_NONE, "0.1"},
    {"user keeps positions when the whale exits", TRADE_CLOSE, VENUE_SELL, "0.1", "0", "0", "1", false, true, ERROR_COPY_OFF, NULL},
    {"account not active", TRADE_CLOSE, VENUE_SELL, "0.1", "0", "0", "1", true, false, ERROR_ACCOUNT_INACTIVE, NULL},
};
/* clang-format on */

static void given_a_copy_when_the_whale_exits_then_its_part_is_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(exit_rows) / sizeof(exit_rows[0]); i++) {
        const exit_row *row = &exit_rows[i];
        trade_follower follower = plain();
        trade_signal signal = {.id = 1, .kind = row->kind, .side = row->side, .closes = true};
        trade_decision decision;

        signal.fraction = d(row->fraction);
        follower.held.quantity = d(row->held);
        follower.held.id = !dec_is_zero(follower.held.quantity);
        if (row->side == VENUE_SELL) {
            follower.entries_long = d(row->entries);
            follower.exits_long = d(row->exits);
        } else {
            follower.entries_short = d(row->entries);
            follower.exits_short = d(row->exits);
        }
        follower.close_on_whale_exit = row->close_on_exit;
        follower.account_active = row->account_active;
        decision = decide(&signal, &follower);
        assert_reason(row->name, decision.reason, row->reason);
        assert_dec(row->name, decision.quantity, row->quantity != NULL ? row->quantity : "0");
        assert_dec(row->name, decision.hold, "0");
    }
}

/* A flip of which nothing has ended yet: the long is being closed, the short is being opened. */
static void given_a_flip_under_way_when_the_whale_exits_then_the_new_side_is_closed(void **state)
{
    trade_follower follower = plain();
    trade_signal signal = {
        .id = 3, .kind = TRADE_CLOSE, .side = VENUE_BUY, .closes = true, .fraction = DEC_ONE};
    trade_decision decision;

    (void)state;
    follower.held.id = 4;
    follower.held.quantity = follower.exits_long = d("0.1");
    follower.entries_short = d("0.08");
    decision = decide(&signal, &follower);
    assert_reason("close of the short", decision.reason, ERROR_NONE);
    assert_dec("quantity", decision.quantity, "0.08");
    signal.side = VENUE_SELL;
    assert_reason("close of the long", decide(&signal, &follower).reason, ERROR_NO_POSITION);
    /* And back again: the short is being closed as well. */
    follower.exits_short = d("0.08");
    signal = open_long();
    assert_reason("open", decide(&signal, &follower).reason, ERROR_NONE);
}

static void
given_every_reason_not_to_open_when_the_whale_exits_then_the_copy_is_closed(void **state)
{
    static change *const changes[] = {change_user_inactive, change_copy_off, change_unfollowed,
                                      change_spot_only,     change_stale,    change_free,
                                      change_loss_reached,  change_pro_full, change_hedge};

    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        trade_instrument instrument = btc();
        trade_follower follower = plain();
        trade_signal signal = {
            .id = 1, .kind = TRADE_CLOSE, .side = VENUE_SELL, .closes = true, .fraction = DEC_ONE};
        trade_decision decision;

        follower.held.id = 4;
        follower.held.quantity = d("0.1");
        follower.available = DEC_ZERO;
        changes[i](&follower, &signal);
        trade_decide(&signal, &follower, &instrument, DEC_ZERO, &decision);
        assert_reason("exit", decision.reason, ERROR_NONE);
        assert_dec("quantity", decision.quantity, "0.1");
    }
}

/* ---- parts -------------------------------------------------------------------------------------
 */

static void given_contracts_when_sized_then_the_contract_size_counts(void **state)
{
    trade_instrument instrument = btc();
    dec notional;

    (void)state;
    instrument.rules.quantity_unit = VENUE_UNIT_CONTRACTS;
    instrument.rules.contract_size = d("0.01");
    instrument.rules.quantity_step = instrument.rules.market_quantity_step = DEC_ONE;
    instrument.rules.quantity_min = instrument.rules.market_quantity_min = DEC_ONE;
    assert_dec("contracts", trade_quantity(&instrument, d("1800"), d("60000")), "3");
    assert_dec("one short", trade_quantity(&instrument, d("1799.99"), d("60000")), "2");
    assert_true(trade_notional(&instrument, d("3"), d("60000"), &notional));
    assert_dec("notional", notional, "1800");
    instrument.rules.inverse = true;
    assert_dec("inverse is not traded yet", trade_quantity(&instrument, d("1800"), d("60000")),
               "0");
    assert_false(trade_notional(&instrument, d("3"), d("60000"), &notional));
}

static void
given_no_filter_when_the_least_notional_is_asked_then_the_products_table_answers(void **state)
{
    trade_instrument instrument = btc();

    (void)state;
    assert_dec("the venue's own", trade_notional_min(&instrument), "5");
    instrument.rules.notional_min = d("100");
    assert_dec("the venue's own", trade_notional_min(&instrument), "100");
    instrument.rules.notional_min = DEC_ZERO;
    instrument.rules.market = VENUE_COINM;
    assert_dec("binance coin-m", trade_notional_min(&instrument), "10");
    snprintf(instrument.venue, sizeof(instrument.venue), "okx");
    instrument.rules.market = VENUE_SPOT;
    assert_dec("okx spot", trade_notional_min(&instrument), "5");
    snprintf(instrument.venue, sizeof(instrument.venue), "nobody");
    assert_dec("elsewhere", trade_notional_min(&instrument), "5");
}

static void given_any_position_and_fraction_when_reduced_then_never_more_than_there_is(void **state)
{
    trade_instrument instrument = btc();
    uint64_t seed = 42;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        dec position, fraction, quantity, rest;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        position = (dec){(__int128)(1 + (seed >> 33) % 100000) * 1000000000LL}; /* steps of 0.001 */
        fraction = (dec){(__int128)(1 + (seed >> 20) % 1200000) * 1000000LL};   /* to 1.2 */
        quantity = trade_reduction(&instrument, position, fraction);
        assert_true(dec_sign(quantity) > 0);
        assert_true(dec_compare(quantity, position) <= 0);
        assert_true(dec_is_multiple(quantity, d("0.001")));
        assert_true(dec_sub(position, quantity, &rest));
        assert_true(dec_is_zero(rest) || dec_compare(rest, d("0.001")) >= 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            given_a_size_when_a_position_opens_then_margin_quantity_and_hold_are_exact),
        cmocka_unit_test(
            given_leverages_when_a_position_opens_then_the_first_set_one_counts_within_the_caps),
        cmocka_unit_test(
            given_a_spot_market_when_a_position_opens_then_leverage_is_one_and_free_users_may),
        cmocka_unit_test(
            given_a_follower_when_a_position_opens_then_the_first_failed_check_is_the_reason),
        cmocka_unit_test(
            given_no_instrument_or_no_price_when_a_position_opens_then_it_is_not_copied),
        cmocka_unit_test(given_tiers_when_reserving_then_the_limit_to_recheck_is_told),
        cmocka_unit_test(
            given_a_whale_that_adds_many_times_its_size_when_copied_then_the_users_bounds_hold),
        cmocka_unit_test(
            given_a_kept_leverage_above_the_maximum_when_the_whale_enters_then_it_is_refused),
        cmocka_unit_test(
            given_a_copy_when_the_whale_adds_then_the_same_fraction_is_added_as_far_as_funds_go),
        cmocka_unit_test(given_a_copy_when_the_whale_exits_then_its_part_is_closed),
        cmocka_unit_test(given_a_flip_under_way_when_the_whale_exits_then_the_new_side_is_closed),
        cmocka_unit_test(
            given_every_reason_not_to_open_when_the_whale_exits_then_the_copy_is_closed),
        cmocka_unit_test(given_contracts_when_sized_then_the_contract_size_counts),
        cmocka_unit_test(
            given_no_filter_when_the_least_notional_is_asked_then_the_products_table_answers),
        cmocka_unit_test(
            given_any_position_and_fraction_when_reduced_then_never_more_than_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
