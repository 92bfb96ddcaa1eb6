/* What is written into the tree: the first byte chooses the file, the rest is the value. */
#include "fs/control.h"
#include "fs/live.h"
#include "fs/symbol.h"
#include "fuzz.h"
#include "tests/unit/fs/fake_door.h"

#include <stdlib.h>
#include <string.h>

static struct pf_live live;
static const struct pf_entry *controls[256];
static size_t control_count;

/* All but those that start a capture or keep a snapshot: these take time and threads. */
static bool is_quick(const struct pf_entry *e)
{
	return e->kind == PF_KIND_CONTROL && strcmp(e->name, "seconds") != 0 &&
	       strcmp(e->name, "profile_seconds") != 0 && strcmp(e->name, "snapshot") != 0;
}

/* What the tree is in is a mapping of its own, which no search for leaks looks into. */
static void end(void)
{
	pf_live_finish(&live);
}

static void begin(void)
{
	fake_door_reset(true);
	if (pf_live_init(&live, &fake.door) != 0)
		abort();
	atexit(end);
	for (size_t i = 0; i < live.tree->count && control_count < PF_COUNT(controls); i++)
		if (is_quick(&live.tree->entries[i]))
			controls[control_count++] = &live.tree->entries[i];
	if (control_count == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const struct pf_entry *e;

	if (control_count == 0)
		begin();
	if (size == 0)
		return 0;
	e = controls[bytes[0] % control_count];
	pf_control_write(&live, e, (const char *)bytes + 1, size - 1, NULL);
	/* What is asked of debug/pprof/symbol. */
	pf_symbol_ask(&live, (const char *)bytes, size, &out);
	e->show(&out, &live, e->arg);
	pf_error_log_show(&out, &live, 0);
	/* What is shown to a terminal has nothing for it to obey. */
	for (size_t i = 0; i < out.length; i++)
		if ((unsigned char)out.at[i] < ' ' && out.at[i] != '\n' && out.at[i] != '\t')
			abort();
	return 0;
}
