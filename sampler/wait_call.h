/* Wait calls: the functions of libc in which a program waits, past our hooks.
 *
 * All of them take at most six numbers or addresses in registers and return one, so one type serves
 * for all: what the program passed goes on as it came, upper halves and unused registers included.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>

#define PF_LOCK_CALLS(X)                                                                           \
	X(pthread_mutex_lock)                                                                      \
	X(pthread_mutex_timedlock)                                                                 \
	X(pthread_mutex_clocklock)                                                                 \
	X(mtx_lock)                                                                                \
	X(mtx_timedlock)                                                                           \
	X(pthread_rwlock_rdlock)                                                                   \
	X(pthread_rwlock_timedrdlock)                                                              \
	X(pthread_rwlock_clockrdlock)                                                              \
	X(pthread_rwlock_wrlock)                                                                   \
	X(pthread_rwlock_timedwrlock)                                                              \
	X(pthread_rwlock_clockwrlock)                                                              \
	X(pthread_spin_lock)

#define PF_UNLOCK_CALLS(X)                                                                         \
	X(pthread_mutex_unlock)                                                                    \
	X(mtx_unlock)                                                                              \
	X(pthread_rwlock_unlock)                                                                   \
	X(pthread_spin_unlock)

/* Not hooked: they never wait. */
#define PF_TRY_CALLS(X)                                                                            \
	X(pthread_mutex_trylock)                                                                   \
	X(pthread_rwlock_tryrdlock)                                                                \
	X(pthread_rwlock_trywrlock)                                                                \
	X(pthread_spin_trylock)

#define PF_SYNC_CALLS(X)                                                                           \
	X(pthread_cond_wait)                                                                       \
	X(pthread_cond_timedwait)                                                                  \
	X(pthread_cond_clockwait)                                                                  \
	X(cnd_wait)                                                                                \
	X(cnd_timedwait)                                                                           \
	X(sem_wait)                                                                                \
	X(sem_timedwait)                                                                           \
	X(sem_clockwait)                                                                           \
	X(pthread_join)                                                                            \
	X(pthread_timedjoin_np)                                                                    \
	X(pthread_clockjoin_np)                                                                    \
	X(thrd_join)                                                                               \
	X(pthread_barrier_wait)                                                                    \
	X(pthread_once)                                                                            \
	X(call_once)

#define PF_SLEEP_CALLS(X)                                                                          \
	X(nanosleep)                                                                               \
	X(clock_nanosleep)                                                                         \
	X(usleep)                                                                                  \
	X(sleep)                                                                                   \
	X(thrd_sleep)

/* With the names that _FORTIFY_SOURCE gives them. */
#define PF_IO_CALLS(X)                                                                             \
	X(read)                                                                                    \
	X(__read_chk)                                                                              \
	X(pread)                                                                                   \
	X(__pread_chk)                                                                             \
	X(pread64)                                                                                 \
	X(__pread64_chk)                                                                           \
	X(readv)                                                                                   \
	X(preadv)                                                                                  \
	X(preadv64)                                                                                \
	X(write)                                                                                   \
	X(pwrite)                                                                                  \
	X(pwrite64)                                                                                \
	X(writev)                                                                                  \
	X(pwritev)                                                                                 \
	X(pwritev64)                                                                               \
	X(recv)                                                                                    \
	X(__recv_chk)                                                                              \
	X(recvfrom)                                                                                \
	X(__recvfrom_chk)                                                                          \
	X(recvmsg)                                                                                 \
	X(recvmmsg)                                                                                \
	X(send)                                                                                    \
	X(sendto)                                                                                  \
	X(sendmsg)                                                                                 \
	X(sendmmsg)                                                                                \
	X(sendfile)                                                                                \
	X(sendfile64)                                                                              \
	X(splice)                                                                                  \
	X(accept)                                                                                  \
	X(accept4)                                                                                 \
	X(connect)                                                                                 \
	X(poll)                                                                                    \
	X(__poll_chk)                                                                              \
	X(ppoll)                                                                                   \
	X(__ppoll_chk)                                                                             \
	X(select)                                                                                  \
	X(pselect)                                                                                 \
	X(epoll_wait)                                                                              \
	X(epoll_pwait)                                                                             \
	X(epoll_pwait2)                                                                            \
	X(fsync)                                                                                   \
	X(fdatasync)

#define PF_WAIT_CALLS(X)                                                                           \
	PF_LOCK_CALLS(X)                                                                           \
	PF_TRY_CALLS(X)                                                                            \
	PF_UNLOCK_CALLS(X)                                                                         \
	PF_SYNC_CALLS(X)                                                                           \
	PF_SLEEP_CALLS(X)                                                                          \
	PF_IO_CALLS(X)                                                                             \
	X(syscall)

enum pf_wait_call {
#define X(name) PF_CALL_##name,
	PF_WAIT_CALLS(X)
#undef X
	    PF_CALL_COUNT
};

#define PF_CALL_PARAMS long a, long b, long c, long d, long e, long f
#define PF_CALL_ARGS   a, b, c, d, e, f

typedef long pf_wait_call_fn(PF_CALL_PARAMS);

extern PF_HIDDEN void *pf_wait_calls[PF_CALL_COUNT];
/* All that take or release a lock are one library's: a library in front of libc may know of some of them only. */
extern PF_HIDDEN bool pf_wait_call_may_try;

/* PF_HOOK: pf_real_pthread_mutex_lock(a, b, c, d, e, f) ... Not before pf_wait_call_resolve(). */
#define X(name) long pf_real_##name(PF_CALL_PARAMS);
PF_WAIT_CALLS(X)
#undef X

/* syscall() has one argument more. PF_HOOK. */
long pf_real_syscall_of(const long args[7]);

/* The same in a hook that ends in it (see PF_REAL_CALL in real.h): in functions named pf_real_*. */
#define PF_WAIT_CALL(name) ((pf_wait_call_fn *)pf_wait_calls[PF_CALL_##name])(PF_CALL_ARGS)

/* Looks every one of them up, once. Passes the gate; never in a hook. */
void pf_wait_call_resolve(void);
