#include "base/feature.h"

#include <stddef.h>

static struct pf_feature_entry own_features[PF_FEATURE_COUNT];
struct pf_feature_entry *pf_features = own_features;

static const char *const names[] = {
#define X(id, name) name,
    PF_FEATURES(X)
#undef X
};

const char *pf_feature_name(enum pf_feature feature)
{
	return names[feature];
}

const char *pf_feature_state_name(enum pf_feature_state state)
{
	static const char *const words[] = {"off", "ok", "degraded", "unavailable"};

	return words[state];
}

void pf_feature_set(enum pf_feature feature, enum pf_feature_state state, const char *reason)
{
	struct pf_feature_entry *entry = &pf_features[feature];

	__atomic_store_n(&entry->reason, reason, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->state, state, __ATOMIC_RELEASE);
}

void pf_feature_adopt(struct pf_feature_entry *features)
{
	pf_features = features;
}
