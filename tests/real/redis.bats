# redis-server under redis-benchmark: the same answers, and the profiles name the server's own work.
load real

server() { # the package redis-tools has its code under another name
	ln -sf "$(command -v redis-server || command -v redis-check-rdb)" redis-server
}

cli() { redis-cli -s "$PWD/socket" "$@"; }

bench() {
	redis-benchmark -s "$PWD/socket" -n "$1" -q --csv -t set,get,lpush,lrange_100,hset -c 30 2>&1
}

conversation() {
	for i in {1..500}; do
		printf 'RPUSH list value-%d\nZADD scores %d member-%d\nSET key:%d %0500d\n' "$i" $((i * 7919 % 1000)) "$i" "$i" 7
	done
	printf '%s\n' 'LRANGE list 0 -1' 'ZRANGE scores 0 -1 WITHSCORES' \
		'EVAL "local t = {} for i = 1, 20000 do t[i] = i * i end return #t" 0' 'GET list' \
		'SORT list ALPHA LIMIT 0 10' 'BGSAVE' 'DBSIZE'
}

options=(--port 0 --daemonize no --unixsocket socket --save '' --dbfilename saved.rdb --io-threads 2)

@test "redis-server with I/O threads, a fork to save, and redis-benchmark" {
	server
	background ./redis-server "${options[@]}"
	wait_until 10 cli PING
	conversation | cli >plain.out 2>&1
	tree_stop
	PLAIN_STATUS=$STATUS
	rm -f socket saved.rdb

	serve ./redis-server "${options[@]}"
	wait_until 10 cli PING
	echo 3600 >"$TREE/cpu/seconds"
	bench 20000 >bench.csv 3>&-
	echo 0 >"$TREE/cpu/seconds" # of all of it, however long it took
	is "$(grep -c '^"' bench.csv)" 7
	cli FLUSHALL
	conversation | cli >watched.out 2>&1
	cmp plain.out watched.out
	wait_until 20 eval 'cli LASTSAVE >/dev/null && [ "$(cli INFO persistence | grep -c rdb_bgsave_in_progress:0)" = 1 ]'
	has "$(cli INFO persistence)" "rdb_last_bgsave_status:ok"
	cp "$TREE/cpu.folded" "$TREE/heap.folded" "$TREE/threads.folded" .
	names cpu.folded main aeMain processCommand
	names heap.folded main createStringObject
	names threads.folded main
	tree_stop TERM
	is "$STATUS" "$PLAIN_STATUS"
	wait_until 5 no_mount_left
}

@test "redis-server that forks itself into the background" {
	server
	"$PROFFS" run "${FAST[@]}" -m "$BATS_TEST_TMPDIR/trees-%p" -- ./redis-server "${options[@]}" --daemonize yes \
		--pidfile "$PWD/pid" --logfile log </dev/null 3>&-
	wait_until 10 cli PING
	PID=$(cat pid)
	STARTED+=("$PID")
	bench 5000 >/dev/null 3>&-
	wait_until 10 test -r "trees-$PID/heap"
	has "$(cat "trees-$PID/heap")" main
	cli SHUTDOWN NOSAVE
	wait_until 10 eval '! kill -0 "$PID" 2>/dev/null'
	wait_until 5 no_mount_left
}
