#!/usr/bin/env bats
# events is a stream: a line for each thing that happens, for while read, poll and epoll.

load fs.bash

# follow: reads events into $DIR/events until the test ends
follow() {
	cat "$M/events" >"$DIR/events" 3>&- &
	CHILD=$!
	until_true reads_events
}

# The reader is in: each try leaves an event.
reads_events() {
	echo 1 >"$M/gc" && [ -s "$DIR/events" ]
}

# seen PATTERN: such a line has come
seen() {
	grep -q "$1" "$DIR/events"
}

@test "each start and end of a capture, refused write, gc and snapshot is a line" {
	start_host
	follow
	echo 0.1 >"$M/cpu/seconds"
	until_true seen 'Z capture cpu started 0.1 s$'
	until_true seen 'Z capture cpu ended [0-9.]* s 1 stacks$'
	at_least 0.1 "$(grep 'capture cpu ended' "$DIR/events")"
	echo x >"$M/cpu/hz" 2>/dev/null || true
	until_true seen 'Z refused cpu/hz "x": Invalid argument$'
	echo one >"$M/snapshot"
	until_true seen 'Z snapshot one$'
	seen 'Z gc released 4096 bytes$'
	kill "$CHILD"
	ends_with 143 "$CHILD"
}

@test "while read takes one line at a time, from the moment it opened" {
	start_host
	echo 1 >"$M/gc"
	while read -r time what rest; do
		echo "$what" >>"$DIR/words"
		[ "$what" != snapshot ] || break
	done <"$M/events" 3>&- &
	CHILD=$!
	took() { echo x >"$M/cpu/hz" 2>/dev/null || [ -s "$DIR/words" ]; }
	until_true took
	(echo one >"$M/snapshot") # alone: the reader's end interrupts its parent's system calls
	ends_with 0 "$CHILD"
	[ "$(sort -u "$DIR/words" | tr '\n' ' ')" = "refused snapshot " ]
}

@test "poll, epoll and O_NONBLOCK wait as for a pipe" {
	start_host
	timeout 60 python3 - "$M" <<-'P'
		import errno, os, select, sys, threading, time
		tree = sys.argv[1]
		fd = os.open(tree + "/events", os.O_RDONLY | os.O_NONBLOCK)
		def gc():
		    with open(tree + "/gc", "w") as f: f.write("1")
		try:
		    os.read(fd, 100)
		    assert False, "something to read"
		except BlockingIOError:
		    pass
		p = select.poll(); p.register(fd, select.POLLIN)
		assert p.poll(0) == []
		for _ in range(3):
		    threading.Timer(0.2, gc).start()
		    assert p.poll(10000) == [(fd, select.POLLIN)]
		    assert b" gc " in os.read(fd, 4096)
		    assert p.poll(0) == []
		e = select.epoll(); e.register(fd, select.EPOLLIN)
		for _ in range(3):
		    threading.Timer(0.2, gc).start()
		    assert e.poll(10) == [(fd, select.EPOLLIN)]
		    # Byte by byte, as a shell reads.
		    line = b""
		    while not line.endswith(b"\n"):
		        line += os.read(fd, 1)
		    assert line.endswith(b"released 4096 bytes\n"), line
		try:
		    os.lseek(fd, 0, 0)
		    assert False, "it can be sought"
		except OSError as error:
		    assert error.errno == errno.ESPIPE
	P
}

@test "a hundred readers of events cost no thread, and all are told" {
	start_host
	before=$(ls "/proc/$HOST/task" | wc -l)
	for i in $(seq 100); do
		head -n 1 "$M/events" >"$DIR/$i" 3>&- &
		readers="$readers $!"
	done
	told() { echo 1 >"$M/gc"; for i in $(seq 100); do [ -s "$DIR/$i" ] || return 1; done; }
	[ "$(ls "/proc/$HOST/task" | wc -l)" -le $((before + 4)) ]
	until_true told
	for pid in $readers; do wait "$pid"; done
}

@test "a reader who is too slow is told how much he has missed" {
	start_host
	exec 5<"$M/events"
	for i in $(seq 300); do echo 1; done | while read -r one; do echo "$one" >"$M/gc"; done
	head -c 4096 <&5 >"$DIR/first"
	head -n 1 "$DIR/first" | grep -q 'Z lost 44 lines: read faster$'
	exec 5<&-
}

@test "what was dropped meanwhile is said within a second or two" {
	start_host
	follow
	for i in $(seq 21); do echo "s$i" >"$M/snapshot"; done
	until_true seen 'Z dropped fs_captures_dropped 1$'
}

@test "cpu/wait returns when the running capture ends, and at once when none runs" {
	start_host
	[ -L "$M/cpu/wait" ]
	timeout 60 cat "$M/cpu/wait" | grep -q idle
	echo 3 >"$M/cpu/seconds"
	grep -q 'running' "$M/cpu/status"
	timeout 60 cat "$M/cpu/wait" | grep -q 'last finished'
	not grep -q 'running' "$M/cpu/status"
	echo 3600 >"$M/cpu/seconds"
	run timeout 0.5 cat "$M/cpu/wait"
	[ "$status" = 124 ]
	cat "$M/cpu/wait" >"$DIR/wait" &
	CHILD=$!
	echo 0 >"$M/cpu/seconds"
	ends_with 0 "$CHILD"
	[ "$(ls "$M/captures" | wc -l)" = 2 ]
}
