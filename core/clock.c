/*
 * Time: the two clocks, and RFC 3339 text both ways by plain arithmetic. libc's gmtime and timegm
 * are left alone: they read time zone files, and one of them takes a lock.
 */
#include "core/clock.h"
#include "core/digits.h"

#include <string.h>
#include <time.h>

#define CLOCK_DAY_SECONDS 86400LL
#define CLOCK_ERA_DAYS 146097LL /* 400 years */

static int64_t clock_read(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * CLOCK_SECOND_NS + now.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return clock_read(CLOCK_REALTIME);
}

int64_t clock_monotonic_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

typedef struct {
    int year, month, day;
} clock_date;

/*
 * Years are counted from March, so that the leap day ends one: then the days before a month follow
 * a fixed slope of 153 days in 5 months. 719468 days lie between 0000-03-01 and 1970-01-01.
 */
static int64_t clock_days(clock_date date)
{
    int64_t year = date.month > 2 ? date.year : date.year - 1;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;

    return era * CLOCK_ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           day_of_year - 719468;
}

static clock_date clock_date_of(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - CLOCK_ERA_DAYS + 1) / CLOCK_ERA_DAYS;
    int64_t day_of_era = shifted - era * CLOCK_ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (CLOCK_ERA_DAYS - 1)) /
        365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    clock_date date = {
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
        .month = (int)(month < 10 ? month + 3 : month - 9),
    };

    date.year = (int)(year_of_era + era * 400 + (date.month <= 2));
    return date;
}

static int64_t clock_floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

size_t clock_format(int64_t time_ns, char text[CLOCK_TEXT_MAX])
{
    int64_t seconds = clock_floor_divide(time_ns, CLOCK_SECOND_NS);
    int64_t days = clock_floor_divide(seconds, CLOCK_DAY_SECONDS);
    /* unsigned: seconds x 10^9 of the earliest times is below INT64_MIN, the difference is not */
    uint64_t nanoseconds = (uint64_t)time_ns - (uint64_t)seconds * (uint64_t)CLOCK_SECOND_NS;
    uint64_t second = (uint64_t)(seconds - days * CLOCK_DAY_SECONDS);
    clock_date date = clock_date_of(days);

    memcpy(text, "0000-00-00T00:00:00.000000Z", 28);
    digits_put_fixed(text, (uint64_t)date.year, 4);
    digits_put_fixed(text + 5, (uint64_t)date.month, 2);
    digits_put_fixed(text + 8, (uint64_t)date.day, 2);
    digits_put_fixed(text + 11, second / 3600, 2);
    digits_put_fixed(text + 14, second / 60 % 60, 2);
    digits_put_fixed(text + 17, second % 60, 2);
    digits_put_fixed(text + 20, nanoseconds / 1000, 6);
    return 27;
}

/* Exactly `width` digits. */
static bool clock_take(const char **at, const char *end, int width, int *number)
{
    *number = 0;
    for (int i = 0; i < width; i++) {
        if (*at == end || **at < '0' || **at > '9') {
            return false;
        }
        *number = *number * 10 + (*(*at)++ - '0');
    }
    return true;
}

static bool clock_skip(const char **at, const char *end, const char *any_of)
{
    if (*at == end || **at == '\0' || strchr(any_of, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

static bool clock_take_date(const char **at, const char *end, clock_date *date)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap;

    if (!clock_take(at, end, 4, &date->year) || !clock_skip(at, end, "-") ||
        !clock_take(at, end, 2, &date->month) || !clock_skip(at, end, "-") ||
        !clock_take(at, end, 2, &date->day)) {
        return false;
    }
    if (date->month < 1 || date->month > 12 || date->day < 1) {
        return false;
    }
    leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
    return date->day <= lengths[date->month - 1] + (date->month == 2 && leap);
}

static bool clock_take_time(const char **at, const char *end, int *second_of_day, bool *leap_second)
{
    int hour, minute, second;

    if (!clock_take(at, end, 2, &hour) || !clock_skip(at, end, ":") ||
        !clock_take(at, end, 2, &minute) || !clock_skip(at, end, ":") ||
        !clock_take(at, end, 2, &second)) {
        return false;
    }
    *leap_second = second == 60;
    *second_of_day = hour * 3600 + minute * 60 + second;
    return hour <= 23 && minute <= 59 && second <= 60;
}

/* ".123": 1 to 9 digits, or nothing. */
static bool clock_take_fraction(const char **at, const char *end, int *nanoseconds)
{
    int scale = 100000000;

    *nanoseconds = 0;
    if (!clock_skip(at, end, ".")) {
        return true;
    }
    for (int digit; scale > 0 && clock_take(at, end, 1, &digit); scale /= 10) {
        *nanoseconds += digit * scale;
    }
    return scale < 100000000;
}

static bool clock_take_offset(const char **at, const char *end, int *seconds)
{
    int hours, minutes;
    bool negative;

    *seconds = 0;
    if (clock_skip(at, end, "Zz")) {
        return true;
    }
    negative = *at < end && **at == '-';
    if (!clock_skip(at, end, "+-") || !clock_take(at, end, 2, &hours) ||
        !clock_skip(at, end, ":") || !clock_take(at, end, 2, &minutes) || hours > 23 ||
        minutes > 59) {
        return false;
    }
    *seconds = (hours * 3600 + minutes * 60) * (negative ? -1 : 1);
    return true;
}

bool clock_parse(const char *text, size_t length, int64_t *time_ns)
{
    const char *at = text, *end = text + length;
    clock_date date;
    int second_of_day, nanoseconds, offset;
    bool leap_second;
    int64_t seconds;
    __int128 total;

    if (!clock_take_date(&at, end, &date) || !clock_skip(&at, end, "Tt ") ||
        !clock_take_time(&at, end, &second_of_day, &leap_second) ||
        !clock_take_fraction(&at, end, &nanoseconds) || !clock_take_offset(&at, end, &offset) ||
        at != end) {
        return false;
    }
    seconds = clock_days(date) * CLOCK_DAY_SECONDS + second_of_day - offset;
    if (leap_second && seconds % CLOCK_DAY_SECONDS != 0) {
        return false; /* leap seconds are inserted at the end of a UTC day only */
    }
    total = (__int128)seconds * CLOCK_SECOND_NS + nanoseconds;
    if (total < INT64_MIN || total > INT64_MAX) {
        return false;
    }
    *time_ns = (int64_t)total;
    return true;
}
