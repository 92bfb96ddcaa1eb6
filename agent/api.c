/* The public functions (include/proffs/proffs.h). Merely linked, nothing of this runs. */
#include "agent/agent.h"
#include "agent/stderr.h"
#include "proffs/proffs.h"
#include "sampler/custom.h"
#include "sampler/release.h"
#include "sampler/sampler.h"

#include <errno.h>

PF_PUBLIC int proffs_start(const struct proffs_options *options)
{
	struct pf_option option;
	int rc = pf_option_from_api(&option, options);
	const char *obstacle = rc == 0 ? pf_sampler_obstacle() : NULL;

	if (obstacle) {
		pf_stderr_say("proffs: no tree: ", obstacle, "; the program runs unwatched\n");
		rc = -EOPNOTSUPP;
	}
	if (rc == 0)
		rc = pf_agent_start(&option);
	return rc == 0 ? pf_agent_wait_ready() : rc;
}

PF_PUBLIC int proffs_stop(void)
{
	return pf_agent_stop();
}

PF_PUBLIC const char *proffs_path(void)
{
	return pf_agent_path();
}

PF_PUBLIC int proffs_label_set(const char *key, const char *value)
{
	return pf_label_set(key, value);
}

PF_PUBLIC int proffs_label_clear(const char *key)
{
	return pf_label_clear(key);
}

PF_PUBLIC int proffs_profile_new(struct proffs_profile **profile, const char *name)
{
	pf_sampler_init();
	return pf_custom_new(profile, name);
}

/* In our section: a stack begins with who called this. */
PF_PUBLIC PF_HOOK int proffs_profile_add(struct proffs_profile *profile, const void *key)
{
	return pf_custom_add(profile, key);
}

PF_PUBLIC int proffs_profile_remove(struct proffs_profile *profile, const void *key)
{
	return pf_custom_remove(profile, key);
}

PF_PUBLIC void proffs_on_gc(void (*collect)(void))
{
	pf_release_on_gc(collect);
}

PF_PUBLIC const char *proffs_version(void)
{
	return PF_VERSION;
}
