/* The hooks behind pthread_create and thrd_create (see threadcreate_hook.c), for patches and
 * tests. Started and stopped by pf_thread_start/stop in thread.h. */
#pragma once
#include <pthread.h>
#include <threads.h>

int pf_threadcreate_pthread(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int pf_threadcreate_thrd(thrd_t *thread, thrd_start_t start, void *argument);
