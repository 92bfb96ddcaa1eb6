#include "sampler/threadname_hook.h"
#include "base/mark.h"
#include "sampler/filter_hook.h"
#include "sampler/patch.h"
#include "sampler/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/prctl.h>

/* Whoever reads it meanwhile sees a torn name, which only looks odd. */
static PF_HOOK void note(const char *name)
{
	struct pf_thread *self = pf_thread_self;
	bool ended = false;

	for (int i = 0; self && i < PF_THREAD_NAME; i++) {
		ended = ended || i == PF_THREAD_NAME - 1 || name[i] == '\0';
		((volatile char *)self->name)[i] = ended ? '\0' : name[i];
	}
}

static PF_HOOK int set_name(pthread_t thread, const char *name)
{
	int rc = pthread_setname_np(thread, name);

	if (rc == 0 && thread == pthread_self())
		note(name);
	return rc;
}

PF_HOOK int pf_threadname_prctl(int option, long a, long b, long c, long d)
{
	int rc = prctl(option, a, b, c, d);

	if (rc == 0 && option == PR_SET_NAME)
		note((const char *)a);
	return rc;
}

/* Our own slots are never patched, so these are the functions behind the hooks. */
static void *real_pthread_setname_np = (void *)pthread_setname_np;

static const struct pf_patch patches[] = {
    {"pthread_setname_np", (void *)set_name, &real_pthread_setname_np, NULL},
};

static struct pf_patch_set set = {.patches = patches, .count = PF_COUNT(patches)};

int pf_threadname_start(void)
{
	int rc = pf_filter_hook_names(true);

	return rc < 0 ? rc : pf_patch_on(&set);
}

void pf_threadname_stop(void)
{
	pf_patch_off(&set);
	pf_filter_hook_names(false);
}
