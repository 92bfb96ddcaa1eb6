# PostgreSQL as its own user: a fork for every connection, shared memory, signals as its language.
load real

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)

# In a mount table of its own, where every user may open /dev/fuse, as udev makes it on Debian, and what
# we built is where every user may come.
enter_world() {
	unshare -m --propagation private sleep infinity 3>&- &
	WORLD=$!
	STARTED+=("$WORLD")
	wait_until 10 eval '[ "$(readlink /proc/$WORLD/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ]'
	nsenter -m -t "$WORLD" sh -euc '
		mount -t tmpfs -o mode=755 device /mnt
		mknod -m 666 /mnt/fuse c 10 229
		mount --bind /mnt/fuse /dev/fuse
		mkdir /mnt/build
		mount --bind "$1" /mnt/build' sh "$BUILD"
	PROFFS=/mnt/build/proffs
}

postgres=(setpriv --reuid postgres --regid postgres --clear-groups)
as_postgres() { nsenter -m -t "$WORLD" --wdns="$PWD" "${postgres[@]}" env HOME="$PWD" "$@"; }

# server CMD...: in the background; $PID is the server itself.
server() {
	(exec nsenter -m -t "$WORLD" --wdns="$PWD" "${postgres[@]}" "$@" </dev/null >log 2>&1 3>&-) &
	PID=$!
	STARTED+=("$PID")
	wait_until 30 ready
}

no_tree_left() { ! nsenter -m -t "$WORLD" grep -q trees- /proc/self/mountinfo; }

prepare() {
	[ "$(id -u)" -eq 0 ] || skip "only root can become postgres"
	enter_world
	# Its user must be able to come here; who owns what is on the way is no matter.
	for ((dir = 1; dir < 4; dir++)); do
		chmod o+x "$(realpath "$BATS_TEST_TMPDIR/$(printf '../%.0s' $(seq $((dir - 1))))")"
	done
	install -d -o postgres -m 700 data
	cd data
	as_postgres "$bin/initdb" -D db -A trust --no-sync --locale=C -E UTF8 >/dev/null 2>&1
	cat >>db/postgresql.conf <<-END
		listen_addresses = ''
		unix_socket_directories = '$PWD'
		fsync = off
		shared_buffers = 16MB
		max_parallel_workers_per_gather = 2
		parallel_setup_cost = 0
		parallel_tuple_cost = 0
		min_parallel_table_scan_size = 0
	END
}

sql() { as_postgres "$bin/psql" -X -q -A -t -h "$PWD" postgres "$@"; }
ready() { sql -c 'select 1'; }

work() {
	sql <<-'END' 2>&1
		set client_min_messages = error;
		drop table if exists t;
		create table t as select i as a, md5(i::text) as b from generate_series(1, 60000) i;
		create index on t(b);
		analyze t;
		select count(*), min(b), max(b), sum(a) from t where b like '%7f%';
		select left(b, 1), count(*), sum(length(b)) from t group by 1 order by 1;
		select count(*) from t x join t y on x.b = y.b;
		select 1 / 0;
		set statement_timeout = 50;
		select pg_sleep(10);
	END
	as_postgres "$bin/pgbench" -h "$PWD" -i -q -s 1 postgres >/dev/null 2>&1
	as_postgres "$bin/pgbench" -h "$PWD" -n -c 4 -j 2 -t 100 -C postgres 2>&1 |
		sed -n 's/^number of \(transactions actually.*\|failed.*\)/\1/p'
	sql -c 'select count(*), sum(tbalance) is not null from pgbench_accounts, pgbench_tellers where tid = aid'
}

@test "postgres under pgbench, a connection a transaction: the same rows, every backend has its tree" {
	prepare
	server "$bin/postgres" -D db
	work >plain.out
	tree_stop INT
	PLAIN_STATUS=$STATUS

	server "$PROFFS" run "${FAST[@]}" -m "$PWD/trees-%p" -- "$bin/postgres" -D db
	work >watched.out
	diff plain.out watched.out
	cmp plain.out watched.out
	# One backend in the middle of a query that does not end by itself.
	sql -c 'select sum(length(repeat(j::text, 3))) from generate_series(1, 1000000) i, generate_series(i, i + 10000) j' >/dev/null 2>&1 3>&- &
	client=$!
	STARTED+=("$client")
	backend() { sql -c "select pid from pg_stat_activity where query like 'select sum(length%' and backend_type = 'client backend'"; }
	wait_until 10 eval '[ -n "$(backend)" ]'
	pid=$(backend)
	wait_until 10 as_postgres test -r "trees-$pid/README"
	as_postgres sh -c "echo 1 >trees-$pid/cpu/seconds; cat trees-$pid/cpu.folded" >cpu.folded
	as_postgres cat "trees-$pid/heap.folded" >heap.folded
	names cpu.folded PostgresMain ExecMakeTableFunctionResult
	names heap.folded PostmasterMain
	kill "$client"
	sql -c "select pg_cancel_backend($pid)" >/dev/null
	tree_stop INT
	is "$STATUS" "$PLAIN_STATUS"
	is "$(grep -cE 'PANIC|terminated by signal|crash' log)" 0
	wait_until 10 no_tree_left
}
