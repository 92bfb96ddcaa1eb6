/* The hooks behind C++'s throw (see throw_hook.c), switched by throw.c. */
#pragma once

int pf_throw_hook_on(void); /* 0 or -errno */
void pf_throw_hook_off(void);
