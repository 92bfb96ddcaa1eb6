/* Buildinfo: which builds these are, for whoever keeps a profile and looks for its symbols later. */
#pragma once
#include "fs/table.h"

/* A row of fs/table.c. */
pf_show_fn pf_buildinfo_show;
