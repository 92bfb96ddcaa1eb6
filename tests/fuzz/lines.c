/* The first half asks proffs-lines' side, the second half answers the other side. */
#include "render/lines.h"
#include "base/buf.h"
#include "base/profile.h"
#include "fuzz.h"
#include "render/render.h"

#include <stdlib.h>

static const uint8_t *answer_bytes;
static size_t answer_size;

static int answer_so(void *unused, const struct pf_buf *asked, struct pf_buf *answer)
{
	pf_buf_add(answer, answer_bytes, answer_size);
	return 0;
}

static void take_lines(void)
{
	static const uint64_t stack[] = {0x7020, 0x1210, 0x1110};
	struct pf_lines *lines = pf_lines_create(answer_so, NULL);
	PF_SCOPED(pf_profile) in = {0};
	struct pf_profile out;
	PF_SCOPED(pf_buf) text = PF_BUF_INIT;

	if (!lines)
		abort();
	pf_profile_init(&in);
	pf_profile_add_type(&in, "samples", "count");
	pf_profile_add_mapping(&in, 0x1000, 0x2000, 0, "/bin/x", "ab");
	pf_profile_add_mapping(&in, 0x7000, 0x8000, 0, "/lib/y", "");
	pf_profile_add_sample(&in, stack, 3, (const int64_t[]){1});
	pf_profile_set_locations(&in);
	for (size_t i = 0; i < in.location_count; i++)
		pf_profile_add_line(&in, &in.locations[i], "f", "f", "", 0, 0);
	if (pf_lines_take(lines, &in, &out) != 0)
		abort();
	pf_render_text(&text, &out, &(struct pf_query){.lines = true});
	pf_lines_finish(&out);
	pf_lines_destroy(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	PF_SCOPED(pf_buf) asked = PF_BUF_INIT;
	PF_SCOPED(pf_buf) answer = PF_BUF_INIT;

	/* Paths are the asker's, who is the watched program: here they lead nowhere. */
	pf_buf_add(&asked, "/nowhere\0m\0/nowhere", 20);
	pf_buf_add(&asked, bytes, size / 2);
	for (size_t i = 20; i < asked.length; i++)
		if (asked.at[i] == '/')
			asked.at[i] = '.';
	pf_lines_ask_here(NULL, &asked, &answer);
	answer_bytes = bytes + size / 2;
	answer_size = size - size / 2;
	take_lines();
	return 0;
}
