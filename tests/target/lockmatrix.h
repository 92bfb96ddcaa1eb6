/* What the parts of lockmatrix.c share. */
#pragma once
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

struct timespec in_ms(clockid_t clock, long ms);
void sleep_ms(long ms);

/* One line of the output: what was called, what came of it, errno. */
void say(const char *what, int rc);
#define SAY(call) (errno = 77, say(#call, call))

/* Of a call that says -1: its errno. */
static inline int result(int rc)
{
	return rc == 0 ? 0 : errno;
}

extern pthread_mutex_t *m; /* the one at hand; in shared memory */
extern sem_t held, let_go; /* another thread holds *m, until told */
pthread_t start_holder(const char *how);

/* lockmatrix_wait.c */
extern pthread_mutex_t cm;
extern pthread_cond_t c;
int cond_clocked(long ms); /* a wait for `c` with `cm`, which the caller holds */
int sem_timed(sem_t *s, long ms);
void try_rwlocks(void);
void try_conditions(void);
void try_semaphores(void);
void try_meetings(void);
void try_c11(void);

/* lockmatrix_leave.c */
void try_side_doors(void);
void try_fork(void);
void try_syscalls(void);
