/* Numbers, as key value lines, JSON, and in the two text forms that Prometheus reads. */
#include "base/buf.h"
#include "render/render.h"

#include <string.h>

/* As many digits behind the point as `per` has zeroes, less those that are 0 at the end. */
static void put_value(struct pf_buf *out, const struct pf_number *n)
{
	uint64_t value = n->value < 0 ? -(uint64_t)n->value : (uint64_t)n->value;
	uint64_t per = (uint64_t)n->per, rest = value % per;

	pf_buf_printf(out, "%s%llu", n->value < 0 ? "-" : "", (unsigned long long)(value / per));
	if (rest == 0)
		return;
	pf_buf_char(out, '.');
	while (rest) {
		rest *= 10;
		pf_buf_char(out, (char)('0' + rest / per));
		rest %= per;
	}
}

void pf_render_numbers_text(struct pf_buf *out, const struct pf_numbers *in)
{
	for (size_t i = 0; i < in->count; i++) {
		const struct pf_number *n = &in->at[i];

		if (!n->key)
			continue;
		pf_buf_printf(out, "%s ", n->key);
		if (*n->text)
			pf_buf_plain(out, n->text);
		else
			put_value(out, n);
		pf_buf_char(out, '\n');
	}
	if (in->error)
		pf_buf_fail(out, in->error);
}

/* JSON and Prometheus escape alike what we have. */
static void put_quoted(struct pf_buf *out, const char *text)
{
	pf_buf_char(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			pf_buf_char(out, '\\');
		pf_buf_char(out, (unsigned char)*text < ' ' ? '?' : *text);
	}
	pf_buf_char(out, '"');
}

void pf_render_numbers_json(struct pf_buf *out, const struct pf_numbers *in)
{
	const char *between = "{\n";

	for (size_t i = 0; i < in->count; i++) {
		const struct pf_number *n = &in->at[i];

		if (!n->key)
			continue;
		pf_buf_str(out, between);
		between = ",\n";
		put_quoted(out, n->key);
		pf_buf_str(out, ": ");
		if (*n->text)
			put_quoted(out, n->text);
		else
			put_value(out, n);
	}
	pf_buf_str(out, in->count ? "\n}\n" : "{}\n");
	if (in->error)
		pf_buf_fail(out, in->error);
}

/* ---- Prometheus ---- */

/* Before the first of a family. A counter is called with _total; OpenMetrics names its family
 * without, and knows units, which are the end of a name. */
static void put_family(struct pf_buf *out, const struct pf_number *n, bool open)
{
	int length = (int)strlen(n->metric);

	if (open && n->counter)
		length -= (int)strlen("_total");
	pf_buf_printf(out, "# HELP %.*s %s\n", length, n->metric, n->help);
	pf_buf_printf(out, "# TYPE %.*s %s\n", length, n->metric, n->counter ? "counter" : "gauge");
	if (open && n->unit)
		pf_buf_printf(out, "# UNIT %.*s %s\n", length, n->metric, n->unit);
}

static bool is_first(const struct pf_numbers *in, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (in->at[i].metric && strcmp(in->at[i].metric, in->at[at].metric) == 0)
			return false;
	return true;
}

static void put_metric(struct pf_buf *out, const struct pf_number *n)
{
	pf_buf_str(out, n->metric);
	if (n->label) {
		pf_buf_printf(out, "{%s=", n->label);
		put_quoted(out, n->label_value);
		pf_buf_char(out, '}');
	}
	pf_buf_char(out, ' ');
	put_value(out, n);
	pf_buf_char(out, '\n');
}

/* All of a family stand together, wherever they are in the list. */
static void put_metrics(struct pf_buf *out, const struct pf_numbers *in, bool open)
{
	for (size_t i = 0; i < in->count; i++) {
		const struct pf_number *n = &in->at[i];

		if (!n->metric || *n->text || !is_first(in, i))
			continue;
		put_family(out, n, open);
		for (size_t k = i; k < in->count; k++)
			if (in->at[k].metric && strcmp(in->at[k].metric, n->metric) == 0)
				put_metric(out, &in->at[k]);
	}
	if (in->error)
		pf_buf_fail(out, in->error);
}

void pf_render_numbers_prometheus(struct pf_buf *out, const struct pf_numbers *in)
{
	put_metrics(out, in, false);
}

void pf_render_numbers_openmetrics(struct pf_buf *out, const struct pf_numbers *in)
{
	put_metrics(out, in, true);
	pf_buf_str(out, "# EOF\n");
}
