#include "fs/symbol.h"
#include "base/buf.h"
#include "fs/live.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char head[] = "num_symbols: 1\n";

void pf_symbol_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	pf_buf_str(out, head);
}

/* The next number of "0x1f+0x20", any white space between them too: 1, 0 at the end, -EINVAL. */
static int next_address(const char **text, const char *end, uint64_t *out)
{
	const char *at = *text;
	int digits = 0;

	while (at < end && (*at == '+' || isspace((unsigned char)*at)))
		at++;
	if (at == end)
		return 0;
	if (end - at < 3 || at[0] != '0' || (at[1] != 'x' && at[1] != 'X'))
		return -EINVAL;
	*out = 0;
	for (at += 2; at < end && isxdigit((unsigned char)*at); at++, digits++) {
		int c = tolower((unsigned char)*at);

		if (*out >> 60)
			return -EINVAL; /* more than 64 bits; zeroes in front are fine */
		*out = *out << 4 | (uint64_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	*text = at;
	return digits ? 1 : -EINVAL;
}

/* Each address as a stack of its own. */
static int take_addresses(struct pf_profile *p, const char *text, size_t length)
{
	const char *end = text + length;
	uint64_t address;
	int rc;

	while ((rc = next_address(&text, end, &address)) > 0)
		pf_profile_add_sample(p, &address, 1, (const int64_t[]){1});
	if (p->error)
		return p->error;
	/* The last one may be cut where the kernel cut the write: more is coming. */
	if (rc < 0 && p->sample_count && end - text < 20 &&
	    !memchr(text + 1, '+', (size_t)(end - text - 1)))
		rc = 0;
	return rc == 0 && p->sample_count == 0 ? -EINVAL : rc;
}

/* Its name, from the outermost frame: the function that has the address. */
static void say(struct pf_buf *out, const struct pf_profile *p, uint64_t address)
{
	const struct pf_location *l = pf_profile_location(p, address);
	const char *name =
	    l && l->line_count ? p->lines[l->line_first + l->line_count - 1].function : "[";

	if (name[0] == '[' || pf_pc_marker_name(address))
		return;
	pf_buf_printf(out, "%#" PRIx64 "\t", address);
	pf_buf_plain(out, name);
	pf_buf_char(out, '\n');
}

int pf_symbol_ask(struct pf_live *live, const char *text, size_t length, struct pf_buf *out)
{
	PF_SCOPED(pf_profile) p = {0};
	int rc;

	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	rc = take_addresses(&p, text, length);
	if (rc == 0 && live->door->mappings)
		rc = live->door->mappings(&p);
	if (rc < 0)
		return rc;
	pf_live_resolve(live, &p);
	pf_buf_str(out, head);
	for (size_t i = 0; i < p.sample_count; i++)
		say(out, &p, p.pcs[p.samples[i].pc_first]);
	return p.error;
}
