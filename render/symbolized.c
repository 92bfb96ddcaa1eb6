/* Symbolized: a profile for google-pprof with its names in front, so that it needs no program.
 *
 *     --- symbol
 *     binary=/opt/shop/server
 *     0x0000000000401011 main--inlined--inlined further      outermost first
 *     ---
 *     --- profile, and render/binary.c's bytes; or render/legacy.c's text
 *
 * Names are looked up by the addresses as they stand in what follows.
 */
#include "base/buf.h"
#include "base/memory.h"
#include "base/sort.h"
#include "render/frame.h"
#include "render/legacy.h"
#include "render/render.h"
#include "render/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* An address as it is written, and as it is looked up. */
struct written {
	uint64_t address, lookup;
};

static int by_address(const void *a, const void *b)
{
	const struct written *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* "--" joins inlined functions; operator-- must not be two of them. */
static void add_name(struct pf_buf *out, const char *name)
{
	size_t start = out->length;
	PF_SCOPED(pf_buf) plain = PF_BUF_INIT;
	const char *at, *pair;

	pf_utf8_add_plain(&plain, name);
	at = pf_buf_text(&plain);
	while ((pair = strstr(at, "--"))) {
		pf_buf_add(out, at, (size_t)(pair + 1 - at));
		pf_buf_char(out, ' ');
		at = pair + 1;
	}
	pf_buf_str(out, at);
	if (out->length == start)
		pf_buf_char(out, '?');
}

static void add_line(struct pf_buf *out, const struct pf_frames *frames, const struct written *w)
{
	uint32_t count;
	const uint32_t *ids = pf_frames_at(frames, w->lookup, &count);

	pf_buf_printf(out, "0x%016" PRIx64 " ", w->address);
	for (uint32_t i = count; i-- > 0;) {
		add_name(out, frames->items[ids[i]].function);
		pf_buf_str(out, i ? "--" : "");
	}
	pf_buf_char(out, '\n');
}

/* The addresses of a sample as they are written: how many. */
static size_t add_sample(
    struct written *to, const struct pf_profile *in, const struct pf_sample *s, bool binary)
{
	size_t count = 0;

	for (uint32_t k = 0; k < s->pc_count; k++) {
		uint64_t lookup = in->pcs[s->pc_first + k];
		uint32_t spellings = binary && k == 1 ? PF_BINARY_SPELLINGS : 1;

		for (uint32_t i = 0; i < spellings; i++)
			to[count++] = (struct written){
			    binary ? pf_binary_address(in, s, k, i) : lookup + 1, lookup};
	}
	return count;
}

static int add_names(struct pf_buf *out, const struct pf_profile *in, bool binary)
{
	struct written *all;
	struct pf_frames frames;
	size_t count = 0, room = 1;
	int rc = pf_frames_init(&frames, in);

	for (size_t i = 0; i < in->sample_count; i++)
		room += in->samples[i].pc_count + PF_BINARY_SPELLINGS - 1;
	all = pf_memory_new(room, sizeof(*all));
	if (!all)
		rc = -ENOMEM;
	for (size_t i = 0; i < in->sample_count && rc == 0; i++)
		count += add_sample(all + count, in, &in->samples[i], binary);
	if (count)
		pf_sort(all, count, sizeof(*all), by_address);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || all[i].address != all[i - 1].address)
			add_line(out, &frames, &all[i]);
	pf_frames_finish(&frames);
	pf_memory_free(all);
	return rc;
}

void pf_render_symbolized(
    struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	bool binary = pf_legacy_is_count(in);
	int rc;

	pf_buf_str(out, "--- symbol\nbinary=");
	pf_utf8_add_plain(out, in->mapping_count ? in->mappings[0].path : "?");
	pf_buf_char(out, '\n');
	rc = add_names(out, in, binary);
	if (rc < 0)
		pf_buf_fail(out, rc);
	pf_buf_str(out, binary ? "---\n--- profile\n" : "---\n");
	(binary ? pf_render_binary : pf_render_legacy)(out, in, query);
}
