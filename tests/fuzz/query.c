/* A name that anybody may look up: what stands behind it, and what it leads to. */
#include "fs/query.h"
#include "fs/focus.h"
#include "fs/live.h"
#include "fs/snapshot.h"
#include "fuzz.h"
#include "tests/unit/fs/fake_door.h"

#include <stdlib.h>
#include <string.h>

static struct pf_live live;

static void find(const char *directory, const char *name)
{
	const struct pf_entry *entry = *directory ? pf_tree_path(live.tree, directory)
						  : pf_tree_entry(live.tree, PF_TREE_ROOT);
	struct pf_object parent = pf_tree_object(entry);
	struct pf_object object;

	if (pf_tree_find(live.tree, &live, &parent, name, &object) == 0)
		pf_snapshot_drop(object.snapshot);
}

/* What the tree is in is a mapping of its own, which no search for leaks looks into. */
static void end(void)
{
	pf_live_finish(&live);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct pf_name name;
	char text[600];
	int64_t ns;

	if (!live.tree) {
		fake_door_reset(true);
		if (pf_live_init(&live, &fake.door) != 0)
			abort();
		atexit(end);
	}
	if (size >= sizeof(text))
		return 0;
	memcpy(text, bytes, size);
	text[size] = '\0';
	pf_query_seconds(text, size, &ns);
	if (pf_query_parse(text, &name) == 0 && name.error == 0 &&
	    (name.query.rows < 0 || name.query.seconds_ns < 0 || name.query.hz < 0))
		abort();
	if (strchr(text, '/') || !*text)
		return 0;
	find("", text);
	find("debug/pprof", text);
	find("captures", text);
	find("thread", text);
	return 0;
}
