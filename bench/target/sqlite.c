/* sqlite as a workload: rows into a table in memory, an index, a question, and all of it dropped, TIMES times.
 * Usage: sqlite TIMES ROWS */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *sqlite_database;
static int (*sqlite_exec)(void *, const char *, void *, void *, char **);
static char sqlite_text[512];

static void sqlite_start(unsigned rows)
{
	void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
	int (*open_database)(const char *, void **);

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	open_database = (int (*)(const char *, void **))dlsym(library, "sqlite3_open");
	sqlite_exec =
	    (int (*)(void *, const char *, void *, void *, char **))dlsym(library, "sqlite3_exec");
	snprintf(sqlite_text, sizeof(sqlite_text),
	    "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c TEXT);"
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
	    " INSERT INTO t SELECT i, 'name ' || (i * 7919 %% 10007), hex(i * i) FROM n;"
	    "CREATE INDEX tb ON t(b);"
	    "SELECT count(*) FROM (SELECT b, group_concat(c) FROM t GROUP BY b);"
	    "DROP TABLE t;",
	    rows);
	if (open_database(":memory:", &sqlite_database) != 0)
		exit(1);
}

static void sqlite_work(void)
{
	if (sqlite_exec(sqlite_database, sqlite_text, NULL, NULL, NULL) != 0)
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	sqlite_start((unsigned)atoi(argv[2]));
	for (int i = 0; i < atoi(argv[1]); i++)
		sqlite_work();
	return 0;
}
