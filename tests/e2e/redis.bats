# A real server under load, looked at from every side: it must answer as it does without us.
load ../helper

cli() {
	redis-cli -s "$PWD/socket" "$@"
}

# answers FILE: what the server says to a fixed conversation.
answers() {
	{
		echo 'SET greeting hello'
		echo 'APPEND greeting " world"'
		echo 'GET greeting'
		for i in {1..200}; do
			echo "RPUSH list value-$i"
			echo "HSET hash field-$((i % 17)) $i"
			echo "ZADD scores $((i * 7919 % 1000)) member-$i"
			echo "INCRBY counter $i"
		done
		echo 'LRANGE list 0 -1'
		echo 'HGETALL hash'
		echo 'ZRANGE scores 0 -1 WITHSCORES'
		echo 'EVAL "local s = 0; for i = 1, 100000 do s = s + i end; return s" 0'
		echo 'LPUSH greeting wrong-type'
		echo 'DEBUG NO-SUCH-THING'
		echo 'GET missing'
	} | cli >"$1" 2>&1
}

options=(--port 0 --save '' --daemonize no --unixsocket socket --enable-debug-command yes)

@test "redis under redis-benchmark, a capture, ten heaps and ten dumps: the same replies, no mount left" {
	background redis-server "${options[@]}"
	wait_until 10 cli PING
	answers plain
	tree_stop
	rm -f socket

	tree_start -- redis-server "${options[@]}"
	wait_until 10 cli PING
	echo 8 >"$TREE/cpu/seconds"
	redis-benchmark -s "$PWD/socket" -n 200000 -q -t set,get,lpush,lrange_100 >bench 2>&1 3>&- &
	bench=$!
	STARTED+=("$bench")
	for i in {1..10}; do
		cat "$TREE/heap" >"heap.$i"
		cat "$TREE/threads" >"threads.$i"
		sleep 0.2
	done
	wait "$bench"
	cli FLUSHALL
	answers watched
	cmp plain watched
	cp "$TREE/cpu.pprof" .

	for i in {1..10}; do
		[ -s "heap.$i" ]
		has "$(cat "threads.$i")" main
	done
	# Exported or not, the server's own functions have their names (.symtab or .dynsym).
	rows=$(pprof_rows cpu.pprof -cum)
	echo "$rows" | head -n 30
	[ -n "$rows" ]
	has "$(cat "$TREE/status")" cpu_samples
	is "$(grep -ciE 'error|refused' bench)" 0

	tree_stop TERM
	is "$STATUS" 0
	wait_until 5 no_mount_left
	is "$(ls -A "$TREE")" ""
}
