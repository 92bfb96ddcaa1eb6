#include "render/page.h"
#include "render/render.h"
#include "render/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/page.inc"

/* ---- pages ---- */

struct part {
	const unsigned char *at;
	size_t length;
};

static const struct {
	struct part head, body, tail;
} pages[] = {
#define PART(name)                                                                                 \
	{                                                                                          \
		name, sizeof(name)                                                                 \
	}
    [PF_PAGE_FLAME] = {PART(flame_head), PART(flame_body), PART(flame_tail)},
    [PF_PAGE_CHARTS] = {PART(charts_head), PART(charts_body), PART(charts_tail)},
    [PF_PAGE_LANDING] = {PART(landing_head), PART(landing_body), PART(landing_tail)},
};

void pf_page_open(struct pf_buf *out, enum pf_page page, const char *title)
{
	pf_buf_add(out, pages[page].head.at, pages[page].head.length);
	pf_page_text(out, title);
	pf_buf_add(out, pages[page].body.at, pages[page].body.length);
}

void pf_page_close(struct pf_buf *out, enum pf_page page)
{
	pf_buf_add(out, pages[page].tail.at, pages[page].tail.length);
}

/* ---- text ---- */

/* U+FFFE and U+FFFF, U+2028 and U+2029: three bytes that XML forbids, or that end a line in
 * JavaScript. */
static bool is_awkward(const char *at)
{
	return (memcmp(at, "\xef\xbf", 2) == 0 && (unsigned char)at[2] >= 0xbe) ||
	       memcmp(at, "\xe2\x80\xa8", 3) == 0 || memcmp(at, "\xe2\x80\xa9", 3) == 0;
}

/* Appends `text`, valid and without control characters, each special byte as `escape` says. */
static void add_escaped(
    struct pf_buf *out, const char *text, const char *special, const char *const *escape)
{
	struct pf_buf clean = PF_BUF_INIT;
	const char *at, *good, *end, *found;

	pf_utf8_add_plain(&clean, text);
	pf_buf_fail(out, clean.error);
	good = at = pf_buf_text(&clean);
	end = at + clean.length;
	for (; at < end; at++) {
		found = strchr(special, *at);
		if (!found && !(end - at >= 3 && is_awkward(at)))
			continue;
		pf_buf_add(out, good, (size_t)(at - good));
		pf_buf_str(out, found ? escape[found - special] : "\xef\xbf\xbd");
		at += found ? 0 : 2;
		good = at + 1;
	}
	pf_buf_add(out, good, (size_t)(end - good));
	pf_buf_finish(&clean);
}

void pf_page_text(struct pf_buf *out, const char *text)
{
	static const char *const escape[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"};

	add_escaped(out, text, "<>&\"'", escape);
}

/* '<' ends or opens a script, '&' is for those who paste it elsewhere. */
void pf_page_string(struct pf_buf *out, const char *text)
{
	static const char *const escape[] = {
	    "\\u003c", "\\u003e", "\\u0026", "\\\"", "\\u0027", "\\\\"};

	pf_buf_char(out, '"');
	add_escaped(out, text, "<>&\"'\\", escape);
	pf_buf_char(out, '"');
}

void pf_page_lines(struct pf_buf *out, const char *from, size_t length)
{
	char line[1024];
	size_t n = 0;

	for (size_t i = 0; i <= length; i++) {
		bool ends = i == length || from[i] == '\n';

		if (ends || n + 1 == sizeof(line)) {
			line[n] = '\0';
			pf_page_text(out, line);
			n = 0;
		}
		if (i < length && from[i] == '\n')
			pf_buf_char(out, '\n');
		else if (i < length)
			line[n++] = (char)(from[i] == '\0' || from[i] == '\t' ? ' ' : from[i]);
	}
}

void pf_page_plain(struct pf_buf *out, const char *title, const char *from, size_t length)
{
	pf_buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
			"<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
	pf_page_text(out, title);
	pf_buf_str(out, "</title>\n</head>\n<body>\n<pre>");
	pf_page_lines(out, from, length);
	pf_buf_str(out, "</pre>\n</body>\n</html>\n");
}

/* ---- values ---- */

struct scale {
	double from;
	double divide;
	const char *name;
};

static void add_scaled(struct pf_buf *out, double value, const struct scale *scale)
{
	double size = value < 0 ? -value : value;

	while (size < scale->from)
		scale++;
	value /= scale->divide;
	size /= scale->divide;
	pf_buf_printf(out, "%.*f %s",
	    scale->divide <= 1 ? 0
	    : size < 10        ? 2
	    : size < 100       ? 1
			       : 0,
	    value, scale->name);
}

static void add_grouped(struct pf_buf *out, int64_t value)
{
	char digits[24];
	int length = snprintf(
	    digits, sizeof(digits), "%" PRIu64, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);

	pf_buf_str(out, value < 0 ? "-" : "");
	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			pf_buf_char(out, ',');
		pf_buf_char(out, digits[i]);
	}
}

void pf_page_value(struct pf_buf *out, const char *unit, int64_t value)
{
	static const struct scale times[] = {
	    {1e9, 1e9, "s"}, {1e6, 1e6, "ms"}, {1e3, 1e3, "\xc2\xb5s"}, {0, 1, "ns"}};
	static const struct scale sizes[] = {{1099511627776.0, 1099511627776.0, "TiB"},
	    {1073741824.0, 1073741824.0, "GiB"}, {1048576.0, 1048576.0, "MiB"},
	    {1024.0, 1024.0, "KiB"}, {0, 1, "B"}};

	if (strcmp(unit, "nanoseconds") == 0) {
		add_scaled(out, (double)value, times);
	} else if (strcmp(unit, "bytes") == 0) {
		add_scaled(out, (double)value, sizes);
	} else {
		add_grouped(out, value);
		if (*unit && strcmp(unit, "count") != 0) {
			pf_buf_char(out, ' ');
			pf_buf_str(out, unit);
		}
	}
}

/* ---- names in little room ---- */

/* Bytes of the first `width` letters of valid UTF-8. */
static size_t letters(const char *text, size_t width)
{
	size_t at = 0;

	while (text[at] && width--)
		do
			at++;
		while ((text[at] & 0xc0) == 0x80);
	return at;
}

static bool fits(const char *text, size_t width)
{
	return text[letters(text, width)] == '\0';
}

/* The letters of an operator's name that are no bracket, behind "operator". */
static size_t operator_letters(const char *name, const char *at)
{
	static const char *const operators[] = {
	    "<=>", "<<=", ">>=", "->*", "->", "<<", ">>", "<=", ">=", "<", ">"};

	if (at - name < 8 || memcmp(at - 8, "operator", 8) != 0)
		return 0;
	for (size_t i = 0; i < PF_COUNT(operators); i++)
		if (strncmp(at, operators[i], strlen(operators[i])) == 0)
			return strlen(operators[i]);
	return 0;
}

/* "a<b<c>>::d" becomes "a<>::d". */
static void drop_arguments(struct pf_buf *out, const char *name)
{
	int depth = 0;

	for (const char *at = name; *at; at++) {
		size_t letters_of_it = depth == 0 ? operator_letters(name, at) : 0;

		if (letters_of_it) {
			pf_buf_add(out, at, letters_of_it);
			at += letters_of_it - 1;
			continue;
		}
		if (*at == '>' && depth > 0)
			depth--;
		if (depth == 0)
			pf_buf_char(out, *at);
		if (*at == '<')
			depth++;
	}
	if (depth) { /* not what it seemed */
		pf_buf_clear(out);
		pf_buf_str(out, name);
	}
}

void pf_page_clip(struct pf_buf *out, const char *name, size_t width)
{
	PF_SCOPED(pf_buf) clean = PF_BUF_INIT;
	PF_SCOPED(pf_buf) brief = PF_BUF_INIT;
	const char *at, *next;

	if (width < 3)
		return;
	pf_utf8_add_plain(&clean, name);
	at = pf_buf_text(&clean);
	if (!fits(at, width)) {
		drop_arguments(&brief, at);
		at = pf_buf_text(&brief);
	}
	pf_buf_fail(out, clean.error ? clean.error : brief.error);
	while (!fits(at, width) && (next = strstr(at, "::")) && next[2])
		at = next + 2;
	if (fits(at, width)) {
		pf_buf_str(out, at);
		return;
	}
	pf_buf_add(out, at, letters(at, width - 1));
	pf_buf_str(out, "\xe2\x80\xa6");
}
