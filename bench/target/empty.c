/* A library that holds nothing: what any preload costs (spawn.c). */
int bench_empty;
