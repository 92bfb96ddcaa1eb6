#include "fs/query.h"
#include "base/clock.h"
#include "base/knob.h"
#include "base/mark.h"
#include "fs/focus.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { SECONDS_MAX = 86400, ROWS_MAX = 1000000, CAPTURES_MAX = 64 };

static void trim(const char **text, size_t *length)
{
	while (*length && isspace((unsigned char)**text))
		(*text)++, (*length)--;
	while (*length && isspace((unsigned char)(*text)[*length - 1]))
		(*length)--;
}

/* The digits behind the point, as nanoseconds; what is finer is cut. */
static int64_t fraction_ns(const char *digits, size_t count)
{
	int64_t ns = 0, unit = PF_NS_PER_SECOND / 10;

	for (size_t i = 0; i < count && unit; i++, unit /= 10)
		ns += unit * (digits[i] - '0');
	return ns;
}

static size_t count_digits(const char *text, size_t length)
{
	size_t n = 0;

	while (n < length && isdigit((unsigned char)text[n]))
		n++;
	return n;
}

int pf_query_seconds(const char *text, size_t length, int64_t *ns)
{
	size_t whole, point = 0, decimals = 0;
	int64_t seconds;
	int rc;

	trim(&text, &length);
	if (length > 1 && text[0] == '-' && count_digits(text + 1, length - 1) == length - 1)
		return -ERANGE;
	whole = count_digits(text, length);
	if (whole == 0)
		return -EINVAL;
	if (whole < length && text[whole] == '.') {
		point = 1;
		decimals = count_digits(text + whole + 1, length - whole - 1);
	}
	if (whole + point + decimals != length || (point && decimals == 0))
		return -EINVAL;
	rc = pf_parse_int(text, whole, &seconds);
	if (rc < 0)
		return rc;
	if (seconds > SECONDS_MAX)
		return -ERANGE;
	*ns = seconds * PF_NS_PER_SECOND + fraction_ns(text + whole + 1, decimals);
	return *ns > (int64_t)SECONDS_MAX * PF_NS_PER_SECOND ? -ERANGE : 0;
}

/* ---- the keys ---- */

static int set_seconds(struct pf_query *query, const char *value, size_t length)
{
	if (pf_query_seconds(value, length, &query->seconds_ns) < 0 || query->seconds_ns == 0)
		return -EINVAL;
	return 0;
}

static int parse_between(const char *value, size_t length, int64_t low, int64_t high, int64_t *out)
{
	if (pf_parse_int(value, length, out) < 0 || *out < low || *out > high)
		return -EINVAL;
	return 0;
}

static int set_hz(struct pf_query *query, const char *value, size_t length)
{
	return parse_between(value, length, 1, pf_knobs[PF_KNOB_CPU_HZ].max, &query->hz);
}

static int set_debug(struct pf_query *query, const char *value, size_t length)
{
	return parse_between(value, length, 0, INT_MAX, &query->debug);
}

static int set_rows(struct pf_query *query, const char *value, size_t length)
{
	return parse_between(value, length, 1, ROWS_MAX, &query->rows);
}

static int set_gc(struct pf_query *query, const char *value, size_t length)
{
	int64_t number;
	int rc = parse_between(value, length, 0, INT_MAX, &number);

	query->gc = rc == 0 && number > 0;
	return rc;
}

static int set_json(struct pf_query *query, const char *value, size_t length)
{
	int64_t number;
	int rc = parse_between(value, length, 0, 1, &number);

	query->json = rc == 0 && number == 1;
	return rc;
}

static int set_least(struct pf_query *query, const char *value, size_t length)
{
	return parse_between(value, length, 0, INT64_MAX, &query->least);
}

static int set_captures(struct pf_query *query, const char *value, size_t length)
{
	return parse_between(value, length, 1, CAPTURES_MAX, &query->captures);
}

static int set_focus(struct pf_query *query, const char *value, size_t length)
{
	if (length >= sizeof(query->focus) || memchr(value, '\0', length))
		return -EINVAL;
	memcpy(query->focus, value, length);
	query->focus[length] = '\0';
	return pf_focus_check(query->focus);
}

static int set_lines(struct pf_query *query, const char *value, size_t length)
{
	int64_t number;
	int rc = parse_between(value, length, 0, INT_MAX, &number);

	query->lines = rc == 0 && number > 0;
	return rc;
}

static int set_sort(struct pf_query *query, const char *value, size_t length)
{
	query->sort_cum = length == 3 && memcmp(value, "cum", 3) == 0;
	return query->sort_cum || (length == 4 && memcmp(value, "flat", 4) == 0) ? 0 : -EINVAL;
}

static int set_frames(struct pf_query *query, const char *value, size_t length)
{
	query->all_frames = length == 3 && memcmp(value, "all", 3) == 0;
	return query->all_frames ? 0 : -EINVAL;
}

static const struct {
	const char *key;
	int (*set)(struct pf_query *query, const char *value, size_t length);
} keys[] = {
    {"seconds", set_seconds},
    {"hz", set_hz},
    {"debug", set_debug},
    {"n", set_rows},
    {"gc", set_gc},
    {"json", set_json},
    {"focus", set_focus},
    {"min", set_least},
    {"captures", set_captures},
    {"lines", set_lines},
    {"sort", set_sort},
    {"frames", set_frames},
};

/* ---- the spellings ---- */

/* %XX and + in place. The new length, or -EINVAL. */
static ssize_t decode(char *text, size_t length)
{
	size_t to = 0;

	for (size_t at = 0; at < length; at++, to++) {
		int64_t byte = 0;

		if (text[at] == '+') {
			text[to] = ' ';
			continue;
		}
		text[to] = text[at];
		if (text[at] != '%')
			continue;
		if (length - at < 3 || !isxdigit((unsigned char)text[at + 1]) ||
		    !isxdigit((unsigned char)text[at + 2]))
			return -EINVAL;
		for (int i = 1; i <= 2; i++) {
			int c = tolower((unsigned char)text[at + i]);

			byte = byte * 16 + (isdigit(c) ? c - '0' : c - 'a' + 10);
		}
		text[to] = (char)byte;
		at += 2;
	}
	return (ssize_t)to;
}

/* One key=value; an empty value is as if it were not there. */
static int set_pair(struct pf_query *query, uint32_t *seen, char *pair, size_t length)
{
	char *equals = memchr(pair, '=', length);
	ssize_t key_length, value_length;

	if (!equals)
		return 0;
	value_length = decode(equals + 1, length - (size_t)(equals + 1 - pair));
	key_length = decode(pair, (size_t)(equals - pair));
	if (key_length < 0 || value_length < 0)
		return -EINVAL;
	for (size_t i = 0; i < PF_COUNT(keys) && value_length; i++) {
		if (strlen(keys[i].key) != (size_t)key_length ||
		    memcmp(keys[i].key, pair, (size_t)key_length) != 0 || (*seen >> i & 1))
			continue;
		*seen |= 1u << i;
		return keys[i].set(query, equals + 1, (size_t)value_length);
	}
	return 0;
}

static int parse_pairs(struct pf_query *query, char *text, char separator)
{
	uint32_t seen = 0;
	int rc = 0;

	while (*text && rc == 0) {
		char *end = strchrnul(text, separator);
		bool last = *end == '\0';

		rc = set_pair(query, &seen, text, (size_t)(end - text));
		text = last ? end : end + 1;
	}
	return rc;
}

/* "cpu-5s.pprof": takes "-5s" out of base. */
static int take_dash_seconds(char *base, struct pf_query *query)
{
	char *dash = strrchr(base, '-');
	char *end;
	int rc;

	if (!dash || !isdigit((unsigned char)dash[1]))
		return 0;
	end = dash + 1 + strspn(dash + 1, "0123456789.");
	if (*end != 's' || (end[1] != '\0' && end[1] != '.'))
		return 0;
	rc = set_seconds(query, dash + 1, (size_t)(end - dash - 1));
	memmove(dash, end + 1, strlen(end + 1) + 1);
	return rc;
}

int pf_query_parse(const char *name, struct pf_name *out)
{
	char *mark;

	*out = (struct pf_name){.error = 0};
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(out->base, name);
	mark = strpbrk(out->base, "?,");
	if (mark) {
		char separator = *mark == '?' ? '&' : ',';

		*mark = '\0';
		out->error = parse_pairs(&out->query, mark + 1, separator);
	} else {
		out->error = take_dash_seconds(out->base, &out->query);
	}
	return 0;
}
