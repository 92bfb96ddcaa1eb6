#include "base/knob.h"
#include "base/mark.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct pf_knob own_knobs[] = {
#define X(id, path, unit, min, max, def, help) {path, unit, help, min, max, def, def, NULL},
    PF_KNOBS(X)
#undef X
};
struct pf_knob *pf_knobs PF_WARM = own_knobs;

void pf_knob_adopt(struct pf_knob *knobs)
{
	pf_knobs = knobs;
}

int pf_knob_put(enum pf_knob_id id, int64_t value)
{
	struct pf_knob *knob = &pf_knobs[id];
	int64_t old;
	int rc;

	if (value < knob->min || value > knob->max)
		return -ERANGE;
	old = __atomic_exchange_n(&knob->value, value, __ATOMIC_ACQ_REL);
	if (!knob->apply)
		return 0;
	rc = knob->apply(id, value);
	if (rc < 0)
		__atomic_store_n(&knob->value, old, __ATOMIC_RELEASE);
	return rc;
}

/* ---- values as text ---- */

/* The words "names|lines": which one is this? Or -1. */
static int64_t find_word(const char *words, const char *text, size_t length)
{
	for (int64_t i = 0;; i++) {
		size_t word = strcspn(words, "|");

		if (word == length && memcmp(words, text, length) == 0)
			return i;
		if (!words[word])
			return -1;
		words += word + 1;
	}
}

/* Which of the words "sync+sleep+io" is this: its bit, the first word's the lowest. Or 0. */
static int64_t bit_of(const char *words, const char *text, size_t length)
{
	for (int64_t bit = 1; *words; bit <<= 1) {
		size_t word = strcspn(words, "+");

		if (word == length && memcmp(words, text, length) == 0)
			return bit;
		words += word + (words[word] == '+');
	}
	return 0;
}

/* Some of these words: their bits. What begins with a sign changes those of `value` ("+io", "-sync"); in between
 * a + parts words. Or -1. */
static int64_t find_words(const char *words, const char *text, size_t length, int64_t value)
{
	bool some = false, off = false;

	if (length > 0 && *text != '+' && *text != '-')
		value = 0;
	for (size_t end = 0; length > 0; text += end, length -= end) {
		int64_t bit;

		if (isspace((unsigned char)*text) || *text == ',' || *text == '+' || *text == '-') {
			off = *text == '-';
			end = 1;
			if (off && (length == 1 || !isalpha((unsigned char)text[1])))
				return -1;
			continue;
		}
		for (end = 0; end < length && isalpha((unsigned char)text[end]);)
			end++;
		bit = bit_of(words, text, end);
		if (bit == 0)
			return -1;
		value = off ? value & ~bit : value | bit;
		some = true;
	}
	return some ? value : -1;
}

static void trim(const char **text, size_t *length)
{
	while (*length && isspace((unsigned char)(*text)[0]))
		(*text)++, (*length)--;
	while (*length && isspace((unsigned char)(*text)[*length - 1]))
		(*length)--;
}

int pf_knob_parse(enum pf_knob_id id, const char *text, size_t length, int64_t *out)
{
	const struct pf_knob *knob = &pf_knobs[id];
	int rc;

	trim(&text, &length);
	if (strchr(knob->unit, '|')) {
		*out = find_word(knob->unit, text, length);
		if (*out >= 0)
			return 0;
	}
	if (strchr(knob->unit, '+')) {
		*out = find_words(knob->unit, text, length, pf_knob_get(id));
		if (*out >= 0)
			return *out < knob->min ? -ERANGE : 0;
	}
	rc = pf_parse_int(text, length, out);
	if (rc < 0)
		return rc;
	return *out < knob->min || *out > knob->max ? -ERANGE : 0;
}

static void put_words(const char *words, int64_t value, char *out)
{
	size_t n = 0;

	for (; *words; value >>= 1) {
		size_t length = strcspn(words, "+");

		if ((value & 1) && n + length + 2 < PF_KNOB_TEXT) {
			if (n)
				out[n++] = ' ';
			memcpy(out + n, words, length);
			n += length;
		}
		words += length + (words[length] == '+');
	}
	out[n] = '\0';
}

const char *pf_knob_text(enum pf_knob_id id, char *out)
{
	int64_t value = pf_knob_get(id);
	const char *word = pf_knobs[id].unit;

	if (strchr(word, '+')) {
		put_words(word, value, out);
		return out;
	}
	if (!strchr(word, '|')) {
		snprintf(out, PF_KNOB_TEXT, "%lld", (long long)value);
		return out;
	}
	for (; value > 0; value--)
		word += strcspn(word, "|") + 1;
	snprintf(out, PF_KNOB_TEXT, "%.*s", (int)strcspn(word, "|"), word);
	return out;
}

int pf_knob_set(enum pf_knob_id id, const char *text, size_t length)
{
	int64_t value;
	int rc = pf_knob_parse(id, text, length, &value);

	if (rc < 0)
		return rc;
	return pf_knob_put(id, value);
}

int pf_knob_find(const char *name, size_t length)
{
	static const char prefix[] = "config/";

	for (int id = 0; id < PF_KNOB_COUNT; id++) {
		const char *path = pf_knobs[id].path;

		if (strlen(path) == length && memcmp(path, name, length) == 0)
			return id;
		if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
			continue;
		path += sizeof(prefix) - 1;
		if (strlen(path) == length && memcmp(path, name, length) == 0)
			return id;
	}
	return -ENOENT;
}

void pf_knob_env_name(enum pf_knob_id id, char *out, size_t size)
{
	static const char prefix[] = "PROFFS_";
	const char *path = pf_knobs[id].path;
	size_t n = sizeof(prefix) - 1;

	if (strncmp(path, "config/", 7) == 0)
		path += 7;
	memcpy(out, prefix, n);
	for (; *path && n + 1 < size; path++)
		out[n++] = *path == '/' ? '_' : (char)toupper((unsigned char)*path);
	out[n] = '\0';
}

/* How far to shift for a suffix, or -1. */
static int suffix_shift(const char *text, size_t length)
{
	static const char letters[] = "KMGT";
	const char *found;

	if (length == 0)
		return 0;
	found = memchr(letters, toupper((unsigned char)text[0]), sizeof(letters) - 1);
	if (!found)
		return -1;
	if (length == 1 || (length == 3 && memcmp(text + 1, "iB", 2) == 0) ||
	    (length == 2 && text[1] == 'B'))
		return 10 * (int)(found - letters + 1);
	return -1;
}

int pf_parse_int(const char *text, size_t length, int64_t *out)
{
	bool negative = false;
	bool too_big = false;
	size_t digits = 0;
	int64_t value = 0;
	int shift;

	trim(&text, &length);
	if (length && (text[0] == '-' || text[0] == '+')) {
		negative = text[0] == '-';
		text++, length--;
	}
	for (; digits < length && isdigit((unsigned char)text[digits]); digits++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text[digits] - '0', &value))
			too_big = true;
	if (digits == 0)
		return -EINVAL;
	shift = suffix_shift(text + digits, length - digits);
	if (shift < 0)
		return -EINVAL;
	if (too_big || __builtin_mul_overflow(value, 1ll << shift, &value))
		return -ERANGE;
	*out = negative ? -value : value;
	return 0;
}
