# redis-server under redis-benchmark: the same answers, and the profiles name the server's own work.
load real

server() { # the package redis-tools has its code under another name
	ln -sf "$(command -v redis-server || command -v redis-check-rdb)" redis-server
}

cli() { redis-cli -s "$PWD/socket" "$@"; }

# bench COUNT: what it says of itself but its measurements, how it ended, and what the server says that it did.
bench() {
	local status=0
	redis-benchmark -s "$PWD/socket" -n "$1" -q --csv -t set,get,lpush,lrange_100,hset -c 30 >bench.csv 2>&1 || status=$?
	cut -d, -f1 bench.csv
	echo "ended $status"
	cli INFO commandstats | tr -d '\r' | sed -nE '/^cmdstat_(ping|info|lastsave|flushall)/d; s/usec[^,]*,//gp' | sort
	cli DBSIZE
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
	bench 10000 >plain.bench
	cli FLUSHALL
	conversation | cli >plain.out 2>&1
	tree_stop
	PLAIN_STATUS=$STATUS
	rm -f socket saved.rdb

	serve ./redis-server "${options[@]}"
	wait_until 10 cli PING
	echo 3600 >"$TREE/cpu/seconds"
	bench 10000 >watched.bench
	echo 0 >"$TREE/cpu/seconds" # of all of it, however long it took
	diff plain.bench watched.bench
	for line in '"SET"' 'ended 0' 'cmdstat_set:calls=10000,rejected_calls=0,failed_calls=0'; do
		grep -qxF "$line" watched.bench
	done
	cli FLUSHALL
	conversation | cli >watched.out 2>&1
	cmp plain.out watched.out
	wait_until 20 eval 'cli LASTSAVE >/dev/null && [ "$(cli INFO persistence | grep -c rdb_bgsave_in_progress:0)" = 1 ]'
	has "$(cli INFO persistence)" "rdb_last_bgsave_status:ok"
	cp "$TREE/cpu.folded" "$TREE/heap.folded" "$TREE/threads.folded" .
	most cpu.folded 80 '(main|IOThreadMain)' # both spin
	names cpu.folded main aeMain processCommand
	most heap.folded 60 main
	names heap.folded createStringObject
	names threads.folded main
	tree_stop TERM
	is "$STATUS" "$PLAIN_STATUS"
	wait_until 5 no_mount_left
}

# daemon CMD...: it ends when the server is in the background. What it said, how it ended, what the server did.
daemon() {
	local status=0
	rm -f log pid socket
	"$@" ./redis-server "${options[@]}" --daemonize yes --pidfile "$PWD/pid" --logfile log </dev/null >said 2>"$ERR" 3>&- || status=$?
	wait_until 10 cli PING
	PID=$(cat pid)
	STARTED+=("$PID")
	cat said
	without_numbers "$ERR"
	echo "ended $status"
	bench 5000
}

daemon_ends() {
	cli SHUTDOWN NOSAVE
	wait_until 10 eval '! kill -0 "$PID" 2>/dev/null'
	[ ! -e pid ]
	# 1:C 22 Nov 2026 08:00:00.000 * Ready
	sed -E 's/^[0-9]+:([A-Z]) .{24}/\1/' log | without_numbers /dev/stdin
}

@test "redis-server that forks itself into the background" {
	server
	daemon env -u PROFFS_ENABLE >plain.out
	daemon_ends >plain.log
	NOISE='^proffs: ' daemon "$PROFFS" run "${FAST[@]}" -m "$BATS_TEST_TMPDIR/trees-%p" -- >watched.out
	diff plain.out watched.out
	has "$(cat watched.out)" 'ended 0'
	wait_until 10 test -r "trees-$PID/heap"
	cp "trees-$PID/heap.folded" "trees-$PID/cpu.folded" .
	most heap.folded 60 main
	most cpu.folded 80 '(main|IOThreadMain)'
	names cpu.folded main aeMain processCommand
	daemon_ends >watched.log
	diff plain.log watched.log
	wait_until 5 no_mount_left
}
