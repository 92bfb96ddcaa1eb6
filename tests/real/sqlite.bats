# The sqlite3 shell: the same rows, and the profiles name what it did.
load real

@test "sqlite3 fills, indexes and searches a table" {
	cat >work.sql <<-'END'
		CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600000)
			INSERT INTO t SELECT i, printf('%08d', (i * 7919) % 100003) FROM n;
		CREATE INDEX tb ON t(b);
		SELECT count(*), min(b), max(b), sum(a) FROM t WHERE b LIKE '%7%';
		SELECT substr(b, 1, 5), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10;
		SELECT nonsense FROM t;
	END
	INPUT=work.sql same sqlite3 :memory:
	is "$STATUS" 1
	cmp plain.err "$ERR"
	most dump/cpu.folded 60 sqlite3_step sqlite3VdbeExec
	most dump/allocs.folded 60 sqlite3_step
}
