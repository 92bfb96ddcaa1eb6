# memcached with four workers: the same answers, and its workers are seen as what they are.
load real

talk() { # one connection, many commands
	exec 9<>"/dev/tcp/127.0.0.1/$1"
	for i in {1..2000}; do
		printf 'set key%d 0 0 100\r\n%0100d\r\nget key%d\r\n' "$i" "$i" $((i / 2 + 1))
	done >&9
	printf 'incr nothing 1\r\nstats settings\r\nquit\r\n' >&9
	cat <&9 | grep -v -e 'STAT tcpport'
	exec 9<&-
}

many() { # connections at once; each gets the answers that one alone got
	local pids=() pid failed=0 n
	for n in {1..8}; do
		talk "$1" >client.$n 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
	for n in {1..8}; do cmp plain.out client.$n || failed=1; done
	return $failed
}

count() {
	exec 9<>"/dev/tcp/127.0.0.1/$1"
	printf 'stats\r\nquit\r\n' >&9
	tr -d '\r' <&9 | grep -E ' (cmd_|get_|incr_|curr_items|total_items|threads|auth_|evictions)'
	exec 9<&-
}

listens() { (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

@test "memcached, four workers, eight clients" {
	options=(-u root -l 127.0.0.1 -t 4 -m 64)
	port=$(free_port)
	background /usr/bin/memcached "${options[@]}" -p "$port"
	wait_until 10 listens "$port"
	talk "$port" >plain.out
	many "$port"
	# What the server counted of all that.
	count "$port" >plain.count
	tree_stop TERM
	PLAIN_STATUS=$STATUS

	port=$(free_port)
	serve /usr/bin/memcached "${options[@]}" -p "$port"
	wait_until 10 listens "$port"
	talk "$port" >watched.out
	cmp plain.out watched.out
	many "$port"
	count "$port" >watched.count
	diff plain.count watched.count
	is "$(awk '$2 == "cmd_set" {print $3}' watched.count)" 18000
	echo 3600 >"$TREE/cpu/seconds"
	for _ in 1 2 3; do many "$port"; done
	echo 0 >"$TREE/cpu/seconds" # of all of it, however long it took
	# Four workers, and each of its own other threads, in event loops of libevent; who gets no processor for
	# half a second has no stack.
	five() {
		cp "$TREE/threads.folded" .
		[ "$(awk '/event_base_loop/ {n += $NF} END {print n}' threads.folded)" -ge 5 ]
	}
	wait_until 10 five
	cp "$TREE/cpu.folded" "$TREE/heap.folded" .
	names threads.folded event_base_loop
	most cpu.folded 60 event_base_loop
	tree_stop TERM
	is "$STATUS" "$PLAIN_STATUS"
	wait_until 5 no_mount_left
}
